#!/usr/bin/env python3
"""A9, A10: a thousand followers at once, one of them stalled, one reading in crumbs.

    a9_followers.py [--followers 1000] [--frames 10000] [--weird PROGRAM]

Every follower gets exactly the bytes that a plain read of the same frames gets: none lost, none twice, in order. The
stalled one costs nobody else anything, and gets all when it reads again.
"""

import os
import resource
import selectors
import sys
import time
import zlib

import rig
from rig import Daemon, claim

EACH = 16 * 1024  # bytes of memory a follower may cost
STALLED_MEMORY = 32 << 20
PATIENCE = 120.0
PROBES = 200
BATCH = 500
PART = 256 * 1024
CRUMB = 64
ASIDE = 30000  # frames that fill the daemon's memory more than once


class Follower:
    """One follow, its chunks undone as they come; keeps a count and a checksum, never the bytes."""

    def __init__(self, path, query, part=PART):
        self.sock = rig.dial(path, 10.0)
        self.sock.sendall(b'GET /?%s HTTP/1.1\r\n\r\n' % query.encode())
        self.sock.setblocking(False)
        self.part = part
        self.raw = b''
        self.in_head = True
        self.left = 0  # of the chunk that is being read, with its line end
        self.length = 0
        self.sum = 0
        self.ended = self.cut = False

    def fileno(self):
        return self.sock.fileno()

    def read(self):
        """One receive; False when there is nothing more to come."""
        try:
            data = self.sock.recv(self.part)
        except BlockingIOError:
            return True
        except ConnectionError:
            data = b''
        if not data:
            self.cut = not self.ended
            return False
        self.raw += data
        if self.in_head:
            head, end, rest = self.raw.partition(b'\r\n\r\n')
            if not end:
                return True
            claim(head.startswith(b'HTTP/1.1 200 '), 'a follower was answered %r', head[:100])
            self.in_head, self.raw = False, rest
        self.undo_chunks()
        return not self.ended

    def take(self, data):
        self.length += len(data)
        self.sum = zlib.crc32(data, self.sum)

    def undo_chunks(self):
        at = 0
        while not self.ended:
            if self.left > 2:
                data = self.raw[at:at + self.left - 2]
                self.take(data)
                at += len(data)
                self.left -= len(data)
                if self.left > 2:
                    break
            if len(self.raw) - at < self.left:
                break
            at += self.left
            self.left = 0
            line = self.raw.find(b'\r\n', at)
            if line < 0:
                break
            size = int(self.raw[at:line], 16)
            at = line + 2
            self.left = size + 2
            self.ended = size == 0
        self.raw = self.raw[at:]

    def close(self):
        self.sock.close()


class Crowd:
    """Followers read together, as they have something."""

    def __init__(self, followers):
        self.selector = selectors.DefaultSelector()
        self.followers = list(followers)
        self.active = 0
        for follower in self.followers:
            self.add(follower)

    def add(self, follower):
        self.selector.register(follower, selectors.EVENT_READ)
        self.active += 1

    def turn(self, wait):
        for key, _ in self.selector.select(wait):
            if not key.fileobj.read():
                self.selector.unregister(key.fileobj)
                self.active -= 1

    def until(self, done, limit=PATIENCE):
        """Seconds it took; `done` is asked after every turn."""
        begun = time.monotonic()
        while not done():
            claim(time.monotonic() - begun < limit, 'not all followers were served within %g s', limit)
            self.turn(0.1)
        return time.monotonic() - begun

    def all_have(self, length):
        return all(f.length >= length for f in self.followers)

    def close(self):
        self.selector.close()
        for follower in self.followers:
            follower.close()


def batch(client, topic, count, start):
    body = b''.join(b'{"topic":"%s","meta":{"n":%d}}\n' % (topic.encode(), start + i) for i in range(count))
    answer = client.request('POST', '/append', body)
    claim(answer.status == 200, 'POST /append answered %d', answer.status)


def stored_bytes(store):
    """What the store takes on the disk."""
    return sum(os.stat(os.path.join(folder, name)).st_blocks * 512
               for folder, _, names in os.walk(store) for name in names if name != 'sock')


class Run:
    """One daemon and its followers, with or without a stalled one among them."""

    def __init__(self, opts, store, stalled):
        soft = opts.soft

        def as_found():
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

        self.opts = opts
        self.daemon = Daemon(opts.weird, store, preexec=as_found)
        self.daemon.ready()
        self.client = self.daemon.client(60.0)
        self.client.append('first', b'')
        before = self.daemon.memory()
        path = self.daemon.sock
        self.stalled = Follower(path, 'follow&new&topic=flood') if stalled else None
        readers = [Follower(path, 'follow&new&topic=flood', CRUMB if i == 1 else PART)
                   for i in range(opts.followers - stalled)]
        self.crowd = Crowd(readers)
        self.wait_followers(opts.followers)
        self.each = (self.daemon.memory() - before) / opts.followers

    def wait_followers(self, count):
        deadline = time.monotonic() + PATIENCE
        while self.client.request('GET', '/status').json()['followers'] < count:
            claim(time.monotonic() < deadline, 'the daemon has not taken %d followers', count)
            self.crowd.turn(0.01)

    def expected(self):
        answer = self.client.request('GET', '/?topic=flood')
        return len(answer.body), zlib.crc32(answer.body)

    def check(self, followers):
        length, total = self.expected()
        for number, follower in enumerate(followers):
            claim(follower.length == length and follower.sum == total,
                  'follower %d has %d bytes of %d, or others', number, follower.length, length)
        return length

    def flood(self):
        """All frames, in batches; each is with every reader before the next but one is sent."""
        begun = time.monotonic()
        for start in range(0, self.opts.frames, BATCH):
            batch(self.client, 'flood', min(BATCH, self.opts.frames - start), start)
            self.crowd.turn(0)
        length, _ = self.expected()
        self.crowd.until(lambda: self.crowd.all_have(length))
        return time.monotonic() - begun

    def leave_memory(self):
        """Pushes the flood out of the daemon's memory, so that who is behind must read it from the index."""
        for start in range(0, ASIDE, BATCH):
            batch(self.client, 'aside', BATCH, start)
        deadline = time.monotonic() + PATIENCE
        while self.client.request('GET', '/status').json()['index']['lag_records'] > 0:
            claim(time.monotonic() < deadline, 'the index does not catch up')
            self.crowd.turn(0.01)

    def probe(self):
        """99th percentile of the time from an append to its arrival at one follower among all."""
        follower = self.crowd.followers[0]
        times = []
        for number in range(PROBES):
            due = follower.length + 1
            begun = time.monotonic()
            self.client.append('flood', b'', {'probe': number})
            while follower.length < due:
                self.crowd.turn(0.1)
            times.append(time.monotonic() - begun)
        return sorted(times)[len(times) * 99 // 100]

    def close(self):
        self.crowd.close()
        if self.stalled:
            self.stalled.close()
        self.daemon.kill()
        self.daemon.log.close()


class Suite:
    def __init__(self, opts, tmp):
        self.opts = opts
        self.tmp = tmp
        self.plain = self.held = None

    def one_append(self):
        """A10: one append reaches all within a second."""
        self.plain = run = Run(self.opts, os.path.join(self.tmp, 'plain'), False)
        claim(run.each <= EACH, 'a follower costs %.0f bytes of memory', run.each)
        batch(run.client, 'flood', 1, 0)
        length, _ = run.expected()
        took = run.crowd.until(lambda: run.crowd.all_have(length))
        claim(took < 1.0, 'one append reached all in %.2f s', took)
        run.check(run.crowd.followers)
        return '%d followers, %.0f ms, %.1f KiB each' % (self.opts.followers, took * 1000, run.each / 1024)

    def all_in_order(self):
        run = self.plain
        self.plain_s = run.flood()
        length = run.check(run.crowd.followers)
        self.plain_memory = run.daemon.memory()
        return '%d frames to each, %.1f s, %.0f MiB/s' % (
            self.opts.frames, self.plain_s, length * self.opts.followers / self.plain_s / 2**20)

    def quiet_latency(self):
        self.plain_p99 = self.plain.probe()
        self.plain_file = stored_bytes(self.plain.daemon.store)
        return 'p99 %.1f ms' % (self.plain_p99 * 1000)

    def proper_end(self):
        """A clean stop ends every answer properly."""
        run = self.plain
        run.daemon.process.terminate()
        run.crowd.until(lambda: run.crowd.active == 0, 10.0)
        bad = [f for f in run.crowd.followers if not f.ended]
        claim(not bad, '%d followers were cut by a clean stop', len(bad))
        claim(run.daemon.stop() == 0, 'the daemon did not end well: %s', run.daemon.last_words())

    def one_stalled(self):
        self.held = run = Run(self.opts, os.path.join(self.tmp, 'held'), True)
        batch(run.client, 'flood', 1, 0)
        took = run.flood()
        run.check(run.crowd.followers)
        memory = run.daemon.memory()
        claim(memory - self.plain_memory <= STALLED_MEMORY, 'the stalled follower costs %d MiB',
              (memory - self.plain_memory) >> 20)
        claim(took <= self.plain_s * 1.5 + 1, 'the others took %.1f s, without it %.1f s', took, self.plain_s)
        return '%.1f s, %+.1f MiB' % (took, (memory - self.plain_memory) / 2**20)

    def others_latency(self):
        p99 = self.held.probe()
        size = stored_bytes(self.held.daemon.store)
        # The allowance is for a machine of two processors that runs the thousand readers too.
        claim(p99 <= self.plain_p99 * 1.2 + 0.005, 'p99 is %.1f ms, without the stalled follower %.1f ms',
              p99 * 1000, self.plain_p99 * 1000)
        claim(size <= self.plain_file * 1.1, 'the store takes %d bytes, without the stalled follower %d', size,
              self.plain_file)
        return 'p99 %.1f ms' % (p99 * 1000)

    def stalled_gets_all(self):
        run = self.held
        run.leave_memory()
        length, _ = run.expected()
        claim(run.stalled.length == 0, 'the stalled follower has read')
        run.crowd.followers.append(run.stalled)
        run.crowd.add(run.stalled)
        took = run.crowd.until(lambda: run.crowd.all_have(length))
        run.check(run.crowd.followers)
        batch(run.client, 'flood', 1, 0)
        length, _ = run.expected()
        run.crowd.until(lambda: run.crowd.all_have(length), 5.0)
        run.check(run.crowd.followers)
        return '%.2f s' % took

    def cut_is_no_end(self):
        """kill -9 cuts; it never looks like an end."""
        run = self.held
        run.daemon.kill()
        run.crowd.until(lambda: run.crowd.active == 0, 10.0)
        claim(not any(f.ended for f in run.crowd.followers), 'a follower of a killed daemon saw a proper end')

    def close(self):
        for run in (self.plain, self.held):
            if run:
                run.close()


def raise_limit(opts):
    opts.soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = opts.followers + 64
    if hard != resource.RLIM_INFINITY and hard < need:
        raise rig.Skip('the limit of open files is %d' % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(opts.soft, need), hard))


def run(opts, report, tmp):
    try:
        raise_limit(opts)
    except rig.Skip as reason:
        report.skip('followers', reason)
        report.passed += 1
        return
    suite = Suite(opts, tmp)
    try:
        for case in (suite.one_append, suite.all_in_order, suite.quiet_latency, suite.proper_end, suite.one_stalled,
                     suite.others_latency, suite.stalled_gets_all, suite.cut_is_no_end):
            if not report.case('followers ' + case.__name__, case):
                return
    finally:
        suite.close()


if __name__ == '__main__':
    options = rig.parser(__doc__)
    options.add_argument('--followers', type=int, default=1000)
    options.add_argument('--frames', type=int, default=10000)
    sys.exit(rig.main(__doc__, run, options))
