#!/usr/bin/env python3
"""The S2 dialect beside s2-lite, in one run: unary appends, many followers of one stream, s2 bench, memory, many streams.

Usage: s2.py [--bin build/release] [--dir DIR] [--s2 PROGRAM] [--rounds N] [--gib N] [--streams N] [--only NAME,...] [--json FILE]

--s2 is the peer's command line, which also has its server (scripts/dev/peers installs it); without it only weir is
measured. Both servers keep their data below DIR on the same file system. Rounds of both alternate; every figure is the
median of its rounds. Nothing here passes or fails.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

BASIN = 'bench-basin'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Server:
    """One server on fresh data; ended by its pid."""

    def __init__(self, name, argv, port, base):
        self.name, self.port, self.base = name, port, base
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                status = self.request('GET', '/health')[0]
                if status == 200:
                    break
            except OSError:
                pass
            if time.monotonic() > deadline or self.proc.poll() is not None:
                raise SystemExit(name + ' did not start')
            time.sleep(0.02)
        self.request('PUT', '/v1/basins/' + BASIN, {'config': {'create_stream_on_append': True, 'create_stream_on_read': True}})

    def connect(self):
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)

    def request(self, method, path, body=None, conn=None):
        conn = conn or self.connect()
        headers = {'authorization': 'Bearer bench', 's2-basin': BASIN}
        if body is not None:
            headers['content-type'] = 'application/json'
        conn.request(method, path, None if body is None else json.dumps(body), headers)
        answer = conn.getresponse()
        return answer.status, answer.read()

    def memory(self):
        """Private resident MiB, without mapped files."""
        with open('/proc/%d/status' % self.proc.pid, encoding='utf-8') as f:
            kib = {k: int(v.split()[0]) for k, v in (line.split(':', 1) for line in f) if k in ('RssAnon', 'RssShmem')}
        return sum(kib.values()) / 1024

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        try:
            self.proc.wait(30)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        shutil.rmtree(self.base, ignore_errors=True)


def servers(opts):
    def weir():
        base, port = tempfile.mkdtemp(dir=opts.dir), free_port()
        return Server('weir', [os.path.join(opts.bin, 'weird'), os.path.join(base, 's'), '--expose', '127.0.0.1:%d' % port], port, base)

    def lite():
        base, port = tempfile.mkdtemp(dir=opts.dir), free_port()
        return Server('s2-lite', [opts.s2, 'lite', '--local-root', base, '--port', str(port), '--no-dashboard'], port, base)

    return [weir] + ([lite] if opts.s2 else [])


def say(opts, what, who, **figures):
    opts.results.append({'what': what, 'who': who, **figures})
    print('%-8s %-18s %s' % (who, what, '  '.join('%s %s' % (k, round(v, 3) if isinstance(v, float) else v) for k, v in figures.items())), flush=True)


def p(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))]


def unary(opts, makers):
    """One client, one record an append, over one kept connection."""
    up = [make() for make in makers]
    rows = {s.name: [] for s in up}
    for _ in range(opts.rounds):
        for s in up:
            conn, times = s.connect(), []
            for _ in range(300):
                start = time.perf_counter()
                status, _ = s.request('POST', '/v1/streams/unary/records', {'records': [{'body': 'x' * 100}]}, conn)
                times.append((time.perf_counter() - start) * 1000)
                assert status == 200, status
            rows[s.name].append((p(times, .5), p(times, .99)))
            conn.close()
    for s in up:
        say(opts, 'unary append', s.name, p50_ms=statistics.median(r[0] for r in rows[s.name]),
            p99_ms=statistics.median(r[1] for r in rows[s.name]), rounds=opts.rounds)
        s.stop()


FOLLOWED = re.compile(r'p50 ([\d.]+) ms, p99 ([\d.]+) ms')


def followers(opts, makers):
    """1 000 followers of one stream over SSE: from the append to the last one's event."""
    up = [make() for make in makers]
    rows = {s.name: [] for s in up}
    for s in up:
        s.request('POST', '/v1/streams/followed/records', {'records': [{'body': 'first'}]})
    for _ in range(opts.rounds):
        for s in up:
            out = subprocess.run([os.path.join(opts.bin, 'tests/bench/sse_bench'), '--port', str(s.port), '--basin', BASIN, '--stream', 'followed'],
                                 check=True, capture_output=True, text=True, timeout=120).stdout
            rows[s.name].append(tuple(float(v) for v in FOLLOWED.search(out).groups()))
    for s in up:
        say(opts, '1000 followers', s.name, p50_ms=statistics.median(r[0] for r in rows[s.name]),
            p99_ms=statistics.median(r[1] for r in rows[s.name]), rounds=opts.rounds, memory_mib=s.memory())
        s.stop()


def bench(opts, makers):
    """The peer's own load program: write while following, then read it all again."""
    if not opts.s2:
        print('s2 bench: needs --s2', flush=True)
        return
    for make in makers:
        s = make()
        env = dict(os.environ, S2_ACCOUNT_ENDPOINT='http://127.0.0.1:%d' % s.port, S2_BASIN_ENDPOINT='http://127.0.0.1:%d' % s.port,
                   S2_ACCESS_TOKEN='bench')
        for target in opts.targets:
            out = subprocess.run([opts.s2, 'bench', BASIN, '-b', '1024', '-t', target, '-d', '10s', '-w', '1s'], env=env,
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
            text = re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', out.stdout + out.stderr)
            rows = [line.strip() for line in re.split(r'[\r\n]+', text) if line.strip()]
            print('%-8s s2 bench -t %s (exit %d)' % (s.name, target, out.returncode))
            for line in rows[-25:]:
                print('         ' + line[:150])
            opts.results.append({'what': 's2 bench', 'who': s.name, 'target': target, 'output': rows[-25:]})
        s.stop()


def memory(opts, makers):
    """Anonymous memory while records of 64 KiB come in, a batch of 15 an append."""
    for make in makers:
        s = make()
        conn, body = s.connect(), {'records': [{'body': 'z' * 65000}] * 15}
        text = json.dumps(body)
        headers = {'authorization': 'Bearer bench', 's2-basin': BASIN, 'content-type': 'application/json'}
        per = 15 * 65000
        total = int(opts.gib * (1 << 30)) if s.name == 'weir' else int(min(opts.gib, 0.7) * (1 << 30))
        marks, sent, start = [s.memory()], 0, time.perf_counter()
        for i in range(total // per):
            conn.request('POST', '/v1/streams/big/records', text, headers)
            answer = conn.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            sent += per
            if i % max(1, total // per // 8) == 0:
                marks.append(s.memory())
        marks.append(s.memory())
        say(opts, 'memory', s.name, gib=sent / (1 << 30), mib=[round(m, 1) for m in marks],
            mib_per_s=sent / (1 << 20) / (time.perf_counter() - start))
        s.stop()


def streams(opts, makers):
    """Many streams: what one costs, and how long its tail takes to look up."""
    for make in makers:
        s = make()
        conn, before, start = s.connect(), s.memory(), time.perf_counter()
        for i in range(opts.streams):
            s.request('POST', '/v1/streams', {'stream': 'many/%06d' % i}, conn)
        created = time.perf_counter() - start
        times = []
        for i in range(1000):
            start = time.perf_counter()
            status, _ = s.request('GET', '/v1/streams/many%%2F%06d/records/tail' % (i * 7919 % opts.streams), None, conn)
            times.append((time.perf_counter() - start) * 1000)
            assert status == 200, status
        disk = int(subprocess.run(['du', '-sk', s.base], check=True, capture_output=True, text=True).stdout.split()[0])
        say(opts, 'streams', s.name, streams=opts.streams, per_s=opts.streams / created, tail_p50_ms=p(times, .5),
            memory_bytes_each=(s.memory() - before) * (1 << 20) / opts.streams, disk_bytes_each=disk * 1024 / opts.streams)
        s.stop()


def main():
    parts = {'unary': unary, 'followers': followers, 'bench': bench, 'memory': memory, 'streams': streams}
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument('--bin', default='build/release')
    args.add_argument('--dir', default=None)
    args.add_argument('--s2', default=None)
    args.add_argument('--rounds', type=int, default=5)
    args.add_argument('--gib', type=float, default=2)
    args.add_argument('--streams', type=int, default=20000)
    args.add_argument('--targets', type=lambda t: t.split(','), default=['32', '1000'], help='MiB/s for s2 bench')
    args.add_argument('--only', type=lambda t: t.split(','), default=list(parts))
    args.add_argument('--json', default=None)
    opts = args.parse_args()
    opts.results = []
    opts.dir = tempfile.mkdtemp(prefix='weir-bench-', dir=opts.dir)
    try:
        for name in opts.only:
            parts[name](opts, servers(opts))
        if opts.json:
            with open(opts.json, 'w', encoding='utf-8') as f:
                json.dump(opts.results, f, indent=1)
    finally:
        shutil.rmtree(opts.dir, ignore_errors=True)


if __name__ == '__main__':
    main()
