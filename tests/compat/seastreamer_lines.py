#!/usr/bin/env python3
"""SeaStreamer lines: the conformance cases of the dialect, and the peer's filters with ours in pipelines both ways.

    seastreamer_lines.py [--weird PROGRAM] [-k PART]

The peer's consumers begin to read before they have subscribed and lose what comes in between, so input is held back until each of
their threads sleeps. They never end at the end of input either; they are ended by their pid.
"""

import json
import os
import re
import subprocess
import sys
import threading

import seastreamer_rig as rig
from s2_rig import Daemon
from seastreamer_rig import Report, claim, peer, same

SECONDS = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\Z')


def parsed(lines, key):
    """Payloads of lines as producers print them: whole seconds, no shard, sequences from 0."""
    out = []
    for n, line in enumerate(lines):
        time, got, seq, shard, rest = rig.stdio_line(line)
        claim(SECONDS.match(time), 'time %s', time)
        same((got, seq, shard), (key, n, None), 'key, sequence and shard of line %d' % n)
        out.append(rest)
    return out


# --- what a consumer of key `a` gets ---------------------------------------------------------------------------
# Input, then (key, shard, sequence, payload) of each message; None: a bad line. After the rules of the dialect.

CASES = [
    ('S01', b'plain text', [('broadcast', 0, 0, b'plain text')]),
    ('S02', b'[a] x', [('a', 0, 0, b'x')]),
    ('S03', b'[b] x', []),
    ('S04', b'[2022-01-01T00:00:00 | a | 123 | 4] {"p":1}', [('a', 4, 123, b'{"p":1}')]),
    ('S05', b'[2022-01-01T00:00:00.123 | a] x', [('a', 0, 0, b'x')]),
    ('S06', b'[2022-01-01T00:00:00] 12345', [('broadcast', 0, 0, b'12345')]),
    ('S07', b'[a | 5] x\n[a] y\n[a] z', [('a', 0, 5, b'x'), ('a', 0, 5, b'y'), ('a', 0, 6, b'z')]),
    ('S08', b'[a|1|2]x', [('a', 2, 1, b'x')]),
    ('S09', b' [a] x', [('broadcast', 0, 0, b' [a] x')]),
    ('S10', b'[] hello', [('broadcast', 0, 0, b'[] hello')]),
    ('S11', b'[ ]', [None]),
    ('S12', b'[abc', [('broadcast', 0, 0, b'[abc')]),
    ('S13', b'[1,2,3]', [None]),
    ('S14', b'[Jan 1, 2022] x', [None]),
    ('S15', b'[a | -1] x', [None]),
    ('S16', b'[a | 18446744073709551616] x', [None]),
    ('S17', b'[a | 2022-01-01T00:00:00] x', [None]),
    ('S18', b'[2022-02-30T00:00:00 | a] x', [None]),
    ('S19', b'[2022-01-01T00:00:00Z | a] x', [None]),
    ('S20', b'[a | 1 | 2 | 3] x', [None]),
    ('S21', b'', [('broadcast', 0, 0, b'')]),
    ('S22', b'[a] x\r', [('a', 0, 0, b'x\r')]),
    ('S23', b'[a] \xff\xfe\n[a] next', [None, ('a', 0, 0, b'next')]),
    ('S24', b'[a] one\n["x"]\n[a] two', [('a', 0, 0, b'one'), None, ('a', 0, 1, b'two')]),
    ('K01', b'[A.b_c-9] x\n[a b] x\n[a/b] x\n[' + b'k' * 249 + b'] x\n[' + b'k' * 250 + b'] x', [None, None, None]),
]


def conformance(ours, source, want):
    """Out again with everything kept, so that key, shard and sequence can be seen; lines of other keys are left out."""
    done = subprocess.run([ours.weir, 'relay', '--input', 'stdio:///a', '--output', 'stdio:///', '--preserve'], input=source + b'\n',
                          capture_output=True, timeout=60, check=False, env=ours.env)
    same(done.returncode, 0, 'status (%s)' % done.stderr.decode(errors='replace')[-200:])
    got = [rig.stdio_line(line) for line in done.stdout.split(b'\n')[:-1]]
    same([(key, shard, seq, rest) for _, key, seq, shard, rest in got], [w for w in want if w], 'messages')
    stated = re.match(rb'\[(\d{4}-[\dT:-]+)(\.\d+)?', source)
    if stated and got:
        same(got[0][0], (stated[1] + (stated[2] or b'.0')).decode(), 'time')
    bad = sum(1 for line in done.stderr.splitlines() if re.search(rb'\bline \d+', line))
    same(bad, sum(1 for w in want if w is None), 'diagnostics (%s)' % done.stderr.decode(errors='replace')[-300:])
    strict = subprocess.run([ours.weir, 'relay', '--input', 'stdio:///a', '--output', 'stdio:///o', '--strict'], input=source + b'\n',
                            capture_output=True, timeout=60, check=False, env=ours.env)
    same(strict.returncode, 1 if None in want else 0, 'status with --strict')


def shared(ours):
    """Three members of a group, seven lines: by the counter's number modulo three."""
    source = b''.join(b'[a] m%d\n' % n for n in range(7))
    for member, want in enumerate(([0, 3, 6], [1, 4], [2, 5])):
        got = ours.run('relay', '--input', 'stdio:///a', '--output', 'stdio:///', '--preserve', '--share', '%d/3' % member, stdin=source)
        same([rig.stdio_line(line)[2] for line in got.splitlines()], want, 'member %d' % member)


def against_real(ours, source, want):
    """The peer's relay on the same lines: what it takes for key `a` it prints again, all as one stream."""
    if any(w is None for w in want) or not want or source == b'':
        raise rig.Skip('the peer ends itself at a bad line, and prints nothing for an empty payload')
    with rig.Program([peer('relay'), '--input', 'stdio:///a', '--output', 'stdio:///o'], ours.folder, stdin=subprocess.PIPE) as relay:
        relay.rests()
        relay.feed(source + b'\n')
        theirs = relay.has(len(want))
    got = ours.run('relay', '--input', 'stdio:///a', '--output', 'stdio:///o', stdin=source + b'\n').split(b'\n')[:-1]
    same([rig.stdio_line(line)[1:] for line in got], [rig.stdio_line(line)[1:] for line in theirs], 'printed')
    same([rig.stdio_line(line)[4] for line in theirs], [w[3] for w in want], 'payloads of the peer')


# --- pipelines ---------------------------------------------------------------------------------------------------


def clocks_alike(ours):
    """Our clock prints what theirs does."""
    with rig.Program([peer('clock'), '--stream', 'clock', '--interval', '1ms'], ours.folder) as theirs, \
            ours.start('clock', '--stream', 'clock', '--interval', '1ms') as clock:
        want = parsed(theirs.has(30)[:30], 'clock')
        same(parsed(clock.has(30)[:30], 'clock'), want, 'ticks')
        clock.stop(status=0)


def ticks(ours, count):
    """Lines of our clock, which is asked to end."""
    with ours.start('clock', '--stream', 'clock', '--interval', '1ms') as clock:
        lines = clock.has(count)[:count]
        clock.stop(status=0)
    same(parsed(lines, 'clock'), [b'{ "tick": %d }' % n for n in range(count)], 'ticks')
    return b''.join(line + b'\n' for line in lines)


def our_clock_our_relay(ours):
    """Through two relays in a row, each a stream of its own; when the reader goes away, all of them end quietly."""
    processes = []
    try:
        def add(stdin, *args):
            processes.append(subprocess.Popen([ours.weir, *args], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ours.env))
            if len(processes) > 1:
                processes[-2].stdout.close()
        add(subprocess.DEVNULL, 'clock', '--stream', 'clock', '--interval', '1ms')
        add(processes[-1].stdout, 'relay', '--input', 'stdio:///clock', '--output', 'stdio:///middle')
        add(processes[-1].stdout, 'relay', '--input', 'stdio:///middle', '--output', 'stdio:///out')
        limit = threading.Timer(rig.DEADLINE, processes[-1].kill)
        limit.start()
        got = [processes[-1].stdout.readline().rstrip(b'\n') for _ in range(40)]
        limit.cancel()
        same(parsed(got, 'out'), [b'{ "tick": %d }' % n for n in range(40)], 'payloads')
        processes[-1].stdout.close()
        for process in reversed(processes):
            same((process.wait(rig.DEADLINE), process.stderr.read()), (0, b''), 'status, and what was said')
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stderr.close()


def our_clock_our_store(ours):
    """The clock's lines into the store, and out again."""
    source = ticks(ours, 25)
    daemon = Daemon(ours.weird, ours.folder)
    try:
        ours.run('append', daemon.store, '--format', 'ss', stdin=source)
        out = ours.run('cat', daemon.store, '-T', 'clock', '--format', 'ss')
        same([rig.stdio_line(line)[1:3] + rig.stdio_line(line)[4:] for line in out.splitlines()],
             [('clock', n, b'{ "tick": %d }' % n) for n in range(25)], 'lines of the store')
    finally:
        daemon.stop()


def clock_into_relay(ours):
    """The real clock through our relay."""
    with rig.Program([peer('clock'), '--stream', 'clock', '--interval', '1ms'], ours.folder) as clock:
        lines = clock.has(40)
    got = ours.run('relay', '--input', 'stdio:///clock', '--output', 'stdio:///out', stdin=b''.join(line + b'\n' for line in lines[:40]))
    same(parsed(got.splitlines(), 'out'), [b'{ "tick": %d }' % n for n in range(40)], 'payloads')


def piped(first, second, folder):
    """Two programs joined by a pipe; the second is awake before the first begins."""
    read, write = os.pipe()
    try:
        follower = rig.Program(second, folder, stdin=read)
    finally:
        os.close(read)
    try:
        follower.rests()
        with open(os.path.join(folder, 'first.err'), 'wb') as err:
            leader = subprocess.Popen(first, stdin=subprocess.DEVNULL, stdout=write, stderr=err)
    except Exception:
        follower.kill()
        raise
    finally:
        os.close(write)
    return leader, follower


def pipeline(ours, first, second, check):
    leader, follower = piped(first, second, ours.folder)
    try:
        check(follower)
    finally:
        leader.kill()
        leader.wait()
        follower.kill()


def our_clock_their_relay(ours):
    def check(relay):
        got = parsed(relay.has(40)[:40], 'out')
        same([json.loads(line) for line in got], [{'tick': n, 'relay': True} for n in range(40)], 'payloads')
    pipeline(ours, [ours.weir, 'clock', '--stream', 'clock', '--interval', '2ms'], [peer('json-relay'), '--input', 'clock', '--output', 'out'], check)


def our_clock_their_group(ours):
    """Two members of their group take turns, by the sequences that our clock prints."""
    def check(group):
        got = parsed(group.has(10)[:10], 'out')
        same([json.loads(line) for line in got], [{'tick': n, 'relay': n % 2 + 1} for n in range(10)], 'payloads')
    pipeline(ours, [ours.weir, 'clock', '--stream', 'clock', '--interval', '20ms'], [peer('complex'), '--input', 'clock', '--output', 'out'], check)


def their_clock_our_relay_their_relay(ours):
    """Three in a row: theirs, ours, theirs."""
    read, write = os.pipe()
    last = rig.Program([peer('json-relay'), '--input', 'middle', '--output', 'out'], ours.folder, stdin=read)
    os.close(read)
    leader = None
    try:
        last.rests()
        leader = subprocess.Popen([peer('clock'), '--stream', 'clock', '--interval', '1ms'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        with open(os.path.join(ours.folder, 'middle.err'), 'wb') as err:
            middle = subprocess.Popen([ours.weir, 'relay', '--input', 'stdio:///clock', '--output', 'stdio:///middle'], stdin=leader.stdout,
                                      stdout=write, stderr=err, env=ours.env)
        os.close(write)
        write = -1
        leader.stdout.close()
        got = parsed(last.has(50)[:50], 'out')
        same([json.loads(line)['tick'] for line in got], list(range(50)), 'ticks')
        last.kill()  # the reader goes away: ours ends quietly, and so its writer's pipe breaks
        same(middle.wait(rig.DEADLINE), 0, 'status of our relay without a reader')
        leader.wait(rig.DEADLINE)
    finally:
        if write != -1:
            os.close(write)
        last.kill()
        if leader:
            leader.kill()
            leader.wait()


def relay_ends(ours):
    """At the end of input ours ends; so it does when its input is a clock that is killed."""
    same(parsed(ours.run('relay', '--input', 'stdio:///k', '--output', 'stdio:///o', stdin=b'[k] last').splitlines(), 'o'), [b'last'], 'a last line without newline')


def through_the_store(ours):
    """Their clock's lines into the store, out again, through their relay."""
    ours.needs('append')
    with rig.Program([peer('clock'), '--stream', 'clock', '--interval', '1ms'], ours.folder) as clock:
        source = b''.join(line + b'\n' for line in clock.has(25)[:25])
    daemon = Daemon(ours.weird, ours.folder)
    try:
        ours.run('append', daemon.store, '--format', 'ss', stdin=source)
        out = ours.run('cat', daemon.store, '-T', 'clock', '--format', 'ss')
        same([rig.stdio_line(line)[1:3] + rig.stdio_line(line)[4:] for line in out.splitlines()],
             [('clock', n, b'{ "tick": %d }' % n) for n in range(25)], 'lines of the store')
        with rig.Program([peer('json-relay'), '--input', 'clock', '--output', 'out'], ours.folder, stdin=subprocess.PIPE) as relay:
            relay.rests()
            relay.feed(out)
            got = parsed(relay.has(25), 'out')
        same([json.loads(line)['tick'] for line in got], list(range(25)), 'ticks')
    finally:
        daemon.stop()


def main():
    args = rig.options(__doc__).parse_args()
    report = Report('seastreamer lines')

    def case(name, function, *more):
        if args.k in name:
            with rig.Folder() as folder:
                report.case(name, function, rig.Ours(args.weird, folder), *more)

    for name, source, want in CASES:
        case(name, conformance, source, want)
    case('S25', shared)
    if rig.have('relay'):
        for name, source, want in CASES:
            if want and source and None not in want:
                case(name + ' beside the peer', against_real, source, want)
    else:
        report.skip('the same lines beside the peer', 'its relay is not installed (scripts/dev/peers)')
    case('the end of input', relay_ends)
    case('our clock', ticks, 30)
    case('our clock, our relays', our_clock_our_relay)
    case('our clock, our store', our_clock_our_store)
    case('clocks tick alike', clocks_alike)
    case('their clock, our relay', clock_into_relay)
    case('our clock, their relay', our_clock_their_relay)
    case('our clock, their group', our_clock_their_group)
    case('their clock, our relay, their relay', their_clock_our_relay_their_relay)
    case('their clock, our store, their relay', through_the_store)
    sys.exit(report.status())


if __name__ == '__main__':
    main()
