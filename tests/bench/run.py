#!/usr/bin/env python3
"""Benchmarks of the built programs, side by side in one run with a bare write+fdatasync loop.

Usage: run.py [--bin build/release] [--dir DIR] [--rounds N] [--seconds S] [--frames N] [--json FILE] [--xs PROGRAM]

Every figure is the median of its rounds; rounds of the loop and of each load alternate, so that both see the same
disk. With --xs the same loads also run against the peer's daemon. Nothing here passes or fails.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

LINE = re.compile(r'([\d.]+) requests/s, p50 (\d+) us, p99 (\d+) us')


class Daemon:
    """One daemon on a fresh store; ended by its pid."""

    def __init__(self, cli, store):
        self.store = store
        self.sock = os.path.join(store, 'sock')
        self.proc = subprocess.Popen([cli, 'serve', store], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            with socket.socket(socket.AF_UNIX) as s:
                try:
                    s.connect(self.sock)
                    return
                except OSError:
                    if time.monotonic() > deadline or self.proc.poll() is not None:
                        raise SystemExit('the daemon did not start')
            time.sleep(0.01)

    def resident(self):
        """Private resident bytes, without mapped files."""
        with open('/proc/%d/status' % self.proc.pid) as f:
            kib = {k: int(v.split()[0]) for k, v in (l.split(':', 1) for l in f) if k in ('RssAnon', 'RssShmem')}
        return sum(kib.values()) * 1024

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(20)


def loop(opts, size):
    out = subprocess.run([os.path.join(opts.bin, 'tests/bench/sync_loop'), os.path.join(opts.dir, 'loop.bin'), '2000',
                          str(size)], check=True, capture_output=True, text=True).stdout
    return json.loads(out)['p50_us']


def load(opts, sock, conns, body):
    out = subprocess.run([os.path.join(opts.bin, 'tests/bench/http_bench'), '--sock', sock, '--conns', str(conns),
                          '--seconds', str(opts.seconds), '--body', str(body), '--target', '/append/bench'],
                         check=True, capture_output=True, text=True).stdout
    rate, p50, p99 = LINE.search(out).groups()
    return float(rate), int(p50), int(p99)


def serving(opts, cli, results):
    """HTTP through frames, answered by a C handler in mode "stream": GETs over TCP."""
    base = tempfile.mkdtemp(dir=opts.dir)
    store, log = os.path.join(base, 's'), os.path.join(base, 'log')
    with open(log, 'wb') as out:
        proc = subprocess.Popen([cli, 'serve', store, '--http', '127.0.0.1:0'], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        port = wait_for(lambda: re.search(r'serve listening=127\.0\.0\.1:(\d+)\n', open(log, encoding='utf-8').read()), 'the listener').group(1)
        wait_for(lambda: 'serving=' in open(log, encoding='utf-8').read(), 'the daemon')
        with open(os.path.join(opts.bin, 'tests/bench/serve_handler'), 'rb') as program:
            subprocess.run([cli, 'append', store, 'xs.actor.bench.create', '--meta', '{"topics":"http.request"}'], stdin=program,
                           stdout=subprocess.DEVNULL, check=True)
        wait_for(lambda: subprocess.run([cli, 'last', store, 'xs.actor.bench.active'], capture_output=True).returncode == 0, 'the handler')
        for conns in (1, 16, 64):
            rows = []
            for _ in range(opts.rounds):
                out = subprocess.run([os.path.join(opts.bin, 'tests/bench/http_bench'), '--port', port, '--conns', str(conns),
                                      '--seconds', str(opts.seconds), '--get', '--target', '/bench?a=1'],
                                     check=True, capture_output=True, text=True).stdout
                rate, p50, p99 = LINE.search(out).groups()
                rows.append((float(rate), int(p50), int(p99)))
            row = {'what': 'serve', 'clients': conns, 'rounds': len(rows), 'per_s': median(rows, 0), 'p50_us': median(rows, 1),
                   'p99_us': median(rows, 2)}
            results.append(row)
            print('weir  serve %2d clients, a C handler: %8.0f/s  p50 %6.0f us  p99 %6.0f us   (median of %d)'
                  % (conns, row['per_s'], row['p50_us'], row['p99_us'], row['rounds']), flush=True)
    finally:
        proc.send_signal(signal.SIGTERM)
        proc.wait(20)
        shutil.rmtree(base)


def wait_for(look, what):
    deadline = time.monotonic() + 20
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise SystemExit('not within 20 s: ' + what)
        time.sleep(0.02)


def median(rows, at):
    return statistics.median(r[at] for r in rows)


def appends(opts, name, cli, results):
    for body in (0, 1024):
        for conns in (1, 16, 64):
            daemon = Daemon(cli, tempfile.mkdtemp(dir=opts.dir) + '/s')
            rows = []
            for _ in range(opts.rounds):
                bare = loop(opts, max(body, 512))
                rows.append((bare,) + load(opts, daemon.sock, conns, body))
            daemon.stop()
            shutil.rmtree(os.path.dirname(daemon.store))
            row = {'what': 'append', 'who': name, 'clients': conns, 'body': body, 'rounds': len(rows),
                   'loop_p50_us': median(rows, 0), 'per_s': median(rows, 1), 'p50_us': median(rows, 2),
                   'p99_us': median(rows, 3)}
            results.append(row)
            print('%-5s append %2d clients %4d B: %8.0f/s  p50 %6.0f us  p99 %6.0f us   bare loop p50 %5.1f us   (median of %d)'
                  % (name, conns, body, row['per_s'], row['p50_us'], row['p99_us'], row['loop_p50_us'], len(rows)), flush=True)


def fill(cli, store, frames):
    """Frames through the batch route, by the command line."""
    def lines():
        for start in range(0, frames, 10000):
            yield b''.join(b'{"topic":"fill.%d","meta":{"n":%d}}\n' % (i % 10, i) for i in range(start, min(start + 10000, frames)))
    proc = subprocess.Popen([cli, 'append', store, '--batch'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    for chunk in lines():
        proc.stdin.write(chunk)
    proc.stdin.close()
    if proc.wait() != 0:
        raise SystemExit('the fill failed')


def reading(opts, cli, results):
    store = tempfile.mkdtemp(dir=opts.dir) + '/s'
    daemon = Daemon(cli, store)
    idle = daemon.resident()
    start = time.monotonic()
    fill(cli, store, opts.frames)
    filled = time.monotonic() - start
    rows = []
    for _ in range(opts.rounds):
        start = time.monotonic()
        cat = subprocess.Popen([cli, 'cat', store], stdout=subprocess.PIPE)
        wc = subprocess.run(['wc', '-l'], stdin=cat.stdout, capture_output=True, check=True)
        cat.stdout.close()
        cat.wait()
        rows.append((int(wc.stdout) / (time.monotonic() - start),))
    after = daemon.resident()
    results.append({'what': 'cat', 'frames': opts.frames, 'per_s': median(rows, 0), 'rounds': len(rows), 'fill_s': filled,
                    'resident_idle': idle, 'resident_after': after})
    print('weir  cat %d frames into a pipe: %.0f frames/s (median of %d); filled by append --batch in %.1f s'
          % (opts.frames, median(rows, 0), len(rows), filled), flush=True)
    print('weir  resident: %.1f MiB idle, %.1f MiB after' % (idle / 2**20, after / 2**20), flush=True)
    processes(opts, cli, store, results)
    daemon.stop()
    shutil.rmtree(os.path.dirname(store))


def processes(opts, cli, store, results):
    """One whole `weir append` process, from exec to exit, beside the bare loop."""
    took = []
    bare = loop(opts, 512)
    for _ in range(200):
        start = time.monotonic()
        subprocess.run([cli, 'append', store, 'one', '--no-content'], stdout=subprocess.DEVNULL, check=True)
        took.append(time.monotonic() - start)
    null = []
    for _ in range(200):
        start = time.monotonic()
        subprocess.run(['/bin/true'], check=True)
        null.append(time.monotonic() - start)
    row = {'what': 'process', 'count': 200, 'p50_ms': statistics.median(took) * 1e3, 'true_p50_ms': statistics.median(null) * 1e3,
           'loop_p50_us': bare}
    results.append(row)
    print('weir  append process, exec to exit: p50 %.2f ms (/bin/true by the same starter %.2f ms, bare loop %.1f us; 200 runs)'
          % (row['p50_ms'], row['true_p50_ms'], bare), flush=True)


def programs(opts, results):
    """What the daemon's programs do, by the benchmarks of their own."""
    import handlers
    import idle
    row = {'what': 'handlers'}
    handlers.answering(opts, row)
    handlers.reading(opts, row)
    results.append(row)
    idle.idle(opts, results)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--bin', default='build/release')
    p.add_argument('--dir', default=None, help='where the stores lie: a directory on the disk to measure')
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--seconds', type=int, default=2)
    p.add_argument('--frames', type=int, default=1000000)
    p.add_argument('--appends', type=int, default=1000, help='that a handler answers, a round')
    p.add_argument('--programs', type=int, default=200, help='services, and as many handlers, that are idle')
    p.add_argument('--json')
    p.add_argument('--xs', help="the peer's program, to run the same appends against")
    opts = p.parse_args()
    opts.bin = os.path.abspath(opts.bin)
    base = tempfile.mkdtemp(prefix='weir-bench-', dir=opts.dir or os.getcwd())
    opts.dir = base
    results = []
    try:
        cli = os.path.join(opts.bin, 'weir')
        appends(opts, 'weir', cli, results)
        if opts.xs:
            appends(opts, 'xs', opts.xs, results)
        serving(opts, cli, results)
        reading(opts, cli, results)
        programs(opts, results)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if opts.json:
        with open(opts.json, 'w') as f:
            json.dump(results, f, indent=1)
    return 0


if __name__ == '__main__':
    sys.exit(main())
