#!/usr/bin/env python3
"""Redis streams against a real redis-server: ids, shards, modes and commits, claims, lost connections, TLS, credentials, the sink.

    seastreamer_redis.py [--weird PROGRAM] [--seed N] [-k PART]

Needs redis-server, and openssl for TLS. Servers listen on loopback ports of their own and are ended by their pids. What needs a chosen moment
is driven by build/.../tests/fault/redis_member, a consumer that does what it is told.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import seastreamer_rig as rig
from seastreamer_rig import Fault, Program, Report, Skip, claim, file_url, read_ss, run, same, until

SECRET = 's3cr:t/p@ss'
SECRET_IN_URL = 's3cr%3At%2Fp%40ss'


def free_port():
    """Below 55000, since a cluster's server also takes the port 10000 above its own."""
    while True:
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        if port < 55000:
            return port


class Server(rig.Redis):
    """A redis-server with options; it can be ended and started again on its port."""

    def __init__(self, folder, *options):
        if not shutil.which('redis-server'):
            raise Skip('redis-server is not installed')
        self.folder, self.options, self.port, self.socket = folder, options, free_port(), None
        self.start()

    def _connects(self):
        try:
            return super()._connects()
        except OSError:
            claim(self.server.process.poll() is None, 'redis-server ended: %s', self.server.complaint())
            return False
        except Fault as fault:
            if 'LOADING' in str(fault):
                return False
            raise

    def start(self):
        self.server = Program([shutil.which('redis-server'), '--port', str(self.port), '--bind', '127.0.0.1', '--save', '', '--dir', self.folder,
                               '--loglevel', 'warning', *self.options], self.folder)
        try:
            until(self._connects, 'redis-server')
        except Fault:
            self.server.kill()
            raise

    def end(self):
        self.stream.close()
        self.socket.close()
        self.socket = None
        self.server.kill()

    def blocked(self, count=1):
        """Waits until so many clients wait in the server."""
        until(lambda: b'blocked_clients:%d' % count in self.do('INFO', 'clients'), '%d blocked clients' % count)

    def cut(self):
        """Ends all other connections."""
        return self.do('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')

    def pending(self, key, group):
        return self.do('XPENDING', key, group)[0]

    def members(self, key, group):
        return {m[1].decode(): m[3] for m in self.do('XINFO', 'CONSUMERS', key, group)}


class Member:
    """A consumer that does what it is told."""

    def __init__(self, at, url, **options):
        program = os.path.join(at.ours.bin, 'tests', 'fault', 'redis_member')
        self.errors = open(os.path.join(at.folder, 'member.%d' % len(os.listdir(at.folder))), 'w+b')
        self.process = subprocess.Popen([program, url] + ['%s=%s' % i for i in options.items()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, env={**at.ours.env, 'HOST_ID': 'myhost'})
        self.opened = self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.errors.close()

    def _answer(self):
        self.messages = []
        for line in self.process.stdout:
            word, _, rest = line.rstrip(b'\n').partition(b' ')
            if word == b'm':
                key, shard, seq, ms, payload = rest.split(b' ', 4)
                self.messages.append((key.decode(), int(shard), int(seq), int(ms), payload))
            else:
                return word.decode(), rest.decode()
        raise Fault('the member ended: %s' % self.said())

    def said(self):
        self.errors.flush()
        with open(self.errors.name, 'rb') as f:
            return f.read().decode()

    def send(self, command):
        self.process.stdin.write(command.encode() + b'\n')
        self.process.stdin.flush()

    def do(self, command):
        """The messages that came."""
        self.send(command)
        word, text = self._answer()
        claim(word == 'ok', '%s: %s', command, text)
        self.text = text
        return self.messages

    def payloads(self, command):
        return [m[4] for m in self.do(command)]

    def fails(self, command):
        self.send(command)
        word, text = self._answer()
        claim(word == 'error', '%s did not fail', command)
        return text


class Proxy:
    """Between a client and the server; it can keep back what the server says."""

    def __init__(self, port):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port, self.to = self.listener.getsockname()[1], port
        self.held, self.pairs, self.kept = False, [], 0
        self.changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            far = socket.create_connection(('127.0.0.1', self.to))
            self.pairs += [near, far]
            for source, target, down in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._copy, args=(source, target, down), daemon=True).start()

    def _copy(self, source, target, down):
        try:
            while data := source.recv(65536):
                with self.changed:
                    if down and self.held:
                        self.kept += len(data)
                        self.changed.notify_all()
                        continue
                target.sendall(data)
        except OSError:
            pass
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def hold(self):
        with self.changed:
            self.held, self.kept = True, 0

    def cut(self):
        """Waits until something was kept back, and ends all connections."""
        with self.changed:
            claim(self.changed.wait_for(lambda: self.kept > 0, rig.DEADLINE), 'nothing was said that could be kept back')
            self.held = False
        pairs, self.pairs = self.pairs, []
        for s in pairs:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def close(self):
        self.listener.close()
        for s in self.pairs:
            s.close()


class Place:
    def __init__(self, ours, redis):
        self.ours, self.redis, self.folder = ours, redis, ours.folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def url(self, *keys):
        return self.redis.url(*keys)

    def fill(self, key, count, first=0):
        return self.redis.many([('XADD', key, '*', 'msg', '%d' % n) for n in range(first, first + count)])

    def lines(self, source, *more, status=0):
        """What a relay of all there is prints."""
        out, got = run([self.ours.weir, 'relay', '--input', source, '--output', 'stdio:///', '--preserve', '--offset', 'start', '--no-follow', *more],
                       status=None, env=self.ours.env)
        same(got, status, 'status')
        return out.decode('latin-1').splitlines()

    def payloads(self, source, *more):
        return [line.split('] ', 1)[1] for line in self.lines(source, *more)]

    def complaint(self, *args, status=1):
        """What the relay says when it fails."""
        done = subprocess.run([self.ours.weir, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False, env=self.ours.env)
        text = (done.stdout + done.stderr).decode(errors='replace')
        same(done.returncode, status, 'status (%s)' % text)
        claim(SECRET not in text and SECRET_IN_URL not in text, 'the password is shown: %s', text)
        return text

    def relay(self, source, target, *more, stdin=subprocess.DEVNULL):
        return self.ours.start('relay', '--input', source, '--output', target, *more, stdin=stdin)


def has(text, part):
    claim(part in text, 'no %r in %r', part, text)


def numbers(first, last):
    return [b'%d' % n for n in range(first, last)]


def many(payloads, key='k'):
    return b''.join(b'[%s] %s\n' % (key.encode(), p) for p in payloads)


# --- ids and entries -----------------------------------------------------------------------------------------


def maps_ids(at):
    """R01, R02, other fields, several messages in an entry."""
    at.redis.do('XADD', 'k', '5000-65535', 'msg', 'ok')
    at.redis.do('XADD', 'k', '5001-0', 'other', 'v')
    at.redis.do('XADD', 'k', '5001-1', 'x', '1', 'msg', 'a', 'MSG', 'no', 'msg', 'b')
    want = ['[1970-01-01T00:00:05.0 | k | 327745535 | 0] ok', '[1970-01-01T00:00:05.001 | k | 327745537 | 0] a',
            '[1970-01-01T00:00:05.001 | k | 327745537 | 0] b']
    same(at.lines(at.url('k')), want, 'lines')
    same(at.payloads(at.url('k'), '--field', 'other'), ['v'], 'another field')


def names_bad_entries(at):
    at.redis.do('XADD', 'k', '5000-1', 'msg', 'good')
    at.redis.do('XADD', 'k', '5000-65536', 'msg', 'bad')
    same([line.split('] ')[1] for line in at.lines(at.url('k'), status=1)], ['good'], 'before the bad one')
    has(at.complaint('relay', '--input', at.url('k'), '--output', 'stdio:///o', '--offset', 'start', '--no-follow'), '5000-65536')
    at.redis.do('XADD', 'm', '281474976710656-0', 'msg', 'bad')
    has(at.complaint('relay', '--input', at.url('m'), '--output', 'stdio:///o', '--offset', 'start', '--no-follow'), '281474976710656-0')


def finds_shards(at):
    """R03; other tails, other types and the key itself are left alone."""
    for name, payload in (('sh:0', 'zero'), ('sh:1', 'one'), ('sh:12', 'twelve'), ('sh:x', 'no'), ('sh', 'no'), ('sh:1:2', 'no'), ('xsh:3', 'no')):
        at.redis.do('XADD', name, '5-1', 'msg', payload)
    at.redis.do('SET', 'sh:7', 'no stream')
    at.redis.do('XADD', 'plain', '6-1', 'msg', 'plain')
    got = sorted(line.split(' | ', 1)[1] for line in at.lines(at.url('sh', 'plain')))
    same(got, ['plain | 393217 | 0] plain', 'sh | 327681 | 0] zero', 'sh | 327681 | 12] twelve', 'sh | 327681 | 1] one'], 'messages')


def many_shards(at):
    at.redis.many([('XADD', 'sh:%d' % (n % 300), '*', 'msg', n) for n in range(3000)])
    got = sorted(map(int, at.payloads(at.url('sh'))))
    same(got, list(range(3000)), 'messages of 300 shards')


def offsets(at):
    for n in range(1, 9):
        at.redis.do('XADD', 'k', '%d-0' % (1000 * n), 'msg', n)
    lines = at.lines(at.url('k'), '--offset', str(3000 << 16))
    same([line[-1] for line in lines], list('345678'), 'from a sequence on')
    lines = at.lines(at.url('k'), '--offset', '1970-01-01T00:00:03.0')
    same([line[-1] for line in lines], list('45678'), 'later than a time')
    lines = at.lines(at.url('k'), '--until', '1970-01-01T00:00:05.0')
    same([line[-1] for line in lines], list('12345'), 'until a time')


# --- real time -------------------------------------------------------------------------------------------------


def follows(at):
    """From the end: what comes later, all of it, and a signal ends it at once while the server blocks."""
    at.fill('k', 5)
    with at.relay(at.url('k'), 'stdio:///o') as relay:
        at.redis.blocked()
        at.fill('k', 2000, 5)
        got = relay.has(2000)
        same([line.split(b'] ')[1] for line in got], numbers(5, 2005), 'followed')
        at.redis.blocked()
        same(relay.stop(), 0, 'status')


def starts_before_the_stream(at):
    """A stream that is made later is read from its beginning."""
    with at.relay(at.url('new'), 'stdio:///o') as relay:
        at.redis.blocked()
        at.fill('new', 3)
        same(len(relay.has(3)), 3, 'lines')


def goes_on_by_cursor(at):
    """Stopped by signals again and again: everything once."""
    got = []
    for n in range(6):
        with at.relay(at.url('k'), 'stdio:///o', '--cursor', 'c', '--offset', 'start') as relay:
            at.redis.blocked()
            at.fill('k', 500, 500 * n)
            relay.has(1 if n % 2 else 500)
            relay.stop(status=0)
            got += relay.lines()
    got += at.lines(at.url('k'), '--cursor', 'c')
    same([line.split('] ')[1] if isinstance(line, str) else line.split(b'] ')[1].decode() for line in got], [str(n) for n in range(3000)], 'all once')


def cursor_with_new_shards(at):
    at.redis.do('XADD', 'sh:0', '5-1', 'msg', 'a')
    same(at.payloads(at.url('sh'), '--cursor', 'c'), ['a'], 'first')
    at.redis.do('XADD', 'sh:1', '4-1', 'msg', 'b')
    same(at.payloads(at.url('sh'), '--cursor', 'c'), ['b'], 'a shard that came later')
    at.redis.do('XADD', 'other', '4-1', 'msg', 'b')
    has(at.complaint('relay', '--input', at.url('other'), '--output', 'stdio:///o', '--cursor', 'c', '--no-follow'), 'other streams')


def seeks(at):
    for n in range(1, 6):
        at.redis.do('XADD', 'k', '%d-1' % n, 'msg', n)
    with Member(at, at.url('k'), start='start') as m:
        same(m.payloads('one 2000'), [b'1'], 'the first alone')
        m.do('place')
        same(m.text, 'k=1-1', 'place behind what was given')
        same(m.payloads('wait 4 2000'), numbers(2, 6), 'the rest')
        m.do('seek time 3')
        same(m.payloads('wait 2 2000'), numbers(4, 6), 'later than a time')
        m.do('seek seq %d' % (2 << 16 | 1))
        same(m.payloads('wait 3 2000'), numbers(3, 6), 'behind a sequence')
        m.do('go k=4-1')
        same(m.payloads('wait 1 2000'), [b'5'], 'behind a place')
        for bad in ('go nonsense', 'go k=1-x', 'go other=1-1'):
            m.fails(bad)


# --- groups ------------------------------------------------------------------------------------------------------


def resumes(at):
    """The group's names, where it begins, and that the relay acknowledges what is durable."""
    at.fill('k', 10)
    env = {**at.ours.env, 'HOST_ID': 'myhost'}
    command = [at.ours.weir, 'relay', '--input', at.url('k'), '--output', 'stdio:///o', '--mode', 'resumable', '--no-follow', '--offset']
    same(run([*command, 'end'], env=env, limit=10), b'', 'a new group from the end')
    same(at.redis.members('k', 'myhost:r'), {'myhost:r': 0}, 'members')
    at.fill('k', 5, 10)
    same([line.split(b'] ')[1] for line in run([*command, 'start'], env=env).splitlines()], numbers(10, 15), 'its place counts')
    same(at.redis.pending('k', 'myhost:r'), 0, 'pending')
    same(run([*command, 'start'], env=env), b'', 'nothing twice')
    same(at.redis.do('XINFO', 'GROUPS', 'k')[0][1], b'myhost:r', 'group')


def acknowledges_at_the_end(at):
    """While it runs once a second, and at a signal what is left, whatever moment that comes at."""
    at.fill('k', 10)
    with at.relay(at.url('k'), 'stdio:///o', '--mode', 'resumable', '--group', 'g', '--offset', 'start') as relay:
        relay.has(10)
        until(lambda: at.redis.pending('k', 'g') == 0, 'the acks')
        later = time.monotonic() + 1.1
        until(lambda: time.monotonic() > later, 'the next second')
        at.fill('k', 10, 10)
        relay.has(20)
        relay.stop(status=0)
        same(relay.complaint(), '', 'what it said')
        same(at.redis.pending('k', 'g'), 0, 'pending')


def acks_outlive_a_cut(at):
    """A connection that is lost between messages and their acks: neither an end nor a message twice."""
    at.fill('k', 10)
    with Member(at, at.url('k'), mode='resumable', commit='rolling', start='start', group='g') as m:
        m.do('wait 10 2000')
        m.send('read 1300')
        at.redis.blocked()
        at.redis.cut()
        same(m._answer()[0], 'ok', 'answer')
        same(m.messages, [], 'nothing twice')
        at.redis.cut()
        m.do('ack')
        same(m.do('read 1300'), [], 'nothing twice')
        same(at.redis.pending('k', 'g'), 0, 'pending')
    with Server(at.folder, '--appendonly', 'yes', '--appendfsync', 'always') as server:
        at.redis = server
        at.fill('k', 10)
        with Member(at, at.url('k'), mode='resumable', commit='rolling', start='start', group='g') as m:
            m.do('wait 10 2000')
            m.do('read 1100')
            server.end()
            m.do('ack')
            server.start()
            same(m.do('read 1300'), [], 'nothing twice')
            same(at.redis.pending('k', 'g'), 0, 'pending')


def group_starts(at):
    at.fill('k', 3)
    same(at.payloads(at.url('k'), '--mode', 'resumable', '--group', 'g'), ['0', '1', '2'], 'from the start')
    text = at.complaint('relay', '--input', at.url('none'), '--output', 'stdio:///o', '--mode', 'resumable', '--group', 'g', '--no-follow')
    has(text, 'there is no stream none')
    at.lines(at.url('none'), '--mode', 'resumable', '--group', 'g', '--make-stream')
    same(at.redis.do('EXISTS', 'none'), 1, 'made')
    for extra in (['--cursor', 'c', '--mode', 'resumable'], ['--group', 'g'], ['--commit', 'rolling']):
        at.complaint('relay', '--input', at.url('k'), '--output', 'stdio:///o', *extra, status=1)


def pending_first(at):
    """What was given and not acknowledged comes again, before anything new."""
    at.fill('k', 250)
    options = {'mode': 'resumable', 'commit': 'rolling', 'start': 'start', 'group': 'g'}
    with Member(at, at.url('k'), **options) as m:
        m.do('wait 250 5000')
        m.kill()
    same(at.redis.pending('k', 'g'), 250, 'pending')
    at.redis.do('XDEL', 'k', at.redis.do('XRANGE', 'k', '-', '+', 'COUNT', '1')[0][0])
    at.fill('k', 50, 250)
    with Member(at, at.url('k'), **options) as m:
        same(m.payloads('wait 299 5000'), numbers(1, 300), 'again, then the new ones')
        m.do('ack')
        m.do('close')
    same(at.redis.pending('k', 'g'), 0, 'pending; also what was deleted meanwhile')


def shares(at):
    """Several members, several keys and shards: each message to one of them."""
    for key in ('a', 'b:0', 'b:1'):
        at.fill(key, 400)
    options = {'mode': 'balanced', 'commit': 'rolling', 'start': 'start', 'group': 'g'}
    with Member(at, at.url('a', 'b'), **options) as one, Member(at, at.url('a', 'b'), **options) as two:
        got = []
        while len(got) < 1200:
            some = one.do('wait 30 100') + two.do('wait 30 100')
            claim(some, 'only %d of 1200 came', len(got))
            got += some
        same(sorted(m[4] for m in got), sorted(3 * numbers(0, 400)), 'all once')
        names = list(at.redis.members('a', 'g'))
        same(len(names), 2, 'members')
        claim(all(n.startswith('myhost:') and len(n.split(':')) == 4 for n in names), 'names %s', names)


def commits_later(at):
    at.fill('k', 3)
    with Member(at, at.url('k'), mode='resumable', commit='delayed', delay=300, start='start', group='g') as m:
        m.do('wait 3 2000')
        same(at.redis.pending('k', 'g'), 3, 'pending at once')
        m.do('read 400')
        same(at.redis.pending('k', 'g'), 0, 'pending after the delay')
        at.fill('k', 1, 3)
        m.do('wait 1 2000')
        m.do('close')
    same(at.redis.pending('k', 'g'), 0, 'pending after the end')
    with Member(at, at.url('k'), mode='resumable', commit='delayed', delay=1, careful=1, group='g') as m:
        at.fill('k', 1, 4)
        m.do('wait 1 2000')
        m.do('read 50')
        same(at.redis.pending('k', 'g'), 1, 'nobody said that it is done with')
        m.do('ack')
        m.do('read 50')
        same(at.redis.pending('k', 'g'), 0, 'pending')


def commits_by_hand(at):
    at.fill('k', 1200)
    with Member(at, at.url('k'), mode='resumable', commit='rolling', start='start', group='g') as m:
        m.do('wait 1200 5000')
        same(at.redis.pending('k', 'g'), 1200, 'pending')
        m.do('ack')
        m.do('read 1200')
        same(at.redis.pending('k', 'g'), 0, 'pending after a second')
    at.fill('k', 5)
    with Member(at, at.url('k'), mode='resumable', commit='disabled', group='g') as m:
        m.do('wait 5 2000')
        m.do('ack')
        m.do('read 50')
        m.do('commit')
        same(at.redis.pending('k', 'g'), 5, 'acknowledged, not committed')
        m.do('commit all')
        same(at.redis.pending('k', 'g'), 0, 'committed')


def commits_at_once(at):
    """NOACK: nothing is ever pending, and nothing that the server counts as read is lost at a stop."""
    with Member(at, at.url('k'), mode='balanced', commit='immediate', start='start', group='g', make=1) as m:
        at.fill('k', 30)
        got = m.payloads('one 2000')
        same(at.redis.pending('k', 'g'), 0, 'pending')
        got += m.payloads('stop')
        read = dict(zip(*[iter(at.redis.do('XINFO', 'GROUPS', 'k')[0])] * 2))[b'entries-read']
        same(got, numbers(0, read), 'all that was read')
    for n in range(5):
        key = 'r%d' % n
        with at.relay(at.url(key), 'stdio:///o', '--mode', 'resumable', '--group', 'g', '--commit', 'immediate', '--make-stream') as relay:
            at.redis.blocked()
            at.fill(key, 3000)
            relay.has(1)
            relay.stop(status=0)
            read = dict(zip(*[iter(at.redis.do('XINFO', 'GROUPS', key)[0])] * 2))[b'entries-read']
            same(len(relay.lines()), read, 'lines of the relay')


def claims(at):
    """From a member that went away, to our own name; not from one that is alive, and not what was deleted."""
    at.fill('k', 30)
    options = {'mode': 'balanced', 'commit': 'rolling', 'start': 'start', 'group': 'g', 'claim_every': 50, 'claim_idle': 600}
    with Member(at, at.url('k'), member='alive', **{**options, 'claim_every': 60000}) as alive, Member(at, at.url('k'), member='lost', **options) as lost:
        same(len(alive.do('wait 10 2000')), 10, 'its share')
        gone = lost.payloads('wait 20 2000')
        lost.kill()
        same(at.redis.members('k', 'g'), {'alive': 10, 'lost': 20}, 'pending')
        first = at.redis.do('XPENDING', 'k', 'g', '-', '+', 1, 'lost')[0][0]
        at.redis.do('XDEL', 'k', first)
        with Member(at, at.url('k'), member='heir', **options) as heir:
            got = []
            while len(got) < 19:
                claim(alive.do('read 60') == [], 'the living member got something')
                some = heir.payloads('read 60')
                claim(some or len(got) == 0, 'only %d of 19 came', len(got))
                got += some
            same(sorted(got), sorted(gone[1:]), 'claimed')
            members = at.redis.members('k', 'g')
            same((members['alive'], members['heir'], members['lost']), (10, 19, 0), 'owners')
            heir.do('ack')
            heir.do('close')
        same(at.redis.members('k', 'g')['heir'], 0, 'acknowledged')
        alive.do('ack')


def survives_kills(at):
    """A relay in a group, killed again and again: at least once; with a clean stop nothing is left."""
    got = []
    for n in range(6):
        at.fill('k', 1000, 1000 * n)
        with at.relay(at.url('k'), 'stdio:///o', '--mode', 'resumable', '--group', 'g', '--offset', 'start') as relay:
            relay.has(1)
            relay.kill()
            got += relay.lines()
    out = at.ours.run('relay', '--input', at.url('k'), '--output', 'stdio:///o', '--mode', 'resumable', '--group', 'g', '--no-follow')
    got += out.splitlines()
    same(sorted({int(line.split(b'] ')[1]) for line in got if b'] ' in line}), list(range(6000)), 'at least once')
    same(at.redis.pending('k', 'g'), 0, 'pending')


# --- lost connections ------------------------------------------------------------------------------------------------


def connects_again(at):
    at.fill('k', 10)
    with Member(at, at.url('k'), start='start') as m:
        m.do('wait 10 2000')
        for n in range(1, 4):
            m.send('wait 10 10000')
            at.redis.blocked()
            at.redis.cut()
            at.fill('k', 10, 10 * n)
            word, text = m._answer()
            same(word, 'ok', text)
            same([x[4] for x in m.messages], numbers(10 * n, 10 * n + 10), 'behind the cut')
        has(m.said(), 'trying again')


def nothing_lost_on_the_way(at):
    """An answer that the server sent and nobody got: a group's entries are pending and come; those given out before do not come twice."""
    proxy = Proxy(at.redis.port)
    url = 'redis://127.0.0.1:%d/k' % proxy.port
    try:
        for mode in ('realtime', 'resumable'):
            at.redis.do('DEL', 'k')
            at.fill('k', 5)
            with Member(at, url, mode=mode, commit='rolling', start='start', group='g') as m:
                same(m.payloads('wait 5 2000'), numbers(0, 5), 'before')
                m.send('wait 5 10000')
                at.redis.blocked()
                proxy.hold()
                at.fill('k', 5, 5)
                proxy.cut()
                word, text = m._answer()
                same(word, 'ok', text)
                same([x[4] for x in m.messages], numbers(5, 10), 'the answer that was lost, ' + mode)
                same(m.do('read 100'), [], 'nothing twice')
                m.do('ack')
                m.do('close')
            if mode != 'realtime':
                same(at.redis.pending('k', 'g'), 0, 'pending')
    finally:
        proxy.close()


def waits_for_the_server(at):
    """It goes and comes back with what it had; a relay says so once and goes on."""
    with Server(at.folder, '--appendonly', 'yes', '--appendfsync', 'always') as server:
        at.redis = server
        at.fill('k', 100)
        with at.relay(at.url('k'), 'stdio:///o', '--offset', 'start') as relay:
            relay.has(100)
            server.end()
            until(lambda: 'trying again' in relay.complaint(), 'the relay to notice')
            server.start()
            at.fill('k', 100, 100)
            same([line.split(b'] ')[1] for line in relay.has(200)], numbers(0, 200), 'lines')
            same(relay.complaint().count('trying again'), 1, 'notes')
            server.end()
            until(lambda: relay.complaint().count('trying again') == 2, 'the relay to notice')
            relay.stop(status=0)
        server.start()


def gives_up(at):
    with Server(at.folder) as server:
        with Member(at, server.url('k'), retry=300) as m:
            m.send('read 60000')
            server.blocked()
            server.end()
            word, text = m._answer()
            same(word, 'error', 'answer')
            has(text, 'stays away')
        server.start()


# --- the sink -----------------------------------------------------------------------------------------------------------


def keeps_ids(at):
    """Redis to Redis: the same entries, also those with several messages; a second time they are there already."""
    at.redis.do('XADD', 'k', '5000-65535', 'msg', 'ok')
    at.redis.do('XADD', 'k', '5001-1', 'msg', 'a', 'msg', 'b')
    at.fill('k', 3000)
    at.ours.copy(at.url('k'), at.url('o'), '--preserve')
    same(at.redis.do('XRANGE', 'o', '-', '+'), at.redis.do('XRANGE', 'k', '-', '+'), 'entries')
    at.fill('k', 10)
    at.ours.copy(at.url('k'), at.url('o'), '--preserve')
    same(at.redis.do('XRANGE', 'o', '-', '+'), at.redis.do('XRANGE', 'k', '-', '+'), 'entries after the second time')


def refuses_other_entries(at):
    at.redis.do('XADD', 'k', '5-1', 'msg', 'mine')
    at.redis.do('XADD', 'o', '5-1', 'msg', 'other')
    command = ['relay', '--input', at.url('k'), '--output', at.url('o'), '--preserve', '--offset', 'start', '--no-follow']
    has(at.complaint(*command), 'another message stands there as entry 5-1')
    at.redis.do('DEL', 'o')
    at.redis.do('XADD', 'o', '6-1', 'msg', 'later')
    has(at.complaint(*command), 'later entries stand there')
    same(at.redis.entries('o'), [(6, 1, b'later')], 'entries')


def keeps_shards(at):
    for n in range(40):
        at.redis.do('XADD', 'sh:%d' % (n % 4), '%d-0' % (100 + n), 'msg', n)
    at.ours.copy(at.url('sh'), at.url(), '--preserve', '--rename', 'sh=to')
    for n in range(4):
        same(at.redis.do('XRANGE', 'to:%d' % n, '-', '+'), at.redis.do('XRANGE', 'sh:%d' % n, '-', '+'), 'shard %d' % n)
    same(at.redis.do('EXISTS', 'to'), 0, 'the key itself')
    # A message of shard 0 alone goes where readers of shards look.
    at.redis.do('XADD', 'one', '500-0', 'msg', 'zero')
    at.ours.copy(at.url('one'), at.url('to'), '--preserve')
    same(at.redis.entries('to:0')[-1], (500, 0, b'zero'), 'shard 0')


def keeps_times(at):
    """From a file: the time as MS-*, as long as it does not go back."""
    path = at.path('f.ss')
    with open(path, 'wb') as f:
        f.write(rig.encode([rig.Message('k', 0, n, ms, b'%d' % n) for n, ms in enumerate((1000, 1000, 1001, 999, 5000), 1)]))
    at.ours.copy(file_url(path), at.url('o'), '--preserve')
    got = at.redis.entries('o')
    same([e[2] for e in got], numbers(1, 6), 'payloads')
    same([e[:2] for e in got[:3]], [(1000, 0), (1000, 1), (1001, 0)], 'ids')
    claim(got[3][0] > 1700000000000 and got[4][0] >= got[3][0], 'ids of the rest %s', got[3:])


def spreads(at):
    at.ours.copy('stdio:///k', at.url('k'), '--shards', '3', stdin=many(numbers(0, 9)))
    for shard in range(3):
        same([e[2] for e in at.redis.entries('k:%d' % shard)], [b'%d' % n for n in range(shard, 9, 3)], 'shard %d' % shard)


def trims(at):
    at.ours.copy('stdio:///k', at.url('k'), '--max-len', '500', stdin=many(numbers(0, 5000)))
    left = at.redis.entries('k')
    claim(500 <= len(left) <= 700, '%d entries are left', len(left))
    same(left[-1][2], b'4999', 'the newest')
    at.fill('big', 30000)
    out = at.ours.run('trim-stream', '--stream', at.url('big'), '--max-len', '1000').decode()
    left = at.redis.do('XLEN', 'big')
    claim(1000 <= left <= 1200, '%d entries are left', left)
    same(out, 'big: %d entries removed\n' % (30000 - left), 'what it said')
    at.fill('sh:0', 1000)
    at.fill('sh:1', 1000)
    ms = at.redis.entries('sh:1')[-1][0] + 1
    out = at.ours.run('trim-stream', '--stream', at.url('sh'), '--min-ts', '@%d' % (ms // 1000 + 1)).decode()
    same(out, 'sh:0: 1000 entries removed\nsh:1: 1000 entries removed\n', 'by time')
    at.complaint('trim-stream', '--stream', at.url('k'), status=2)
    at.complaint('trim-stream', '--stream', at.url('k'), '--max-len', 'x', status=2)
    at.complaint('trim-stream', '--stream', 'stdio:///k', '--max-len', '1')


def any_bytes(at):
    payloads = [b'', bytes(range(256)), b'\r\n', b'x' * 5_000_000, b'y' * 3_000_000, '\u00e9'.encode()]
    for p in payloads:
        at.redis.do('XADD', 'k', '*', 'msg', p)
    at.ours.copy(at.url('k'), at.url('o'))
    same([e[2] for e in at.redis.entries('o')] == payloads, True, 'payloads over Redis')
    at.ours.copy(at.url('k'), file_url(at.path('f.ss')), '--preserve')
    same([m.payload for m in read_ss(at.path('f.ss')).messages] == payloads, True, 'payloads in a file')


def sink_says_what_failed(at):
    at.redis.do('SET', 'text', 'no stream')
    same(at.complaint('relay', '--input', 'stdio:///k', '--output', at.url('text'), status=0), '', 'nothing was to be sent')
    done = subprocess.run([at.ours.weir, 'relay', '--input', 'stdio:///k', '--output', at.url('text')], input=many(numbers(0, 5)), capture_output=True,
                          timeout=60, check=False, env=at.ours.env)
    same(done.returncode, 1, 'status')
    has(done.stderr.decode(), 'stream text: WRONGTYPE')


def sink_waits_for_the_server(at):
    with Server(at.folder, '--appendonly', 'yes', '--appendfsync', 'always') as server:
        with at.relay('stdio:///k', server.url('o'), stdin=subprocess.PIPE) as relay:
            relay.feed(many(numbers(0, 3)))
            until(lambda: server.do('XLEN', 'o') == 3, 'the first')
            server.end()
            relay.feed(many(numbers(3, 6)))
            until(lambda: 'trying again' in relay.complaint(), 'the relay to notice')
            server.start()
            until(lambda: server.do('XLEN', 'o') == 6, 'the rest')
            relay.process.stdin.close()
            same(relay.ends(), 0, 'status')
        same([e[2] for e in server.entries('o')], numbers(0, 6), 'entries')


def sink_connects_again(at):
    """A server may end what is idle: with nothing under way that is no fault."""
    with at.relay('stdio:///k', at.url('o'), stdin=subprocess.PIPE) as relay:
        relay.feed(many(numbers(0, 3)))
        until(lambda: at.redis.do('XLEN', 'o') == 3, 'the first')
        claim(at.redis.cut() >= 1, 'no connection')
        relay.feed(many(numbers(3, 6)))
        until(lambda: at.redis.do('XLEN', 'o') == 6, 'the rest')
        relay.process.stdin.close()
        same(relay.ends(), 0, 'status')
    same([e[2] for e in at.redis.entries('o')], numbers(0, 6), 'entries')


# --- who may come in ---------------------------------------------------------------------------------------------------


def credentials(at):
    at.fill('k', 3)
    host = '127.0.0.1:%d' % at.redis.port
    out = ['--output', 'stdio:///o', '--offset', 'start', '--no-follow']
    at.redis.do('ACL', 'SETUSER', 'reader', 'on', '>' + SECRET, '~k', '~k:*', '+xread', '+xrevrange', '+scan', '+select')
    at.redis.do('CONFIG', 'SET', 'requirepass', SECRET)
    has(at.complaint('relay', '--input', at.url('k'), *out), 'the server wants credentials')
    for who in (':wrong', 'reader:wrong', 'nobody:' + SECRET_IN_URL):
        has(at.complaint('relay', '--input', 'redis://%s@%s/k' % (who, host), *out), 'wrong user or password')
    for who in (':' + SECRET_IN_URL, 'reader:' + SECRET_IN_URL, 'default:' + SECRET_IN_URL):
        same(len(at.lines('redis://%s@%s/k' % (who, host))), 3, 'lines for ' + who)
    has(at.complaint('relay', '--input', 'redis://reader:%s@%s/k' % (SECRET_IN_URL, host), '--mode', 'resumable', *out), 'NOPERM')
    at.redis.do('SELECT', '3')
    at.redis.do('XADD', 'k', '*', 'msg', 'of three')
    same(at.payloads('redis://:%s@%s/3/k' % (SECRET_IN_URL, host)), ['of three'], 'database 3')


def never_shows_passwords(at):
    """Also where the server repeats the command in its error."""
    with Server(at.folder, '--rename-command', 'AUTH', 'HIDDEN') as server:
        url = 'redis://user:%s@127.0.0.1:%d/k' % (SECRET_IN_URL, server.port)
        has(at.complaint('relay', '--input', url, '--output', 'stdio:///o'), 'takes no credentials')
        has(at.complaint('trim-stream', '--stream', url, '--max-len', '1'), 'takes no credentials')
        has(at.complaint('relay', '--input', 'stdio:///k', '--output', url), 'takes no credentials')


def certificate(folder, name, host):
    if not shutil.which('openssl'):
        raise Skip('openssl is not installed')
    key, pem = os.path.join(folder, name + '.key'), os.path.join(folder, name + '.pem')
    run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', pem, '-days', '2',
         '-subj', '/CN=' + host, '-addext', 'subjectAltName=' + ('IP:' if host[0].isdigit() else 'DNS:') + host])
    return key, pem


def over_tls(at):
    key, pem = certificate(at.folder, 'good', 'localhost')
    port = free_port()
    with Server(at.folder, '--tls-port', str(port), '--tls-cert-file', pem, '--tls-key-file', key, '--tls-ca-cert-file', pem,
                '--tls-auth-clients', 'no') as server:
        server.many([('XADD', 'k', '*', 'msg', '%d' % n) for n in range(5000)])
        url, bare = 'rediss://localhost:%d/k' % port, ['--output', 'stdio:///o', '--offset', 'start', '--no-follow']
        same(at.payloads(url, '--ca-file', pem), [str(n) for n in range(5000)], 'by the authority')
        same(len(at.lines(url, '--insecure')), 5000, 'unchecked')
        has(at.complaint('relay', '--input', url, *bare), 'certificate')
        has(at.complaint('relay', '--input', 'rediss://127.0.0.1:%d/k' % port, '--ca-file', pem, *bare), 'certificate')
        has(at.complaint('relay', '--input', url, '--ca-file', '/nonexistent', *bare), '/nonexistent')
        at.complaint('relay', '--input', 'rediss://localhost:%d/k' % server.port, '--ca-file', pem, *bare)
        at.complaint('relay', '--input', 'redis://localhost:%d/k' % port, *bare)
        at.ours.copy(url, 'rediss://localhost:%d/o' % port, '--ca-file', pem)
        same(len(server.entries('o')), 5000, 'written by TLS')
        with at.relay(url, 'stdio:///o', '--ca-file', pem) as relay:
            server.blocked()
            server.do('XADD', 'k', '*', 'msg', 'new')
            relay.has(1)
            relay.stop(status=0)


# --- servers that are none of ours -------------------------------------------------------------------------------------------


def other_servers(at):
    with Server(at.folder, '--cluster-enabled', 'yes') as server:
        has(at.complaint('relay', '--input', server.url('k'), '--output', 'stdio:///o', '--no-follow'), 'Redis Cluster')
    has(at.complaint('relay', '--input', 'redis://a,b/k', '--output', 'stdio:///o'), 'Redis Cluster')
    has(at.complaint('relay', '--input', 'redis://127.0.0.1:%d/k' % free_port(), '--output', 'stdio:///o'), 'nothing listens there')
    has(at.complaint('relay', '--input', 'redis://no.such.host.invalid/k', '--output', 'stdio:///o'), 'is not known')
    at.redis.do('SET', 'text', 'no stream')
    has(at.complaint('relay', '--input', at.url('text'), '--output', 'stdio:///o'), 'stream text')
    with socket.create_server(('127.0.0.1', 0)) as listener:
        def answer():
            peer = listener.accept()[0]
            peer.recv(100)
            peer.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
            peer.close()
        threading.Thread(target=answer, daemon=True).start()
        text = at.complaint('relay', '--input', 'redis://127.0.0.1:%d/k' % listener.getsockname()[1], '--output', 'stdio:///o')
        has(text, 'does not speak as a Redis server')


def main():
    args = rig.options(__doc__).parse_args()
    report = Report('redis')

    def case(name, function):
        def inside():
            with rig.Folder() as folder, Server(folder) as redis:
                function(Place(rig.Ours(args.weird, folder), redis))
        if args.k in name:
            report.case(name, inside)

    for name, function in (
            ('ids and fields', maps_ids), ('entries without sequence', names_bad_entries), ('shards', finds_shards), ('300 shards', many_shards),
            ('offsets', offsets), ('following', follows), ('before the stream', starts_before_the_stream), ('cursor', goes_on_by_cursor),
            ('cursor and shards', cursor_with_new_shards), ('seek', seeks), ('resumable', resumes), ('acks at the end', acknowledges_at_the_end),
            ('acks and cuts', acks_outlive_a_cut), ('start of groups', group_starts),
            ('pending first', pending_first), ('balanced', shares), ('delayed commits', commits_later), ('commits by hand', commits_by_hand),
            ('immediate commits', commits_at_once), ('claims', claims), ('kill -9', survives_kills), ('connecting again', connects_again),
            ('lost answers', nothing_lost_on_the_way), ('server restarted', waits_for_the_server), ('server gone', gives_up),
            ('ids kept', keeps_ids), ('other entries', refuses_other_entries), ('shards kept', keeps_shards), ('times kept', keeps_times),
            ('round robin', spreads), ('trimming', trims), ('any bytes', any_bytes), ('what the sink says', sink_says_what_failed),
            ('idle sink', sink_connects_again), ('sink and restart', sink_waits_for_the_server), ('credentials', credentials), ('no password shown', never_shows_passwords), ('TLS', over_tls),
            ('other servers', other_servers)):
        case(name, function)
    # Without a server every case is a skip, which is no failure.
    sys.exit(1 if report.failed else 0)


if __name__ == '__main__':
    main()
