#!/usr/bin/env python3
"""Reads of streams under strain: long ones, stalled ones, while records vanish, many followers, ends.

    s2_read_streams.py [--records 300000] [--followers 1000] [--weird PROGRAM]

Every read gets the records there are, each once, in order: compared by sequence numbers, and by bodies where they are few. A stalled
client costs nobody else anything, and gets all when it reads again. An end that is not the read's own never looks like one.
"""

import base64
import gzip
import json
import os
import random
import resource
import selectors
import struct
import sys
import time

import rig
from rig import Daemon, claim

PATIENCE = 60.0
STALLED_MEMORY = 24 << 20
BATCH = 1000
PROBES = 40


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def fields(data):
    """(number, value) of a protobuf message: ints and bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            claim(key & 7 == 2, 'wire type %d', key & 7)
            size, at = varint(data, at)
            value = data[at:at + size]
            at += size
        yield key >> 3, value


def record_of(data):
    seq, headers, body = 0, [], b''
    for number, value in fields(data):
        if number == 1:
            seq = value
        elif number == 3:
            pair = dict(fields(value))
            headers.append((pair.get(1, b''), pair.get(2, b'')))
        elif number == 4:
            body = value
    return seq, headers, body


class Api(rig.Client):
    """The root store's streams, over its own socket."""

    def make(self, stream, **config):
        answer = self.request('PUT', self.path_of(stream), json.dumps(config), {'content-type': 'application/json'})
        claim(answer.status in (200, 201), 'PUT %s answered %d %r', stream, answer.status, answer.body[:200])

    @staticmethod
    def path_of(stream):
        return '/v1/streams/' + rig.quote(stream, safe='')

    def put(self, stream, records):
        answer = self.request('POST', self.path_of(stream) + '/records', json.dumps({'records': records}),
                              {'content-type': 'application/json'})
        claim(answer.status == 200, 'append answered %d %r', answer.status, answer.body[:200])
        return answer.json()

    def fill(self, stream, count, body):
        for start in range(0, count, BATCH):
            self.put(stream, [{'body': body}] * min(BATCH, count - start))

    def trim(self, stream, keep):
        point = base64.b64encode(struct.pack('>Q', keep)).decode()
        name = base64.b64encode(b'trim').decode()
        answer = self.request('POST', self.path_of(stream) + '/records',
                              json.dumps({'records': [{'headers': [['', name]], 'body': point}]}),
                              {'content-type': 'application/json', 's2-format': 'base64'})
        claim(answer.status == 200, 'trim answered %d %r', answer.status, answer.body[:200])

    def get(self, stream, query, headers=None):
        return self.request('GET', self.path_of(stream) + '/records?' + query, None, headers)

    def tail(self, stream):
        answer = self.request('GET', self.path_of(stream) + '/records/tail')
        claim(answer.status == 200, 'tail answered %d %r', answer.status, answer.body[:200])
        return answer.json()['tail']['seq_num']

    def settle(self):
        deadline = time.monotonic() + PATIENCE
        while self.request('GET', '/status').json()['index']['lag_records'] > 0:
            claim(time.monotonic() < deadline, 'the index does not catch up')
            time.sleep(0.01)  # nothing tells that the index is through


class Session:
    """A read that goes on: its chunks and frames or events undone as they come."""

    def __init__(self, path, stream, query='', sse=False, headers='', part=1 << 18):
        kind = 'accept: text/event-stream' if sse else 'content-type: s2s/proto'
        self.sock = rig.dial(path, 10.0)
        self.sock.sendall(b'GET %s/records?%s HTTP/1.1\r\nhost: x\r\n%s\r\n%s\r\n' %
                          (Api.path_of(stream).encode(), query.encode(), kind.encode(), headers.encode()))
        self.sock.setblocking(False)
        self.sse, self.part = sse, part
        self.raw, self.data = b'', b''
        self.status = None
        self.ended = self.cut = self.done = False
        self.seqs, self.bodies, self.tails, self.beats = [], None, [], 0
        self.error = None
        self.event_id = None
        self.length = self.packed = 0
        self.pings = []  # when they were sent, by the daemon's clock

    def fileno(self):
        return self.sock.fileno()

    def close(self):
        self.sock.close()

    def read(self):
        """One receive; False at the end."""
        try:
            got = self.sock.recv(self.part)
        except BlockingIOError:
            return True
        except ConnectionError:
            got = b''
        if not got:
            self.cut = not self.ended
            return False
        self.length += len(got)
        self.raw += got
        if self.status is None:
            head, end, rest = self.raw.partition(b'\r\n\r\n')
            if not end:
                return True
            self.status, self.raw = int(head.split()[1]), rest
        self.undo_chunks()
        (self.undo_events if self.sse else self.undo_frames)()
        return not self.ended

    def undo_chunks(self):
        out = []
        while not self.ended:
            line, end, rest = self.raw.partition(b'\r\n')
            if not end:
                break
            size = int(line, 16)
            if len(rest) < size + 2:
                break
            out.append(rest[:size])
            self.raw = rest[size + 2:]
            self.ended = size == 0
        self.data += b''.join(out)

    def undo_frames(self):
        at = 0
        while len(self.data) - at >= 4:
            size = int.from_bytes(self.data[at:at + 3], 'big')
            if len(self.data) - at < 3 + size:
                break
            self.frame(self.data[at + 3], self.data[at + 4:at + 3 + size])
            at += 3 + size
        self.data = self.data[at:]

    def frame(self, flags, payload):
        if flags & 0x80:
            self.error = (int.from_bytes(payload[:2], 'big'), json.loads(payload[2:]))
            return
        claim(flags & 0x2f == 0, 'flags %#x', flags)
        if flags & 0x40:
            payload = gzip.decompress(payload)
            self.packed += 1
        count, tail = 0, None
        for number, value in fields(payload):
            if number == 1:
                seq, _, body = record_of(value)
                self.take(seq, body)
                count += 1
            elif number == 2:
                tail = dict(fields(value)).get(1, 0)
        self.batch(count, tail)

    def undo_events(self):
        while b'\n\n' in self.data:
            text, _, self.data = self.data.partition(b'\n\n')
            event = dict(line.split(b': ', 1) for line in text.split(b'\n'))
            self.event(event.get(b'event', b'').decode(), event)

    def event(self, kind, event):
        data = event[b'data']
        if data == b'[DONE]':
            self.done = True
        elif kind == 'error':
            self.error = (None, json.loads(data))
        elif kind == 'ping':
            ping = json.loads(data)
            self.pings.append(ping['timestamp'] / 1000)
            self.batch(0, ping['tail']['seq_num'])
        else:
            claim(kind == 'batch', 'event %r', kind)
            batch = json.loads(data)
            for record in batch['records']:
                self.take(record['seq_num'], record.get('body', '').encode())
            self.event_id = event[b'id'].decode()
            self.batch(len(batch['records']), batch.get('tail', {}).get('seq_num'))

    def batch(self, count, tail):
        claim(count or tail is not None, 'a batch without records and tail')
        self.beats += count == 0
        if tail is not None:
            self.tails.append(tail)
            claim(not self.seqs or tail > self.seqs[-1], 'tail %s behind record %s', tail, self.seqs[-1:])

    def take(self, seq, body):
        self.seqs.append(seq)
        if self.bodies is not None:
            self.bodies.append(body)

    def until(self, condition, limit=PATIENCE):
        """Reads until the condition holds or the answer ends; seconds it took."""
        begun = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            while not condition():
                left = begun + limit - time.monotonic()
                claim(left > 0, 'waited %g s; %d records, error %r', limit, len(self.seqs), self.error)
                if selector.select(min(left, 0.05)) and not self.read():
                    break
        claim(condition(), 'ended early: %d records, error %r, cut %r', len(self.seqs), self.error, self.cut)
        return time.monotonic() - begun


def dense(seqs, first, count, what):
    claim(len(seqs) == count, '%s: %d records, not %d', what, len(seqs), count)
    for at, seq in enumerate(seqs):
        claim(seq == first + at, '%s: record %d has seq %d', what, at, seq)


def rising(seqs, what):
    for one, two in zip(seqs, seqs[1:]):
        claim(one < two, '%s: %d, then %d', what, one, two)


class Suite:
    def __init__(self, opts, tmp):
        self.opts = opts
        self.store = os.path.join(tmp, 's')
        self.daemon = Daemon(opts.weird, self.store)
        self.daemon.ready()
        self.api = Api(self.daemon.sock, PATIENCE)
        self.api.make('silent')
        self.silent = [self.open('silent', '', sse=sse) for sse in (True, False)]

    def open(self, stream, query='', **kw):
        return Session(self.daemon.sock, stream, query, **kw)

    # --- whole reads -------------------------------------------------------------------------------------

    def unary_pages(self, stream, count):
        seqs = []
        while len(seqs) < count:
            answer = self.api.get(stream, 'seq_num=%d' % len(seqs), {'accept': 'application/protobuf'})
            claim(answer.status == 200, 'page at %d answered %d', len(seqs), answer.status)
            page = [record_of(value)[0] for number, value in fields(answer.body) if number == 1]
            claim(page, 'an empty page at %d', len(seqs))
            seqs += page
        return seqs

    def long_reads(self):
        """All records by each form, part of them from the index and part from memory; then live."""
        count = self.opts.records
        self.api.make('long')
        self.api.fill('long', count, 'x' * 20)
        dense(self.unary_pages('long', count), 0, count, 'pages')
        for sse in (False, True):
            s = self.open('long', 'seq_num=0', sse=sse)
            s.until(lambda: s.beats)
            dense(s.seqs, 0, count, 'session')
            claim(s.tails == [count], 'tails %r', s.tails)
            self.api.put('long', [{'body': 'live'}])
            s.until(lambda: len(s.seqs) > count, 5.0)
            count += 1
            claim(s.tails[-1] == count, 'the live batch tells tail %r', s.tails[-1])
            s.close()

    def limits(self):
        """A bounded session ends by itself, without a heartbeat."""
        for sse in (False, True):
            s = self.open('long', 'seq_num=5&count=2500', sse=sse)
            s.until(lambda: s.ended)
            dense(s.seqs, 5, 2500, 'bounded')
            claim(not s.beats and not s.tails and s.done == sse and s.error is None, 'beats %r tails %r', s.beats, s.tails)
            s.close()
        s = self.open('long', 'seq_num=100&count=10', sse=True, headers='last-event-id: 104,5,140\r\n')
        s.until(lambda: s.ended)
        dense(s.seqs, 105, 5, 'resumed')
        claim(s.event_id == '109,10,280', 'id %r', s.event_id)
        s.close()

    def packed(self):
        """Frames are compressed where the client takes it and they are long enough."""
        for accept, packs in (('gzip', True), ('br, gzip;q=0.5', True), ('gzip;q=0', False), ('br', False)):
            s = self.open('long', 'seq_num=0&count=5000', headers='accept-encoding: %s\r\n' % accept)
            s.until(lambda: s.ended)
            dense(s.seqs, 0, 5000, accept)
            claim(bool(s.packed) == packs, '%s: %d frames were compressed', accept, s.packed)
            s.close()
        s = self.open('long', 'tail_offset=1', headers='accept-encoding: gzip\r\n')
        s.until(lambda: s.beats)
        claim(len(s.seqs) == 1 and not s.packed, 'short frames')
        s.close()

    def catch_up_speed(self):
        """1 KiB records from the index."""
        count = 64 * 1024
        self.api.make('fast')
        self.api.fill('fast', count, 'y' * 1016)
        self.api.settle()
        notes = []
        begun = time.monotonic()
        at = 0
        while at < count:
            answer = self.api.get('fast', 'seq_num=%d' % at, {'accept': 'application/protobuf'})
            claim(answer.status == 200, 'answered %d', answer.status)
            at += answer.body.count(b'y' * 1016)
        notes.append('unary %.0f MiB/s' % (count / 1024 / (time.monotonic() - begun)))
        s = self.open('fast', 'seq_num=0&count=%d' % count, part=1 << 20)
        s.sock.setblocking(True)
        begun = time.monotonic()
        left = True
        tail = b''
        while left:
            left = s.sock.recv(1 << 20)
            tail = (tail + left)[-16:]
            claim(left, 'the session was cut')
            if tail.endswith(b'\r\n0\r\n\r\n'):
                break
        notes.append('session %.0f MiB/s' % (count / 1024 / (time.monotonic() - begun)))
        s.close()
        return ', '.join(notes)

    # --- stalled and far behind ---------------------------------------------------------------------------

    def stalled(self):
        """Two that do not read, one of each kind, while much is appended; a third follows it all."""
        self.api.make('flood')
        idle = [self.open('flood', 'seq_num=0', sse=sse) for sse in (False, True)]
        live = self.open('flood', 'seq_num=0')
        live.until(lambda: live.beats)
        before, count = self.daemon.memory(), 0
        while count < 6400:
            self.api.put('flood', [{'body': 'z' * 10000}] * 100)
            count += 100
            live.until(lambda: len(live.seqs) >= count, 5.0)
        dense(live.seqs, 0, count, 'the one that reads')
        grown = self.daemon.memory() - before
        checked = 'san/' in self.opts.weird  # a sanitizer keeps what is freed
        claim(grown < STALLED_MEMORY or checked, 'the daemon grew by %d MiB', grown >> 20)
        self.api.settle()
        for s in idle:
            s.until(lambda: len(s.seqs) >= count)
            self.api.put('flood', [{'body': 'more'}])
            count += 1
            s.until(lambda: len(s.seqs) >= count, 5.0)
            dense(s.seqs, 0, count, 'the one that stalled')
            claim(s.tails[-1] == count, 'tail %r', s.tails[-1:])
            s.close()
        live.close()
        return '%+.1f MiB' % (grown / 2**20)

    def busy_store(self):
        """Followers of a quiet stream, in a store whose memory other streams went through."""
        self.api.make('quiet')
        crowd = [self.open('quiet', '', sse=i % 2 == 0) for i in range(40)]
        for s in crowd:
            s.until(lambda: s.beats)
        for round_no in range(3):
            self.api.fill('other', 20000, 'w' * 200) if round_no else self.api.make('other')
            self.api.settle()
            self.api.put('quiet', [{'body': str(round_no)}])
            for s in crowd:
                s.until(lambda: len(s.seqs) == round_no + 1, 10.0)
                dense(s.seqs, 0, round_no + 1, 'quiet')
        for s in crowd:
            s.close()

    # --- holes --------------------------------------------------------------------------------------------

    def while_trimming(self):
        """Trims run before, through and behind readers: seqs rise, none below a trim comes after a fresh start."""
        rand = random.Random(self.opts.seed)
        self.api.make('trimmed')
        self.api.fill('trimmed', 20000, 't' * 100)
        readers = [self.open('trimmed', 'seq_num=0', sse=sse, part=20000) for sse in (False, True, False)]
        kept = 0
        for _ in range(40):
            kept += rand.randrange(600)
            self.api.trim('trimmed', kept)
            self.api.fill('trimmed', 50, 'u')
            for s in readers:
                s.read()
            answer = self.api.get('trimmed', 'seq_num=0&count=1')
            first = answer.json()['records'][0]['seq_num']
            claim(first == kept, 'first %d, trimmed to %d', first, kept)
        tail = self.api.tail('trimmed')
        for s in readers:
            s.until(lambda: s.seqs and s.seqs[-1] == tail - 1)
            rising(s.seqs, 'trimmed')
            lost = [seq for seq in range(kept, tail) if seq not in set(s.seqs)] if len(s.seqs) < tail - kept else []
            claim(set(range(kept, tail)) <= set(s.seqs), 'of what was kept %r were not given', lost[:5])
            s.close()

    def while_expiring(self):
        self.api.make('brief', retention_policy={'age': 1})
        readers = [self.open('brief', '', sse=sse) for sse in (False, True)]
        deadline = time.monotonic() + 3.0
        while time.monotonic() < deadline:
            self.api.put('brief', [{'body': 'b'}] * 20)
            old = self.api.get('brief', 'seq_num=0')
            claim(old.status in (200, 416), 'answered %d', old.status)
            if old.status == 200:
                rising([r['seq_num'] for r in old.json()['records']], 'brief')
            for s in readers:
                s.read()
        tail = self.api.tail('brief')
        for s in readers:
            s.until(lambda: s.seqs and s.seqs[-1] == tail - 1)
            rising(s.seqs, 'expiring')
            s.close()

    def other_dialect(self):
        """Frames of the other dialect: meta as headers, contents of any size, ephemeral ones left out."""
        small, large, huge = b's' * 10, os.urandom(200000), os.urandom(2 << 20)
        for content in (small, large, huge):
            claim(self.api.append('mixed', content, {'k': 'v'}).status == 200, 'append')
        claim(self.api.append('mixed', b'gone', None, '&ttl=ephemeral').status == 200, 'append')
        claim(self.api.append('mixed', b'', {'n': 1}).status == 200, 'append')
        answer = self.api.get('mixed', 'seq_num=0', {'accept': 'application/protobuf'})
        claim(answer.status == 200, 'answered %d %r', answer.status, answer.body[:200])
        got = [record_of(value) for number, value in fields(answer.body) if number == 1]
        claim([r[0] for r in got] == [0, 1, 2, 3], 'seqs %r', [r[0] for r in got])
        claim(got[0][1:] == ([(b'k', b'v')], small) and got[1][1:] == ([(b'k', b'v')], large), 'bodies')
        claim(got[2][1:] == ([(b'k', b'v'), (b'weir-hash', rig.sri(huge).encode()), (b'weir-size', b'%d' % len(huge))], b''),
              'huge: %r', got[2][1])
        claim(got[3][1:] == ([(b'xs-meta', b'{"n":1}')], b''), 'meta: %r', got[3][1:])
        s = self.open('mixed', 'seq_num=0')
        s.bodies = []
        s.until(lambda: s.beats)
        claim(s.bodies == [small, large, b'', b''], 'session bodies')
        claim(self.api.append('mixed', large).status == 200, 'append')
        s.until(lambda: len(s.seqs) == 5, 5.0)
        claim(s.bodies[4] == large, 'a live body that lies elsewhere')
        s.close()

    # --- many ---------------------------------------------------------------------------------------------

    def many(self):
        """From an append to its arrival at the last of all followers."""
        self.api.make('many')
        crowd = [self.open('many', '', sse=True) for _ in range(self.opts.followers)]
        selector = selectors.DefaultSelector()
        for s in crowd:
            selector.register(s, selectors.EVENT_READ)

        def turn(condition, limit=30.0):
            deadline = time.monotonic() + limit
            while not condition():
                claim(time.monotonic() < deadline, 'waited %g s', limit)
                for key, _ in selector.select(0.1):
                    claim(key.fileobj.read(), 'a follower was cut')

        turn(lambda: all(s.beats for s in crowd))
        times = []
        for probe in range(PROBES):
            begun = time.monotonic()
            self.api.put('many', [{'body': 'p%d' % probe}])
            left = len(crowd)
            while left > 0:
                claim(time.monotonic() < begun + 30.0, '%d followers wait for append %d', left, probe)
                for key, _ in selector.select(10.0):
                    had = len(key.fileobj.seqs)
                    claim(key.fileobj.read(), 'a follower was cut')
                    left -= len(key.fileobj.seqs) - had
            times.append(time.monotonic() - begun)
        for s in crowd:
            dense(s.seqs, 0, PROBES, 'one of many')
            claim(s.tails[-1] == PROBES, 'tail %r', s.tails[-1])
            selector.unregister(s)
            s.close()
        times.sort()
        return '%d followers: p50 %.1f ms, p99 %.1f ms' % (
            len(crowd), times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000)

    # --- ends -----------------------------------------------------------------------------------------------

    def deletion(self):
        self.api.make('doomed')
        self.api.put('doomed', [{'body': 'x'}])
        sessions = [self.open('doomed', 'seq_num=0', sse=sse) for sse in (False, True)]
        for s in sessions:
            s.until(lambda: s.beats)
        claim(self.api.request('DELETE', Api.path_of('doomed')).status == 202, 'DELETE')
        self.api.make('doomed')
        self.api.put('doomed', [{'body': 'another life'}])
        for s in sessions:
            s.until(lambda: s.ended, 10.0)
            claim(s.error and s.error[1]['code'] == 'unavailable', 'error %r', s.error)
            claim(s.seqs == [0] and not s.done, 'seqs %r', s.seqs)
            s.close()
        claim(sessions[0].error[0] == 503, 'status %r', sessions[0].error[0])
        self.api.fill('doomed', 20000, 'd' * 200)
        sessions = [self.open('doomed', 'seq_num=0&count=19000', sse=sse, part=4096) for sse in (False, True)]
        for s in sessions:
            s.until(lambda: s.seqs)
        claim(self.api.request('DELETE', Api.path_of('doomed')).status == 202, 'DELETE')
        for s in sessions:
            s.until(lambda: s.ended, 10.0)
            dense(s.seqs, 0, len(s.seqs), 'before the deletion')
            claim(s.error and not s.done and len(s.seqs) < 19000, '%d records, then %r', len(s.seqs), s.error)
            s.close()

    def waits(self):
        """`wait` ends a session that gets nothing; each batch sets it anew."""
        self.api.make('patient')
        for sse in (False, True):
            s = self.open('patient', 'wait=1', sse=sse)
            s.until(lambda: s.beats)
            for had in range(3):
                self.api.put('patient', [{'body': 'x'}])
                s.until(lambda: len(s.seqs) > had, 5.0)
                quiet = time.monotonic() + 0.6
                s.until(lambda: time.monotonic() > quiet)
                claim(not s.ended, 'it ended early')
            took = s.until(lambda: s.ended, 5.0)
            claim(0.1 < took < 3.0 and s.error is None and s.done == sse, 'ended after %.2f s, %r', took, s.error)
            s.close()

    def heartbeats(self):
        """Sessions without records, open since the suite began: a heartbeat at once, then one at most every 15 s."""
        for s in self.silent:
            s.until(lambda: s.beats >= 3, 35.0)
            claim(not s.seqs and set(s.tails) == {0}, 'seqs %r, tails %r', s.seqs, s.tails)
            s.close()
        gaps = [two - one for one, two in zip(self.silent[0].pings, self.silent[0].pings[1:])]
        claim(min(gaps) > 4.5 and max(gaps) < 15.5, 'gaps of %r s', gaps)
        return 'gaps of %s s' % ', '.join('%.1f' % gap for gap in gaps)

    def shutdown(self):
        """A stop tells sessions to come again, and they find everything."""
        self.api.make('going')
        self.api.fill('going', 20000, 'g' * 100)
        sessions = [self.open('going', query, sse=sse) for sse in (False, True) for query in ('', 'seq_num=0')]
        for s in sessions[::2]:
            s.until(lambda: s.beats)
        self.daemon.process.terminate()
        for s in sessions:
            s.until(lambda: s.ended, 10.0)
            claim(s.error and s.error[1]['code'] == 'unavailable', 'error %r', s.error)
            claim(not s.done, 'it looks complete')
            s.close()
        claim(self.daemon.process.wait(10.0) == 0, 'the daemon did not end well: %s', self.daemon.last_words())
        self.daemon.log.close()
        self.daemon = Daemon(self.opts.weird, self.store)
        self.daemon.ready()
        self.api.close()
        s = sessions[1]
        again = self.open('going', 'seq_num=%d' % (s.seqs[-1] + 1 if s.seqs else 0))
        again.until(lambda: again.beats)
        dense(s.seqs + again.seqs, 0, again.tails[-1], 'before and after')
        again.close()

    def killed(self):
        """kill -9 cuts; it never looks like an end."""
        self.api.make('killed')
        sessions = [self.open('killed', '', sse=sse) for sse in (False, True)]
        for s in sessions:
            s.until(lambda: s.beats)
        self.daemon.kill()
        for s in sessions:
            while s.read():
                claim(not s.ended, 'a session of a killed daemon saw a proper end')
            claim(s.cut, 'it was not cut')
            s.close()

    def close(self):
        self.daemon.kill()
        self.daemon.log.close()


def options():
    p = rig.parser(__doc__)
    p.add_argument('--records', type=int, default=300000)
    p.add_argument('--followers', type=int, default=1000)
    p.add_argument('--case', default='', help='only cases with this in their name')
    return p


def run(opts, report, tmp):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = opts.followers + 128
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(need, hard)), hard))
    suite = Suite(opts, tmp)
    cases = [
        ('every record once, by pages, session and events', suite.long_reads),
        ('limits and resumption', suite.limits),
        ('compressed frames', suite.packed),
        ('reading from the index', suite.catch_up_speed),
        ('stalled clients cost nothing and lose nothing', suite.stalled),
        ('a quiet stream in a busy store', suite.busy_store),
        ('reads while records are trimmed', suite.while_trimming),
        ('reads while records expire', suite.while_expiring),
        ('frames of the other dialect', suite.other_dialect),
        ('many followers', suite.many),
        ('deletion ends sessions', suite.deletion),
        ('wait', suite.waits),
        ('heartbeats', suite.heartbeats),
        ('a stop says come again', suite.shutdown),
        ('a kill is no end', suite.killed),
    ]
    try:
        for name, function in cases:
            if opts.case in name:
                report.case(name, function)
    finally:
        suite.close()


if __name__ == '__main__':
    sys.exit(rig.main(__doc__, run, options()))
