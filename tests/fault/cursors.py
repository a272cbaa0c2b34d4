#!/usr/bin/env python3
"""Cursors and kill -9: the number of frames and the cursor that came with them always agree.

    cursors.py [--kills 8] [--seed N] [--weird PROGRAM]

Atomic batches, streams of lines with cursors, and a relay with a cursor: after each kill a cursor says exactly what is there.
"""

import os
import random
import subprocess
import sys
import threading
import time

import rig
from rig import Daemon, claim

WRITERS = 3


def position(client, name):
    answer = client.request('GET', '/cursors/' + name)
    claim(answer.status in (200, 404), 'GET /cursors/%s answered %d', name, answer.status)
    return int(answer.json()['position']) if answer.status == 200 else 0


def count(client, topic):
    answer = client.request('GET', '/?count&stream=' + topic)
    claim(answer.status == 200, 'the count answered %d', answer.status)
    return answer.json()['count']


def lines(topic, number, frames, more=''):
    """Frames of a topic, then its cursor, which says how many there are."""
    line = '{"stream":"%s","content":"%s"}\n' % (topic, more or 'x')
    return (line * frames + '{"cursor":"%s","position":"%d"}\n' % (topic, number + frames)).encode()


class Writer(threading.Thread):
    """Appends until the daemon is gone. `done`: what was answered."""

    def __init__(self, daemon, topic, body):
        super().__init__(daemon=True)
        self.client, self.topic, self.body = daemon.client(30.0), topic, body
        self.done = position(self.client, topic)
        self.fault = None
        self.start()

    def run(self):
        try:
            while True:
                target, body, frames = self.body(self.topic, self.done)
                answer = self.client.request('POST', target, body)
                if answer.status == 503:
                    return
                if answer.status != 200:
                    self.fault = 'an append answered %d %r' % (answer.status, answer.body[:200])
                    return
                self.done += frames
        except rig.BROKEN:
            pass  # the daemon is gone, and the last append may or may not be there


def kills(opts, tmp, name, body):
    """Writers at work; the daemon is killed; what is there is what the cursors say, and no less than was answered."""
    rand = random.Random('%d %s' % (opts.seed, name))
    store = os.path.join(tmp, name)
    topics = ['w%d' % n for n in range(WRITERS)]
    moved = 0
    for _ in range(opts.kills):
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            writers = [Writer(daemon, topic, lambda t, n: body(rand, t, n)) for topic in topics]
            time.sleep(rand.uniform(0.02, 0.4))
            daemon.kill()
            for writer in writers:
                writer.join(30.0)
                claim(not writer.is_alive(), 'a writer does not end')
                claim(writer.fault is None, '%s', writer.fault)
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            client = daemon.client()
            for writer in writers:
                at, there = position(client, writer.topic), count(client, writer.topic)
                claim(at == there, '%s: the cursor says %d, and %d frames are there', writer.topic, at, there)
                claim(there >= writer.done, '%s: %d frames, %d were answered', writer.topic, there, writer.done)
                moved += there > 0
            daemon.stop()
    claim(moved > 0, 'nothing was appended before any kill')
    return '%d frames' % sum(writer.done for writer in writers)


def batch(rand, topic, number):
    frames = rand.choice((1, 3, 40, 900))
    return '/append?brief', lines(topic, number, frames, 'y' * rand.choice((1, 100, 5000))), frames


def stream(rand, topic, number):
    """Many cursors in one body; some parts are longer than what comes in at once."""
    body, total = b'', 0
    for _ in range(rand.choice((5, 60))):
        frames = rand.choice((1, 7, 600))
        body += lines(topic, number + total, frames, 'z' * rand.choice((10, 400)))
        total += frames
    return '/append?stream=cursors', body, total


# --- a relay ------------------------------------------------------------------------------------------------------

MESSAGES = 90000


def make_source(weir, path):
    text = ''.join('[2023-11-14T22:13:20.%03d | k%d | %d | 0] message %d\n' % (n % 1000, n % 3, n, n) for n in range(MESSAGES))
    subprocess.run([weir, 'relay', '--input', 'stdio:///', '--output', 'file://%s/' % path, '--preserve'], input=text.encode(),
                   check=True, timeout=60, stderr=subprocess.DEVNULL)


def relay(opts, tmp):
    """Relay and daemon are killed in turn; in the end each message is there once, and in order."""
    build = os.path.dirname(opts.weird)
    weir, store, source = os.path.join(build, 'weir'), os.path.join(tmp, 'relay'), os.path.join(tmp, 'source.ss')
    if not os.access(os.path.join(build, 'weir-relay'), os.X_OK):
        raise rig.Skip('weir-relay is not built')
    rand = random.Random(opts.seed)
    make_source(weir, source)
    args = [weir, 'relay', '--input', 'file://%s/' % source, '--output', 'weir://%s/' % store, '--offset', 'start', '--no-follow',
            '--preserve', '--cursor', 'r']
    interrupted = 0
    daemon = Daemon(opts.weird, store)
    try:
        daemon.ready()
        for turn in range(100):
            run = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if turn < 2 * opts.kills:
                time.sleep(rand.uniform(0.0, 0.08))
                if turn % 3 == 2:  # the relay waits for a daemon that comes back
                    daemon.kill()
                    daemon = Daemon(opts.weird, store)
                    daemon.ready()
                    time.sleep(rand.uniform(0.0, 0.05))
                interrupted += run.poll() is None
                run.kill()
            if run.wait(60) == 0 and turn >= 2 * opts.kills:  # else one that was still at work moved the cursor: once more
                break
        claim(interrupted > 0, 'no relay was killed at work')
        frames = [f for f in daemon.client(30.0).request('GET', '/?with-content').lines() if f['topic'][0] == 'k']
        said = [f['content'] for f in frames]
        claim(len(said) == MESSAGES, '%d messages instead of %d', len(said), MESSAGES)
        claim(said == ['message %d' % n for n in range(MESSAGES)], 'messages are out of order')
        claim(frames[7]['meta'].get('ss-seq') == '7', 'a message lost its sequence: %r', frames[7]['meta'])
    finally:
        daemon.kill()
    return '%d relays killed at work' % interrupted


def run(opts, report, tmp):
    report.case('kills_batches', kills, opts, tmp, 'batches', batch)
    report.case('kills_streams', kills, opts, tmp, 'streams', stream)
    report.case('relay_once', relay, opts, tmp)


def main():
    options = rig.parser(__doc__)
    options.add_argument('--kills', type=int, default=8)
    return rig.main(__doc__, run, options)


if __name__ == '__main__':
    sys.exit(main())
