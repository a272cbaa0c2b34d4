#!/usr/bin/env python3
"""A relay between any two of lines, a file, Redis, a store and an S2 endpoint: 25 pairs, each in five ways.

    seastreamer_matrix.py [--weird PROGRAM] [--seed N] [-k PART] [--lite PROGRAM]

What goes in is put there, and what comes out read, by other means than a relay. Ends that cannot be here (no redis-server) are skips. --lite: the
`s2` program whose `s2 lite` is a second S2 endpoint; the one of scripts/dev/peers is found by itself.
"""

import array
import base64
import calendar
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import time

import s2_rig
import seastreamer_rig as rig
from seastreamer_rig import Fault, Message, Report, Skip, claim, file_url, read_ss, run, same, until

MS = 1700000000000
BASIN = 'matrix-basin'
LIMIT = 30


def model(keys, count, first=0):
    """Messages whose sequences every end can keep: time * 65536 + N. Some payloads are odd, none is beyond a line."""
    odd = [b'', b'[x] y', b' lead', '\u00fc \u6f22 \U0001f600'.encode(), b'{"a": [1, 2]}', b'x' * 3000]
    out = []
    for n in range(first, first + count):
        ms = MS + n // 3
        payload = b'%d' % n if n % 4 else b'%d ' % n + odd[n // 4 % len(odd)]
        out.append(Message(keys[n % len(keys)], 0, ms * 65536 + n % 3, ms, payload))
    return out


def line_of(m):
    stamp = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(m.ms // 1000)) + '.%03d' % (m.ms % 1000)
    return b'[%s | %s | %d | %d] %s\n' % (stamp.encode(), m.key.encode(), m.seq, m.shard, m.payload)


def ms_of(text):
    whole, _, part = text.partition('.')
    return calendar.timegm(time.strptime(whole, '%Y-%m-%dT%H:%M:%S')) * 1000 + int((part + '000')[:3] or 0)


def message_of(line):
    stamp, key, seq, shard, payload = rig.stdio_line(line)
    return Message(key, shard or 0, seq, ms_of(stamp), payload)


# --- ends ------------------------------------------------------------------------------------------------


class Lines:
    """A pipe: what goes in waits in memory, what came out is a file."""
    name, can_resume, keeps_empty = 'lines', False, False

    def __init__(self, at):
        self.at, self.waiting, self.said = at, b'', b''

    def put(self, messages):
        self.waiting += b''.join(map(line_of, messages))

    def url(self, *keys):
        return 'stdio:///' + ','.join(keys)

    def take(self, text):
        self.said += text

    def read(self, key=None):
        return [m for m in map(message_of, self.said.split(b'\n')[:-1]) if key in (None, m.key)]


class File:
    name, can_resume, keeps_empty = 'file', True, True

    def __init__(self, at):
        self.at, self.path = at, at.path('f%d.ss' % at.next())

    def put(self, messages):
        """More of it leaves all before byte for byte."""
        if not os.path.exists(self.path):
            with open(self.path, 'wb') as f:
                f.write(rig.encode(messages, interval=4096))
            self.all = list(messages)
            return
        self.all += messages
        text = rig.encode(self.all, interval=4096)
        with open(self.path, 'r+b') as f:
            f.seek(0, os.SEEK_END)
            size = f.tell()
            f.write(text[size:])

    def url(self, *keys):
        return file_url(self.path, *keys)

    def read(self, key=None):
        """A file is there a moment before its header is."""
        if not os.path.exists(self.path) or os.path.getsize(self.path) < 128:
            return []
        return [m for m in read_ss(self.path).messages if key in (None, m.key)]


class Redis:
    name, can_resume, keeps_empty = 'redis', True, True

    def __init__(self, at):
        self.at, self.redis = at, at.redis()
        self.db = at.next() % 16
        self.redis.do('SELECT', self.db)
        self.redis.do('FLUSHDB')

    def put(self, messages):
        self.redis.do('SELECT', self.db)
        self.redis.many([('XADD', m.key, '%d-%d' % (m.seq >> 16, m.seq & 65535), 'msg', m.payload) for m in messages])

    def url(self, *keys):
        return 'redis://127.0.0.1:%d/%d/%s' % (self.redis.port, self.db, ','.join(keys))

    def read(self, key=None):
        self.redis.do('SELECT', self.db)
        out = []
        for name in self.redis.do('KEYS', '*') if key is None else [key]:
            name = name.decode() if isinstance(name, bytes) else name
            out += [Message(name, 0, ms * 65536 + n, ms, p) for ms, n, p in self.redis.entries(name)]
        return sorted(out, key=lambda m: m.seq)


class Store:
    name, can_resume, keeps_empty = 'store', True, True

    def __init__(self, at):
        self.at, self.daemon = at, at.daemon()

    def frame(self, m):
        return json.dumps({'stream': m.key, 'stamp': m.ms, 'meta': {'ss-seq': str(m.seq)}, 'content': m.payload.decode()}) + '\n'

    def put(self, messages):
        status, text = self.daemon.request('POST', '/append', ''.join(map(self.frame, messages)).encode(), {'content-type': 'application/x-ndjson'})
        same(status, 200, 'append (%s)' % text[:200])

    def url(self, *keys):
        return 'weir://127.0.0.1:%d/%s' % (self.daemon.port, ','.join(keys))

    def read(self, key=None):
        status, text = self.daemon.request('GET', '/?with-content&with-stamp&with-seq' + ('&stream=' + key if key else ''))
        same(status, 200, 'read')
        out = []
        for line in text.splitlines():
            f = json.loads(line)
            if f['topic'].startswith('xs.'):
                continue
            meta = f.get('meta') or {}
            body = base64.b64decode(f['content_base64']) if 'content_base64' in f else f.get('content', '').encode()
            ms = ms_of(meta['ss-time']) if 'ss-time' in meta else f['stamp']
            out.append(Message(f['topic'], int(meta.get('ss-shard', 0)), int(meta.get('ss-seq', f.get('seq', 0))), ms, body))
        return out


class S2:
    name, can_resume, keeps_empty = 's2', True, True

    def __init__(self, at):
        self.at, self.port = at, at.s2_port()
        self.basin = '%s-%d' % (BASIN, at.next())
        self.ask('POST', '/v1/basins', {'basin': self.basin, 'config': {'create_stream_on_append': True, 'create_stream_on_read': True}}, basin=False)

    def ask(self, method, path, body=None, basin=True):
        headers = {'content-type': 'application/json', 'authorization': 'Bearer x', 's2-format': 'base64'}
        if basin:
            headers['s2-basin'] = self.basin
        status, text = self.at.http(self.port, method, path, None if body is None else json.dumps(body).encode(), headers)
        claim(status in (200, 201, 202, 404, 409, 416), '%s %s: %d %s', method, path, status, text[:300])
        return status, json.loads(text or b'{}')

    def put(self, messages):
        for key in sorted({m.key for m in messages}):
            records = [{'timestamp': m.ms, 'body': base64.b64encode(m.payload).decode(),
                        'headers': [[base64.b64encode(t).decode() for t in (b'ss-seq', b'%d' % m.seq)]]} for m in messages if m.key == key]
            status, text = self.ask('POST', '/v1/streams/%s/records' % key, {'records': records})
            same(status, 200, 'append (%s)' % text)

    def url(self, *keys):
        return 's2://127.0.0.1:%d/%s/%s' % (self.port, self.basin, ','.join(keys))

    def streams(self):
        return [s['name'] for s in self.ask('GET', '/v1/streams')[1]['streams']]

    def read(self, key=None):
        out = []
        for name in self.streams() if key is None else [key]:
            at = 0
            while True:
                status, page = self.ask('GET', '/v1/streams/%s/records?seq_num=%d&clamp=true' % (name, at))
                if status != 200 or not page.get('records'):
                    break
                for r in page['records']:
                    h = {base64.b64decode(a): base64.b64decode(b) for a, b in r.get('headers', [])}
                    out.append(Message(name, int(h.get(b'ss-shard', 0)), int(h.get(b'ss-seq', r['seq_num'])),
                                       ms_of(h[b'ss-time'].decode()) if b'ss-time' in h else r['timestamp'], base64.b64decode(r.get('body', ''))))
                    at = r['seq_num'] + 1
        return out


class Lite(S2):
    """The peer's own server."""
    name = 's2-lite'

    def __init__(self, at):
        self.at, self.port = at, at.lite_port()
        self.basin = '%s-%d' % (BASIN, at.next())
        self.ask('POST', '/v1/basins', {'basin': self.basin, 'config': {'create_stream_on_append': True, 'create_stream_on_read': True}}, basin=False)


ENDS = [Lines, File, Redis, Store, S2]


# --- the place of all cases ------------------------------------------------------------------------------


class Place:
    def __init__(self, args, folder):
        self.ours, self.folder, self.args = rig.Ours(args.weird, folder), folder, args
        self.ours.env['HOME'] = folder
        self.count, self.servers, self.why = 0, {}, {}

    def next(self):
        self.count += 1
        return self.count

    def path(self, name):
        return os.path.join(self.folder, name)

    def once(self, name, make):
        if name in self.why:
            raise Skip(self.why[name])
        if name not in self.servers:
            try:
                self.servers[name] = make()
            except Skip as reason:
                self.why[name] = str(reason)
                raise
        return self.servers[name]

    def redis(self):
        return self.once('redis', lambda: rig.Redis(self.folder))

    def a_daemon(self, name):
        os.mkdir(self.path(name))
        return s2_rig.Daemon(self.ours.weird, self.path(name))

    def daemon(self):
        """A store for each case: reads without keys see all of it."""
        name = 'd%d' % self.next()
        return self.once(name, lambda: self.a_daemon(name))

    def s2_port(self):
        return self.once('s2', lambda: self.a_daemon('s2')).port

    def a_lite(self):
        program = self.args.lite or os.path.join(rig.PEERS, 's2-cli-0.43.4', 'bin', 's2')
        if not os.access(program, os.X_OK):
            raise Skip('the peer\'s s2 is not installed (scripts/dev/peers)')
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        server = rig.Program([program, 'lite', '--port', str(port)], self.folder)
        server.port = port

        def answers():
            try:
                return self.http(port, 'GET', '/health')[0] == 200
            except OSError:
                claim(server.process.poll() is None, 's2 lite ended: %s', server.complaint())
                return False
        try:
            until(answers, 's2 lite')
        except Fault:
            server.kill()
            raise
        return server

    def lite_port(self):
        return self.once('lite', self.a_lite).port

    @staticmethod
    def http(port, method, path, body=None, headers=None):
        conn = http.client.HTTPConnection('127.0.0.1', port, timeout=20)
        try:
            conn.request(method, path, body=body, headers=headers or {})
            answer = conn.getresponse()
            return answer.status, answer.read()
        finally:
            conn.close()

    def close(self):
        for server in self.servers.values():
            if isinstance(server, rig.Redis):
                server.__exit__()
            else:
                server.kill()

    # --- relays

    def relay(self, source, target, *args, status=0):
        """To its end."""
        stdin = source.waiting if isinstance(source, Lines) else b''
        if isinstance(source, Lines):
            source.waiting = b''
        out = self.ours.run('relay', *args, stdin=stdin, status=status, limit=LIMIT)
        if isinstance(target, Lines):
            target.take(out)

    def start(self, source, *args):
        stdin = subprocess.PIPE if isinstance(source, Lines) else subprocess.DEVNULL
        return self.ours.start('relay', *args, stdin=stdin)


def gist(messages):
    return [(m.key, m.seq, m.ms, m.payload) for m in messages]


def by_key(messages):
    out = {}
    for m in messages:
        out.setdefault(m.key, []).append((m.seq, m.ms, m.payload))
    return out


def number(m):
    return int(m.payload.split()[0])


# --- five ways -------------------------------------------------------------------------------------------


def everything(at, source, target):
    """--preserve: all of two keys as it was; one is renamed on the way to another place."""
    messages = model(['a', 'b-9'], 24)
    source.put(messages)
    at.relay(source, target, '--input', source.url('a', 'b-9'), '--output', target.url(), '--preserve', '--offset', 'start', '--no-follow',
             '--rename', 'b-9=c')
    want = [m._replace(key='c') if m.key == 'b-9' else m for m in messages]
    same(by_key(target.read()), by_key(want), 'what came')


def payloads(at, source, target):
    """Without it: payloads under the output's key. One key of two is chosen."""
    messages = model(['a', 'b'], 24)
    source.put(messages)
    at.relay(source, target, '--input', source.url('a'), '--output', target.url('o'), '--offset', 'start', '--no-follow')
    want = [m.payload for m in messages if m.key == 'a' and (m.payload or target.keeps_empty)]
    same([m.payload for m in target.read('o')], want, 'payloads')


def cursor(at, source, target):
    """In parts, by a cursor: each message once, also with another offset than the first time, or none."""
    if not source.can_resume:
        source.put(model(['a'], 3))
        at.relay(source, target, '--input', source.url('a'), '--output', target.url('o'), '--cursor', 'c', status=1)
        return
    messages = model(['a'], 20)
    name = 'c%d' % at.next()
    args = ['--input', source.url('a'), '--output', target.url('o'), '--no-follow', '--cursor', name]
    source.put(messages[:12])
    parts = [(5, ['--offset', 'start', '--limit', '5']), (8, ['--limit', '3']), (12, []), (20, ['--offset', '2040-01-01T00:00:00']),
             (20, ['--offset', 'start'])]
    there = 12
    for count, more in parts:
        if count > there:
            source.put(messages[there:])
            there = count
        at.relay(source, target, *args, *more)
        same([m.payload for m in target.read('o')], [m.payload for m in messages[:count]], 'payloads after %s' % ' '.join(more))


def shares(at, source, target):
    """Two relays share by sequence; --until and --offset TIME cut out a part."""
    messages = model(['a'], 24)
    middle = MS + 2
    stamp = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(middle // 1000)) + '.%03d' % (middle % 1000)
    for n in 0, 1:
        if n == 0 or isinstance(source, Lines):
            source.put(messages)
        at.relay(source, target, '--input', source.url('a'), '--output', target.url('o%d' % n), '--offset', 'start', '--no-follow',
                 '--share', '%d/2' % n)
    for n in 0, 1:
        same([m.payload for m in target.read('o%d' % n)], [m.payload for m in messages if m.seq % 2 == n], 'share %d' % n)
    if isinstance(source, Lines):
        return
    at.relay(source, target, '--input', source.url('a'), '--output', target.url('t'), '--offset', stamp, '--no-follow',
             '--until', '2023-11-14T22:13:20.005')
    want = [m.payload for m in messages if middle < m.ms <= MS + 5]
    same([m.payload for m in target.read('t')], want, 'from a time to a time')


def live(at, source, target):
    """Followed, ended by SIGTERM and by kill -9 in the middle: exactly once but for the kill, and into a store also then."""
    name = 'l%d' % at.next()
    args = ['--input', source.url('a'), '--output', target.url('o')]
    if source.can_resume:
        args += ['--cursor', name, '--offset', 'start']
        if not isinstance(source, File):
            args += ['--make-stream']
    given = [0]

    def feed(process, count):
        more = [m._replace(payload=b'%d' % number(m)) for m in model(['a'], count, given[0])]
        given[0] += count
        if isinstance(source, Lines):
            process.feed(b''.join(map(line_of, more)))
        else:
            source.put(more)

    def came(process):
        return {number(m) for m in (lines(process) if isinstance(target, Lines) else target.read('o'))}

    def lines(process):
        target.said = before + process.said()
        return target.read('o')

    ends = [signal.SIGTERM, signal.SIGKILL, signal.SIGTERM] if source.can_resume else [signal.SIGTERM]
    before = b''
    for kind in ends:
        with at.start(source, *args) as process:
            feed(process, 40)
            until(lambda: len(came(process)) >= given[0] or process.process.poll() is not None, 'messages to come')
            claim(process.process.poll() is None, 'the relay ended: %s', process.complaint())
            if source.can_resume:
                feed(process, 200)
            process.stop(kind, status=0 if kind == signal.SIGTERM else -kind)
            if isinstance(target, Lines):
                before = before + process.said()
                before = before[:before.rfind(b'\n') + 1]
                target.said = before
    if source.can_resume:
        # What is left.
        at.relay(source, target, *args, '--no-follow')
    numbers = [number(m) for m in target.read('o')]
    same(sorted(set(numbers)), list(range(given[0])), 'numbers')
    if target.name == 'store' or not source.can_resume:
        same(numbers, sorted(numbers), 'order')
        same(len(numbers), given[0], 'each once')


# --- beside the pairs ------------------------------------------------------------------------------------


def handed_over(at):
    """A pipe that outlives its relay: what SIGTERM leaves in it is the next line, none is lost or told twice."""
    near, far = os.pipe()
    fcntl.fcntl(far, fcntl.F_SETPIPE_SZ, 1 << 20)
    os.write(far, b''.join(b'%d\n' % n for n in range(80000)))
    process = subprocess.Popen([at.ours.weir, 'relay', '--input', 'stdio:///', '--output', 'stdio:///k'], stdin=near, stdout=subprocess.PIPE,
                               env=at.ours.env)
    before = [-1]

    def stuck():
        """Its output is full, so that it waits."""
        queued = array.array('i', [0])
        fcntl.ioctl(process.stdout.fileno(), termios.FIONREAD, queued)
        full = queued[0] > 30000 and queued[0] == before[0]
        before[0] = queued[0]
        time.sleep(0.02)
        return full
    try:
        until(stuck, 'a full pipe')
        process.send_signal(signal.SIGTERM)
        out = process.stdout.read()
        same(process.wait(LIMIT), 0, 'status')
    finally:
        process.kill()
        process.wait()
    os.close(far)
    with open(near, 'rb') as rest:
        numbers = [int(line.split(b'] ')[1]) for line in out.splitlines()] + [int(line) for line in rest]
    same(numbers, list(range(80000)), 'lines')


def group_by_parts(at):
    """A resumable group in small parts, over TCP: in order, each once, nothing dies of being handed out often, and nobody waits."""
    store = Store(at)
    store.put(model(['a'], 60))
    got = []
    began = time.monotonic()
    for more in [['--limit', '5']] * 8 + [['--limit', '7', '--no-follow'], ['--no-follow'], ['--no-follow']]:
        out = at.ours.run('relay', '--input', store.url('a'), '--output', 'stdio:///o', '--preserve', '--offset', 'start', '--mode', 'resumable',
                          '--group', 'g', *more)
        got += [m.seq for m in map(message_of, out.splitlines())]
    same(got, [m.seq for m in model(['a'], 60)], 'sequences')
    claim(time.monotonic() - began < 15, 'it took %.0f s', time.monotonic() - began)
    at.relay(store, None, '--input', store.url('a'), '--output', 'stdio:///o', '--mode', 'balanced', '--commit', 'disabled', status=1)
    at.relay(store, None, '--input', store.url('a'), '--output', 'stdio:///o', '--group', 'g', status=1)


def group_shared(at):
    """Two members follow; one leaves, then the other: each message went to one of them, or to the third."""
    store, files = Store(at), [File(at) for _ in range(3)]
    store.put(model(['a'], 300))
    args = [['--input', store.url('a'), '--output', f.url('o'), '--mode', 'balanced', '--group', 'g', '--offset', 'start'] for f in files]
    with at.ours.start('relay', *args[0]) as one, at.ours.start('relay', *args[1]) as two:
        until(lambda: sum(len(f.read()) for f in files) == 300, 'all to be shared')
        store.put(model(['a'], 300, 300))
        one.stop(status=0)
        store.put(model(['a'], 100, 600))
        until(lambda: sum(len(f.read()) for f in files) == 700, 'the other to have the rest')
        two.stop(status=0)
    store.put(model(['a'], 50, 700))
    at.ours.run('relay', *args[2], '--no-follow')
    same(sorted(number(m) for f in files for m in f.read()), list(range(750)), 'numbers')


def group_killed(at):
    """A resumable relay over TCP is killed: the next one has its name at once, and what the first had."""
    store = Store(at)
    store.put(model(['a'], 30))
    args = ['--input', store.url('a'), '--output', 'stdio:///o', '--preserve', '--mode', 'resumable', '--group', 'g', '--offset', 'start']
    for n in range(3):
        with at.ours.start('relay', *args) as process:
            process.has(30 if n == 0 else 1)
            process.stop(signal.SIGKILL)
        store.put(model(['a'], 1, 30 + n))
    with at.ours.start('relay', *args) as process:
        process.has(1)
        refused = at.ours.start('relay', *args)
        refused.ends(1)
        claim('connected already' in refused.complaint(), refused.complaint())
        process.stop(status=0)


def another_stream(at):
    """A cursor's stream is made anew: that is told, not taken for having read it all."""
    s2 = S2(at)
    s2.put(model(['a'], 5))
    args = ['--input', s2.url('a'), '--output', 'stdio:///o', '--offset', 'start', '--no-follow', '--cursor', 'anew']
    at.ours.run('relay', *args)
    s2.ask('DELETE', '/v1/streams/a')
    until(lambda: 'a' not in s2.streams(), 'the stream to be gone')
    s2.put(model(['a'], 2))
    at.ours.run('relay', *args, status=1)
    at.ours.run('relay', '--input', s2.url('other'), '--output', 'stdio:///o', '--no-follow', status=0)  # the basin makes it


def server_killed(at, make):
    """The output's server is killed in the middle and comes back: the relay waits, and everything is there once, in order."""
    source, daemon = File(at), at.a_daemon('k%d' % at.next())
    try:
        target = make(at, daemon)
        source.put(model(['a'], 10))
        with at.ours.start('relay', '--input', source.url('a'), '--output', target.url('o'), '--offset', 'start') as process:
            for n in range(4):
                until(lambda: len(target.read('o')) >= 10 + 20 * n, 'messages to come')
                daemon.kill()
                source.put(model(['a'], 20, 10 + 20 * n))
                daemon.start()
            until(lambda: len(target.read('o')) >= 90 or process.process.poll() is not None, 'the last ones (%s)' % process.complaint())
            process.stop(status=0)
        same([number(m) for m in target.read('o')], list(range(90)), 'numbers')
    finally:
        daemon.kill()


class StoreAt(Store):
    def __init__(self, at, daemon):
        self.at, self.daemon = at, daemon


class S2At(S2):
    def __init__(self, at, daemon):
        self.at, self.port, self.basin = at, daemon.port, BASIN
        self.ask('POST', '/v1/basins', {'basin': BASIN, 'config': {'create_stream_on_append': True}}, basin=False)


def same_place(at):
    """A relay into its own input is refused, also by another of its names."""
    redis = Redis(at)
    redis.put(model(['a'], 3))
    path = redis.url('a')
    for other in path, path.replace('127.0.0.1', 'localhost'), path.replace('127.0.0.1', 'LOCALHOST'):
        at.ours.run('relay', '--input', path, '--output', other, '--offset', 'start', '--limit', '9', status=1)
    at.ours.run('relay', '--input', path, '--output', path[:-1] + 'b', '--offset', 'start', '--no-follow')
    same(len(redis.read('b')), 3, 'messages beside it')


BESIDE = [('a pipe is handed over', handed_over), ('a group by parts', group_by_parts), ('a group shared', group_shared), ('a member killed', group_killed),
          ('another stream of the name', another_stream), ('into itself', same_place),
          ('a store killed in the middle', lambda at: server_killed(at, StoreAt)),
          ('an S2 endpoint killed in the middle', lambda at: server_killed(at, S2At))]

WAYS = [everything, payloads, cursor, shares, live]


def main():
    parser = rig.options(__doc__)
    parser.add_argument('--lite', default='', help='the s2 program of the peer')
    args = parser.parse_args()
    report = Report('seastreamer matrix')
    with rig.Folder() as folder:
        at = Place(args, folder)
        try:
            pairs = [(s, t) for s in ENDS for t in ENDS] + [(Lite, File), (File, Lite), (Store, Lite), (Lite, Store)]
            for make_source, make_target in pairs:
                for way in WAYS:
                    name = '%s to %s: %s' % (make_source.name, make_target.name, way.__name__)
                    if args.k in name:
                        report.case(name, lambda: way(at, make_source(at), make_target(at)))
            for name, case in BESIDE:
                if args.k in name:
                    report.case(name, lambda: case(at))
        finally:
            at.close()
    sys.exit(1 if report.failed else 0)


if __name__ == '__main__':
    main()
