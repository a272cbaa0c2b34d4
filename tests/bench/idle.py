#!/usr/bin/env python3
"""What programs cost that have nothing to do: services and handlers that wait, after a start of the daemon.

Usage: idle.py [--bin build/release] [--dir DIR] [--programs 200] [--rounds 3] [--seconds 10] [--json FILE]

As many services and as many handlers are defined. Told: from the daemon's start until the last of them is active; the daemon's
processor time over the seconds that follow; its memory, beside that before the first was defined, and that of the processes it needs for
each program. Every figure is the median of its rounds. Nothing here passes or fails.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

from run import Daemon

SERVICE = b'#!/bin/sh\nexec sleep 100000\n'
HANDLER = b'#!/bin/sh\nexec cat >/dev/null\n'


def weir(opts, *args, data=None):
    return subprocess.run([os.path.join(opts.bin, 'weir'), *args], input=data, check=True, capture_output=True).stdout


def processor_ms(pid):
    with open('/proc/%d/stat' % pid, encoding='utf-8') as stat:
        parts = stat.read().rpartition(')')[2].split()
    return (int(parts[11]) + int(parts[12])) * 1000 / os.sysconf('SC_CLK_TCK')


def children(pid):
    with open('/proc/%d/task/%d/children' % (pid, pid), encoding='utf-8') as found:
        return [int(child) for child in found.read().split()]


def own_kib(pid):
    """What no other process has: the pages that only it maps."""
    with open('/proc/%d/smaps_rollup' % pid, encoding='utf-8') as maps:
        return sum(int(line.split()[1]) for line in maps if line.startswith('Private_'))


def active(opts, store, after):
    """How many became active behind the frame."""
    rows = weir(opts, 'cat', store, '-T', 'xs.service.*,xs.actor.*', '--after', after).splitlines()
    return sum(json.loads(row)['topic'].endswith('.active') for row in rows)


def wait_all(opts, store, after):
    end = time.monotonic() + 60
    while (count := active(opts, store, after)) < 2 * opts.programs:
        if time.monotonic() > end:
            raise SystemExit('%d of %d programs are active after 60 s' % (count, 2 * opts.programs))
        time.sleep(0.01)


def last_id(opts, store, topic):
    return json.loads(weir(opts, 'last', store, topic))['id']


def define(opts, store):
    for n in range(opts.programs):
        weir(opts, 'append', store, 'xs.service.s%d.create' % n, data=SERVICE)
        weir(opts, 'append', store, 'xs.actor.h%d.create' % n, '--meta', '{"topics":"nothing"}', data=HANDLER)


def once(opts, number):
    store = os.path.join(opts.dir, 'idle%d' % number)
    daemon = Daemon(os.path.join(opts.bin, 'weir'), store)
    bare = daemon.resident()
    define(opts, store)
    wait_all(opts, store, last_id(opts, store, 'xs.start'))
    daemon.stop()
    begun = time.monotonic()
    daemon = Daemon(os.path.join(opts.bin, 'weir'), store)
    try:
        wait_all(opts, store, last_id(opts, store, 'xs.start'))
        row = {'start_s': time.monotonic() - begun}
        pid = daemon.proc.pid
        before = processor_ms(pid)
        time.sleep(opts.seconds)
        keepers = [keeper for supervisor in children(pid) for keeper in children(supervisor)]
        row.update(processor_ms=processor_ms(pid) - before, daemon_kib=daemon.resident() / 1024, bare_kib=bare / 1024,
                   keepers=len(keepers), keeper_kib=statistics.median(own_kib(keeper) for keeper in keepers))
    finally:
        daemon.stop()
    return row


def idle(opts, results):
    rows = [once(opts, n) for n in range(opts.rounds)]
    row = {key: statistics.median(r[key] for r in rows) for key in rows[0]}
    results.append(dict(row, what='idle', services=opts.programs, handlers=opts.programs, seconds=opts.seconds))
    print('%d services and %d handlers, idle: all active %.2f s after the start; %.0f ms of processor in %d s; the daemon has %.1f MiB (%.1f '
          'without them), %d keepers have %.0f KiB of their own each (median of %d)'
          % (opts.programs, opts.programs, row['start_s'], row['processor_ms'], opts.seconds, row['daemon_kib'] / 1024,
             row['bare_kib'] / 1024, row['keepers'], row['keeper_kib'], opts.rounds), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    p.add_argument('--bin', default=os.environ.get('BUILD', 'build/release'))
    p.add_argument('--dir')
    p.add_argument('--programs', type=int, default=200)
    p.add_argument('--rounds', type=int, default=3)
    p.add_argument('--seconds', type=int, default=10)
    p.add_argument('--json')
    opts = p.parse_args()
    made = None if opts.dir else tempfile.mkdtemp(prefix='weir')
    opts.dir = opts.dir or made
    results = []
    try:
        idle(opts, results)
    finally:
        if made:
            shutil.rmtree(made, ignore_errors=True)
    if opts.json:
        with open(opts.json, 'w', encoding='utf-8') as file:
            json.dump(results, file)


if __name__ == '__main__':
    main()
