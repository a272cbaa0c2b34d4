#!/usr/bin/env python3
"""The peer's relay and ours over the same Redis server and files; the peer's Redis programs with ours.

    seastreamer_relay.py [--weird PROGRAM] [--seed N] [-k PART]

Needs redis-server. A case `... beside the peer` is the same with the peer's program, whose relay is ended by its pid once what it has to
print is there; the others need none of it, but those that are named after a real program.
"""

import contextlib
import os
import subprocess
import sys
import time

import seastreamer_rig as rig
from seastreamer_rig import Message, Report, claim, file_url, peer, read_ss, run, same, until


class Place:
    """A Redis server and a folder for one case."""

    def __init__(self, ours, redis):
        self.ours, self.redis, self.folder = ours, redis, ours.folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def fill(self, key, payloads, ms=1700000000000):
        self.redis.many([('XADD', key, '%d-%d' % (ms + n // 3, n % 3), 'msg', p) for n, p in enumerate(payloads)])

    def real(self, source, target, *more, stdin=subprocess.DEVNULL):
        return rig.real_relay(self.folder, source, target, *more, stdin=stdin)


def entry_messages(entries, key='k', shard=0):
    return [Message(key, shard, ms * 65536 + n, ms, p) for ms, n, p in entries]


def reads_producer(at):
    """What the real producer adds, we read: payloads, sequences and times of its entries."""
    run([peer('producer'), '--stream', at.redis.url('k')])
    want = entry_messages(at.redis.entries('k'))
    same([m.payload for m in want], [b'{"hello": %d}' % n for n in range(10)], 'payloads of the producer')
    at.ours.copy(at.redis.url('k'), file_url(at.path('p.ss')), '--preserve')
    same(read_ss(at.path('p.ss')).messages, want, 'messages')


def read_by_consumer(at):
    """What we add, the real consumer prints."""
    lines = b''.join(b'[k] {"n": %d, "t": "\xc3\xa9"}\n' % n for n in range(300))
    at.ours.copy('stdio:///k', at.redis.url('k'), stdin=lines)
    same([p for _, _, p in at.redis.entries('k')], [line[4:] for line in lines.splitlines()], 'entries')
    for _, fields in at.redis.do('XRANGE', 'k', '-', '+'):
        same(len(fields), 2, 'fields of an entry')
    with rig.Program([peer('consumer'), '--stream', at.redis.url('k')], at.folder) as consumer:
        same(consumer.has(300), [line[4:] for line in lines.splitlines()], 'what the consumer prints')


def shards_by_consumer(at):
    """Streams of two shards by ours are read by the real consumer."""
    at.ours.copy('stdio:///k', at.redis.url('k'), '--shards', '2', stdin=b''.join(b'[k] %d\n' % n for n in range(40)))
    same(sorted(at.redis.do('KEYS', '*')), [b'k:0', b'k:1'], 'keys')
    with rig.Program([peer('consumer'), '--stream', at.redis.url('k')], at.folder) as consumer:
        same(sorted(map(int, consumer.has(40))), list(range(40)), 'what the consumer prints')


def kept_in_file(at):
    """Entries with any bytes come into a file with their sequences and times, and the file is what the rules say."""
    rng = rig.rng_for(at.seed, 'dump')
    at.fill('k', [rng.randbytes(rng.randrange(200)) for _ in range(2000)])
    at.ours.copy(at.redis.url('k'), file_url(at.path('ours.ss')), '--preserve')
    r = read_ss(at.path('ours.ss'))
    same(r.messages, entry_messages(at.redis.entries('k')), 'messages of ours')
    claim(rig.read_file(at.path('ours.ss')) == rig.encode(r.messages, 'ours.ss', r.created, r.interval), 'the file is not what the rules say')


def times_kept(at):
    """Files of ours and of the real dump program from one stream are the same but for their headers."""
    kept_in_file(at)
    run([peer('redis-streams-dump'), '--stream', at.redis.url('k'), '--output', at.path('theirs.ss')])
    claim(rig.read_file(at.path('ours.ss'))[128:] == rig.read_file(at.path('theirs.ss'))[128:], 'the files differ behind their headers')


def ranges_kept(at):
    """Also of a part: later than a time, up to another."""
    program, rng = peer('redis-streams-dump'), rig.rng_for(at.seed, 'ranges')
    at.fill('k', [rng.randbytes(rng.randrange(200)) for _ in range(2000)])
    ms = [e[0] for e in at.redis.entries('k')]
    for n in range(3):
        since, until_ = sorted(rng.choice(ms) for _ in range(2))
        theirs, got = at.path('theirs-%d.ss' % n), at.path('ours-%d.ss' % n)
        run([program, '--stream', at.redis.url('k'), '--output', theirs, '--since', stamp(since), '--until', stamp(until_)])
        at.ours.run('relay', '--input', at.redis.url('k'), '--output', file_url(got), '--preserve', '--no-follow', '--offset', stamp(since),
                    '--until', stamp(until_))
        same(read_ss(theirs).messages, [m for m in entry_messages(at.redis.entries('k')) if since < m.ms <= until_], 'messages of theirs')
        wanted = rig.read_file(theirs)[128:]
        claim((rig.read_file(got)[128:] if os.path.exists(got) else b'') == wanted, 'the files of %s to %s differ', stamp(since), stamp(until_))


def stamp(ms):
    return time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ms // 1000)) + '.%03d' % (ms % 1000)


def redis_to_file(at):
    """Payloads and order, sequences from 1."""
    payloads = [b'{"n":%d}' % n for n in range(500)]
    at.fill('k', payloads)
    at.ours.copy(at.redis.url('k'), file_url(at.path('ours.ss'), 'o'))
    got = read_ss(at.path('ours.ss')).messages
    same([(m.key, m.shard, m.seq, m.payload) for m in got], [('o', 0, n, p) for n, p in enumerate(payloads, 1)], 'messages of ours')
    return got


def redis_to_file_both(at):
    got = redis_to_file(at)
    open(at.path('theirs.ss'), 'wb').close()  # the peer's file must exist
    rig.real_copies(at.redis, at.folder, 'k', at.path('theirs.ss'), 'o')
    theirs = read_ss(at.path('theirs.ss')).messages
    same([m._replace(ms=0) for m in got], [m._replace(ms=0) for m in theirs], 'messages')


def redis_to_redis(at):
    payloads = [b'%d' % n for n in range(500)]
    at.fill('k', payloads)
    at.ours.copy(at.redis.url('k'), at.redis.url('ours'))
    same([e[2] for e in at.redis.entries('ours')], payloads, 'ours')
    at.ours.copy(at.redis.url('k'), at.redis.url('kept'), '--preserve')
    same(at.redis.entries('kept'), at.redis.entries('k'), 'with --preserve')


def redis_to_redis_both(at):
    redis_to_redis(at)
    with at.real(at.redis.url('k'), at.redis.url('theirs'), '--offset', 'start'):
        until(lambda: at.redis.do('XLEN', 'theirs') >= 500, 'the real relay')
    same([e[2] for e in at.redis.entries('theirs')], [e[2] for e in at.redis.entries('ours')], 'entries')


def waiting(at, count):
    def waits():
        clients = at.redis.do('CLIENT', 'LIST').decode().splitlines()
        return sum(1 for line in clients if ' cmd=xread ' in line) >= count
    until(waits, '%d relays to wait at the server' % count)


def follows_redis(at):
    """From the end only what comes."""
    at.fill('k', [b'old'])
    with at.ours.start('relay', '--input', at.redis.url('k'), '--output', 'stdio:///o') as got:
        waiting(at, 1)
        for n in range(10):
            at.redis.do('XADD', 'k', '*', 'msg', b'new %d' % n)
        same([rig.stdio_line(line)[1:] for line in got.has(10)], [('o', n, None, b'new %d' % n) for n in range(10)], 'lines')
        got.stop(status=0)


def follows_redis_both(at):
    """From the end both give only what comes; the real producer adds it."""
    at.fill('k', [b'old'])
    producer = peer('producer')
    with at.real(at.redis.url('k'), 'stdio:///o') as theirs, at.ours.start('relay', '--input', at.redis.url('k'), '--output', 'stdio:///o') as got:
        waiting(at, 2)
        run([producer, '--stream', at.redis.url('k')])
        ours_lines, their_lines = got.has(10), theirs.has(10)
        same([rig.stdio_line(line)[1:] for line in ours_lines], [rig.stdio_line(line)[1:] for line in their_lines], 'lines')
        same([rig.stdio_line(line)[4] for line in ours_lines], [b'{"hello": %d}' % n for n in range(10)], 'payloads')
        got.stop(status=0)


def followed_into_redis(at, theirs=None):
    """A file followed into Redis: what stood there and what comes. The real relay gets only what comes."""
    path = at.path('in.ss')
    at.ours.copy('stdio:///k', file_url(path, 'k'), stdin=b'[k] 0\n')
    with contextlib.ExitStack() as stack:
        if theirs:
            real = stack.enter_context(at.real(file_url(path, 'k'), at.redis.url(theirs)))
            real.watches()
            real.rests()
        got = stack.enter_context(at.ours.start('relay', '--input', file_url(path, 'k'), '--output', at.redis.url('ours'), '--offset', 'start'))
        until(lambda: at.redis.do('XLEN', 'ours') == 1, 'what stood there')
        at.ours.copy('stdio:///k', file_url(path, 'k'), stdin=b''.join(b'[k] %d\n' % n for n in range(1, 200)))
        until(lambda: at.redis.do('XLEN', 'ours') >= 200 and (not theirs or at.redis.do('XLEN', theirs) >= 199), 'the relays')
        got.stop(status=0)
    same([e[2] for e in at.redis.entries('ours')], [b'%d' % n for n in range(200)], 'ours')


def file_to_redis(at):
    followed_into_redis(at)


def file_to_redis_both(at):
    peer('relay')
    followed_into_redis(at, 'theirs')
    same([e[2] for e in at.redis.entries('theirs')], [b'%d' % n for n in range(1, 200)], 'theirs')


LINES = b''.join(b'[k] {"n":%d}\n' % n for n in range(100)) + b'to everyone\n'


def lines_to_redis(at):
    at.ours.copy('stdio:///k', at.redis.url('ours'), stdin=LINES)
    same([e[2] for e in at.redis.entries('ours')], [line.removeprefix(b'[k] ') for line in LINES.splitlines()], 'entries')
    claim(all(len(fields) == 2 for _, fields in at.redis.do('XRANGE', 'ours', '-', '+')), 'an entry has other fields')


def lines_to_redis_both(at):
    lines_to_redis(at)
    with at.real('stdio:///k', at.redis.url('theirs'), stdin=subprocess.PIPE) as theirs:
        theirs.rests()
        theirs.feed(LINES)
        until(lambda: at.redis.do('XLEN', 'theirs') >= 101, 'the real relay')
    same([e[2] for e in at.redis.entries('ours')], [e[2] for e in at.redis.entries('theirs')], 'entries')


def trimmed(at, other):
    """Ours leaves the same entries as another way, by number and by time."""
    for number, (how, value, words) in enumerate((('--max-len', '300', ('MAXLEN', '~', '300')),
                                                  ('--min-ts', '2023-11-14T22:13:20.2', ('MINID', '~', '1700000000200')))):
        theirs, got = 't%d' % number, 'o%d' % number
        for key in (theirs, got):
            at.fill(key, [b'x' * 50] * 1000)
        other(theirs, how, value, words)
        at.ours.run('trim-stream', '--stream', at.redis.url(got), how, value)
        same(at.redis.entries(got), at.redis.entries(theirs), 'entries left by ' + how)
        claim(0 < at.redis.do('XLEN', got) < 1000, '%d entries are left', at.redis.do('XLEN', got))


def trims(at):
    trimmed(at, lambda key, how, value, words: at.redis.do('XTRIM', key, *words))


def trims_both(at):
    real = peer('trim-stream')
    trimmed(at, lambda key, how, value, words: run([real, '--stream', at.redis.url(key), how, value]))


def to_decoded(at, decode):
    """A stream into a file with an end mark, and what a decoder says of it."""
    at.ours.copy(at.redis.url('k'), file_url(at.path('c.ss'), 'k'), '--interval', '1024', '--end-mark')
    got = decode(at.path('c.ss')).decode().splitlines()
    same([line.split('"payload":')[1] for line in got if line.startswith('{')], ['{"n":%d}}' % n for n in range(50)] + ['"EOS"}'], 'decoded')


def chain_of_ours(at):
    """Three kinds of end: lines to Redis, Redis to a file, the file's decoder."""
    at.ours.copy('stdio:///k', at.redis.url('k'), stdin=b''.join(b'[k] {"n":%d}\n' % n for n in range(50)))
    to_decoded(at, lambda path: at.ours.run('decode', '--file', path, '--format', 'ndjson'))


def chain(at):
    """Theirs, ours, theirs over the same."""
    decoder = peer('ss-decode')
    with at.real('stdio:///k', at.redis.url('k'), stdin=subprocess.PIPE) as theirs:
        theirs.rests()
        theirs.feed(b''.join(b'[k] {"n":%d}\n' % n for n in range(50)))
        until(lambda: at.redis.do('XLEN', 'k') >= 50, 'the real relay')
    to_decoded(at, lambda path: run([decoder, '--file', path, '--format', 'ndjson']))


def main():
    args = rig.options(__doc__).parse_args()
    print('# seed %d' % args.seed)
    report = Report('seastreamer relay')

    def case(name, function):
        def inside():
            with rig.Folder() as folder, rig.Redis(folder) as redis:
                at = Place(rig.Ours(args.weird, folder), redis)
                at.seed = args.seed
                function(at)
        if args.k in name:
            report.case(name, inside)

    case('the real producer\'s entries', reads_producer)
    case('the real consumer reads ours', read_by_consumer)
    case('the real consumer reads our shards', shards_by_consumer)
    case('entries kept in a file', kept_in_file)
    case('the real dump and ours', times_kept)
    case('the real dump and ours, of a part', ranges_kept)
    for name, function, beside in (
            ('redis to file', redis_to_file, redis_to_file_both), ('redis to redis', redis_to_redis, redis_to_redis_both),
            ('following redis', follows_redis, follows_redis_both), ('file to redis', file_to_redis, file_to_redis_both),
            ('lines to redis', lines_to_redis, lines_to_redis_both), ('trimming', trims, trims_both)):
        case(name, function)
        case(name + ' beside the peer', beside)
    case('ours, three times', chain_of_ours)
    case('theirs, ours, theirs', chain)
    # Without a server every case is a skip, which is no failure.
    sys.exit(1 if report.failed else 0)


if __name__ == '__main__':
    main()
