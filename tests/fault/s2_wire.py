"""A small client of the S2 wire, as the fault suites need it: HTTP/2 frames, S2S frames, the protobuf messages.

HTTP/2 with prior knowledge over a Unix socket, one stream at a time in mind. Header tables are switched off, so that of an answer's head
no more than the status need be read. Python 3.11, standard library only.
"""

import gzip
import json
import select
import struct
import time

import rig
from rig import claim

LIMIT = 15.0  # seconds anything may take

# --- protobuf ------------------------------------------------------------------------------------------------


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def decode(message):
    """{field: [values]}; nested messages as bytes."""
    out, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(message):
        key = number()
        value = number()
        if key & 7 == 2:
            value, at = message[at:at + value], at + value
        out.setdefault(key >> 3, []).append(value)
    return out


def record(body=b'', headers=(), timestamp=None):
    out = b'' if timestamp is None else field(1, timestamp)
    for name, value in headers:
        out += field(2, field(1, name) + field(2, value))
    return out + (field(3, body) if body else b'')


def batch(records, match=None, token=None):
    """An AppendInput."""
    out = b''.join(field(1, r) for r in records)
    if match is not None:
        out += field(2, match)
    return out + (field(3, token) if token is not None else b'')


def fence(token):
    return record(token, [(b'', b'fence')])


def trim(seq):
    return record(struct.pack('>Q', seq), [(b'', b'trim')])


def position(message):
    found = decode(message)
    return found.get(1, [0])[0], found.get(2, [0])[0]


class Ack:
    def __init__(self, message):
        found = decode(message)
        self.start, self.end, self.tail = (position(found[n][0]) for n in (1, 2, 3))


# --- S2S frames ----------------------------------------------------------------------------------------------


def frame(message, flags=0):
    return (len(message) + 1).to_bytes(3, 'big') + bytes([flags]) + message


def packed(message):
    return frame(gzip.compress(message, 1), 0x40)


class Terminal(Exception):
    """The session's last frame."""

    def __init__(self, payload):
        self.status = int.from_bytes(payload[:2], 'big')
        self.json = json.loads(payload[2:])
        super().__init__('terminal %d %r' % (self.status, self.json))


# --- HTTP/2 --------------------------------------------------------------------------------------------------

DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
DIGITS = {format(i, '05b'): str(i) for i in range(3)} | {format(0b11001 + i - 3, '06b'): str(i) for i in range(3, 10)}


def status_of(block):
    """The status, which is a head's first field."""
    at = 0
    while block[at] & 0xe0 == 0x20:  # a table's size
        at += 1
    first = block[at]
    if first & 0x80:
        return STATUSES[first & 0x7f]
    length = block[at + 1]
    text = block[at + 2:at + 2 + (length & 0x7f)]
    if not length & 0x80:
        return int(text)
    bits, out = ''.join(format(b, '08b') for b in text), ''
    while len(out) < 3:
        size = 5 if bits[:5] in DIGITS else 6
        out += DIGITS[bits[:size]]
        bits = bits[size:]
    return int(out)


def literal(name, value):
    out = b'\0'
    for text in (name.encode(), value.encode()):
        claim(len(text) < 127, 'a header field too long for this client')
        out += bytes([len(text)]) + text
    return out


class Stream:
    def __init__(self, window):
        self.status = None
        self.data = bytearray()
        self.ended = self.reset = False
        self.window = window


class Http2:
    """One connection. What comes is read while something is waited for, or while a window is full."""

    def __init__(self, path, reads=True):
        """reads: False leaves the server no room to answer in but the first 64 KiB."""
        self.reads = reads
        self.sock = rig.dial(path, LIMIT)
        self.rest = bytearray()
        self.streams = {}
        self.next = 1
        self.window, self.first_window = 65535, 65535
        self.going = False  # GOAWAY came
        settings = struct.pack('>HIHI', 1, 0, 4, 2 ** 31 - 1 if reads else 65535)
        room = self._frame(WINDOW, 0, 0, struct.pack('>I', 2 ** 30)) if reads else b''
        self.sock.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + self._frame(SETTINGS, 0, 0, settings) + room)

    @staticmethod
    def _frame(kind, flags, stream, payload=b''):
        return len(payload).to_bytes(3, 'big') + bytes([kind, flags]) + stream.to_bytes(4, 'big') + payload

    def open(self, method, path, headers=None, end=False):
        number, self.next = self.next, self.next + 2
        self.streams[number] = Stream(self.first_window)
        fields = {':method': method, ':scheme': 'http', ':path': path, ':authority': 'localhost', **(headers or {})}
        block = b''.join(literal(name, value) for name, value in fields.items())
        self.sock.sendall(self._frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), number, block))
        return number

    def send(self, number, data, end=False):
        """Sends it all, as far as the windows let it; reads meanwhile. False: the stream is over before."""
        stream, at = self.streams[number], 0
        while True:
            if stream.ended or stream.reset:
                return False
            size = min(len(data) - at, self.window, stream.window, 16384)
            if size == 0 and at < len(data):
                self.take(lambda: stream.window > 0 and self.window > 0 or stream.ended or stream.reset)
                continue
            last = at + size == len(data)
            self.sock.sendall(self._frame(DATA, END_STREAM if end and last else 0, number, data[at:at + size]))
            at, self.window, stream.window = at + size, self.window - size, stream.window - size
            self.poll()
            if last:
                return True

    def reset(self, number):
        self.sock.sendall(self._frame(RST, 0, number, struct.pack('>I', 8)))

    def poll(self):
        """Takes what is there, without waiting."""
        while select.select([self.sock], [], [], 0)[0]:
            if not self._receive():
                return

    def take(self, until):
        deadline = time.monotonic() + LIMIT
        while not until():
            claim(time.monotonic() < deadline, 'nothing came for %g s', LIMIT)
            if select.select([self.sock], [], [], 0.5)[0] and not self._receive():
                raise ConnectionError('the connection ended')

    def _receive(self):
        data = self.sock.recv(262144)
        self.rest += data
        while len(self.rest) >= 9:
            length = int.from_bytes(self.rest[:3], 'big')
            if len(self.rest) < 9 + length:
                break
            kind, flags = self.rest[3], self.rest[4]
            number = int.from_bytes(self.rest[5:9], 'big') & 0x7fffffff
            payload = bytes(self.rest[9:9 + length])
            del self.rest[:9 + length]
            self._on(kind, flags, number, payload)
        return len(data) > 0

    def _on(self, kind, flags, number, payload):
        stream = self.streams.get(number)
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack('>HI', payload[at:at + 6])
                if name == 4:
                    for one in self.streams.values():
                        one.window += value - self.first_window
                    self.first_window = value
            self.sock.sendall(self._frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.sock.sendall(self._frame(PING, ACK, 0, payload))
        elif kind == WINDOW and number == 0:
            self.window += int.from_bytes(payload, 'big')
        elif kind == WINDOW and stream:
            stream.window += int.from_bytes(payload, 'big')
        elif kind == GOAWAY:
            self.going = True
        elif kind == RST and stream:
            stream.reset = stream.ended = True
        elif kind == HEADERS and stream and stream.status is None:
            stream.status = status_of(payload)
        elif kind == DATA and stream:
            stream.data += payload
            if payload and self.reads:
                self.sock.sendall(self._frame(WINDOW, 0, 0, struct.pack('>I', len(payload))))
        if stream and kind in (HEADERS, DATA) and flags & END_STREAM:
            stream.ended = True

    def close(self):
        self.sock.close()


def path_of(stream):
    return '/v1/streams/%s/records' % rig.quote(stream, safe='')


class Session:
    """An append session."""

    def __init__(self, path, stream, headers=None, conn=None):
        self.conn = conn or Http2(path)
        self.number = self.conn.open('POST', path_of(stream), {'content-type': 's2s/proto', **(headers or {})})
        self.stream = self.conn.streams[self.number]
        self.conn.take(lambda: self.stream.status is not None)
        self.advised = False  # to reconnect
        self.acks = 0

    def error(self):
        """The JSON of a session that did not begin."""
        self.conn.take(lambda: self.stream.ended)
        return json.loads(bytes(self.stream.data))

    def send(self, data, end=False):
        return self.conn.send(self.number, data, end)

    def end(self):
        return self.send(b'', True)

    def ack(self):
        """The next ack, None at a clean end; Terminal is raised."""
        data = self.stream.data
        self.conn.take(lambda: len(data) >= 4 and len(data) >= 3 + int.from_bytes(data[:3], 'big') or self.stream.ended)
        if not data:
            claim(not self.stream.reset, 'the session was reset')
            return None
        length = int.from_bytes(data[:3], 'big')
        flags, payload = data[3], bytes(data[4:3 + length])
        del data[:3 + length]
        self.advised = self.advised or bool(flags & 0x10)
        if flags & 0x80:
            raise Terminal(payload)
        self.acks += 1
        return Ack(payload)

    def ready(self):
        """Acks that are here now."""
        self.conn.poll()
        out, data = [], self.stream.data
        while len(data) >= 4 and len(data) >= 3 + int.from_bytes(data[:3], 'big'):
            out.append(self.ack())
        return out

    def close(self):
        self.conn.close()


def bodies(client, stream, first=0):
    """(seq, headers, body) of all records from `first` on, read in pages by protobuf."""
    out = []
    while True:
        answer = client.request('GET', path_of(stream) + '?seq_num=%d' % first, headers={'accept': 'application/protobuf'})
        if answer.status == 416:
            return out
        claim(answer.status == 200, 'a read answered %d %r', answer.status, answer.body[:200])
        page = [decode(r) for r in decode(answer.body).get(1, [])]
        claim(page, 'an empty page')
        for r in page:
            headers = [(h.get(1, [b''])[0], h.get(2, [b''])[0]) for h in map(decode, r.get(3, []))]
            out.append((r.get(1, [0])[0], headers, r.get(4, [b''])[0]))
        first = out[-1][0] + 1


def make_stream(client, name, config=None):
    answer = client.request('POST', '/v1/streams', json.dumps({'stream': name, 'config': config or {}}),
                            {'content-type': 'application/json'})
    claim(answer.status == 201, 'making a stream answered %d %r', answer.status, answer.body[:200])
