#!/usr/bin/env python3
"""Append sessions of the S2 API: order, poisoning, kills, stops, back-pressure, fencing, malformed frames, encryption.

    s2_append.py [--kills 5] [--seed N] [--weird PROGRAM]

What is acked is there, in order and once, whatever happens to the daemon; what comes behind a refused input is not there.
"""

import base64
import os
import random
import select
import signal
import sys
import time
import zlib

import rig
import s2_wire as wire
from rig import Daemon, claim
from s2_wire import Session, Terminal, batch, bodies, frame, packed, record


def numbered(first, count):
    return batch([record(b'%d' % n) for n in range(first, first + count)])


def terminal_of(session, acks):
    """Reads `acks` acks and then the terminal frame."""
    for n in range(acks):
        claim(session.ack() is not None, 'the session ended after %d acks, not %d', n, acks)
    try:
        got = session.ack()
    except Terminal as end:
        return end
    raise rig.Fault('%s came where the terminal frame was due' % ('an end' if got is None else 'an ack'))


def refused(session, acks, status, code):
    end = terminal_of(session, acks)
    claim((end.status, end.json.get('code')) == (status, code), 'the terminal frame was %d %r', end.status, end.json)
    session.conn.take(lambda: session.stream.ended)
    session.close()


class Place:
    """A daemon over a store of its own."""

    def __init__(self, opts, tmp, name, *args):
        self.opts, self.store, self.args = opts, os.path.join(tmp, name), args
        self.start()

    def start(self):
        self.daemon = Daemon(self.opts.weird, self.store, self.args)
        self.daemon.ready()
        self.sock, self.client = self.daemon.sock, self.daemon.client()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.daemon.__exit__()


# --- order ----------------------------------------------------------------------------------------------------


def pipelined(place):
    """1000 inputs sent before any ack is read."""
    wire.make_stream(place.client, 'pipelined')
    session = Session(place.sock, 'pipelined')
    claim(session.stream.status == 200, 'the session answered %d', session.stream.status)
    session.send(b''.join(frame(numbered(3 * n, 3)) for n in range(1000)), end=True)
    for n in range(1000):
        ack = session.ack()
        claim(ack is not None, 'the session ended after %d acks', n)
        claim((ack.start[0], ack.end[0]) == (3 * n, 3 * n + 3), 'ack %d is %r to %r', n, ack.start, ack.end)
        claim(ack.tail[0] >= ack.end[0], 'ack %d has its tail before its end', n)
    claim(session.ack() is None, 'more acks than inputs')
    session.close()
    got = bodies(place.client, 'pipelined')
    claim([(s, b) for s, _, b in got] == [(n, b'%d' % n) for n in range(3000)], 'the records are others')


def both_codings(place):
    wire.make_stream(place.client, 'packed')
    session = Session(place.sock, 'packed', {'accept-encoding': 'zstd, gzip'})
    big = b'z' * 200000
    session.send(packed(batch([record(big)])) + frame(batch([record(b'plain')])), end=True)
    claim([session.ack().start[0], session.ack().start[0], session.ack()] == [0, 1, None], 'other acks')
    claim([b for _, _, b in bodies(place.client, 'packed')] == [big, b'plain'], 'other records')


def split_anyhow(place, seed):
    """Frames cut at any byte."""
    wire.make_stream(place.client, 'split')
    rand, session = random.Random(seed), Session(place.sock, 'split')
    data = b''.join(frame(numbered(n, 1)) for n in range(60))
    while data:
        size = rand.randrange(1, 12)
        session.send(data[:size])
        data = data[size:]
    session.end()
    claim([session.ack().start[0] for _ in range(60)] == list(range(60)) and session.ack() is None, 'other acks')


def empty_session(place):
    wire.make_stream(place.client, 'empty')
    session = Session(place.sock, 'empty')
    session.end()
    claim(session.ack() is None, 'an empty session ends with no frame')


def several_sessions(place):
    """Sessions of one stream on one connection: each has its own order, all share the stream's."""
    wire.make_stream(place.client, 'shared')
    first = Session(place.sock, 'shared')
    others = [Session(None, 'shared', conn=first.conn) for _ in range(7)]
    for n in range(40):
        for session in [first, *others]:
            session.send(frame(batch([record(b'x')])))
    seen = []
    for session in [first, *others]:
        session.end()
        starts = [session.ack().start[0] for _ in range(40)]
        claim(session.ack() is None and starts == sorted(starts), 'acks out of order')
        seen += starts
    claim(sorted(seen) == list(range(320)), 'a seq twice, or none')


# --- poisoning --------------------------------------------------------------------------------------------------


def poisoned(place):
    """A refused input among many in flight: what stood before is acked, nothing behind is applied."""
    wire.make_stream(place.client, 'poison')
    good = b''.join(frame(numbered(n, 1)) for n in range(300))
    session = Session(place.sock, 'poison')
    session.send(good + frame(batch([record(b'bad')], match=7)) + good + good)
    end = terminal_of(session, 300)
    claim((end.status, end.json) == (412, {'seq_num_mismatch': 300}), 'the terminal frame was %d %r', end.status, end.json)
    session.close()
    other = Session(place.sock, 'poison')
    other.send(frame(batch([record(b'next')], match=300)), end=True)
    claim(other.ack().start[0] == 300, 'something behind the refused input was applied')


BAD_FRAMES = {
    'empty': b'\0\0\0',
    'too long': b'\x20\0\x01\0' + bytes(100),
    'compression 3': frame(numbered(0, 1), 0x60),
    'terminal': frame(b'\x01\x94{}', 0x80),
    'no protobuf': frame(b'\x0a\xff\xff\xff'),
    'no gzip': frame(b'nothing of the kind', 0x40),
    'no zstd': frame(b'nothing of the kind', 0x20),
}


def malformed(place):
    wire.make_stream(place.client, 'malformed')
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    bad = {**BAD_FRAMES, 'bomb': frame(bomb.compress(bytes(3 << 20)) + bomb.flush(), 0x40)}
    for n, data in enumerate(bad.values()):
        session = Session(place.sock, 'malformed')
        session.send(frame(numbered(2 * n, 2)) + data + frame(numbered(0, 1)))
        refused(session, 1, 400, 'bad_frame')
    session = Session(place.sock, 'malformed')
    session.send(frame(numbered(0, 1))[:-1], end=True)
    refused(session, 0, 400, 'bad_frame')
    claim(len(bodies(place.client, 'malformed')) == 2 * len(bad), 'what came behind a bad frame was applied')


def invalid(place):
    wire.make_stream(place.client, 'invalid')
    inputs = [batch([]), batch([record(b'x')] * 1001), batch([record(b'x' * (1024 * 1024 - 7))]), batch([record(b'', [(b'', b'nope')])]),
              batch([record(b'x')], token=b't' * 37)]
    for data in inputs:
        session = Session(place.sock, 'invalid')
        session.send(frame(data))
        refused(session, 0, 422, 'invalid')
    session = Session(place.sock, 'invalid')
    session.send(frame(batch([record(b'x' * (1024 * 1024 - 8))])), end=True)
    claim(session.ack().end[0] == 1, 'a record of 1 MiB is not taken')


def not_begun(place):
    """What is known before is a plain answer."""
    for stream, headers, status, code in (('absent', {}, 404, 'stream_not_found'), ('absent', {'s2-basin': 'NO'}, 400, 'bad_header'),
                                          ('absent', {'s2-basin': 'no-such-basin'}, 404, 'basin_not_found'),
                                          ('..', {}, 400, 'bad_path')):
        session = Session(place.sock, stream, headers)
        claim((session.stream.status, session.error()['code']) == (status, code), '%s: %d', stream, session.stream.status)
        session.close()


def deleted(place):
    """A stream that is deleted under a session ends it; its next life gets nothing of it."""
    wire.make_stream(place.client, 'deleted')
    session = Session(place.sock, 'deleted')
    session.send(frame(numbered(0, 1)))
    claim(session.ack().end[0] == 1, 'no ack')
    claim(place.client.request('DELETE', '/v1/streams/deleted').status == 202, 'not deleted')
    wire.make_stream(place.client, 'deleted')
    session.send(frame(numbered(0, 1)))
    end = terminal_of(session, 0)
    claim(end.status in (404, 409, 503), 'the terminal frame was %d', end.status)
    claim(bodies(place.client, 'deleted') == [], 'the next life got a record')


# --- fencing ------------------------------------------------------------------------------------------------------


def fenced(place):
    """Two writers: once the second has the fence, nothing of the first is applied any more."""
    wire.make_stream(place.client, 'fenced')
    old = Session(place.sock, 'fenced')
    old.send(frame(batch([wire.fence(b'one')])))
    old.ack()
    old.send(b''.join(frame(batch([record(b'old')], token=b'one')) for _ in range(500)))
    new = Session(place.sock, 'fenced')
    new.send(frame(batch([wire.fence(b'two')])))
    taken = new.ack().start[0]
    old.send(b''.join(frame(batch([record(b'late')], token=b'one')) for _ in range(500)))
    acked = []
    try:
        while True:
            acked.append(old.ack())
    except Terminal as end:
        claim((end.status, end.json) == (412, {'fencing_token_mismatch': 'two'}), 'the terminal frame was %d %r', end.status, end.json)
    new.send(frame(batch([record(b'new')], token=b'two')), end=True)
    claim(new.ack() is not None, 'the new writer got no ack')
    got = bodies(place.client, 'fenced')
    claim(all(ack.end[0] <= taken for ack in acked), 'an append of the fenced writer was acked behind the fence')
    claim([b for s, _, b in got if s > taken] == [b'new'], 'an append of the fenced writer was applied behind the fence')
    claim(len(acked) == taken - 1, 'acked %d, applied %d', len(acked), taken - 1)
    return '%d before the fence' % len(acked)


# --- kills and stops ------------------------------------------------------------------------------------------------


def check_prefix(client, acked, what):
    """The stream holds a prefix of what was sent, in order, each once, and all that was acked."""
    got = [(s, b) for s, _, b in bodies(client, 'kept')]
    claim(got == [(n, b'%d' % n) for n in range(len(got))], 'after %s the records are out of order', what)
    claim(len(got) >= acked, 'after %s %d of %d acked records are there', what, len(got), acked)
    return len(got)


def send_some(place, rand, there, stop):
    """Sends inputs until the daemon is gone; `stop` ends it after some of them. Returns the seq up to which acks came."""
    session = Session(place.sock, 'kept')
    acked, sent, due = there, there, rand.randrange(50, 400)
    try:
        while True:
            count = rand.randrange(1, 5)
            session.send(frame(numbered(sent, count)))
            sent += count
            for ack in session.ready():
                claim(ack.start[0] == acked, 'an ack from %d where %d was due', ack.start[0], acked)
                acked = ack.end[0]
            if stop and sent - there >= due:
                stop()
                stop = None
    except Terminal as end:
        claim(end.status == 503, 'the session ended with %d %r', end.status, end.json)
    except (OSError, ValueError):
        pass
    session.close()
    return acked, session


def killed(place, rand, kills):
    there = check_prefix(place.client, 0, 'the start')
    for _ in range(kills):
        acked, _ = send_some(place, rand, there, lambda: place.daemon.process.send_signal(signal.SIGKILL))
        place.daemon.kill()
        place.start()
        there = check_prefix(place.client, acked, 'kill -9')
    return '%d records' % there


def stopped(place, rand):
    """A clean stop: all that was acked is there, the session ends with 503, and the daemon does not wait for its client."""
    wire.make_stream(place.client, 'kept')
    there = 0
    idle = Session(place.sock, 'kept')
    acked, session = send_some(place, rand, there, lambda: place.daemon.process.send_signal(signal.SIGTERM))
    try:
        idle.ack()
        raise rig.Fault('an idle session ended without a word')
    except Terminal as end:
        claim((end.status, end.json['code']) == (503, 'unavailable'), 'an idle session ended with %d', end.status)
    begun = time.monotonic()
    claim(place.daemon.stop() == 0, 'the daemon did not end well')
    claim(time.monotonic() - begun < 2.5, 'the daemon waited for a session')
    place.start()
    check_prefix(place.client, acked, 'a stop')


def gone(place):
    """A client that goes away in the middle: what it sent may be there, in order; the daemon goes on."""
    wire.make_stream(place.client, 'gone')
    for n in range(20):
        session = Session(place.sock, 'gone')
        session.send(b''.join(frame(batch([record(b'%d' % i)])) for i in range(50)))
        if n % 2:
            session.conn.reset(session.number)
        session.close()
    other = Session(place.sock, 'gone')
    other.send(frame(batch([record(b'last')])), end=True)
    ack = other.ack()
    claim(ack is not None and other.ack() is None, 'a session after those has no clean end')


# --- back-pressure ----------------------------------------------------------------------------------------------------


def bounded(opts, tmp):
    """With little room for what is under way everything is taken all the same, a bit at a time."""
    with Place(opts, tmp, 'bounded', '--append-inflight-bytes', '64K') as place:
        wire.make_stream(place.client, 's')
        sessions = [Session(place.sock, 's') for _ in range(3)]
        data = frame(batch([record(bytes(40000))])) * 40 + frame(batch([record(bytes(500000))]))
        for session in sessions:
            session.send(data, end=True)
        for session in sessions:
            claim(all(session.ack() for _ in range(41)) and session.ack() is None, 'an ack is missing')


def push(conn, number, data, most):
    """Sends until nothing is taken for a second, or `most` bytes are sent. Returns how many."""
    stream, sent, taken = conn.streams[number], 0, time.monotonic()
    while sent < most and time.monotonic() - taken < 1.0:
        size = min(16384, conn.window, stream.window)
        if size > 0:
            part = data[sent % len(data):][:size]
            conn.send(number, part)
            sent, taken = sent + len(part), time.monotonic()
        else:
            select.select([conn.sock], [], [], 0.05)
            conn.poll()
    return sent


def unread(place):
    """A client that sends and never reads acks: the daemon does not gather them for ever."""
    wire.make_stream(place.client, 'unread')
    session = Session(place.sock, 'unread', conn=wire.Http2(place.sock, reads=False))
    data = frame(batch([record(b'x')])) * 1000
    before, most = place.daemon.memory(), 1000 * len(data)
    claim(push(session.conn, session.number, data, most) < most, 'all of it was taken though nothing was read')
    grown = place.daemon.memory() - before
    claim(grown < 128 << 20, 'the daemon grew by %d bytes', grown)
    session.close()


def idle(opts, tmp):
    """A session that says nothing stays, however short requests may be idle."""
    with Place(opts, tmp, 'idle', '--idle-timeout', '1') as place:
        wire.make_stream(place.client, 's')
        session = Session(place.sock, 's')
        session.send(frame(numbered(0, 1)))
        session.ack()
        select.select([session.conn.sock], [], [], 2.5)
        session.conn.poll()
        claim(not session.stream.ended and not session.conn.going, 'an idle session was ended')
        session.send(frame(numbered(1, 1)), end=True)
        claim(session.ack().start[0] == 1 and session.ack() is None, 'a session that was idle goes on otherwise')


# --- HTTP/1.1 ------------------------------------------------------------------------------------------------------------


def frames_of(data):
    while data:
        length = int.from_bytes(data[:3], 'big')
        yield data[3], data[4:3 + length]
        data = data[3 + length:]


def old_http(place):
    """Over HTTP/1.1 the acks come when the request has ended."""
    wire.make_stream(place.client, 'old')
    headers = {'content-type': 's2s/proto'}
    answer = place.client.request('POST', wire.path_of('old'), iter([frame(numbered(0, 2)), frame(numbered(2, 1))]), headers)
    claim(answer.status == 200 and answer.headers['content-type'] == 's2s/proto', 'the session answered %d', answer.status)
    claim([wire.Ack(p).end[0] for _, p in frames_of(answer.body)] == [2, 3], 'other acks')
    body = frame(numbered(3, 1)) + frame(batch([record(b'bad')], match=0)) + frame(numbered(4, 1)) * 5
    got = list(frames_of(place.client.request('POST', wire.path_of('old'), body, headers).body))
    claim(len(got) == 2 and got[1][0] == 0x80 and got[1][1][:2] == (412).to_bytes(2, 'big'), 'other frames: %r', got)
    claim(place.client.request('POST', wire.path_of('old'), b'', headers).body == b'', 'an empty session has no frame')
    claim(len(bodies(place.client, 'old')) == 4, 'what came behind the refused input was applied')


# --- encryption -------------------------------------------------------------------------------------------------------------

KEY, OTHER = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
SECRET = b'nobody else reads this'


def holds(folder, text):
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                with open(os.path.join(path, name), 'rb') as file:
                    if text in file.read():
                        return True
            except OSError:  # the socket
                pass
    return False


def get(place, key, query='?seq_num=0'):
    headers = {'accept': 'application/protobuf', 's2-basin': 'sealed-basin'}
    return place.client.request('GET', wire.path_of('s') + query, headers={**headers, **({'s2-encryption-key': key} if key else {})})


def encrypted(place):
    basin = {'basin': 'sealed-basin', 'config': {'stream_cipher': 'aes-256-gcm', 'create_stream_on_append': True}}
    answer = place.client.request('POST', '/v1/basins', rig.json.dumps(basin), {'content-type': 'application/json'})
    claim(answer.status == 201, 'making a basin answered %d %r', answer.status, answer.body)
    headers = {'s2-basin': 'sealed-basin', 'content-type': 'application/protobuf'}
    body = batch([record(SECRET, [(b'a', SECRET)]), wire.fence(b't')])
    for key, code in ((None, 'bad_header'), ('AAAA', 'bad_header'), ('*' * 44, 'bad_header')):
        answer = place.client.request('POST', wire.path_of('s'), body, {**headers, **({'s2-encryption-key': key} if key else {})})
        claim((answer.status, answer.json()['code']) == (400, code), 'key %r: %d %r', key, answer.status, answer.body)
    answer = place.client.request('POST', wire.path_of('s'), body, {**headers, 's2-encryption-key': KEY})
    claim(answer.status == 200, 'an append with a key answered %d %r', answer.status, answer.body)
    session = Session(place.sock, 's', {'s2-basin': 'sealed-basin', 's2-encryption-key': KEY})
    session.send(frame(batch([record(SECRET)])), end=True)
    claim(session.ack().start[0] == 2 and session.ack() is None, 'a session with a key has other acks')
    without = Session(place.sock, 's', {'s2-basin': 'sealed-basin'})
    claim((without.stream.status, without.error()['code']) == (400, 'bad_header'), 'a session without a key began')
    read = [wire.decode(r) for r in wire.decode(get(place, KEY).body)[1]]
    claim([r.get(4) for r in read] == [[SECRET], [b't'], [SECRET]], 'other records: %r', read)
    for key, code in ((None, 'bad_header'), (OTHER, 'decryption_failed')):
        answer = get(place, key)
        claim((answer.status, answer.json()['code']) == (400, code), 'a read with %r: %d %r', key, answer.status, answer.body)
    claim(not holds(place.store, SECRET), 'the store holds the plain text')
    largest = os.urandom(1024 * 1024 - 8)
    answer = place.client.request('POST', wire.path_of('s'), batch([record(largest)]), {**headers, 's2-encryption-key': KEY})
    claim(answer.status == 200, 'an encrypted record of 1 MiB: %d %r', answer.status, answer.body)
    got = wire.decode(wire.decode(get(place, KEY, '?seq_num=3').body)[1][0])
    claim(got[4] == [largest], 'an encrypted record of 1 MiB is another one')


# --- all ----------------------------------------------------------------------------------------------------------------------


def run(opts, report, tmp):
    rand = random.Random(opts.seed)
    with Place(opts, tmp, 's') as place:
        for case in (pipelined, both_codings, empty_session, several_sessions, poisoned, malformed, invalid, not_begun, deleted, fenced,
                     gone, unread, old_http, encrypted):
            report.case(case.__name__, case, place)
        report.case('split_anyhow', split_anyhow, place, opts.seed)
        report.case('stopped', stopped, place, rand)
        report.case('killed', killed, place, rand, opts.kills)
    report.case('bounded', bounded, opts, tmp)
    report.case('idle', idle, opts, tmp)


def main():
    options = rig.parser(__doc__)
    options.add_argument('--kills', type=int, default=5)
    return rig.main(__doc__, run, options)


if __name__ == '__main__':
    sys.exit(main())
