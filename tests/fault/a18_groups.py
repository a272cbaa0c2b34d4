#!/usr/bin/env python3
"""A18: a group over kills of the daemon and of its members: all comes, what was acknowledged never again, topics in order.

    a18_groups.py [--kills 8] [--frames 3000] [--members 4] [--seed N] [--weird PROGRAM]
"""

import json
import os
import random
import sys
import threading
import time

import rig
from rig import Daemon, claim

SETTINGS = {'topics': 't.*', 'max': 0, 'timeout_ms': 2000}


class Book:
    """What is known of each frame: appended, its acknowledgement sent, answered."""

    def __init__(self, ordered):
        self.lock = threading.Lock()
        self.ordered = ordered
        self.topics = {}
        self.sent, self.acked, self.seen = set(), set(), {}
        self.faults = []

    def appended(self, frame):
        with self.lock:
            self.topics.setdefault(frame['topic'], []).append(frame['id'])

    def delivered(self, frame):
        with self.lock:
            id_text = frame['id']
            self.seen[id_text] = self.seen.get(id_text, 0) + 1
            if id_text in self.acked:
                self.faults.append('%s came again after its acknowledgement was answered' % id_text)
            if not self.ordered:
                return
            older = [i for i in self.topics.get(frame['topic'], []) if i < id_text and i not in self.sent]
            if older:
                self.faults.append('%s of %s came before %s was done' % (id_text, frame['topic'], older[0]))


class Member(threading.Thread):
    """Reads, acknowledges most, hands back some, forgets some, goes away now and then."""

    def __init__(self, sock, book, seed):
        super().__init__(daemon=True)
        self.sock, self.book, self.random = sock, book, random.Random(seed)
        self.ending = self.careful = False

    def run(self):
        while not self.ending:
            try:
                self.session()
            except rig.BROKEN + (ValueError,):
                time.sleep(0.005)  # the daemon is on its way up

    def session(self):
        # Acknowledgements by a connection that is as old as the answer: none reaches a later daemon.
        back = rig.Client(self.sock)
        back.request('GET', '/version')
        conn = rig.UnixConnection(self.sock, 30.0)
        conn.request('GET', '/?group=g&follow&ack=manual&grace_ms=50&window=%d' % self.random.choice((1, 5, 100)))
        answer = conn.getresponse()
        try:
            while answer.status == 200 and not self.ending:
                line = answer.readline()
                if not line.endswith(b'\n'):
                    return
                frame = json.loads(line)
                self.book.delivered(frame)
                if not self.work(back, frame['id']):
                    return
        finally:
            conn.close()
            back.close()

    def work(self, back, id_text):
        """False: goes away."""
        dice = 1.0 if self.careful else self.random.random()
        if dice < 0.005:
            return False
        if dice < 0.05:
            back.request('POST', '/groups/g/nack', id_text.encode())
        elif dice > 0.052:
            with self.book.lock:
                self.book.sent.add(id_text)
            if back.request('POST', '/groups/g/ack', id_text.encode()).status == 200:
                with self.book.lock:
                    self.book.acked.add(id_text)
        return True


class Publisher(threading.Thread):
    def __init__(self, sock, book, count):
        super().__init__(daemon=True)
        self.sock, self.book, self.count, self.done = sock, book, count, 0

    def run(self):
        client = rig.Client(self.sock)
        while self.done < self.count:
            try:
                answer = client.append('t.%d' % (self.done % 7), b'%d' % self.done)
                if answer.status == 200:
                    self.book.appended(answer.json())
                    self.done += 1
            except rig.BROKEN:
                time.sleep(0.005)


def state(sock):
    """The group as the daemon sees it; None while there is no daemon."""
    try:
        return rig.Client(sock).request('GET', '/groups/g?lag').json()
    except rig.BROKEN + (ValueError,):
        return None


def walk(opts, tmp, order):
    store = os.path.join(tmp, order)
    book = Book(order == 'topic')
    daemon = Daemon(opts.weird, store)
    daemon.ready()
    body = json.dumps({**SETTINGS, 'order': order}).encode()
    claim(daemon.client().request('PUT', '/groups/g', body).status == 200, 'the group is not made')
    members = [Member(daemon.sock, book, opts.seed + i) for i in range(opts.members)]
    publisher = Publisher(daemon.sock, book, opts.frames)
    for thread in members + [publisher]:
        thread.start()
    chance = random.Random(opts.seed)
    for _ in range(opts.kills):
        time.sleep(chance.uniform(0.05, 0.3))  # a span of work before the kill
        daemon.kill()
        daemon = Daemon(opts.weird, store)
        daemon.ready()
    publisher.join(60.0)
    claim(publisher.done == opts.frames, 'only %d frames were appended', publisher.done)
    for member in members:
        member.careful = True
    deadline = time.monotonic() + 30.0
    while (last := state(daemon.sock)) is None or last['lag'] > 0:
        claim(time.monotonic() < deadline, 'not all is done: %s', last)
        time.sleep(0.05)
    for member in members:
        member.ending = True
    daemon.stop()
    for member in members:
        member.join(10.0)
    claim(not book.faults, '%d faults, first: %s', len(book.faults), book.faults[:1])
    missing = [i for ids in book.topics.values() for i in ids if i not in book.seen]
    claim(not missing, '%d frames never came, first %s', len(missing), missing[:1])
    claim(last['open'] == 0 and last['waiting'] == 0, 'something is left: %s', last)
    return '%d frames, %d deliveries' % (opts.frames, sum(book.seen.values()))


def run(opts, report, tmp):
    for order in ('none', 'topic'):
        report.case('group, order %s' % order, walk, opts, tmp, order)


if __name__ == '__main__':
    options = rig.parser(__doc__)
    options.add_argument('--kills', type=int, default=8)
    options.add_argument('--frames', type=int, default=3000)
    options.add_argument('--members', type=int, default=4)
    sys.exit(rig.main(__doc__, run, options))
