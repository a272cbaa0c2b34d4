#!/usr/bin/env python3
"""What handlers do: frames a second through one that only reads, and how long an answer takes.

Usage: handlers.py [--bin build/release] [--dir DIR] [--frames 1000000] [--rounds 5] [--appends 1000] [--json FILE]

Every figure is the median of its rounds. Nothing here passes or fails.
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


def weir(opts, *args, data=None):
    done = subprocess.run([os.path.join(opts.bin, 'weir'), *args], input=data, check=True, capture_output=True)
    return done.stdout


def echo(opts):
    return os.path.join(os.path.abspath(opts.bin), 'tests/bench/handler_echo')


def fill(opts, store):
    """So many small frames, and one that ends them."""
    with subprocess.Popen([os.path.join(opts.bin, 'weir'), 'append', store, '--batch'], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as client:
        for low in range(0, opts.frames, 10000):
            client.stdin.write(b''.join(b'{"topic":"t","meta":{"n":%d}}\n' % n
                                        for n in range(low, min(low + 10000, opts.frames))))
        client.stdin.write(b'{"topic":"end"}\n')
        client.stdin.close()
        client.wait()


def read_once(opts, store, number):
    """Frames a second, as the reading program counted them."""
    name = 'reader%d' % number
    program = ("#!/bin/sh\nexec '%s' count\n" % echo(opts)).encode()
    weir(opts, 'append', store, 'xs.actor.%s.create' % name, '--meta', '{"start":"first"}', data=program)
    while not (out := weir(opts, 'cat', store, '-T', name + '.out')):
        time.sleep(0.05)
    weir(opts, 'append', store, 'xs.actor.%s.term' % name, '--no-content')
    told = json.loads(out.splitlines()[0])['meta']
    if told['lines'] <= opts.frames:
        raise SystemExit('%d lines of %d frames were read' % (told['lines'], opts.frames))
    return told['lines'] / (told['us'] / 1e6), told['bytes'] / told['us']


def reading(opts, results):
    store = os.path.join(opts.dir, 'read')
    daemon = Daemon(os.path.join(opts.bin, 'weir'), store)
    try:
        fill(opts, store)
        rounds = [read_once(opts, store, n) for n in range(opts.rounds)]
    finally:
        daemon.stop()
    results['read_frames_per_s'] = statistics.median(r[0] for r in rounds)
    print('a handler that reads, start first, %d frames: %.0f frames/s, %.0f MB/s (median of %d; %.0f to %.0f)' % (
        opts.frames, results['read_frames_per_s'], statistics.median(r[1] for r in rounds), opts.rounds,
        min(r[0] for r in rounds), max(r[0] for r in rounds)))


def answering(opts, results):
    rounds = []
    for number in range(opts.rounds):
        store = os.path.join(opts.dir, 'answer%d' % number)
        daemon = Daemon(os.path.join(opts.bin, 'weir'), store)
        try:
            out = subprocess.run([os.path.join(opts.bin, 'tests/bench/handler_latency'), store, echo(opts),
                                  str(opts.appends)], check=True, capture_output=True, timeout=300).stdout
            rounds.append(json.loads(out))
        finally:
            daemon.stop()
    for key in ('append_p50_us', 'answer_p50_us', 'answer_p99_us'):
        results[key] = statistics.median(r[key] for r in rounds)
    print('append to answer seen by a follower: p50 %.0f us, p99 %.0f us; the append alone p50 %.0f us '
          '(medians of %d rounds of %d)' % (results['answer_p50_us'], results['answer_p99_us'], results['append_p50_us'],
                                            opts.rounds, opts.appends))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--bin', default=os.environ.get('BUILD', 'build/release'))
    p.add_argument('--dir')
    p.add_argument('--frames', type=int, default=1000000)
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--appends', type=int, default=1000)
    p.add_argument('--json')
    opts = p.parse_args()
    made = None if opts.dir else tempfile.mkdtemp(prefix='weir')
    opts.dir = opts.dir or made
    results = {}
    try:
        answering(opts, results)
        reading(opts, results)
    finally:
        if made:
            shutil.rmtree(made, ignore_errors=True)
    if opts.json:
        with open(opts.json, 'w') as f:
            json.dump(results, f)


if __name__ == '__main__':
    main()
