#!/usr/bin/env python3
"""The peer's own client (cross-stream 0.13, program `xs`) against a real daemon of ours.

    peer_client.py [--weird PROGRAM] [--xs PROGRAM]

xs is taken from --xs, $XS, the PATH, or where scripts/dev/peers installs it; where there is none, one skip
says so. A program named xs that is our own `weir` does not count. Each claim is made over the Unix socket
and over TCP, but `xs cas` over TCP alone: on a Unix address it reads the peer's own files.

Of the peer's own faults two matter here: its `cat` cannot write into a regular file, so all output goes
through pipes; and append, cas-post and import now and then print nothing although they worked, so a
command that writes is read back by `last`.
"""

import argparse
import base64
import hashlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DEADLINE = 10.0
counts = {'ok': 0, 'not ok': 0}


def find_peer(given):
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    places = [given, os.environ.get('XS'), shutil.which('xs'),
              os.path.join(cache, 'weir-peers', 'cross-stream-0.13.4', 'bin', 'xs')]
    for place in places:
        if not place or not os.access(place, os.X_OK):
            continue
        answer = subprocess.run([place, '--version'], stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE)
        if answer.stdout.startswith(b'cross-stream '):
            return place
    return None


class Daemon:
    """weird on a store of its own, on its socket and on a TCP port that the system chose."""

    def __init__(self, program, folder):
        self.store = os.path.join(folder, 's')
        self.log = open(os.path.join(folder, 'log'), 'wb+')
        self.process = subprocess.Popen([program, self.store, '--expose', '127.0.0.1:0'], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        self.port = self._port()

    def _port(self):
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end and self.process.poll() is None:
            with open(self.log.name, encoding='utf-8', errors='replace') as log:
                for line in log:
                    if 'listening=127.0.0.1:' in line and line.endswith('\n'):
                        return int(line.rsplit(':', 1)[1])
            time.sleep(0.02)
        raise SystemExit('not ok daemon did not start: ' + open(self.log.name, encoding='utf-8').read()[-500:])

    def stop(self):
        self.process.terminate()
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Peer:
    """The peer's client on one address."""

    def __init__(self, program, addr, home):
        self.program = program
        self.addr = addr
        self.env = {'PATH': os.environ['PATH'], 'HOME': home}

    def run(self, verb, *args, stdin=b'', status=0):
        done = subprocess.run([self.program, verb, self.addr, *args], input=stdin, capture_output=True, env=self.env,
                              timeout=DEADLINE)
        if done.returncode != status:
            raise AssertionError('xs %s %s: status %d, not %d: %s' % (verb, ' '.join(args), done.returncode, status,
                                                                     done.stderr.decode(errors='replace')[:300]))
        return done.stdout

    def frames(self, verb, *args):
        return [json.loads(line) for line in self.run(verb, *args).splitlines() if line]

    def append(self, topic, *args, content=b''):
        """The frame as printed, else, where nothing was printed, as read back."""
        said = self.run('append', topic, *args, stdin=content)
        return json.loads(said or self.run('last', topic))


class Follower:
    """A command that stays: its frames, as they come, and None at its end."""

    def __init__(self, peer, verb, *args):
        self.process = subprocess.Popen([peer.program, verb, peer.addr, *args], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=peer.env)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def next(self):
        return self.lines.get(timeout=DEADLINE)

    def until(self, topic):
        while True:
            frame = self.next()
            if frame is None or frame['topic'] == topic:
                return frame

    def end(self):
        self.process.kill()
        self.process.wait()


def same(got, want, what):
    if got != want:
        raise AssertionError('%s: %r, not %r' % (what, got, want))


def sri(content):
    return 'sha256-' + base64.b64encode(hashlib.sha256(content).digest()).decode()


def topics(frames):
    return [f['topic'] for f in frames]


# --- the claims: each gets the client, a topic prefix of its own, and the address of TCP ---------------


def version(peer, _t, _tcp):
    claim = json.loads(peer.run('version'))
    same(sorted(claim), ['version'], 'keys')


def append_content(peer, t, tcp):
    content = bytes(range(256)) * 300
    frame = peer.append(t, content=content)
    same(frame['hash'], sri(content), 'hash')
    same(list(frame), ['topic', 'id', 'hash', 'meta', 'ttl'], 'keys')
    same(frame['ttl'], 'forever', 'ttl')
    same(tcp.run('cas', frame['hash']), content, 'content')
    same(peer.append(t)['hash'], None, 'hash without content')


def append_meta(peer, t, _tcp):
    meta = {'z': 1, 'a': {'y': [1, 2.5, None, True]}, 'name': 'Información'}
    frame = peer.append(t, '--meta', json.dumps(meta, ensure_ascii=False))
    same(json.dumps(frame['meta']), json.dumps(meta), 'meta with its order')
    peer.run('append', t, '--meta', 'not json', status=1)
    same(len(peer.frames('cat', '-T', t)), 1, 'frames after a refusal')


def append_ttl(peer, t, _tcp):
    for ttl in ('forever', 'ephemeral', 'time:3600000', 'last:2'):
        said = peer.run('append', t, '--ttl', ttl)
        if said:
            same(json.loads(said)['ttl'], ttl, 'ttl')
    for n in '1234':
        peer.append(t + '.kept', '--ttl', 'last:2', '--meta', n)
    same([f['meta'] for f in peer.frames('cat', '-T', t + '.kept')], [3, 4], 'kept of last:2')
    peer.run('append', t, '--ttl', 'last:0', status=1)


def append_refused(peer, t, _tcp):
    for topic in (t + '..b', '9' + t, t + '.', 'a' * 256):
        done = subprocess.run([peer.program, 'append', peer.addr, topic], stdin=subprocess.DEVNULL,
                              capture_output=True, env=peer.env, timeout=DEADLINE)
        if done.returncode == 0:
            raise AssertionError('topic %r was taken' % topic)


def append_large(peer, t, tcp):
    content = os.urandom(1 << 20) * 5
    frame = peer.append(t, content=content)
    same(frame['hash'], sri(content), 'hash')
    same(tcp.run('cas', frame['hash']) == content, True, 'content equal')


def get_and_timestamp(peer, t, _tcp):
    frame = peer.append(t, '--with-timestamp')
    stamped = json.loads(peer.run('get', frame['id'], '--with-timestamp'))
    same(list(stamped)[-1], 'timestamp', 'last key')
    plain = json.loads(peer.run('get', frame['id'].upper()))
    same({**plain, 'timestamp': stamped['timestamp']}, stamped, 'frame')
    same(peer.frames('cat', '-T', t, '--with-timestamp'), [stamped], 'cat')
    same(json.loads(peer.run('last', t, '--with-timestamp')), stamped, 'last')
    peer.run('get', '03d4q1qhbiv09ovtuhokw5yxv', status=1)
    peer.run('get', 'not-an-id', status=1)


def cat_ranges(peer, t, _tcp):
    ids = [peer.append(t, '--meta', str(n))['id'] for n in range(5)]
    cases = [(['--limit', '2'], ids[:2]), (['--after', ids[2]], ids[3:]), (['--from', ids[3]], ids[3:]),
             (['--last', '2'], ids[3:]), (['--after', ids[0], '--limit', '2'], ids[1:3]), (['--after', ids[4]], []),
             (['--from', ids[1], '--after', ids[3]], ids[1:])]
    for flags, want in cases:
        same([f['id'] for f in peer.frames('cat', '-T', t, *flags)], want, ' '.join(flags))
    peer.run('cat', '--after', '123', status=1)


def cat_topics(peer, t, _tcp):
    names = [t, t + '.a', t + '.b.c', t + 'x']
    for name in names:
        peer.append(name)
    same(topics(peer.frames('cat', '-T', t + '.*')), names[1:3], 'prefix')
    same(topics(peer.frames('cat', '-T', t)), names[:1], 'exact')
    same(topics(peer.frames('cat', '-T', '%sx, %s.b.*' % (t, t))), names[2:], 'list')
    same(topics(peer.frames('cat', '-T', '*'))[-4:], names, 'all')


def cat_sse(peer, t, _tcp):
    frame = peer.append(t)
    text = peer.run('cat', '-T', t, '--sse').decode()
    head, data = text.rstrip('\n').split('\n')
    same(head, 'id: ' + frame['id'], 'id line')
    same(json.loads(data.removeprefix('data: ')), frame, 'data line')
    same(text.endswith('\n\n'), True, 'ends in an empty line')


def follow(peer, t, _tcp):
    first = peer.append(t)
    reader = Follower(peer, 'cat', '-f', '-T', t)
    try:
        same(reader.next(), first, 'history')
        same(reader.next()['topic'], 'xs.threshold', 'boundary')
        live = [peer.append(t, '--meta', str(n)) for n in range(20)]
        same([reader.next() for _ in live], live, 'live')
    finally:
        reader.end()


def follow_ends(peer, t, _tcp):
    peer.append(t)
    reader = Follower(peer, 'cat', '-f', '-T', t, '--limit', '2')
    try:
        reader.until('xs.threshold')
        second = peer.append(t)
        peer.append(t)
        same(reader.next(), second, 'live')
        same(reader.next(), None, 'end at the limit')
        same(reader.process.wait(DEADLINE), 0, 'status')
    finally:
        reader.end()


def follow_new_and_pulse(peer, t, _tcp):
    peer.append(t)
    reader = Follower(peer, 'cat', '-n', '-p', '20', '-T', t)
    try:
        pulse = reader.next()
        same((pulse['topic'], pulse['ttl']), ('xs.pulse', 'ephemeral'), 'first frame')
        passing = peer.run('append', t, '--ttl', 'ephemeral', '--meta', '"passing"')
        frame = reader.until(t)
        same((frame['meta'], frame['ttl']), ('passing', 'ephemeral'), 'live frame')
        if passing:
            same(frame, json.loads(passing), 'what append printed')
        peer.run('get', frame['id'], status=1)
    finally:
        reader.end()


def last(peer, t, _tcp):
    frames = [peer.append(t, '--meta', str(n)) for n in range(3)]
    same(json.loads(peer.run('last', t)), frames[2], 'one')
    same(peer.frames('last', t, '2'), frames[1:], 'topic, count')
    same(peer.frames('last', '2', t), frames[1:], 'count, topic')
    same(json.loads(peer.run('last')), frames[2], 'of all')
    same(peer.frames('last', t, '9'), frames, 'more than there are')
    peer.run('last', t + '.none', status=1)


def last_follow(peer, t, _tcp):
    frame = peer.append(t)
    reader = Follower(peer, 'last', t, '-f')
    try:
        same(reader.next(), frame, 'newest')
        same(reader.next()['topic'], 'xs.threshold', 'boundary')
        more = peer.append(t)
        same(reader.next(), more, 'live')
    finally:
        reader.end()


def remove(peer, t, _tcp):
    frame = peer.append(t)
    for _ in range(2):
        same(peer.run('remove', frame['id']), b'', 'output')
    peer.run('get', frame['id'], status=1)
    peer.run('last', t, status=1)
    same(peer.frames('cat', '-T', t), [], 'cat')
    peer.run('remove', 'not-an-id', status=1)


def cas_post(peer, t, tcp):
    content = b'posted \0 ' + t.encode()
    said = peer.run('cas-post', stdin=content)
    if said:
        same(said.decode().strip(), sri(content), 'hash')
    same(tcp.run('cas', sri(content)), content, 'content')
    peer.run('cas-post', status=1)
    tcp.run('cas', sri(b'nowhere'), status=1)


def import_frame(peer, t, _tcp):
    base = '03bcpn2dnq529qrqkbqcz4j' + format(len(t) % 10) + t[0]
    frame = {'topic': t, 'id': base, 'hash': None, 'meta': {'old': True}, 'ttl': None}
    for _ in range(2):
        peer.run('import', stdin=json.dumps(frame).encode())
    same(json.loads(peer.run('get', base)), frame, 'frame')
    same([f['id'] for f in peer.frames('cat', '--limit', '1', '-T', t)], [base], 'order')
    for bad in (b'{}', b'[]', b'{"topic":"t","id":"x"}'):
        peer.run('import', stdin=bad, status=1)


CLAIMS = [version, append_content, append_meta, append_ttl, append_refused, append_large, get_and_timestamp,
          cat_ranges, cat_topics, cat_sse, follow, follow_ends, follow_new_and_pulse, last, last_follow, remove, cas_post,
          import_frame]


def check(name, call):
    try:
        call()
    except (AssertionError, subprocess.TimeoutExpired, queue.Empty, ValueError, KeyError, TypeError) as fault:
        counts['not ok'] += 1
        print('not ok peer %s: %s' % (name, str(fault).replace('\n', ' ') or type(fault).__name__))
        return
    counts['ok'] += 1
    print('ok peer %s' % name)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('--weird', default=os.path.join(HERE, '..', '..', 'build', 'release', 'weird'))
    options.add_argument('--xs')
    given = options.parse_args()
    program = find_peer(given.xs)
    if not program:
        print('skip peer client: no xs of cross-stream here; scripts/dev/peers installs it')
        return 0
    folder = tempfile.mkdtemp(prefix='weir-peer.')
    try:
        daemon = Daemon(given.weird, folder)
        tcp = Peer(program, '127.0.0.1:%d' % daemon.port, folder)
        ways = {'u': Peer(program, daemon.store, folder), 't': tcp}
        for letter, peer in ways.items():
            way = 'unix' if letter == 'u' else 'tcp'
            for claim in CLAIMS:
                check('%s %s' % (way, claim.__name__), lambda: claim(peer, letter + '.' + claim.__name__, tcp))
        check('daemon ends in order', lambda: same(daemon.stop(), 0, 'status'))
    finally:
        daemon.stop()
        shutil.rmtree(folder)
    return 1 if counts['not ok'] else 0


if __name__ == '__main__':
    sys.exit(main())
