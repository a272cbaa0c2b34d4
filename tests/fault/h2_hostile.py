#!/usr/bin/env python3
"""Hostile clients of HTTP/2: floods, half frames, random frames, windows that stay shut. Others are served, memory stays flat.

    h2_hostile.py [--seed N] [--connections 150] [--weird PROGRAM]
"""

import os
import random
import socket
import struct
import sys
import time

import rig
from rig import Daemon, claim

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PROTOCOL, INTERNAL, CALM = 1, 2, 11
MIB = 1024 * 1024


def frame(kind, flags=0, stream=0, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes((kind, flags)) + struct.pack('>I', stream) + payload


def literal(name, value):
    """A header field that is not indexed, without Huffman coding."""
    def text(s):
        n = len(s)
        if n < 127:
            return bytes((n,)) + s
        out, n = b'\x7f', n - 127
        while n >= 128:
            out, n = out + bytes((n % 128 + 128,)), n // 128
        return out + bytes((n,)) + s
    return b'\x00' + text(name) + text(value)


def head(method=b'GET', path=b'/version', *fields):
    pairs = [(b':method', method), (b':scheme', b'http'), (b':authority', b'localhost'), (b':path', path), *fields]
    return b''.join(literal(name, value) for name, value in pairs)


class Connection:
    """A socket that has shaken hands; what comes in is thrown away unless asked for."""

    def __init__(self, daemon, settings=b''):
        self.sock = rig.dial(daemon.sock, 10.0)
        self.sock.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
        self.rest = b''

    def send(self, *frames):
        """False when the daemon has ended the connection."""
        try:
            self.sock.sendall(b''.join(frames))
            return True
        except OSError:
            return False

    def frames(self):
        """Frames as they come, to the end of the connection."""
        while True:
            while len(self.rest) < 9 or len(self.rest) < 9 + int.from_bytes(self.rest[:3], 'big'):
                try:
                    more = self.sock.recv(65536)
                except TimeoutError:
                    raise rig.Fault('the connection neither ends nor goes on') from None
                except OSError:
                    more = b''
                if not more:
                    return
                self.rest += more
            length = int.from_bytes(self.rest[:3], 'big')
            kind, flags, stream = self.rest[3], self.rest[4], int.from_bytes(self.rest[5:9], 'big')
            payload, self.rest = self.rest[9:9 + length], self.rest[9 + length:]
            yield kind, flags, stream, payload

    def until(self, kind):
        """The payload of the next frame of that kind; None at the connection's end."""
        for got, _, _, payload in self.frames():
            if got == kind:
                return payload
        return None

    def ends(self):
        """The last error code the daemon told, None without; the connection must end."""
        code = None
        for kind, _, _, payload in self.frames():
            if kind == GOAWAY:
                code = struct.unpack('>I', payload[4:8])[0]
        return code

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def serves(daemon, limit=2.0):
    """Somebody else's request is answered."""
    begun = time.monotonic()
    claim(daemon.alive(), 'the daemon died: %s', daemon.last_words())
    answer = daemon.client(10.0).request('GET', '/version')
    claim(answer.status == 200, 'GET /version answered %d', answer.status)
    took = time.monotonic() - begun
    claim(took < limit, 'others waited %.2f s', took)
    return took


def flood(daemon, make, most, codes):
    """Sends what `make` gives, and reads nothing meanwhile: the daemon ends the connection with one of these codes, or without a word."""
    before = daemon.memory()
    with Connection(daemon) as c:
        c.sock.settimeout(3.0)
        rounds = 0
        while rounds < most and c.send(make(rounds)):
            rounds += 1
        serves(daemon)
        grown = daemon.memory() - before
        claim(grown < 16 * MIB, 'the flood took %d MiB', grown // MIB)
        code = c.ends()
        claim(code in codes or (code is None and rounds < most), 'after %d rounds it ends with code %s', rounds, code)
    return 'after %d rounds, code %s, %d KiB' % (rounds, code, grown // 1024)


def pings(daemon):
    return flood(daemon, lambda _: frame(PING, 0, 0, b'12345678') * 1000, 2000, ())


def settings(daemon):
    return flood(daemon, lambda _: frame(SETTINGS, 0, 0, b'\x00\x04\x00\x00\xff\xff') * 1000, 2000, ())


def resets(daemon):
    def make(round_):
        first = 1 + round_ * 200
        return b''.join(frame(HEADERS, END_STREAM | END_HEADERS, n, head(b'GET', b'/?follow')) + frame(RST, 0, n, b'\0\0\0\x08')
                        for n in range(first, first + 200, 2))
    return flood(daemon, make, 200, (CALM,))


def continuations(daemon):
    def make(round_):
        if round_ == 0:
            return frame(HEADERS, END_STREAM, 1, head())
        return frame(CONTINUATION, 0, 1, literal(b'x', b'y' * 1000) * 10)
    return flood(daemon, make, 5000, (CALM, INTERNAL, PROTOCOL))


def empty_data(daemon):
    """Frames of nothing cost time, not memory, and nobody else's service."""
    before = daemon.memory()
    with Connection(daemon) as c:
        c.send(frame(HEADERS, END_HEADERS, 1, head(b'POST', b'/append/x')))
        for _ in range(200):
            if not c.send(frame(DATA, 0, 1) * 1000):
                break
            serves(daemon)
        claim(daemon.memory() - before < 16 * MIB, 'it took %d MiB', (daemon.memory() - before) // MIB)
    return ''


def shut_windows(daemon, large):
    """Every stream of a few connections asks for much and takes nothing."""
    before = daemon.memory()
    connections = []
    for _ in range(4):
        c = Connection(daemon, b'\x00\x04\x00\x00\x00\x00')
        connections.append(c)
        c.send(*(frame(HEADERS, END_STREAM | END_HEADERS, n, head(b'GET', large)) for n in range(1, 401, 2)))
        c.send(frame(PING, 0, 0, b'are you?'))
        claim(c.until(PING) is not None, 'no answer to PING')
    grown = daemon.memory() - before
    took = serves(daemon)
    claim(grown < 128 * MIB, '800 shut streams take %d MiB', grown // MIB)
    for c in connections:
        c.close()
    return '%d MiB for 800 streams, others served in %.3f s' % (grown // MIB, took)


def deaf(daemon, large):
    """Wide windows, and nothing is read: what is made waits in bounds."""
    before = daemon.memory()
    connections = []
    for _ in range(8):
        c = Connection(daemon, b'\x00\x04\x7f\xff\xff\xff')
        connections.append(c)
        c.send(frame(WINDOW, 0, 0, b'\x7f\x00\x00\x00'))
        c.send(*(frame(HEADERS, END_STREAM | END_HEADERS, n, head(b'GET', large)) for n in range(1, 41, 2)))
    for _ in range(20):
        serves(daemon)
    grown = daemon.memory() - before
    claim(grown < 96 * MIB, '160 deaf streams take %d MiB', grown // MIB)
    for c in connections:
        c.close()
    return '%d MiB for 160 streams' % (grown // MIB)


def half_frames(daemon):
    """Connections that stop in the middle of something; the daemon has the others, and no processor goes into it."""
    connections = []
    for text in (b'P', b'PRI * HTTP/2.0\r\n', PREFACE, PREFACE + b'\0\0', PREFACE + frame(SETTINGS)[:-1],
                 PREFACE + frame(SETTINGS) + frame(HEADERS, END_STREAM, 1, head()),
                 PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 1, head(b'POST', b'/append/x')) + frame(DATA, 0, 1, b'x' * 100)[:50]):
        sock = rig.dial(daemon.sock, 10.0)
        sock.sendall(text)
        connections.append(sock)
    serves(daemon)
    share = 1.0
    for _ in range(10):  # what was to be done before may still be under way
        before = daemon.cpu_seconds()
        time.sleep(0.5)  # a span of doing nothing is what is measured
        share = min(share, (daemon.cpu_seconds() - before) * 2)
        if share < 0.05:
            break
    claim(share < 0.05, 'half frames use %.0f %% of a processor', 100 * share)
    for sock in connections:
        sock.close()
    return '%.1f %%' % (100 * share)


def conversation(dice):
    """Frames that make sense one by one."""
    out = [frame(SETTINGS)]
    for n in range(1, 2 * dice.randint(2, 8), 2):
        method, path = dice.choice(((b'GET', b'/version'), (b'GET', b'/?limit=3'), (b'POST', b'/append/r'), (b'GET', b'/?follow'),
                                    (b'HEAD', b'/status'), (b'POST', b'/append')))
        body = method == b'POST'
        out.append(frame(HEADERS, END_HEADERS | (0 if body else END_STREAM), n, head(method, path)))
        if body:
            out += [frame(DATA, 0, n, dice.randbytes(dice.randint(0, 3000))) for _ in range(dice.randint(0, 3))]
            out.append(frame(DATA, END_STREAM, n, b'{"topic":"r"}\n'))
        out.append(dice.choice((frame(PING, 0, 0, b'12345678'), frame(WINDOW, 0, dice.choice((0, n)), b'\0\0\x10\0'),
                                frame(RST, 0, n, b'\0\0\0\x08'), frame(SETTINGS, ACK), frame(PRIORITY, 0, n, b'\0\0\0\0\x10'),
                                frame(dice.randint(0, 255), dice.randint(0, 255), n, dice.randbytes(dice.randint(0, 50))))))
    return out


def garbled(dice):
    out = conversation(dice)
    for _ in range(dice.randint(0, 4)):
        i = dice.randrange(len(out))
        bytes_ = bytearray(out[i])
        what = dice.random()
        if what < 0.5:
            at = dice.randint(0, len(bytes_))
            bytes_[at:at + 1] = dice.randbytes(1)
        elif what < 0.7:
            out.insert(i, out[dice.randrange(len(out))])
        elif what < 0.85:
            del bytes_[dice.randint(0, len(bytes_)):]
        else:
            bytes_ += dice.randbytes(dice.randint(1, 40))
        out[i] = bytes(bytes_)
    return PREFACE + b''.join(out)


def random_frames(daemon, opts):
    dice = random.Random(opts.seed)
    before = 0
    for i in range(opts.connections):
        sock = rig.dial(daemon.sock, 10.0)
        try:
            sock.sendall(garbled(dice))
            if dice.random() < 0.5:
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
        except OSError:
            pass
        sock.close()
        if i == opts.connections // 4:
            before = daemon.memory()
        if i % 50 == 0:
            serves(daemon)
    serves(daemon)
    grown = daemon.memory() - before
    claim(grown < 16 * MIB, 'memory grew by %d MiB', grown // MIB)
    return '%d connections' % opts.connections


def run(opts, report, tmp):
    with Daemon(opts.weird, os.path.join(tmp, 'store')) as daemon:
        daemon.ready()
        content = random.Random(opts.seed).randbytes(4 * MIB)
        answer = daemon.client().append('large', content)
        claim(answer.status == 200, 'the append answered %d', answer.status)
        large = b'/cas/' + rig.quote(rig.sri(content), safe='').encode()
        files = daemon.open_files()
        report.case('pings', pings, daemon)
        report.case('settings', settings, daemon)
        report.case('resets', resets, daemon)
        report.case('continuations', continuations, daemon)
        report.case('empty data', empty_data, daemon)
        report.case('shut windows', shut_windows, daemon, large)
        report.case('deaf', deaf, daemon, large)
        report.case('half frames', half_frames, daemon)
        report.case('random frames', random_frames, daemon, opts)

        def nothing_stays():
            deadline = time.monotonic() + 5.0
            while daemon.open_files() > files + 1 and time.monotonic() < deadline:
                time.sleep(0.05)  # connections end by and by
            claim(daemon.open_files() <= files + 1, '%d files open, %d at first', daemon.open_files(), files)
            rig.verify(daemon.client())
            return '%d MiB resident at the end' % (daemon.memory() // MIB)

        report.case('nothing stays', nothing_stays)
        report.case('a clean stop', lambda: claim(daemon.stop() == 0, 'no clean stop'))


if __name__ == '__main__':
    options = rig.parser(__doc__)
    options.add_argument('--connections', type=int, default=150)
    sys.exit(rig.main(__doc__, run, options))
