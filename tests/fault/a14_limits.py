#!/usr/bin/env python3
"""A14: limits of what a client may send: large heads, many headers, slow senders, half-closed and cut connections.

    a14_limits.py [--weird PROGRAM]
"""

import json
import os
import sys
import time

import rig
from rig import Daemon, claim

IDLE = 2  # seconds, given to the daemon
MARGIN = 8.0  # seconds over it that freeing a connection may take


def status_of(sock, limit=10.0):
    """The status of the answer on a raw connection, or None when it was closed without one."""
    sock.settimeout(limit)
    data = b''
    try:
        while b'\r\n' not in data:
            more = sock.recv(4096)
            if not more:
                break
            data += more
    except ConnectionError:
        pass
    words = data.split(b' ')
    return int(words[1]) if len(words) > 1 and words[0].startswith(b'HTTP/1') else None


def send_all(sock, data):
    """Sends what the other side takes; it may hang up before the end."""
    try:
        sock.sendall(data)
    except ConnectionError:
        pass


class Limits:
    def __init__(self, opts, tmp):
        self.daemon = Daemon(opts.weird, os.path.join(tmp, 'store'), ['--idle-timeout', str(IDLE)])
        self.daemon.ready()
        self.append(b'the first frame')
        self.files = self.daemon.open_files()
        self.memory = self.daemon.memory()

    def append(self, content):
        answer = self.daemon.client().append('limits', content)
        claim(answer.status == 200, 'append answered %d %r', answer.status, answer.body[:200])

    def raw(self):
        return rig.dial(self.daemon.sock, 10.0)

    def expect(self, data, statuses, or_closed=False):
        with self.raw() as sock:
            send_all(sock, data)
            status = status_of(sock)
            claim(status in statuses or (or_closed and status is None), 'answered %s, not %s', status, statuses)
            return 'closed' if status is None else str(status)

    def large_head(self):
        return self.expect(b'GET / HTTP/1.1\r\nHost: x\r\nX-Large: ' + b'x' * 70_000 + b'\r\n\r\n', (431,))

    def many_headers(self):
        lines = b''.join(b'X-%d: y\r\n' % i for i in range(10_000))
        return self.expect(b'GET / HTTP/1.1\r\nHost: x\r\n' + lines + b'\r\n', (431,))

    def long_target(self):
        return self.expect(b'GET /' + b'x' * 100_000 + b' HTTP/1.1\r\nHost: x\r\n\r\n', (414, 431))

    def nonsense(self):
        self.expect(b'\x00\x01\x02\xff nonsense\r\n\r\n', (400, 404, 405, 408, 501), or_closed=True)
        self.expect(b'GET / HTTP/9.9\r\n\r\n', (400, 505), or_closed=True)
        return self.expect(b'POST /append/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\nabc\r\n',
                           (400,), or_closed=True)

    def contradicting_lengths(self):
        head = b'POST /append/smuggled HTTP/1.1\r\nHost: x\r\n'
        self.expect(head + b'Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!', (400,), or_closed=True)
        self.expect(head + b'Content-Length: -1\r\n\r\n', (400, 413), or_closed=True)
        return self.expect(head + b'Content-Length: 99999999999999999999999\r\n\r\n', (400, 413), or_closed=True)

    def refused_upload(self, body):
        """Sends all of it and reads the answer, which may come before the end of the upload."""
        head = b'POST /append HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' % len(body)
        return self.expect(head + body, (413,))

    def long_line(self):
        return self.refused_upload(json.dumps({'topic': 'long', 'content': 'x' * (8 * 1024 * 1024)}).encode() + b'\n')

    def large_batch(self):
        self.refused_upload(b'{"topic":"many","content":"x"}\n' * 10_001)
        answer = self.daemon.client().request('GET', '/?stream=many&count')
        claim(answer.json() == {'count': 0}, 'a refused batch left %s', answer.body)

    def freed(self, first, drip=b''):
        """A connection that got `first` and then a byte of `drip` a second ends in time. Returns how."""
        begun = time.monotonic()
        with self.raw() as sock:
            sock.sendall(first)
            sock.settimeout(1.0)
            data = b''
            while time.monotonic() - begun < IDLE + MARGIN:
                try:
                    if drip:
                        sock.send(drip[:1])
                        drip = drip[1:]
                    more = sock.recv(4096)
                except TimeoutError:
                    continue
                except ConnectionError:
                    more = b''
                if not more:
                    took = time.monotonic() - begun
                    words = data.split(b' ')
                    status = words[1].decode() if len(words) > 1 else 'closed'
                    claim(status in ('408', 'closed'), 'answered %s', status)
                    return '%s after %.1f s' % (status, took)
                data += more
        raise rig.Fault('the connection is held for more than %.0f s' % (IDLE + MARGIN))

    def silent_client(self):
        return self.freed(b'')

    def half_a_head(self):
        return self.freed(b'GET / HTTP/1.1\r\nHost')

    def slow_head(self):
        return self.freed(b'GET / HTTP/1.1\r\n', b'X-Slow: ' + b'y' * 1000)

    def stopped_upload(self):
        note = self.freed(b'POST /append/stopped HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc')
        answer = self.daemon.client().request('GET', '/?stream=stopped&count')
        claim(answer.json() == {'count': 0}, 'a stopped upload became a frame')
        return note

    def follower_stays(self):
        """The limit is for senders: a quiet follower is no idle connection."""
        with self.raw() as sock:
            sock.sendall(b'GET /?follow&new HTTP/1.1\r\nHost: x\r\n\r\n')
            claim(status_of(sock) == 200, 'follow is refused')
            time.sleep(IDLE + 3)  # longer than the limit, and that is the point
            self.append(b'for the patient follower')
            sock.settimeout(5.0)
            data = b''
            while b'"id"' not in data:
                more = sock.recv(4096)
                claim(more, 'a quiet follower was cut')
                data += more

    def answer_after_all(self):
        """A client that sends all before it reads gets the refusal, not a broken pipe."""
        size = (8 << 20) + 1
        heads = (b'Content-Length: %d\r\n\r\n' % size, b'Transfer-Encoding: chunked\r\n\r\n%x\r\n' % size)
        for head in heads:
            with self.raw() as sock:
                sock.sendall(b'POST /append HTTP/1.1\r\nHost: x\r\n' + head + b'x' * size)
                status = status_of(sock)
                claim(status == 413, 'a batch of 8 MiB and a byte is answered with %s', status)

    def half_close(self):
        with self.raw() as sock:
            sock.sendall(b'POST /append/half HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello')
            sock.shutdown(1)
            status = status_of(sock)
            claim(status == 200, 'a half-closed request is answered with %s', status)
        answer = self.daemon.client().request('GET', '/?stream=half&count')
        claim(answer.json() == {'count': 1}, 'the frame of a half-closed request: %s', answer.body)

    def early_close(self):
        for i in range(100):
            with self.raw() as sock:
                sock.sendall(b'POST /append/cut HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n' + b'x' * 10_000 * (i % 3))
        for _ in range(20):
            with self.raw() as sock:
                sock.sendall(b'GET /?follow HTTP/1.1\r\nHost: x\r\n\r\n')
        answer = self.daemon.client().request('GET', '/?stream=cut&count')
        claim(answer.json() == {'count': 0}, 'cut uploads became frames: %s', answer.body)

    def pipelined(self):
        with self.raw() as sock:
            sock.sendall(b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n' * 2 + b'GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
            sock.settimeout(5.0)
            data = b''
            while more := sock.recv(4096):
                data += more
            claim(data.count(b'HTTP/1.1 200') == 3, '%d of 3 pipelined requests answered', data.count(b'HTTP/1.1 200'))

    def everything_freed(self):
        deadline = time.monotonic() + IDLE + MARGIN
        while self.daemon.open_files() > self.files + 3:
            claim(time.monotonic() < deadline, '%d files open, %d before', self.daemon.open_files(), self.files)
            time.sleep(0.05)  # /proc has no event for it
        grown = (self.daemon.memory() - self.memory) / (1 << 20)
        claim(grown < 64, 'memory grew by %.0f MiB', grown)
        self.append(b'the last frame')
        rig.verify(self.daemon.client())
        self.daemon.stop()
        return 'memory %+.0f MiB' % grown


def run(opts, report, tmp):
    limits = Limits(opts, tmp)
    cases = ['large_head', 'many_headers', 'long_target', 'nonsense', 'contradicting_lengths', 'long_line',
             'large_batch', 'answer_after_all', 'silent_client', 'half_a_head', 'slow_head', 'stopped_upload', 'follower_stays',
             'half_close', 'early_close', 'pipelined', 'everything_freed']
    with limits.daemon:
        for name in cases:
            report.case('limits ' + name, getattr(limits, name))


if __name__ == '__main__':
    sys.exit(rig.main(__doc__, run))
