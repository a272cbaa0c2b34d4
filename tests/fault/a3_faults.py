#!/usr/bin/env python3
"""A3: the k-th call of every kind fails, once and for ever; nothing dies, hangs or claims false success.

A session does one of each: start, append small, append large, batch, content alone, read all, follow,
remove, clean stop. It runs under the fault shim with k rising, for each kind of call and each mode,
until a run ends in which no fault was made. Afterwards the store opens without faults and everything
that was acknowledged is there.

    a3_faults.py [--breadth 16] [--kinds open,fsync] [--jobs 2] [--seconds N] [--seed N] [--weird PROGRAM] [--shim FILE]

--breadth bounds the number of k tried per kind and mode, spread evenly over the calls of a whole
session; 0 tries every one.
"""

import http.client
import json
import os
import random
import shutil
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import rig
from rig import Daemon, claim

# Kind of call, the errors it fails with, and what paths it fails on.
KINDS = [
    ('open', ['EMFILE', 'EIO'], 'store'),
    ('read', ['EIO'], 'store'),
    ('pread', ['EIO'], 'store'),
    ('write', ['ENOSPC', 'EIO'], 'store'),
    ('pwrite', ['EIO', 'ENOSPC'], 'store'),
    ('writev', ['EIO', 'ENOSPC'], 'store'),
    ('pwritev', ['EIO', 'ENOSPC'], 'store'),
    ('fsync', ['EIO'], 'store'),
    ('fdatasync', ['EIO'], 'store'),
    ('msync', ['EIO'], ''),
    ('ftruncate', ['ENOSPC'], 'store'),
    ('fallocate', ['ENOSPC'], 'store'),
    ('rename', ['ENOSPC'], 'store'),
    ('link', ['EIO'], 'store'),
    ('unlink', ['EIO'], 'store'),
    ('mkdir', ['ENOSPC'], 'store'),
    ('mmap', ['ENOMEM'], 'store'),
    ('accept4', ['EMFILE'], ''),
    ('recv', ['ECONNRESET'], ''),
    ('send', ['ECONNRESET'], ''),
]
# Not recv: a short one tells an edge-triggered reader that the socket is empty (epoll(7)), and no kernel lies there.
SHORT = ('read', 'pread', 'write', 'pwrite', 'writev', 'pwritev', 'send')
HANG = 10.0
LARGE = 3 * 1024 * 1024


class Session:
    """One run of the operations; collects what was acknowledged. Faults of the transport are allowed."""

    def __init__(self, daemon, patient):
        self.daemon = daemon
        self.timeout = HANG if patient else 2.0
        self.patient = patient
        self.silence = 0  # operations without an answer, where that is allowed
        self.client = daemon.client(self.timeout)
        self.acked = {}
        self.removed = set()
        self.maybe_removed = set()
        self.blobs = []
        self.batches = []
        self.followed = []
        self.refused_in_sync = False
        self.wrote_on = False

    def attempt(self, name, function):
        """The operation's result, or None when it was refused or its connection broke."""
        begun = time.monotonic()
        if self.silence >= 3:
            return None
        try:
            result = function()
            self.silence = 0
            return result
        except rig.BROKEN as fault:
            self.silence += 0 if self.patient else 1
            slow = time.monotonic() - begun
            # Nobody can answer while accept fails for ever; anything else has to answer or hang up.
            claim(not self.patient or slow < HANG - 0.5, '%s hangs (%s)', name, fault)
            return None

    def append(self, topic, content, name):
        answer = self.attempt('append ' + name, lambda: self.client.append(topic, content, {'name': name}))
        if answer is None:
            return None
        if answer.status == 200:
            frame = answer.json()
            self.acked[frame['id']] = rig.sri(content)
            claim(frame['hash'] == rig.sri(content), 'append answered another hash')
            return frame
        claim(answer.status >= 500, 'append answered %d %r', answer.status, answer.body[:200])
        return answer

    def batch(self):
        frames = [{'topic': 'fault.batch', 'content': 'part %d' % i, 'meta': {'batch': 1}} for i in range(20)]
        answer = self.attempt('batch', lambda: self.client.batch(frames))
        if answer is not None and answer.status == 200:
            ids = [frame['id'] for frame in answer.lines()]
            claim(len(ids) == len(frames), 'batch answered %d frames', len(ids))
            self.batches.append(ids)
        elif answer is not None:
            claim(answer.status >= 500, 'batch answered %d %r', answer.status, answer.body[:200])

    def post_blob(self):
        content = b'content alone ' * 100_000
        answer = self.attempt('cas', lambda: self.client.request('POST', '/cas', content))
        if answer is not None and answer.status == 200:
            claim(answer.body.decode() == rig.sri(content), 'POST /cas answered another hash')
            self.blobs.append((rig.sri(content), content))

    def read_all(self):
        answer = self.attempt('read', lambda: self.client.request('GET', '/?with-seq'))
        if answer is None or answer.status != 200:
            return
        got = {frame['id'] for frame in answer.lines()}
        missing = [i for i in self.acked if i not in got and i not in self.maybe_removed]
        claim(not missing, 'a whole answer of GET / misses %d acked frames', len(missing))

    def read_contents(self):
        for hash_text in list(self.acked.values()):
            answer = self.attempt('content', lambda h=hash_text: self.client.content(h))
            if answer is not None and answer.status == 200:
                claim(rig.sri(answer.body) == hash_text, 'wrong bytes for %s', hash_text)

    def follow(self):
        """A follower of new frames; what it saw must survive."""
        def listen():
            sock = rig.dial(self.daemon.sock, self.timeout)
            with sock:
                sock.sendall(b'GET /?follow&new HTTP/1.1\r\nHost: x\r\n\r\n')
                answer = http.client.HTTPResponse(sock)
                answer.begin()
                if answer.status != 200:
                    return None
                self.append('fault.follow', b'for the follower', 'followed')
                # One durable append: its frame comes, or the stream ends.
                sock.settimeout(3.0)
                try:
                    line = answer.readline()
                    while line and not line.strip():
                        line = answer.readline()
                    if line:
                        self.followed.append(json.loads(line)['id'])
                except (TimeoutError, OSError, ValueError):
                    pass
            return True
        self.attempt('follow', listen)

    def remove(self, frame):
        if not isinstance(frame, dict):
            return
        self.maybe_removed.add(frame['id'])
        answer = self.attempt('remove', lambda: self.client.request('DELETE', '/' + frame['id']))
        if answer is not None and answer.status == 204:
            self.removed.add(frame['id'])

    def run(self, made):
        small = self.append('fault.small', b'a small content', 'small')
        self.append('fault.large', os.urandom(16) * (LARGE // 16), 'large')
        before = made()
        second = self.append('fault.small', b'another small content', 'second')
        # P7: an append that failed in the journal's sync is the last write of this process.
        self.refused_in_sync = made() > before and isinstance(second, rig.Answer)
        third = self.append('fault.small', b'a third one', 'third')
        self.wrote_on = isinstance(third, dict)
        self.batch()
        self.post_blob()
        self.read_all()
        self.read_contents()
        self.follow()
        self.remove(small)
        self.read_all()
        self.client.close()


def counts(path):
    """(matching calls seen, faults made)"""
    with open(path, 'rb') as file:
        return struct.unpack('QQ', file.read(16))


def setting(kind, k, mode, error, path):
    text = 'call=%s,k=%d,mode=%s' % (kind, k, 'forever' if mode == 'forever' else 'once')
    text += ',short=1' if mode == 'short' else ',errno=' + error
    return text + (',path=' + path if path else '')


def faulty_run(opts, tmp, kind, k, mode, error, where):
    """One session with one setting. Returns (calls seen, faults made)."""
    base = os.path.join(tmp, '%s-%s-%s-%d' % (kind, mode, error, k))
    store = os.path.join(base, 'store')
    os.makedirs(base)
    count_file = os.path.join(base, 'count')
    path = store if where == 'store' else ''
    env = {'LD_PRELOAD': opts.shim, 'WEIR_FAULT': setting(kind, k, mode, error, path), 'WEIR_FAULT_COUNT': count_file}
    try:
        rig.copy_store(opts.template, store)
        with Daemon(opts.weird, store, env=env) as daemon:
            session = Session(daemon, patient=not (kind == 'accept4' and mode == 'forever'))
            if daemon.wait_listening(HANG):
                session.run(lambda: counts(count_file)[1])
            else:
                claim(not daemon.alive(), 'the daemon neither starts nor ends')
            code = daemon.stop(HANG)
            claim(code == 0 or daemon.said().strip(), 'exit status %d without a word', code)
            seen, made = counts(count_file)
            if kind == 'fdatasync' and mode == 'once' and session.refused_in_sync:
                claim(not session.wrote_on, 'an append succeeded after one that failed in a sync')
            said = daemon.last_words()
        check_after(opts, store, session, said)
        return seen, made
    finally:
        shutil.rmtree(base, ignore_errors=True)


def check_after(opts, store, session, said):
    """Without faults: everything acknowledged is there, everything removed is gone."""
    with Daemon(opts.weird, store) as daemon:
        try:
            daemon.ready()
        except rig.Fault as fault:
            raise rig.Fault('after the faults (%s): %s' % (said, fault)) from None
        client = daemon.client()
        frames = rig.verify(client, removed=True)
        there = {frame['id']: frame for frame in frames}
        for frame_id, hash_text in session.acked.items():
            if frame_id not in session.maybe_removed:
                claim(frame_id in there, 'acked frame %s is lost', frame_id)
                claim(there[frame_id]['hash'] == hash_text, 'acked frame %s has another hash', frame_id)
        for ids in session.batches:
            claim(all(i in there for i in ids), 'an acked batch is lost')
        part = sum(1 for frame in frames if frame['topic'] == 'fault.batch')
        claim(part in (0, 20), 'a batch is there in part: %d of 20', part)
        for frame_id in session.followed:
            claim(frame_id in there, 'a follower saw %s, which is not there any more', frame_id)
        back = session.removed & set(there)
        claim(not back, 'a removed frame is back: %s', back)
        for hash_text, content in session.blobs:
            answer = client.content(hash_text)
            claim(answer.status == 200 and answer.body == content, 'acked content %s is not there', hash_text)
        daemon.stop()


def ks(total, breadth):
    """Which calls to fail: all, or `breadth` of them with the first and the last."""
    if breadth == 0 or total <= breadth:
        return list(range(1, total + 1))
    step = (total - 1) / (breadth - 1)
    return sorted({1 + round(i * step) for i in range(breadth)})


def sweep(opts, tmp, kind, errors, where, mode):
    """k upward for one kind and mode, then on until a run is untouched."""
    total, _ = faulty_run(opts, tmp, kind, 0, mode, errors[0], where)
    if total == 0:
        return 'no such call'
    runs = 0
    for k in ks(total, opts.breadth):
        error = errors[runs % len(errors)]
        try:
            faulty_run(opts, tmp, kind, k, mode, error, where)
        except Exception as fault:
            raise rig.Fault('k=%d %s: %s: %s' % (k, error, type(fault).__name__, fault)) from fault
        runs += 1
    k = total + 1
    for _ in range(200):
        _, made = faulty_run(opts, tmp, kind, k, mode, errors[0], where)
        runs += 1
        if made == 0:
            return '%d runs, untouched at k=%d' % (runs, k)
        # Threads make the number of calls vary; with --breadth the rest is passed in larger steps.
        k += 1 if opts.breadth == 0 else max(1, k // 8)
    raise rig.Fault('k=%d and still no run without a fault' % k)


def make_template(opts, tmp):
    """A store with some history, so that a start has something to recover."""
    opts.template = os.path.join(tmp, 'template')
    with Daemon(opts.weird, opts.template) as daemon:
        daemon.ready()
        client = daemon.client()
        for i in range(50):
            answer = client.append('before.%d' % (i % 3), b'history %d' % i)
            claim(answer.status == 200, 'append answered %d', answer.status)
        answer = client.append('before.large', os.urandom(2_000_000))
        claim(answer.status == 200, 'append answered %d', answer.status)
        client.close()
        # A store that was killed has a journal to replay: that path is to fail too.
        daemon.kill()


def control(opts, tmp):
    """A daemon that forgets an acked append must be noticed."""
    store = os.path.join(tmp, 'control')
    rig.copy_store(opts.template, store)
    with Daemon(opts.weird, store) as daemon:
        daemon.ready()
        session = Session(daemon, True)
        session.run(lambda: 0)
        daemon.stop()
    forgotten = next(i for i in session.acked if i not in session.maybe_removed)
    with Daemon(opts.weird, store) as daemon:
        daemon.ready()
        daemon.client().request('DELETE', '/' + forgotten)
        daemon.stop()
    try:
        check_after(opts, store, session, '')
    except rig.Fault:
        return
    raise rig.Fault('an acked frame was taken away and nothing noticed')


def run(opts, report, tmp):
    opts.shim = os.path.abspath(opts.shim)
    if not os.path.exists(opts.shim):
        report.bad('shim', '%s is not built' % opts.shim)
        return
    opts.begun = time.monotonic()
    make_template(opts, tmp)
    report.case('control', control, opts, tmp)
    wanted = opts.kinds.split(',') if opts.kinds else [kind[0] for kind in KINDS]
    lock = threading.Lock()

    def one(job):
        kind, errors, where, mode = job
        begun = time.monotonic()
        if opts.seconds and time.monotonic() - opts.begun > opts.seconds:
            report.skip('fault %s %s' % (kind, mode), 'the time of --seconds was over')
            return
        try:
            note = sweep(opts, tmp, kind, errors, where, mode)
            fault = None
        except Exception as raised:
            note, fault = '', raised
        with lock:
            name = 'fault %s %s' % (kind, mode)
            if fault is not None:
                report.bad(name, fault)
            elif note == 'no such call':
                print('# %s: the daemon makes no such call' % name, flush=True)
            else:
                report.ok(name, '%s, %.0f s' % (note, time.monotonic() - begun))

    jobs = [(kind, errors, where, mode) for kind, errors, where in KINDS if kind in wanted
            for mode in ('once', 'forever') + (('short',) if kind in SHORT else ())]
    random.Random(opts.seed).shuffle(jobs)
    with ThreadPoolExecutor(opts.jobs) as pool:
        list(pool.map(one, jobs))


if __name__ == '__main__':
    options = rig.parser(__doc__)
    options.add_argument('--breadth', type=int, default=16, help='calls to fail per kind and mode; 0 = all')
    options.add_argument('--kinds', help='comma-separated kinds of calls')
    options.add_argument('--seconds', type=float, default=0, help='begin no new sweep after this long; 0 = no limit')
    options.add_argument('--jobs', type=int, default=2)
    sys.exit(rig.main(__doc__, run, options))
