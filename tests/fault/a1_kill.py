#!/usr/bin/env python3
"""A1: kill -9 at random moments under 8 writers; after each restart nothing acked is lost or torn.

Each round: 8 connections over the Unix socket append contents of 0 bytes to 8 MiB and batches; the
daemon is killed after a random time, sometimes once more while it starts; then ids, seqs, contents and
all acknowledged appends are checked. A control run counts appends as acknowledged when they are sent:
it must find losses, or the rig proves nothing.

    a1_kill.py [--rounds 50] [--writers 8] [--seed N] [--weird PROGRAM]
"""

import hashlib
import os
import random
import statistics
import sys
import threading
import time

import rig
from rig import Daemon, claim

BLOCK = os.urandom(8 * 1024 * 1024)
SIZES = [(30, 0, 0), (30, 1, 200), (20, 200, 20_000), (12, 20_000, 300_000), (6, 300_000, 2_000_000), (2, 8_388_608, 8_388_608)]


def content_of(rng, name):
    """A content that no other append has, of a size drawn from SIZES (0 is always the same)."""
    low, high = rng.choices([s[1:] for s in SIZES], [s[0] for s in SIZES])[0]
    size = rng.randint(low, high)
    if size == 0:
        return b''
    head = hashlib.sha256(name.encode()).digest()[:size]
    return head + BLOCK[:size - len(head)]


class Writer(threading.Thread):
    """Appends until the connection breaks; notes what was acknowledged under the name it gave in meta."""

    def __init__(self, daemon, number, round_number, seed, ack_early):
        super().__init__(daemon=True)
        self.client = daemon.client(timeout=30.0)
        self.number = number
        self.round = round_number
        self.rng = random.Random(seed)
        self.ack_early = ack_early
        self.acked = {}
        self.batches = {}
        self.refusals = []

    def run(self):
        count = 0
        try:
            while True:
                name = '%d.%d.%d' % (self.round, self.number, count)
                count += 1
                if self.rng.random() < 0.2:
                    self.batch(name)
                else:
                    self.single(name)
        except rig.BROKEN:
            pass
        finally:
            self.client.close()

    def single(self, name):
        content = content_of(self.rng, name)
        hash_text = rig.sri(content) if content else None
        if self.ack_early:
            self.acked[name] = (None, hash_text)
        answer = self.client.append('kill.w%d' % self.number, content, {'name': name})
        if answer.status != 200:
            self.refusals.append((answer.status, answer.body[:200]))
            return
        frame = answer.json()
        self.acked[name] = (frame['id'], frame.get('hash'))
        # Whether empty content has a hash is another suite's question.
        if hash_text is not None and frame.get('hash') != hash_text:
            self.refusals.append(('hash', '%s is not %s' % (frame.get('hash'), hash_text)))

    def batch(self, name):
        frames = []
        for i in range(self.rng.randint(2, 40)):
            content = 'batch %s part %d ' % (name, i) + 'x' * self.rng.randint(0, 2000)
            frames.append({'topic': 'kill.b%d' % (i % 3), 'meta': {'name': '%s/%d' % (name, i)}, 'content': content})
        self.batches[name] = len(frames)
        if self.ack_early:
            for frame in frames:
                self.acked[frame['meta']['name']] = (None, rig.sri(frame['content'].encode()))
        answer = self.client.batch(frames)
        if answer.status != 200:
            self.refusals.append((answer.status, answer.body[:200]))
            return
        for given, frame in zip(frames, answer.lines()):
            self.acked[given['meta']['name']] = (frame['id'], rig.sri(given['content'].encode()))


class Ledger:
    """What has to be in the store, over all rounds."""

    def __init__(self):
        self.acked = {}
        self.batches = {}
        self.checked = set()
        self.starts = []

    def lost(self, frames):
        """Names acknowledged and not there as acknowledged."""
        there = {(f.get('meta') or {}).get('name'): f for f in frames}
        lost = []
        for name, (frame_id, hash_text) in self.acked.items():
            frame = there.get(name)
            if frame is None or (frame_id and frame['id'] != frame_id) or (hash_text and frame['hash'] != hash_text):
                lost.append(name)
        return lost

    def split_batches(self, frames):
        """Batches of which a part is there."""
        parts = {}
        for frame in frames:
            name = (frame.get('meta') or {}).get('name', '')
            if '/' in name:
                parts[name.split('/')[0]] = parts.get(name.split('/')[0], 0) + 1
        return [name for name, count in parts.items() if name in self.batches and self.batches[name] != count]


def start_again(opts, store, rng, ledger):
    """Starts the daemon, in one round of five after killing a start half-way."""
    if rng.random() < 0.2:
        with Daemon(opts.weird, store) as doomed:
            time.sleep(rng.uniform(0, 0.05))  # a random moment of the start is the point
            doomed.kill()
    begun = time.monotonic()
    daemon = Daemon(opts.weird, store)
    try:
        daemon.ready()
    except Exception:
        daemon.kill()
        raise
    ledger.starts.append(time.monotonic() - begun)
    return daemon


def one_round(opts, store, number, rng, ledger, control=False):
    with start_again(opts, store, rng, ledger) as daemon:
        writers = [Writer(daemon, w, number, rng.getrandbits(64), control) for w in range(opts.writers)]
        for writer in writers:
            writer.start()
        time.sleep(rng.uniform(0.02, opts.longest))  # until the random moment
        daemon.kill()
        for writer in writers:
            writer.join(40)
            claim(not writer.is_alive(), 'a client hangs after the kill')
    refusals = [r for w in writers for r in w.refusals]
    acked = 0
    for writer in writers:
        ledger.acked.update(writer.acked)
        ledger.batches.update(writer.batches)
        acked += len(writer.acked)
    with start_again(opts, store, rng, ledger) as daemon:
        frames = rig.verify(daemon.client(timeout=60.0), ledger.checked)
        lost = ledger.lost(frames)
        split = ledger.split_batches(frames)
    if control:
        return len(lost)
    claim(not lost, '%d of %d acked are lost, for instance %s', len(lost), len(ledger.acked), lost[:3])
    claim(not split, '%d batches are there in part, for instance %s', len(split), split[:3])
    claim(not refusals, '%d refusals, for instance %s', len(refusals), refusals[:1])
    return '%d acked, %d frames, start %.3f s' % (acked, len(frames), ledger.starts[-1])


def run(opts, report, tmp):
    rng = random.Random(opts.seed)
    store = os.path.join(tmp, 'store')
    ledger = Ledger()
    for number in range(opts.rounds):
        report.case('kill round %d' % (number + 1), one_round, opts, store, number, rng, ledger)

    def acked_something():
        claim(len(ledger.acked) >= opts.rounds, 'only %d appends were acked in all rounds', len(ledger.acked))
        return '%d' % len(ledger.acked)

    def quick_starts():
        median = statistics.median(ledger.starts)
        claim(median < 1.0, 'the median start took %.2f s', median)
        return 'median %.3f s, longest %.3f s of %d' % (median, max(ledger.starts), len(ledger.starts))

    def whole_again():
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            frames = rig.verify(daemon.client(timeout=60.0))
            claim(not ledger.lost(frames), 'acked appends are missing at the end')
            daemon.stop()
            return '%d frames' % len(frames)

    def control():
        blamed = Ledger()
        other = os.path.join(tmp, 'control')
        found = sum(one_round(opts, other, n, rng, blamed, control=True) for n in range(6))
        claim(found > 0, 'appends counted as acked before their answer were all there: the rig is blind')
        return '%d losses seen, as there must be' % found

    report.case('acked appends', acked_something)
    report.case('start under 1 s', quick_starts)
    report.case('every content read again', whole_again)
    report.case('control', control)


if __name__ == '__main__':
    options = rig.parser(__doc__)
    options.add_argument('--rounds', type=int, default=50)
    options.add_argument('--writers', type=int, default=8)
    options.add_argument('--longest', type=float, default=1.0, help='seconds of writing before the kill, at most')
    sys.exit(rig.main(__doc__, run, options))
