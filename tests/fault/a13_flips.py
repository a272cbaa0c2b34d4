#!/usr/bin/env python3
"""A13: single bits flipped in index, journal and blobs: right bytes or an error, never a signal.

    a13_flips.py [--flips 50] [--seed N] [--weird PROGRAM]
"""

import os
import random
import shutil
import sys

import rig
from rig import Daemon, claim


def fill(opts, store, rng):
    """A store with small and large contents. Returns {id: (topic, hash)} of all it was given."""
    given = {}
    with Daemon(opts.weird, store) as daemon:
        daemon.ready()
        client = daemon.client()
        for i in range(300):
            size = rng.choice([20, 200, 3_000, 60_000]) if i % 30 else 1_500_000
            content = rng.randbytes(size)
            answer = client.append('flip.%d' % (i % 5), content, {'n': i})
            claim(answer.status == 200, 'append answered %d', answer.status)
            frame = answer.json()
            given[frame['id']] = (frame['topic'], rig.sri(content))
        client.close()
        daemon.stop()
    return given


def targets(store):
    """Files with stored bytes, grouped by their first folder, so that each kind gets its share."""
    groups = {}
    for folder, _, names in os.walk(store):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) == 0:
                continue
            if name in ('sock', 'lock', 'lock.mdb', 'reserve'):
                continue
            group = os.path.relpath(path, store).split(os.sep)[0]
            groups.setdefault(group, []).append(path)
    return groups


def flip(path, rng):
    """Turns one bit of a byte that is not in a long run of zeroes. Says where."""
    size = os.path.getsize(path)
    with open(path, 'r+b') as file:
        for _ in range(200):
            at = rng.randrange(size)
            file.seek(at)
            byte = file.read(1)[0]
            if byte:
                break
        bit = rng.randrange(8)
        file.seek(at)
        file.write(bytes([byte ^ (1 << bit)]))
    return at, bit


def read_everything(client, given):
    """Counts (right, refused). Wrong bytes are a Fault; so is a frame that claims to be another."""
    right = refused = 0
    try:
        answer = client.request('GET', '/')
        listed = {frame['id']: frame for frame in answer.lines()} if answer.status == 200 else None
    except (*rig.BROKEN, ValueError):
        listed = None  # cut at the damage: a visible end
    if listed is not None:
        for frame_id, frame in listed.items():
            if frame_id in given:
                claim((frame['topic'], frame['hash']) == given[frame_id], 'frame %s reads as %s', frame_id, frame)
        if any(frame_id not in listed for frame_id in given):
            refused += 1
    for frame_id, (topic, hash_text) in given.items():
        try:
            answer = client.request('GET', '/' + frame_id)
            if answer.status == 200:
                frame = answer.json()
                claim((frame['topic'], frame['hash']) == (topic, hash_text), 'frame %s reads as %s', frame_id, frame)
            content = client.content(hash_text)
        except rig.BROKEN:
            refused += 1
            continue
        if answer.status != 200 or content.status != 200:
            refused += 1
            continue
        claim(rig.sri(content.body) == hash_text, 'wrong bytes for %s', hash_text)
        right += 1
    return right, refused, listed


def one_flip(opts, template, tmp, given, group, rng):
    store = os.path.join(tmp, 'flipped')
    shutil.rmtree(store, ignore_errors=True)
    rig.copy_store(template, store)
    path = rng.choice(targets(store)[group])
    at, bit = flip(path, rng)
    where = '%s byte %d bit %d' % (os.path.relpath(path, store), at, bit)
    with Daemon(opts.weird, store) as daemon:
        if not daemon.wait_listening():
            claim(not daemon.alive(), '%s: the daemon neither starts nor ends', where)
            claim(daemon.process.returncode >= 0, '%s: died of signal %d at start', where, -daemon.process.returncode)
            claim(daemon.said().strip(), '%s: refuses to start without a word', where)
            return where + ': refuses to start and says why'
        try:
            right, refused, listed = read_everything(daemon.client(), given)
            # Silence is the fault: a frame that is gone must be missed by somebody.
            if listed is not None:
                gone = [i for i in given if i not in listed]
                claim(not gone or damage_is_said(daemon), '%s: %d frames are gone and nothing says so', where, len(gone))
        except rig.Fault as fault:
            raise rig.Fault('%s: %s' % (where, fault)) from None
        daemon.stop()
    return '%s: %d right, %d refused' % (where, right, refused)


def damage_is_said(daemon):
    if daemon.said().strip():
        return True
    answer = daemon.client().request('GET', '/status')
    return answer.status == 200 and answer.json().get('state') != 'ok'


def run(opts, report, tmp):
    rng = random.Random(opts.seed)
    template = os.path.join(tmp, 'template')
    given = fill(opts, template, rng)

    def untouched():
        store = os.path.join(tmp, 'untouched')
        rig.copy_store(template, store)
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            right, refused, _ = read_everything(daemon.client(), given)
            claim(refused == 0 and right == len(given), '%d right, %d refused', right, refused)
            daemon.stop()
        return '%d frames' % right

    report.case('flips none', untouched)
    groups = sorted(targets(template))
    for number in range(opts.flips):
        group = groups[number % len(groups)]
        report.case('flip %d %s' % (number + 1, group), one_flip, opts, template, tmp, given, group, rng)


if __name__ == '__main__':
    options = rig.parser(__doc__)
    options.add_argument('--flips', type=int, default=50)
    sys.exit(rig.main(__doc__, run, options))
