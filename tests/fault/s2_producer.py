#!/usr/bin/env python3
"""The client's idempotent producer and its follower while the daemon is killed again and again.

    s2_producer.py [--kills 20] [--seed N] [--weird PROGRAM]

What the producer was told is durable is there, every record is there once and in order, and the follower printed each once.
"""

import os
import random
import subprocess
import sys
import threading
import time

import rig
from rig import Daemon, claim

STREAM = 's2://producer-basin/s'
LIMIT = 50.0


class Feed(threading.Thread):
    """Numbers, a line each, into a program for as long as it is wanted."""

    def __init__(self, into):
        super().__init__(daemon=True)
        self.into = into
        self.count = 0
        self.enough = threading.Event()

    def run(self):
        try:
            while not self.enough.is_set():
                lines = b''.join(b'%d\n' % n for n in range(self.count, self.count + 50))
                self.into.write(lines)
                self.into.flush()
                self.count += 50
                self.enough.wait(0.002)  # some 20 000 a second: batches of many sizes
            self.into.close()
        except OSError:
            pass  # the program ended; its status says why


def program(opts, verb, *args):
    weir_s2 = os.path.join(os.path.dirname(opts.weird), 'weir-s2')
    return [weir_s2, verb, STREAM, *args]


def begun(opts, env):
    for args in (['create-basin', 'producer-basin'], ['create-stream', STREAM]):
        done = subprocess.run([program(opts, args[0])[0], *args], env=env, capture_output=True, timeout=10, check=False)
        claim(done.returncode == 0, '%s: %s', args[0], done.stderr.decode())


def numbers(path):
    with open(path, 'rb') as file:
        return [int(line) for line in file.read().splitlines()]


def ends(process, limit):
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise rig.Fault('a client did not end within %g s' % limit) from None


def kill_while(store, opts, rand, feed, writer):
    """Kills and starts the daemon; returns the last one."""
    daemon = Daemon(opts.weird, store)
    daemon.ready()
    feed.start()
    for _ in range(opts.kills):
        time.sleep(rand.uniform(0.01, 0.12))
        daemon.kill()
        claim(writer.poll() is None, 'the producer ended with status %s', writer.poll())
        daemon = Daemon(opts.weird, store)
        daemon.ready()
    return daemon


def killed(opts, tmp, rand, notes):
    store = os.path.join(tmp, 's')
    env = {**os.environ, 'WEIR_ADDR': store, 'WEIR_NO_AUTOSTART': '1'}
    for name in ('S2_ACCOUNT_ENDPOINT', 'S2_BASIN_ENDPOINT', 'S2_ACCESS_TOKEN', 'S2_COMPRESSION', 'S2_ENCRYPTION_KEY'):
        env.pop(name, None)
    acks, followed = os.path.join(tmp, 'acks'), os.path.join(tmp, 'followed')
    with Daemon(opts.weird, store) as first:
        first.ready()
        begun(opts, env)
    with open(acks, 'wb') as out, open(followed, 'wb') as lines:
        writer = subprocess.Popen(program(opts, 'append', '--idempotent', '--acks', '--attempts', '500', '--linger', '1ms'), env=env,
                                  stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE)
        reader = subprocess.Popen(program(opts, 'read', '-s', '0', '--attempts', '500'), env=env, stdin=subprocess.DEVNULL, stdout=lines)
        daemon = None
        feed = Feed(writer.stdin)
        try:
            daemon = kill_while(store, opts, rand, feed, writer)
            feed.enough.set()
            feed.join(LIMIT)
            claim(ends(writer, LIMIT) == 0, 'the producer failed: %s', writer.stderr.read().decode())
            want = list(range(feed.count))
            claim(numbers(acks) == want, 'acks are not those of %d records in order', feed.count)
            done = subprocess.run(program(opts, 'read', '-s', '0', '-n', str(2 * feed.count)), env=env, capture_output=True,
                                  timeout=LIMIT, check=False)
            got = [int(line) for line in done.stdout.splitlines()]
            claim(got == want, 'the stream holds %d records, %d were appended (%s)', len(got), feed.count, done.stderr.decode())
            deadline = time.monotonic() + 20
            while os.path.getsize(followed) < os.path.getsize(acks) and time.monotonic() < deadline and reader.poll() is None:
                time.sleep(0.01)
            claim(numbers(followed) == want, 'the follower printed something else')
            notes.append('%d records, %d kills' % (feed.count, opts.kills))
        finally:
            feed.enough.set()
            for process in (writer, reader):
                process.kill()
                process.wait()
            if daemon:
                daemon.kill()


def run(opts, report, tmp):
    notes = []
    report.case('killed', killed, opts, tmp, random.Random(opts.seed), notes)
    for note in notes:
        print('# ' + note, flush=True)


def main():
    options = rig.parser(__doc__)
    options.add_argument('--kills', type=int, default=20)
    return rig.main(__doc__, run, options)


if __name__ == '__main__':
    sys.exit(main())
