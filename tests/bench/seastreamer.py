#!/usr/bin/env python3
"""The SeaStreamer dialect beside the peer's programs, in one run: decoding, writing, opening, relaying by Redis, lines.

Usage: seastreamer.py [--bin build/release] [--dir DIR] [--rounds N] [--messages N] [--size BYTES] [--mib N] [--only NAME,...] [--json FILE]

The peer's programs are those that scripts/dev/peers installs; where one is missing, only weir is measured. Rounds of both alternate;
every figure is the median of its rounds. Nothing here passes or fails.

A program that ends is measured from its start to its end, with what it makes durable. The peer's relays never end: they are measured
until everything is at the output, and lines are fed to them when they have begun to wait, so that their start does not count.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'compat'))

import seastreamer_rig as rig  # noqa: E402
from s2_rig import Daemon  # noqa: E402

LIMIT = 600.0


class Bench:
    def __init__(self, opts):
        self.opts = opts
        self.base = tempfile.mkdtemp(prefix='weir-bench.', dir=opts.dir)
        self.ours = rig.Ours(os.path.join(opts.bin, 'weird'), self.base)
        self.results = []

    def path(self, name):
        return os.path.join(self.base, name)

    def tool(self, name):
        return os.path.join(self.opts.bin, 'tests', 'bench', name)

    def ran(self, command, stdin=None, stdout=None, stdout_to=None):
        """Seconds that a program takes. Input is a file's name."""
        source = open(stdin, 'rb') if stdin else None
        target = open(stdout_to, 'wb') if stdout_to else None
        try:
            begun = time.perf_counter()
            done = subprocess.run(command, stdin=source or subprocess.DEVNULL, stdout=target or stdout or subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, timeout=LIMIT, check=False, env=self.ours.env)
            took = time.perf_counter() - begun
        finally:
            for f in (source, target):
                if f:
                    f.close()
        if done.returncode != 0:
            raise rig.Fault('%s: status %d: %s' % (os.path.basename(command[0]), done.returncode, done.stderr.decode(errors='replace')[-300:]))
        return took

    def relay(self, source, target, *more, **options):
        return self.ran([self.ours.weir, 'relay', '--input', source, '--output', target, '--offset', 'start', '--no-follow', *more], **options)

    def real_relay(self, source, target, done, feed=None):
        """Seconds until `done` is true of the peer's relay. With `feed`, from the moment it gets that file's bytes."""
        rig.peer('relay')
        begun = time.perf_counter()
        with rig.real_relay(self.base, source, target, '--offset', 'start', stdin=subprocess.PIPE if feed else subprocess.DEVNULL) as relay:
            if feed:
                relay.rests()
                begun = time.perf_counter()
                with open(feed, 'rb') as f:
                    shutil.copyfileobj(f, relay.process.stdin, 1 << 20)
                relay.process.stdin.flush()
            wait_for(relay, done)
            return time.perf_counter() - begun

    def compare(self, what, unit, convert, ours, theirs=None):
        """Rounds of both, in turns. `convert` makes a figure of seconds."""
        times, failed = {'weir': [], 'peer': []}, ''
        for number in range(self.opts.rounds):
            sides = [('weir', ours), ('peer', theirs)] if number % 2 == 0 else [('peer', theirs), ('weir', ours)]
            for side, function in sides:
                if not function or (side == 'peer' and failed):
                    continue
                try:
                    times[side].append(function())
                except (rig.Skip, rig.Fault) as reason:
                    if side == 'weir':
                        raise
                    failed = str(reason)
        figures = {side: convert(statistics.median(t)) for side, t in times.items() if t}
        rate = unit.endswith('/s')
        ratio = (figures['weir'] / figures['peer'] if rate else figures['peer'] / figures['weir']) if 'peer' in figures else None
        self.results.append({'what': what, 'unit': unit, 'rounds': self.opts.rounds, **figures, 'ratio': ratio})
        print('%-44s %12s %12s %-11s %s' % (what, shown(figures['weir']), shown(figures.get('peer')), unit,
                                            'x %.1f' % ratio if ratio else failed[:60]), flush=True)


def shown(value):
    if value is None:
        return '-'
    return '{:,.0f}'.format(value) if value >= 100 else '%.2f' % value


def fresh(path):
    if os.path.exists(path):
        os.unlink(path)
    return path


def decode(b):
    """Both forms of a file of text payloads, and NDJSON of one of JSON payloads."""
    n, size = b.opts.messages, b.opts.size
    for name, payload in (('text', b'x' * size), ('JSON', (b'{"id":%d,"name":"message","pad":"' + b'p' * max(0, size - 44) + b'","on":true}'))):
        lines = b.path('in.lines')
        with open(lines, 'wb') as f:
            for i in range(n):
                f.write(b'[k] ' + (payload % (i % 1000 + 1000) if name == 'JSON' else payload) + b'\n')
        path = fresh(b.path('decode-%s.ss' % name))
        b.relay('stdio:///k', rig.file_url(path, 'k'), stdin=lines)
        os.unlink(lines)
        for form in ('log', 'ndjson') if name == 'text' else ('ndjson',):
            def side(program, form=form, path=path):
                return lambda: b.ran([*program(), '--format', form, '--file', path])
            b.compare('decode %d x %d B %s, %s' % (n, size, name, form), 'messages/s', lambda s: n / s,
                      side(lambda: [b.ours.weir, 'decode']), side(lambda: [rig.peer('ss-decode')]))


def write(b):
    """Lines into a file, the entries of a Redis stream into a file as they are, and ours alone from memory."""
    n, size = b.opts.messages, b.opts.size
    lines, ours, theirs = b.path('in.lines'), b.path('ours.ss'), b.path('theirs.ss')
    with open(lines, 'wb') as f:
        f.write((b'[k] ' + b'x' * size + b'\n') * n)
    b.relay('stdio:///k', rig.file_url(fresh(ours), 'k'), stdin=lines)
    want = os.path.getsize(ours)
    rig.claim(want > n * size, 'not everything was written')

    def real():
        open(fresh(theirs), 'wb').close()
        return b.real_relay('stdio:///k', rig.file_url(theirs, 'k'), lambda: os.path.getsize(theirs) >= want, feed=lines)

    b.compare('write %d x %d B from lines, synced' % (n, size), 'messages/s', lambda s: n / s,
              lambda: b.relay('stdio:///k', rig.file_url(fresh(ours), 'k'), stdin=lines), real)
    if shutil.which('redis-server'):
        with rig.Redis(b.base) as server:
            fill(server, n, size)
            b.compare('write %d x %d B from Redis, synced' % (n, size), 'messages/s', lambda s: n / s,
                      lambda: b.relay(server.url('in'), rig.file_url(fresh(ours)), '--preserve'),
                      lambda: real_dump(b, server.url('in'), fresh(theirs), os.path.getsize(ours)))
            rig.claim(rig.read_file(ours)[128:] == rig.read_file(theirs)[128:] or not rig.have('redis-streams-dump'), 'the files differ')
    b.compare('write %d x %d B from memory, synced' % (n, size), 'messages/s', lambda s: n / s,
              lambda: b.ran([b.tool('ss_bench'), fresh(b.path('w.ss')), str(n), str(size)]))


def real_dump(b, source, target, want):
    """Seconds until everything is in the file; the program waits one more for what may come."""
    begun = time.perf_counter()
    with rig.Program([rig.peer('redis-streams-dump'), '--stream', source, '--output', target], b.base) as dump:
        wait_for(dump, lambda: os.path.exists(target) and os.path.getsize(target) >= want)
        return time.perf_counter() - begun


def wait_for(program, done):
    end = time.perf_counter() + 60
    while not done():
        rig.claim(program.process.poll() is None, '%s ended: %s', program.name, program.complaint())
        rig.claim(time.perf_counter() < end, '%s is not done after 60 s', program.name)
        time.sleep(0.001)


def opening(b):
    """
    One line appended to a large file and to a small one, from the start of the program until the message is in the file. The peer loses
    what comes before it reads: it gets the line again and again until one is there. Ours is measured until it has ended, synced.
    """
    line = b.path('one.line')
    with open(line, 'wb') as f:
        f.write(b'[bench] ' + b'x' * 256 + b'\n')

    def real(path):
        size = os.path.getsize(path)
        begun = time.perf_counter()
        with rig.real_relay(b.base, 'stdio:///bench', rig.file_url(path, 'bench'), stdin=subprocess.PIPE) as relay:
            os.set_blocking(relay.process.stdin.fileno(), False)

            def done():
                try:
                    os.write(relay.process.stdin.fileno(), b'[bench] ' + b'x' * 256 + b'\n')
                except (BlockingIOError, BrokenPipeError):
                    pass
                return os.path.getsize(path) > size
            wait_for(relay, done)
            return time.perf_counter() - begun

    for mib in (b.opts.mib, 1):
        path = b.path('opened.ss')
        b.ran([b.tool('ss_bench'), fresh(path), str(mib * 1024), '989'])  # with its frame about 1 KiB
        b.compare('open %d MiB, append one line' % (os.path.getsize(path) >> 20), 'ms', lambda s: s * 1000,
                  lambda: b.relay('stdio:///bench', rig.file_url(path, 'bench'), stdin=line), lambda: real(path))
    os.unlink(path)


def fill(server, n, size):
    for at in range(0, n, 10000):
        server.many([('XADD', 'in', '*', 'msg', b'x' * size)] * min(10000, n - at))


def redis(b):
    n, size = b.opts.messages, b.opts.size
    with rig.Redis(b.base) as server:
        fill(server, n, size)
        sized = b.path('ours.ss')

        def to_file():
            return b.relay(server.url('in'), rig.file_url(fresh(sized), 'o'))

        def theirs_to_file():
            path, want = fresh(b.path('theirs.ss')), b.path('ours.ss')
            if not os.path.exists(want):
                to_file()
            open(path, 'wb').close()
            return b.real_relay(server.url('in'), rig.file_url(path, 'o'), lambda: os.path.getsize(path) >= os.path.getsize(want))

        b.compare('relay Redis to file, %d x %d B' % (n, size), 'messages/s', lambda s: n / s, to_file, theirs_to_file)

        def to_redis():
            server.do('DEL', 'out')
            took = b.relay(server.url('in'), server.url('out'))
            rig.same(server.do('XLEN', 'out'), n, 'entries')
            return took

        def theirs_to_redis():
            server.do('DEL', 'out')
            return b.real_relay(server.url('in'), server.url('out'), lambda: server.do('XLEN', 'out') >= n)

        b.compare('relay Redis to Redis, %d x %d B' % (n, size), 'messages/s', lambda s: n / s, to_redis, theirs_to_redis)


def line_file(b, name, n):
    path = b.path(name)
    with open(path, 'wb') as f:
        for at in range(0, n, 100000):
            f.write(b''.join(b'[2026-01-02T03:04:05.678 | k | %d | 0] {"n":%d,"text":"a line of some length"}\n' % (i, i)
                             for i in range(at, min(n, at + 100000))))
    return path


def lines(b):
    """Lines of 64 bytes and more, each way; the peer gets fewer."""
    n, few = b.opts.messages * 10, b.opts.messages
    source, short = line_file(b, 'many.lines', n), line_file(b, 'few.lines', few)
    path, theirs, want = b.path('lines.ss'), b.path('theirs.ss'), b.path('few.ss')
    b.relay('stdio:///k', rig.file_url(fresh(want), 'k'), stdin=short)

    def real_in():
        open(fresh(theirs), 'wb').close()
        return b.real_relay('stdio:///k', rig.file_url(theirs, 'k'), lambda: os.path.getsize(theirs) >= os.path.getsize(want), feed=short) * n / few

    def real_through():
        out = []

        def done():
            name = max((os.path.join(b.base, f) for f in os.listdir(b.base) if f.startswith('out.') and not f.endswith('.err')),
                       key=lambda f: os.stat(f).st_ctime_ns)
            out[:] = [name]
            with open(name, 'rb') as f:
                f.seek(max(0, os.path.getsize(name) - 200))
                return b'"n":%d,' % (few - 1) in f.read()
        return b.real_relay('stdio:///k', 'stdio:///o', done, feed=short) * n / few

    b.compare('lines to file (relay), synced', 'lines/s', lambda s: n / s,
              lambda: b.relay('stdio:///k', rig.file_url(fresh(path), 'k'), stdin=source), real_in)
    b.compare('file to lines (relay)', 'lines/s', lambda s: n / s, lambda: b.relay(rig.file_url(path, 'k'), 'stdio:///o'))
    b.compare('lines to lines (relay)', 'lines/s', lambda s: n / s,
              lambda: b.relay('stdio:///k', 'stdio:///o', stdin=source, stdout_to=b.path('through')), real_through)


def store(b):
    """Lines into a store and out of it: by the verbs, and by the relay, which appends in batches with its cursor."""
    n = b.opts.messages * 10
    source = line_file(b, 'many.lines', n)
    folders = []

    def into(command):
        def fill():
            folder = tempfile.mkdtemp(dir=b.base)
            folders.append(folder)
            daemon = Daemon(b.ours.weird, folder)
            try:
                return b.ran([b.ours.weir, *command(daemon.store)], stdin=source)
            finally:
                daemon.stop()
        return fill

    b.compare('append --format ss, durable', 'lines/s', lambda s: n / s, into(lambda at: ('append', at, '--format', 'ss')))
    b.compare('lines to store (relay), durable', 'lines/s', lambda s: n / s,
              into(lambda at: ('relay', '--input', 'stdio:///k', '--output', 'weir://%s/k' % at)))
    daemon = Daemon(b.ours.weird, folders[-1], store=os.path.join(folders[-1], 's'))
    try:
        b.compare('cat --format ss', 'lines/s', lambda s: n / s,
                  lambda: b.ran([b.ours.weir, 'cat', daemon.store, '--format', 'ss'], stdout_to=b.path('cat.out')))
        b.compare('store to lines (relay)', 'lines/s', lambda s: n / s,
                  lambda: b.relay('weir://%s/k' % daemon.store, 'stdio:///o', stdout_to=b.path('cat.out')))
    finally:
        daemon.stop()


LOADS = {'decode': decode, 'write': write, 'open': opening, 'redis': redis, 'lines': lines, 'store': store}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--bin', default='build/release')
    parser.add_argument('--dir', default=None)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--messages', type=int, default=100000)
    parser.add_argument('--size', type=int, default=256)
    parser.add_argument('--mib', type=int, default=1024, help='of the file that is opened')
    parser.add_argument('--only', default=','.join(LOADS))
    parser.add_argument('--json')
    opts = parser.parse_args()
    opts.bin = os.path.abspath(opts.bin)
    b = Bench(opts)
    print('%-44s %12s %12s' % ('medians of %d rounds' % opts.rounds, 'weir', 'peer'))
    try:
        for name in opts.only.split(','):
            try:
                LOADS[name](b)
            except (rig.Skip, rig.Fault) as reason:
                print('%-44s %s' % (name, reason), flush=True)
    finally:
        shutil.rmtree(b.base, ignore_errors=True)
    if opts.json:
        with open(opts.json, 'w', encoding='utf-8') as f:
            json.dump(b.results, f, indent=1)


if __name__ == '__main__':
    main()
