#!/usr/bin/env python3
"""A bad network between clients of the S2 API and the daemon: toxiproxy, with the Python SDK and with plain HTTP/1.1.

    s2_toxic.py [--weird PROGRAM] [-k PART]

Latency, reset connections, connections that close slowly, silence and cut answers come and go while records are appended and followed.
Nothing acked is lost; where match_seq_num forbids it nothing is there twice; a follower misses and repeats nothing. toxiproxy is built by
`go install` into the cache, the SDK comes by pip.
"""

import asyncio
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from datetime import timedelta

import s2_rig as rig
from s2_rig import Fault, claim, same

TOXIPROXY = 'github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0'
LIMIT = float(os.environ.get('LIMIT', '60'))
STILL = 12.0  # seconds without progress
ON, OFF = 0.12, 0.15  # seconds that a toxic is there, and is not


def toxiproxy():
    go = shutil.which('go') or '/usr/local/go/bin/go'
    place = os.path.join(rig.CACHE, 'toxiproxy')
    program = os.path.join(place, 'server')
    with rig.Locked():
        if not os.path.exists(program):
            if not os.path.exists(go):
                raise rig.Skip('go is not installed')
            rig.run([go, 'install', TOXIPROXY], 550, env={**os.environ, 'GOBIN': place, 'GOPATH': os.path.join(rig.CACHE, 'go'),
                                                          'GOFLAGS': '-modcacherw', 'GOTOOLCHAIN': 'local'})
    return program


if __name__ == '__main__' and os.environ.get('WEIR_COMPAT_INSIDE') != 's2 toxiproxy':
    try:
        toxiproxy()
    except rig.Skip as reason:
        rig.skip_all('s2 toxiproxy', reason)
rig.in_python_with('s2 toxiproxy', ['s2-sdk>=0.13'], 'import s2_sdk')

from s2_sdk import (S2, AppendInput, Endpoints, ReadLimit, Record, Retry, S2Error, SeqNum, SeqNumMismatchError, Timeout)  # noqa: E402
from s2_sdk._s2s import _append_session as sdk_appends  # noqa: E402

# name: (type, direction, attributes)
TOXICS = {
    'latency down': ('latency', 'downstream', {'latency': 40, 'jitter': 30}),
    'latency up': ('latency', 'upstream', {'latency': 40, 'jitter': 30}),
    'reset down': ('reset_peer', 'downstream', {'timeout': 0}),
    'reset up': ('reset_peer', 'upstream', {'timeout': 20}),
    'slow close': ('slow_close', 'downstream', {'delay': 100}),
    'silence': ('timeout', 'downstream', {'timeout': 60}),
    'silence up': ('timeout', 'upstream', {'timeout': 60}),
    'cut answers': ('limit_data', 'downstream', {'bytes': 700}),
}


class Proxy:
    """toxiproxy before a daemon."""

    def __init__(self, program, daemon, folder):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.control = free.getsockname()[1]
        self.log = open(os.path.join(folder, 'toxiproxy.log'), 'wb')
        self.process = subprocess.Popen([program, '-host', '127.0.0.1', '-port', str(self.control)], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        end = time.monotonic() + rig.DEADLINE
        while True:
            try:
                made = self.call('POST', '/proxies', {'name': 'weir', 'listen': '127.0.0.1:0', 'upstream': daemon.address, 'enabled': True})
                break
            except OSError:
                claim(time.monotonic() < end and self.process.poll() is None, 'toxiproxy does not answer')
                time.sleep(0.02)
        self.port = int(made['listen'].rsplit(':', 1)[1])

    def call(self, method, path, body=None):
        conn = http.client.HTTPConnection('127.0.0.1', self.control, timeout=rig.DEADLINE)
        try:
            conn.request(method, path, json.dumps(body) if body is not None else None)
            answer = conn.getresponse()
            text = answer.read()
            claim(answer.status < 300, 'toxiproxy: %s %s: %d %s', method, path, answer.status, text[:200])
            return json.loads(text) if text else None
        finally:
            conn.close()

    def add(self, toxic):
        kind, stream, attributes = TOXICS[toxic]
        self.call('POST', '/proxies/weir/toxics', {'name': 'toxic', 'type': kind, 'stream': stream, 'attributes': attributes})

    def remove(self):
        self.call('DELETE', '/proxies/weir/toxics/toxic')

    def end(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


class Weather:
    """A toxic that comes and goes as long as the block lasts."""

    def __init__(self, proxy, toxic):
        self.proxy, self.toxic = proxy, toxic

    async def __aenter__(self):
        self.task = asyncio.create_task(self.change())

    async def change(self):
        while True:
            await asyncio.to_thread(self.proxy.add, self.toxic)
            try:
                await asyncio.sleep(ON)
            finally:
                self.proxy.remove()
            await asyncio.sleep(OFF)

    async def __aexit__(self, *_):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


class Env:
    def __init__(self, daemon, proxy):
        self.daemon, self.proxy = daemon, proxy
        self.clients = []
        self.count = 0

    def client(self, port):
        url = 'http://127.0.0.1:%d' % port
        client = S2('any', endpoints=Endpoints(account=url, basin=url),
                    timeout=Timeout(request=timedelta(seconds=1), connection=timedelta(milliseconds=300)),
                    retry=Retry(max_attempts=200, min_base_delay=timedelta(milliseconds=10), max_base_delay=timedelta(milliseconds=50)))
        self.clients.append(client)
        return client

    async def stream(self):
        """A new stream: through the proxy, and directly."""
        self.count += 1
        name = 'toxic.%d.%d' % (self.daemon.port, time.monotonic_ns())
        direct = self.client(self.daemon.port).basin(rig.ROOT_BASIN)
        await direct.create_stream(name)
        return self.client(self.proxy.port).basin(rig.ROOT_BASIN).stream(name), direct.stream(name)

    async def close(self):
        for client in self.clients:
            await client.close()


async def read_all(stream):
    tail = (await stream.check_tail()).seq_num
    found = []
    async with stream.read_session(start=SeqNum(0), limit=ReadLimit(count=tail)) as session:
        async for batch in session:
            found += batch.records
    return found


def numbers(records):
    return [int(record.body.split(b' ')[0]) for record in records]


def numbered(first, count):
    return [Record(b'%d ' % n + b'x' * 200) for n in range(first, first + count)]


async def sdk_with_match(env, toxic):
    stream, direct = await env.stream()
    total, done = 150, 0
    async with Weather(env.proxy, toxic):
        end = time.monotonic() + LIMIT
        while done < total:
            claim(time.monotonic() < end, '%d of %d', done, total)
            try:
                ack = await stream.append(AppendInput(numbered(done, 3), match_seq_num=done))
                same(ack.start.seq_num, done, 'ack')
                done += 3
            except SeqNumMismatchError as error:  # it was there, its ack was lost
                same(error.expected_seq_num, done + 3, 'expected')
                done += 3
    same(numbers(await read_all(direct)), list(range(total)), 'records')


async def acks_of(session, acked, tickets):
    """Appends a hundred batches; what was acked goes into `acked`. False: the session stands still."""
    try:
        for n in range(100):
            tickets.append(await asyncio.wait_for(session.submit(AppendInput(numbered(n * 2, 2))), STILL))
        for n, ticket in enumerate(tickets):
            ack = await asyncio.wait_for(_await(ticket), STILL)
            acked += [(n * 2, ack.start.seq_num), (n * 2 + 1, ack.start.seq_num + 1)]
        await session.close()
        return True
    except TimeoutError:
        session._task.cancel()
        return False


class Wire:
    """What an append session sent and what it was answered, by attempt, below the SDK's own count of its batches."""

    def __init__(self):
        self.attempts = []  # (numbers of each batch, first seq num of each ack)

    def __enter__(self):
        self.kept = body_of, ack_of = sdk_appends._body_gen, sdk_appends.append_ack_from_proto

        def sends(*given):
            sent = []
            self.attempts.append((sent, []))
            return self.passed_on(body_of(*given), sent)

        def hears(ack):
            self.attempts[-1][1].append(ack.start.seq_num)
            return ack_of(ack)

        sdk_appends._body_gen, sdk_appends.append_ack_from_proto = sends, hears
        return self

    def __exit__(self, *_):
        sdk_appends._body_gen, sdk_appends.append_ack_from_proto = self.kept

    @staticmethod
    async def passed_on(body, sent):
        async for frame in body:
            sent.append([int(number) for number in re.findall(rb'(\d+) x{200}', frame)])
            yield frame

    def acked(self):
        """Number and seq num of each record: the acks of a connection are in the order of its batches."""
        for sent, acks in self.attempts:
            claim(len(acks) <= len(sent), '%d acks for %d batches', len(acks), len(sent))
            for batch, first in zip(sent, acks):
                yield from zip(batch, range(first, first + len(batch)))


async def sdk_session(env, toxic):
    stream, direct = await env.stream()
    acked, tickets = [], []
    with Wire() as wire:
        async with Weather(env.proxy, toxic):
            went_on = await acks_of(stream.append_session(max_unacked_batches=4), acked, tickets)
    found = numbers(await read_all(direct))
    answered = list(wire.acked())
    for number, seq in answered:
        claim(seq < len(found) and found[seq] == number, 'record %d was acked at %d and is not there', number, seq)
    sent = sorted({number for attempt, _acks in wire.attempts for batch in attempt for number in batch})
    same(sorted({number for number, _seq in answered}), sent, 'acked of what was sent')
    same(list(dict.fromkeys(found)), sent, 'first appearances')
    if went_on:
        same(sent, list(range(200)), 'sent')
        same([(number, seq) for number, seq in acked if found[seq] != number], [], 'acks of the wrong records')
        return
    # When a request ends the SDK may forget a batch that it took from its queue and did not send. Then it takes each later ack for that of
    # the batch before, and waits for the last without end.
    forgotten = sorted(set(range(2 * len(tickets))) - set(sent))
    claim(forgotten, 'the session stands still, and all was sent and acked')
    print('# the SDK forgot records %s and waits for itself; all that it sent is there' % forgotten, flush=True)


async def _await(ticket):
    return await ticket


async def sdk_follower(env, toxic):
    stream, direct = await env.stream()
    total = 120

    async def follow():
        seen = []
        async with stream.read_session(start=SeqNum(0), clamp_to_tail=True) as session:
            async for batch in session:
                seen += batch.records
                if len(seen) >= total:
                    return seen
        raise Fault('the session ended after %d' % len(seen))

    async with Weather(env.proxy, toxic):
        follower = asyncio.create_task(follow())
        for n in range(0, total, 2):
            await direct.append(AppendInput(numbered(n, 2)))
            await asyncio.sleep(0.01)
        seen = await asyncio.wait_for(follower, LIMIT)
    same([r.seq_num for r in seen], list(range(total)), 'seq nums')
    same(numbers(seen), list(range(total)), 'records')


async def plain_with_match(env, toxic):
    """HTTP/1.1 and JSON, with the rule any client can follow: after a lost answer ask again under the same condition."""
    _stream, direct = await env.stream()
    path = '/v1/streams/%s/records' % direct.name
    total = 60

    def append(n):
        conn = http.client.HTTPConnection('127.0.0.1', env.proxy.port, timeout=1)
        try:
            conn.request('POST', path, json.dumps({'records': [{'body': '%d ' % n}], 'match_seq_num': n}),
                         {'content-type': 'application/json', 's2-basin': rig.ROOT_BASIN})
            answer = conn.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            conn.close()

    async with Weather(env.proxy, toxic):
        end = time.monotonic() + LIMIT
        done = 0
        while done < total:
            claim(time.monotonic() < end, '%d of %d', done, total)
            try:
                status, said = await asyncio.to_thread(append, done)
            except (OSError, http.client.HTTPException, ValueError):
                continue
            if status == 412:
                same(said, {'seq_num_mismatch': done + 1}, 'refusal')
            else:
                same((status, said['start']['seq_num']), (200, done), 'ack')
            done += 1
    same(numbers(await read_all(direct)), list(range(total)), 'records')


CASES = [sdk_with_match, sdk_session, sdk_follower, plain_with_match]


def play(case, env_of, toxic):
    async def whole():
        env = env_of()
        try:
            await asyncio.wait_for(case(env, toxic), 2 * LIMIT)
        finally:
            await env.close()

    asyncio.run(whole())


def main():
    given = rig.options(__doc__).parse_args()
    report = rig.Report('s2 toxiproxy')
    with rig.Folder() as folder:
        daemon = rig.Daemon(given.weird, folder)
        proxy = None
        try:
            proxy = Proxy(toxiproxy(), daemon, folder)
            for case in CASES:
                for toxic in TOXICS:
                    name = '%s, %s' % (case.__name__.replace('_', ' '), toxic)
                    if given.k in name:
                        report.case(name, play, case, lambda: Env(daemon, proxy), toxic)
            report.case('the daemon ends in order', lambda: same(daemon.stop(), 0, 'status'))
        finally:
            daemon.kill()
            if proxy:
                proxy.end()
    return report.status()


if __name__ == '__main__':
    sys.exit(main())
