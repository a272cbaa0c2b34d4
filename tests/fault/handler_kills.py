#!/usr/bin/env python3
"""A resuming handler under kill -9 of the daemon: every frame is answered once, in order.

A handler with "start":"resume" answers each frame with its number, reads ahead, and acknowledges what it read at once with
one line behind the answers. While it works through the frames the daemon is killed again and again, at random moments;
what it printed is then compared with what it was given. A control run without resume must find answers twice, or the rig proves nothing.

    handler_kills.py [--frames 20000] [--kills 50] [--mode stream|each] [--seed N] [--weird PROGRAM]
"""

import random
import sys
import time

import rig
from rig import Daemon, claim

STREAM = rb'''#!/usr/bin/env python3
import json, os
rest = b''
while chunk := os.read(0, 1 << 13):
    *lines, rest = (rest + chunk).split(b'\n')
    out = []
    for line in lines:
        frame = json.loads(line)
        if frame['topic'] == 'work':
            last = frame['id']
            out.append(json.dumps({'meta': {'n': frame['meta']['n']}, 'frame_id': last}) + '\n')
    if out:
        out.append(json.dumps({'ack': last}) + '\n')
    data = ''.join(out).encode()
    while data:
        data = data[os.write(1, data):]
'''

EACH = b'''#!/bin/sh
n=${WEIR_META##*:} n=${n%\\}}
echo "{\\"meta\\":{\\"n\\":$n}}"
'''


def define(client, mode, start):
    meta = {'mode': mode, 'start': start, 'topics': 'work'}
    answer = client.append('xs.actor.tally.create', EACH if mode == 'each' else STREAM, meta)
    claim(answer.status == 200, 'the definition answered %d %r', answer.status, answer.body[:200])


def feed(client, first, last):
    """Frames work {"n": first} up to last - 1."""
    for low in range(first, last, 1000):
        frames = [{'topic': 'work', 'meta': {'n': n}} for n in range(low, min(low + 1000, last))]
        answer = client.batch(frames)
        claim(answer.status == 200, 'a batch answered %d %r', answer.status, answer.body[:200])


def answers(client):
    return client.frames('&topic=tally.out')


def answered(client, count, limit):
    """Waits for the answer to the last of so many frames."""
    deadline = time.monotonic() + limit
    while True:
        newest = newest_answer(client)
        if newest == count - 1:
            return
        claim(time.monotonic() < deadline, 'answers stop at %d of %d', newest, count)
        time.sleep(0.02)


def newest_answer(client):
    newest = client.frames('&topic=tally.out&last=1')
    return newest[0]['meta']['n'] if newest else -1


def killed_rounds(opts, store, rng, start, kills, frames):
    """Feeds in slices; kills the daemon when a random part of what is open was answered. Returns how many kills came amid work."""
    amid = 0
    fed = 0
    for number in range(kills):
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            client = daemon.client(timeout=30.0)
            if number == 0:
                define(client, opts.mode, start)
            upto = frames * (number + 1) // kills
            feed(client, fed, upto)
            fed = upto
            before = newest_answer(client)
            target = rng.randint(before, fed - 1)
            deadline = time.monotonic() + 30
            while (now := newest_answer(client)) < target:
                claim(time.monotonic() < deadline, 'answers stop at %d of %d', now, fed)
            daemon.kill()
            amid += before < now < fed - 1
    return amid


def check_answers(frames, given):
    """Each given frame has one answer, in order, that points at it."""
    numbers = [f['meta']['n'] for f in frames]
    twice = len(numbers) - len(set(numbers))
    lost = [n for n in range(len(given)) if n not in set(numbers)] if len(set(numbers)) < len(given) else []
    claim(not lost, '%d of %d are not answered, for instance %s', len(lost), len(given), lost[:3])
    claim(not twice, '%d are answered twice', twice)
    claim(numbers == sorted(numbers), 'answers are not in order')
    wrong = [f['id'] for f, g in zip(frames, given) if f['meta']['frame_id'] != g['id']]
    claim(not wrong, '%d answers point at another frame, for instance %s', len(wrong), wrong[:1])


def run(opts, report, tmp):
    rng = random.Random(opts.seed)
    begun = time.monotonic()

    def exactly_once():
        store = tmp + '/store'
        amid = killed_rounds(opts, store, rng, 'resume', opts.kills, opts.frames)
        claim(amid >= opts.kills // 4, 'only %d of %d kills came amid work', amid, opts.kills)
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            client = daemon.client(timeout=60.0)
            answered(client, opts.frames, 60.0)
            daemon.stop()
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            client = daemon.client(timeout=60.0)
            check_answers(answers(client), client.frames('&topic=work'))
            errors = client.frames('&topic=tally.error')
            claim(not errors, '%d error frames, for instance %s', len(errors), errors[:1])
            daemon.stop()
        return '%d frames, %d kills, %d of them amid work, %.1f s' % (
            opts.frames, opts.kills, amid, time.monotonic() - begun)

    def control():
        store = tmp + '/control'
        frames = 100
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            client = daemon.client(timeout=60.0)
            define(client, opts.mode, 'first')
            feed(client, 0, frames)
            answered(client, frames, 60.0)
            daemon.kill()
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            client = daemon.client(timeout=60.0)
            deadline = time.monotonic() + 60
            while len(answers(client)) <= frames:
                claim(time.monotonic() < deadline, 'without resume no frame was answered twice: the rig is blind')
                time.sleep(0.02)
            frames_twice = answers(client)
            given = client.frames('&topic=work')
        try:
            check_answers(frames_twice, given)
        except rig.Fault as fault:
            return 'seen, as it must be: %s' % fault
        raise rig.Fault('answers that came twice were not seen')

    report.case('every frame answered once, in order', exactly_once)
    report.case('control', control)


if __name__ == '__main__':
    options = rig.parser(__doc__)
    options.add_argument('--frames', type=int, default=20000)
    options.add_argument('--kills', type=int, default=50)
    options.add_argument('--mode', choices=('stream', 'each'), default='stream')
    sys.exit(rig.main(__doc__, run, options))
