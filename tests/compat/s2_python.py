#!/usr/bin/env python3
"""The Python SDK of S2 (s2-sdk 0.13 or newer) against a daemon of ours, as programs use it.

    s2_python.py [--weird PROGRAM] [-k PART]

The SDK is installed by pip into the cache. What one dialect appends the other reads: see the cases that begin with "both ways".
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from datetime import timedelta

import s2_rig as rig
from s2_rig import Fault, claim, same

rig.in_python_with('s2 python sdk', ['s2-sdk>=0.13'],
                   'import importlib.metadata as m; v = m.version("s2-sdk").split("."); assert (int(v[0]), int(v[1])) >= (0, 13)')

from s2_sdk import (S2, AccessTokenScope, AccountMetricSet, AppendInput, BasinConfig, Batching, CommandRecord, Compression,  # noqa: E402
                    Encryption, Endpoints, EnsureStatus, ExactMatch, FencingTokenMismatchError, Operation, PrefixMatch, ReadLimit,
                    ReadUnwrittenError, Record, Retry, S2Error, S2ServerError, SeqNum, SeqNumMismatchError, StreamConfig, TailOffset,
                    Timestamp, Timestamping, TimestampingMode)

MIB = 1 << 20
LIMIT = float(os.environ.get("LIMIT", "60"))
names = iter(range(1, 10000))


class Env:
    """A daemon, and clients of it that are closed at the end of a case."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.clients = []

    def client(self, token='any', patient=False, **more):
        """patient: goes on trying while the daemon is away."""
        retry = Retry(max_attempts=100, min_base_delay=timedelta(milliseconds=20), max_base_delay=timedelta(milliseconds=200)) \
            if patient else Retry(max_attempts=1)
        client = S2(token, endpoints=Endpoints(account=self.daemon.url, basin=self.daemon.url), retry=retry, **more)
        self.clients.append(client)
        return client

    async def basin(self, config=None, **more):
        client = self.client(**more)
        name = 'python-basin-%d' % next(names)
        await client.create_basin(name, config=config)
        return client.basin(name)

    async def stream(self, config=None, **more):
        basin = await self.basin(**more)
        name = 'stream-%d' % next(names)
        await basin.create_stream(name, config=config)
        return basin.stream(name)

    def root(self, **more):
        return self.client(**more).basin(rig.ROOT_BASIN)

    async def close(self):
        for client in self.clients:
            await client.close()


async def refused(what, status, code, call):
    """The call fails with that status and code; the error."""
    try:
        await call
    except S2ServerError as error:
        same((error.status_code, error.code), (status, code), what)
        return error
    raise Fault('%s: not refused' % what)


async def raises(what, kind, call):
    try:
        await call
    except kind as error:
        return error
    raise Fault('%s: no %s' % (what, kind.__name__))


def numbered(first, count, prefix=b''):
    return [Record(prefix + b'%d' % n) for n in range(first, first + count)]


async def _await(ticket):
    return await ticket


async def read_all(stream, start=0, count=None):
    """Everything from `start` on, by a session that ends at the tail."""
    tail = (await stream.check_tail()).seq_num
    found = []
    if start >= tail:
        return found
    limit = ReadLimit(count=count if count is not None else tail - start)
    async with stream.read_session(start=SeqNum(start), limit=limit, wait=0) as session:
        async for batch in session:
            found += batch.records
    return found


def bodies(records):
    return [record.body for record in records]


def numbers(records):
    return [int(record.body.rsplit(b'-', 1)[-1]) for record in records]


# --- control plane --------------------------------------------------------------------------------------


async def control_basins(env):
    s2 = env.client()
    prefix = 'control-%d-' % next(names)
    made = [prefix + letter for letter in 'cabed']
    for name in made:
        info = await s2.create_basin(name)
        same((info.name, info.deleted_at), (name, None), 'info')
    await refused('a second create', 409, 'resource_already_exists', s2.create_basin(made[0]))
    page = await s2.list_basins(prefix=prefix, limit=2)
    same(([b.name for b in page.items], page.has_more), ([prefix + 'a', prefix + 'b'], True), 'first page')
    page = await s2.list_basins(prefix=prefix, start_after=prefix + 'b')
    same(([b.name for b in page.items], page.has_more), ([prefix + 'c', prefix + 'd', prefix + 'e'], False), 'the rest')
    same([b.name async for b in s2.list_all_basins(prefix=prefix)], sorted(made), 'all')
    for name in made:
        await s2.delete_basin(name)
    await s2.delete_basin('never-was-here', ignore_not_found=True)
    end = time.monotonic() + LIMIT
    while [b async for b in s2.list_all_basins(prefix=prefix, include_deleted=True)]:
        claim(time.monotonic() < end, 'deleted basins stay')
        await asyncio.sleep(0.05)
    await refused('config of a deleted one', 404, 'basin_not_found', s2.get_basin_config(made[0]))


async def control_basin_config(env):
    s2 = env.client()
    name = 'configured-%d' % next(names)
    config = BasinConfig(default_stream_config=StreamConfig(storage_class='standard', retention_policy=3600), create_stream_on_append=True)
    ensured = await s2.ensure_basin(name, config=config)
    same(ensured.status, EnsureStatus.CREATED, 'first')
    same((await s2.ensure_basin(name, config=config)).status, EnsureStatus.CONFIG_UNCHANGED, 'again')
    config.create_stream_on_read = True
    same((await s2.ensure_basin(name, config=config)).status, EnsureStatus.CONFIG_UPDATED, 'changed')
    after = await s2.reconfigure_basin(name, config=BasinConfig(default_stream_config=StreamConfig(retention_policy='infinite')))
    defaults = after.default_stream_config
    same((defaults.storage_class, defaults.retention_policy), ('standard', 'infinite'), 'reconfigured')
    same((await s2.get_basin_config(name)), after, 'as read')
    same((after.create_stream_on_append, after.create_stream_on_read), (True, True), 'flags')


async def control_streams(env):
    basin = await env.basin()
    made = ['dir/c', 'dir/a', 'dir/b', 'other', 'dir/na me-\u00e9\u65e5']
    for name in made:
        await basin.create_stream(name)
    page = await basin.list_streams(prefix='dir/', limit=2)
    same(([s.name for s in page.items], page.has_more), (['dir/a', 'dir/b'], True), 'first page')
    same([s.name async for s in basin.list_all_streams()], sorted(made), 'all')
    config = StreamConfig(storage_class='express', retention_policy=60, delete_on_empty_min_age=5,
                          timestamping=Timestamping(mode=TimestampingMode.ARRIVAL, uncapped=True))
    same((await basin.ensure_stream('own', config=config)).status, EnsureStatus.CREATED, 'first')
    same((await basin.ensure_stream('own', config=config)).status, EnsureStatus.CONFIG_UNCHANGED, 'again')
    same(await basin.get_stream_config('own'), config, 'config')
    after = await basin.reconfigure_stream('own', config=StreamConfig(timestamping=Timestamping(uncapped=False)))
    same((after.timestamping.mode, after.timestamping.uncapped, after.retention_policy), (TimestampingMode.ARRIVAL, False, 60), 'changed')
    await basin.delete_stream('own')
    error = await raises('config of a deleted one', S2ServerError, basin.get_stream_config('own'))
    claim(error.code in ('stream_not_found', 'stream_deletion_pending'), 'code %s', error.code)
    await basin.delete_stream('never-was', ignore_not_found=True)


async def control_auto_create(env):
    basin = await env.basin(BasinConfig(create_stream_on_append=True, default_stream_config=StreamConfig(retention_policy=77)))
    ack = await basin.stream('made').append(AppendInput([Record(b'x')], stream_config=StreamConfig(storage_class='standard')))
    same(ack.start.seq_num, 0, 'first')
    config = await basin.get_stream_config('made')
    same((config.retention_policy, config.storage_class), (77, 'standard'), 'config')
    await refused('reading does not make one', 404, 'stream_not_found', basin.stream('unmade').check_tail())


async def control_locations_and_metrics(env):
    s2 = env.client()
    found = await s2.list_locations()
    claim(len(found) >= 1, 'no location')
    same((await s2.get_default_location()).name, found[0].name, 'default')
    now = int(time.time())
    metrics = await s2.account_metrics(set=AccountMetricSet.ACTIVE_BASINS, start=now - 3600, end=now)
    claim(isinstance(metrics, list), 'metrics %r', metrics)


# --- data plane --------------------------------------------------------------------------------------------


async def data_append_and_read(env):
    stream = await env.stream()
    records = [Record(b'plain'), Record(b'', headers=[(b'a', b'b'), (b'a', b'c')]), Record(bytes(range(256)), headers=[(b'\xff', b'\0')]),
               Record('\u65e5\u672c'.encode(), headers=[('\u00e9'.encode(), b'')])]
    ack = await stream.append(AppendInput(records))
    same((ack.start.seq_num, ack.end.seq_num, ack.tail.seq_num), (0, 4, 4), 'ack')
    same(await stream.check_tail(), ack.tail, 'tail')
    batch = await stream.read(start=SeqNum(0))
    same([(r.body, r.headers) for r in batch.records], [(r.body, r.headers) for r in records], 'records')
    same([r.seq_num for r in batch.records], [0, 1, 2, 3], 'seq nums')
    batch = await stream.read(start=TailOffset(2), limit=ReadLimit(count=1))
    same([r.seq_num for r in batch.records], [2], 'tail offset')
    batch = await stream.read(start=Timestamp(ack.start.timestamp))
    same(len(batch.records), 4, 'by timestamp')
    error = await raises('the tail', ReadUnwrittenError, stream.read(start=SeqNum(4)))
    same(error.tail.seq_num, 4, 'tail of the error')


async def data_limits(env):
    stream = await env.stream()
    ack = await stream.append(AppendInput([Record(os.urandom(MIB - 8))]))
    same(ack.end.seq_num, 1, 'largest body')
    ack = await stream.append(AppendInput([Record(b'')] * 1000))
    same(ack.end.seq_num, 1001, 'most records')
    found = await read_all(stream)
    same((len(found), len(found[0].body)), (1001, MIB - 8), 'read')


async def data_compression(env):
    for kind in (Compression.GZIP, Compression.ZSTD):
        stream = await env.stream(compression=kind)
        body = b'compressible ' * 5000
        await stream.append(AppendInput([Record(body)]))
        async with stream.append_session() as session:
            await (await session.submit(AppendInput([Record(body), Record(os.urandom(5000))])))
        found = await read_all(stream)
        same([r.body for r in found[:2]], [body, body], kind.value)
        same(len(found), 3, 'count')


async def data_conditions(env):
    stream = await env.stream()
    await stream.append(AppendInput([Record(b'a')], match_seq_num=0))
    error = await raises('match_seq_num', SeqNumMismatchError, stream.append(AppendInput([Record(b'a')], match_seq_num=0)))
    same(error.expected_seq_num, 1, 'expected')
    await stream.append(AppendInput([CommandRecord.fence('mine')], fencing_token=''))
    error = await raises('fence', FencingTokenMismatchError, stream.append(AppendInput([Record(b'b')], fencing_token='other')))
    same(error.expected_fencing_token, 'mine', 'expected')
    await stream.append(AppendInput([Record(b'c')], fencing_token='mine', match_seq_num=2))
    await stream.append(AppendInput([Record(b'd')]))
    same([r.body for r in await read_all(stream)], [b'a', b'mine', b'c', b'd'], 'records')


async def data_timestamps(env):
    stream = await env.stream(StreamConfig(timestamping=Timestamping(mode=TimestampingMode.CLIENT_REQUIRE, uncapped=True)))
    await refused('none given', 422, 'invalid', stream.append(AppendInput([Record(b'x')])))
    stamps = [10, 20, 20, 2**63, 30]
    await stream.append(AppendInput([Record(b'x', timestamp=t) for t in stamps]))
    same([r.timestamp for r in await read_all(stream)], [10, 20, 20, 2**63, 2**63], 'raised')
    batch = await stream.read(start=Timestamp(20), until_timestamp=2**63)
    same([r.seq_num for r in batch.records], [1, 2], 'range')


async def data_trim(env):
    stream = await env.stream()
    await stream.append(AppendInput(numbered(0, 10)))
    ack = await stream.append(AppendInput([CommandRecord.trim(6)]))
    same(ack.start.seq_num, 10, 'the command has a number')
    found = await read_all(stream)
    same([r.seq_num for r in found], [6, 7, 8, 9, 10], 'kept')
    claim(found[-1].is_command_record() and found[-1].body == (6).to_bytes(8, 'big'), 'command record %r', found[-1])
    await stream.append(AppendInput([CommandRecord.trim(2)]))
    await stream.append(AppendInput([CommandRecord.trim(2**64 - 1)]))
    found = await read_all(stream)
    same([r.seq_num for r in found], [], 'all trimmed')
    same((await stream.check_tail()).seq_num, 13, 'tail')


async def data_encryption(env):
    s2 = env.client()
    name = 'encrypted-%d' % next(names)
    await s2.create_basin(name, config=BasinConfig(stream_cipher=Encryption.AES_256_GCM))
    basin = s2.basin(name)
    info = await basin.create_stream('secret')
    same(info.cipher, Encryption.AES_256_GCM, 'cipher')
    stream = basin.stream('secret', encryption_key=b'k' * 32)
    await stream.append(AppendInput([Record(b'hidden words', headers=[(b'h', b'\xff')])]))
    found = await read_all(stream)
    same((found[0].body, found[0].headers), (b'hidden words', [(b'h', b'\xff')]), 'with the key')
    other = basin.stream('secret', encryption_key=b'x' * 32)
    await refused('with another key', 400, 'decryption_failed', other.read(start=SeqNum(0)))
    await refused('without one', 400, 'bad_header', basin.stream('secret').read(start=SeqNum(0)))
    content = b''.join(env.daemon.content(f, store=env.daemon.basin_store(name))
                       for f in env.daemon.frames('secret', store=env.daemon.basin_store(name)))
    claim(b'hidden' not in content, 'the store has it in the clear')


# --- sessions --------------------------------------------------------------------------------------------------


async def session_pipelined(env):
    stream = await env.stream()
    async with stream.append_session() as session:
        tickets = [await session.submit(AppendInput(numbered(n * 20, 20))) for n in range(200)]
        acks = [await ticket for ticket in tickets]
    same([a.start.seq_num for a in acks], list(range(0, 4000, 20)), 'starts')
    same(numbers(await read_all(stream)), list(range(4000)), 'records')


async def session_poisoned(env):
    stream = await env.stream()
    session = stream.append_session()
    first = await session.submit(AppendInput([Record(b'0')], match_seq_num=0))
    second = await session.submit(AppendInput([Record(b'1')], match_seq_num=5))
    third = await session.submit(AppendInput([Record(b'2')]))
    same((await first).end.seq_num, 1, 'first')
    await raises('second', SeqNumMismatchError, _await(second))
    await raises('third', S2Error, _await(third))
    await raises('close', S2Error, session.close())
    same(numbers(await read_all(stream)), [0], 'records')


async def session_producer(env):
    stream = await env.stream()
    async with stream.producer(batching=Batching(linger=timedelta(milliseconds=2), max_records=100)) as producer:
        tickets = [await producer.submit(Record(b'%d' % n, headers=[(b'n', b'%d' % n)])) for n in range(5000)]
        await producer.flush()
        acks = [await ticket for ticket in tickets]
    same([a.seq_num for a in acks], list(range(5000)), 'seq nums')
    claim(len({a.batch.start.seq_num for a in acks}) < 2500, 'nothing was batched')
    same(numbers(await read_all(stream)), list(range(5000)), 'records')


async def session_follow(env):
    stream = await env.stream()
    await stream.append(AppendInput(numbered(0, 5)))
    seen = []
    async with stream.read_session(start=SeqNum(0)) as session:
        async for batch in session:
            seen += numbers(batch.records)
            if len(seen) >= 5:
                break
        tail = await asyncio.wait_for(session.caught_up(), LIMIT)
        same(tail.seq_num, 5, 'caught up')
        for n in range(5, 25):
            await stream.append(AppendInput(numbered(n, 1)))
            batch = await asyncio.wait_for(anext(session), LIMIT)
            seen += numbers(batch.records)
    same(seen, list(range(25)), 'followed')


async def session_many_followers(env):
    stream = await env.stream()

    async def follow():
        seen = []
        async with stream.read_session(start=SeqNum(0), clamp_to_tail=True) as session:
            async for batch in session:
                seen += numbers(batch.records)
                if len(seen) >= 100:
                    return seen

    followers = [asyncio.create_task(follow()) for _ in range(120)]  # more than a connection's hundred streams
    for n in range(10):
        await stream.append(AppendInput(numbered(n * 10, 10)))
    for seen in await asyncio.wait_for(asyncio.gather(*followers), LIMIT):
        same(seen, list(range(100)), 'followed')


async def session_wait(env):
    stream = await env.stream()
    begun = time.monotonic()
    batch = await stream.read(start=SeqNum(0), wait=1, limit=ReadLimit(count=1))
    same(batch.records, [], 'nothing')
    claim(0.9 < time.monotonic() - begun < 5, 'waited %.2f s', time.monotonic() - begun)
    later = asyncio.create_task(stream.read(start=SeqNum(0), wait=30, limit=ReadLimit(count=1)))
    await stream.append(AppendInput([Record(b'7')]))
    same(numbers((await asyncio.wait_for(later, LIMIT)).records), [7], 'woken')


# --- the daemon is killed and comes back ---------------------------------------------------------------------------


class Killer:
    """Kills and restarts the daemon when a count has been reached."""

    def __init__(self, daemon, *at):
        self.daemon = daemon
        self.at = list(at)
        self.task = None

    async def reached(self, count):
        if self.at and count >= self.at[0]:
            self.at.pop(0)
            if self.task:
                await self.task
            self.task = asyncio.create_task(asyncio.to_thread(self.daemon.again))

    async def done(self):
        if self.task:
            await self.task
        same(self.at, [], 'kills that did not come to be')


def demand_kept(records, acked):
    """What was acked is where the ack says, and in its first appearance all is in order."""
    for number, seq in acked:
        claim(seq < len(records) and int(records[seq].body) == number, 'record %d was acked at %d and is not there', number, seq)
    first = list(dict.fromkeys(numbers(records)))
    same(first, sorted(first), 'order')


async def killed_session(env):
    """Without condition: nothing acked is lost; a batch whose ack was lost may be there twice."""
    stream = await env.stream(patient=True)
    killer = Killer(env.daemon, 40, 120, 200)
    acked = []
    async with stream.append_session(max_unacked_batches=8) as session:
        tickets = []
        for n in range(300):
            tickets.append(await session.submit(AppendInput(numbered(n * 3, 3))))
            await killer.reached(n)
        for n, ticket in enumerate(tickets):
            ack = await asyncio.wait_for(_await(ticket), LIMIT)
            acked += [(n * 3 + i, ack.start.seq_num + i) for i in range(3)]
    await killer.done()
    records = await read_all(stream)
    demand_kept(records, acked)
    same(sorted(set(numbers(records))), list(range(900)), 'records')


async def killed_producer_with_match(env):
    """With match_seq_num: every record once."""
    stream = await env.stream(patient=True)
    killer = Killer(env.daemon, 100, 500, 1000)
    end = time.monotonic() + LIMIT
    done, total, refusals = 0, 1500, 0
    while done < total:
        claim(time.monotonic() < end, '%d of %d after %g s', done, total, LIMIT)
        producer = stream.producer(match_seq_num=done, batching=Batching(max_records=10, linger=timedelta(milliseconds=1)))
        tickets = []
        try:
            for n in range(done, total):
                tickets.append((n, await producer.submit(Record(b'%d' % n))))
                await killer.reached(n)
            await producer.close()
        except SeqNumMismatchError:
            refusals += 1  # an ack was lost with its connection: what it was for is there
            with contextlib.suppress(S2Error):
                await producer.close()
        for n, ticket in tickets:
            try:
                same((await asyncio.wait_for(_await(ticket), LIMIT)).seq_num, n, 'seq num')
            except S2Error:
                break
        done = (await stream.check_tail()).seq_num
    await killer.done()
    same(numbers(await read_all(stream)), list(range(total)), 'records')


async def killed_reader(env):
    """A follower sees every record once and in order, whatever happens to the daemon."""
    stream = await env.stream(patient=True)
    killer = Killer(env.daemon, 60, 160)
    total = 250

    async def follow():
        seen = []
        async with stream.read_session(start=SeqNum(0), clamp_to_tail=True) as session:
            async for batch in session:
                seen += batch.records
                if len(seen) >= total:
                    return seen

    follower = asyncio.create_task(follow())
    done = 0
    while done < total:
        try:
            done = (await stream.append(AppendInput(numbered(done, 1), match_seq_num=done))).end.seq_num
        except SeqNumMismatchError as error:
            same(error.expected_seq_num, done + 1, 'expected')
            done += 1
        await killer.reached(done)
    seen = await asyncio.wait_for(follower, LIMIT)
    await killer.done()
    same([r.seq_num for r in seen], list(range(total)), 'seq nums')
    same(numbers(seen), list(range(total)), 'records')


async def killed_keeps_state(env):
    """Fencing token, trim point, config, tail and deleted streams survive."""
    basin = await env.basin(patient=True)
    await basin.create_stream('kept', config=StreamConfig(retention_policy=1234))
    await basin.create_stream('gone')
    stream = basin.stream('kept')
    await stream.append(AppendInput(numbered(0, 5)))
    await stream.append(AppendInput([CommandRecord.fence('held'), CommandRecord.trim(3)]))
    tail = await stream.check_tail()
    await basin.delete_stream('gone')
    await asyncio.to_thread(env.daemon.again)
    same(await stream.check_tail(), tail, 'tail')
    error = await raises('fence', FencingTokenMismatchError, stream.append(AppendInput([Record(b'x')], fencing_token='other')))
    same(error.expected_fencing_token, 'held', 'token')
    same([r.seq_num for r in await read_all(stream)], [3, 4, 5, 6], 'kept records')
    same((await basin.get_stream_config('kept')).retention_policy, 1234, 'config')
    same([s.name async for s in basin.list_all_streams()], ['kept'], 'streams')


async def fencing_fight(env):
    """Two writers take the stream from each other; nobody writes after he was fenced off."""
    stream = await env.stream()

    async def writer(name, turns):
        for turn in range(turns):
            token = '%s-%d' % (name, turn)
            await stream.append(AppendInput([CommandRecord.fence(token)]))
            try:
                for n in range(6):
                    await stream.append(AppendInput([Record(('%s:%d' % (token, n)).encode())], fencing_token=token))
            except FencingTokenMismatchError as error:
                claim(error.expected_fencing_token != token, 'refused with the own token')

    await asyncio.wait_for(asyncio.gather(writer('one', 25), writer('two', 25)), LIMIT)
    holder, changes = '', 0
    for record in await read_all(stream):
        if record.is_command_record():
            holder = record.body.decode()
            changes += 1
        else:
            same(record.body.decode().split(':')[0], holder, 'writer of record %d' % record.seq_num)
    same(changes, 50, 'turns')


# --- access tokens ---------------------------------------------------------------------------------------------------


async def tokens(env):
    owner = env.client()
    basin = await env.basin()
    for name in ('open/a', 'open/b', 'closed'):
        await basin.create_stream(name)
        await basin.stream(name).append(AppendInput([Record(name.encode())]))
    name = 'reader-%d' % next(names)
    secret = await owner.issue_access_token(name, scope=AccessTokenScope(
        basins=ExactMatch(basin.name), streams=PrefixMatch('open/'), ops=[Operation.READ, Operation.CHECK_TAIL, Operation.LIST_STREAMS]))
    await refused('the same id again', 409, 'resource_already_exists',
                  owner.issue_access_token(name, scope=AccessTokenScope(ops=[Operation.READ])))
    listed = [t async for t in owner.list_all_access_tokens(prefix='reader-')]
    claim(name in [t.id for t in listed], 'not listed: %r', listed)
    reader = env.client(token=secret)
    theirs = reader.basin(basin.name)
    same(bodies((await theirs.stream('open/a').read(start=SeqNum(0))).records), [b'open/a'], 'in scope')
    async with theirs.stream('open/b').read_session(start=SeqNum(0), limit=ReadLimit(count=1)) as session:
        same([b async for b in session][0].records[0].body, b'open/b', 'by a session')
    denied = (403, 'permission_denied')
    await refused('another stream', *denied, theirs.stream('closed').read(start=SeqNum(0)))
    await refused('an append', *denied, theirs.stream('open/a').append(AppendInput([Record(b'x')])))
    await refused('creating', *denied, theirs.create_stream('open/c'))
    await refused('another basin', *denied, reader.basin(rig.ROOT_BASIN).list_streams())
    await refused('issuing', *denied, reader.issue_access_token('more', scope=AccessTokenScope(ops=[Operation.READ])))
    session = theirs.stream('open/a').append_session()
    await refused('an append session', *denied, _await(await session.submit(AppendInput([Record(b'x')]))))
    with contextlib.suppress(S2Error):
        await session.close()
    await owner.revoke_access_token(name)
    await refused('revoked', 401, 'authn', theirs.stream('open/a').read(start=SeqNum(0)))
    await refused('revoking again', 404, 'access_token_not_found', owner.revoke_access_token(name))


async def tokens_auto_prefix(env):
    owner = env.client()
    basin = await env.basin()
    name = 'tenant-%d' % next(names)
    secret = await owner.issue_access_token(name, auto_prefix_streams=True, scope=AccessTokenScope(
        basins=ExactMatch(basin.name), streams=PrefixMatch('tenant/'),
        ops=[Operation.CREATE_STREAM, Operation.APPEND, Operation.READ, Operation.LIST_STREAMS, Operation.CHECK_TAIL]))
    theirs = env.client(token=secret).basin(basin.name)
    await theirs.create_stream('log')
    await theirs.stream('log').append(AppendInput([Record(b'x')]))
    same([s.name async for s in theirs.list_all_streams()], ['log'], 'as the tenant sees it')
    same([s.name async for s in basin.list_all_streams()], ['tenant/log'], 'as the owner sees it')
    same(bodies((await basin.stream('tenant/log').read(start=SeqNum(0))).records), [b'x'], 'records')


async def tokens_survive(env):
    owner = env.client(patient=True)
    basin = await env.basin(patient=True)
    await basin.create_stream('s')
    await basin.stream('s').append(AppendInput([Record(b'x')]))
    name = 'lasting-%d' % next(names)
    everywhere = AccessTokenScope(basins=PrefixMatch(''), streams=PrefixMatch(''), ops=[Operation.READ])
    secret = await owner.issue_access_token(name, scope=everywhere)
    await asyncio.to_thread(env.daemon.again)
    theirs = env.client(token=secret, patient=True).basin(basin.name).stream('s')
    same(bodies((await theirs.read(start=SeqNum(0))).records), [b'x'], 'after a restart')
    await refused('out of scope', 403, 'permission_denied', theirs.check_tail())


# --- both ways: an S2 record is a frame and a frame is a record ----------------------------------------------------------


def sri(content):
    return 'sha256-' + base64.b64encode(hashlib.sha256(content).digest()).decode()


async def ways_s2_to_weir(env):
    basin = env.root()
    name = 'ways.out.%d' % next(names)
    await basin.create_stream(name)
    big = os.urandom(MIB - 8)
    records = [Record(b'plain'), Record(b'with', headers=[(b'b', b'1'), (b'a', b'2')]), Record(b''), Record(bytes(range(256))),
               Record(b'bin', headers=[(b'a', b'\xff\0')]), Record(b'twice', headers=[(b'a', b'1'), (b'a', b'1')])]
    await basin.stream(name).append(AppendInput(records))
    await basin.stream(name).append(AppendInput([Record(big)]))
    frames = env.daemon.frames(name, '--with-seq')
    same([f['seq'] for f in frames], list(range(7)), 'seqs')
    same([json.dumps(f['meta']) for f in frames],
         ['null', '{"b": "1", "a": "2"}', 'null', 'null', '{"s2.headers": [["YQ==", "/wA="]]}',
          '{"s2.headers": [["YQ==", "MQ=="], ["YQ==", "MQ=="]]}', 'null'], 'metas')
    wanted = [r.body for r in records] + [big]
    same([env.daemon.content(f) == body for f, body in zip(frames, wanted)], [True] * 7, 'contents')
    same([f['hash'] for f in frames], [sri(body) if body else f['hash'] for f, body in zip(frames, wanted)], 'hashes')
    same({f['ttl'] for f in frames}, {'time:604800000'}, 'ttl from the stream\'s retention')


async def ways_weir_to_s2(env):
    basin = env.root()
    name = 'ways.in.%d' % next(names)
    weir = env.daemon.weir
    weir('append', name, stdin=b'plain')
    weir('append', name, '--meta', '{"b":"1","a":"\u00e9"}', stdin=b'')
    weir('append', name, '--meta', '{"n": 1, "deep": [null]}', stdin=bytes(range(256)))
    weir('append', name, '--meta', '{"s2.headers":[["YQ==","/wA="]]}', '--no-content')
    weir('append', name, '--meta', '"text"', stdin=b'x')
    weir('append', name, stdin=b'm' * MIB)
    found = await read_all(basin.stream(name))
    same([r.seq_num for r in found], list(range(6)), 'seq nums')
    same([r.headers for r in found],
         [[], [(b'b', b'1'), (b'a', '\u00e9'.encode())], [(b'xs-meta', b'{"n":1,"deep":[null]}')], [(b'a', b'\xff\0')],
          [(b'xs-meta', b'"text"')], []], 'headers')
    same([len(r.body) for r in found], [5, 0, 256, 0, 1, MIB], 'bodies')
    same(found[2].body, bytes(range(256)), 'bytes')
    config = await basin.get_stream_config(name)
    same((config.retention_policy, config.storage_class), ('infinite', 'express'), 'config')
    claim(name in [s.name async for s in basin.list_all_streams(prefix='ways.')], 'not listed')
    same([s.name async for s in basin.list_all_streams(prefix='xs.')], [], 'the daemon\'s own topics')


async def ways_large(env):
    """Over 1 MiB a content is told of, not carried."""
    basin = env.root()
    name = 'ways.large.%d' % next(names)
    content = os.urandom(3 * MIB)
    env.daemon.weir('append', name, '--meta', '{"a":"b"}', stdin=content)
    env.daemon.weir('append', name, stdin=b'after')
    found = await read_all(basin.stream(name))
    same((found[0].body, dict(found[0].headers)),
         (b'', {b'a': b'b', b'weir-hash': sri(content).encode(), b'weir-size': b'%d' % len(content)}), 'by reference')
    same(found[1].body, b'after', 'the next')


async def ways_holes(env):
    basin = env.root()
    name = 'ways.holes.%d' % next(names)
    weir = env.daemon.weir
    ids = [json.loads(weir('append', name, '--content', str(n)))['id'] for n in range(5)]
    weir('append', name, '--content', '5', '--ttl', 'time:1')
    weir('append', name, '--content', '6')
    weir('remove', ids[0])
    weir('remove', ids[2])
    stream = basin.stream(name)
    end = time.monotonic() + LIMIT
    while True:
        found = await read_all(stream)
        if [r.seq_num for r in found] == [1, 3, 4, 6]:
            break
        claim(time.monotonic() < end, 'seq nums %r', [r.seq_num for r in found])
        await asyncio.sleep(0.02)
    same(numbers(found), [1, 3, 4, 6], 'bodies')
    same((await stream.check_tail()).seq_num, 7, 'tail')
    batch = await stream.read(start=SeqNum(2), limit=ReadLimit(count=1))
    same([r.seq_num for r in batch.records], [3], 'from a hole')
    same([r.seq_num for r in (await stream.read(start=TailOffset(2))).records], [6], 'tail offset counts holes')
    ack = await stream.append(AppendInput([Record(b'7')], match_seq_num=7))
    same(ack.start.seq_num, 7, 'next')
    for n in range(8, 12):
        weir('append', name, '--content', str(n), '--ttl', 'last:2')
    same([r.seq_num for r in await read_all(stream)], [10, 11], 'last:2')


async def ways_commands(env):
    basin = env.root()
    name = 'ways.commands.%d' % next(names)
    await basin.create_stream(name)
    stream = basin.stream(name)
    await stream.append(AppendInput(numbered(0, 4)))
    await stream.append(AppendInput([CommandRecord.fence('s2')]))
    frames = env.daemon.frames(name)
    same((frames[-1]['meta'], env.daemon.content(frames[-1])), ({'s2.headers': [['', 'ZmVuY2U=']]}, b's2'), 'fence as a frame')
    # A frame that only looks like a command is none.
    env.daemon.weir('append', name, '--meta', '{"s2.headers":[["","dHJpbQ=="]]}', stdin=(4).to_bytes(8, 'big'))
    record = (await read_all(stream))[-1]
    same((len(await read_all(stream)), record.is_command_record(), record.headers[0][0]), (6, False, b'xs-meta'), 'looks')
    env.daemon.weir('trim', name, '2')
    same([r.seq_num for r in await read_all(stream)][:2], [2, 3], 'trimmed by weir')
    same([json.dumps(f['meta']) for f in env.daemon.frames(name)][:2], ['null', 'null'], 'the same for weir')
    env.daemon.weir('fence', name, 'weir')
    error = await raises('fenced by weir', FencingTokenMismatchError, stream.append(AppendInput([Record(b'x')], fencing_token='s2')))
    same(error.expected_fencing_token, 'weir', 'token')
    last = (await read_all(stream))[-1]
    same((last.is_command_record(), last.body), (True, b'weir'), 'fence as a record')


class Follower:
    """`weir cat -f` of a topic."""

    def __init__(self, env, topic):
        program = os.path.join(os.path.dirname(env.daemon.program), 'weir')
        self.process = subprocess.Popen([program, 'cat', env.daemon.store, '-f', '-T', topic], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE)

    async def next(self):
        line = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), LIMIT)
        return json.loads(line)

    def end(self):
        self.process.kill()
        self.process.wait()


async def ways_live(env):
    basin = env.root()
    name = 'ways.live.%d' % next(names)
    await basin.create_stream(name)
    stream = basin.stream(name)
    follower = Follower(env, name)
    try:
        same((await follower.next())['topic'], 'xs.threshold', 'boundary')
        async with stream.read_session(start=SeqNum(0), clamp_to_tail=True) as session:
            for n in range(10):
                if n % 2:
                    await stream.append(AppendInput(numbered(n, 1)))
                else:
                    await asyncio.to_thread(env.daemon.weir, 'append', name, '--content', str(n))
                frame = await follower.next()
                same(await asyncio.to_thread(env.daemon.content, frame), b'%d' % n, 'the frame')
                same(numbers((await asyncio.wait_for(anext(session), LIMIT)).records), [n], 'the record')
    finally:
        follower.end()


async def ways_basin_is_a_store(env):
    basin = await env.basin()
    await basin.create_stream('s')
    await basin.stream('s').append(AppendInput([Record(b'from s2', headers=[(b'a', b'b')])]))
    store = env.daemon.basin_store(basin.name)
    frames = env.daemon.frames('s', store=store)
    same([(f['meta'], env.daemon.content(f, store=store)) for f in frames], [({'a': 'b'}, b'from s2')], 'frames')
    env.daemon.weir('append', 's', '--content', 'from weir', store=store)
    same(bodies(await read_all(basin.stream('s'))), [b'from s2', b'from weir'], 'records')
    same(env.daemon.frames('s'), [], 'in the root store')


async def ways_restart(env):
    """What one dialect wrote before a kill the other reads after it."""
    basin = env.root(patient=True)
    name = 'ways.restart.%d' % next(names)
    await basin.create_stream(name)
    stream = basin.stream(name)
    for n in range(20):
        if n % 2:
            await stream.append(AppendInput(numbered(n, 1)))
        else:
            env.daemon.weir('append', name, '--content', str(n))
    await asyncio.to_thread(env.daemon.again)
    same(numbers(await read_all(stream)), list(range(20)), 'records')
    same([env.daemon.content(f) for f in env.daemon.frames(name)], [b'%d' % n for n in range(20)], 'frames')


CASES = [control_basins, control_basin_config, control_streams, control_auto_create, control_locations_and_metrics, data_append_and_read,
         data_limits, data_compression, data_conditions, data_timestamps, data_trim, data_encryption, session_pipelined, session_poisoned,
         session_producer, session_follow, session_many_followers, session_wait, killed_session, killed_producer_with_match,
         killed_reader, killed_keeps_state, fencing_fight, tokens, tokens_auto_prefix, tokens_survive, ways_s2_to_weir, ways_weir_to_s2,
         ways_large, ways_holes, ways_commands, ways_live, ways_basin_is_a_store, ways_restart]


def play(case, daemon):
    async def whole():
        env = Env(daemon)
        try:
            await asyncio.wait_for(case(env), 2 * LIMIT)
        finally:
            await env.close()

    if daemon.process.poll() is not None:
        daemon.start()
        raise Fault('the daemon had ended before; it was started again')
    asyncio.run(whole())
    claim(daemon.process.poll() is None, 'the daemon ended with status %s', daemon.process.returncode)


def main():
    given = rig.options(__doc__).parse_args()
    report = rig.Report('s2 python')
    with rig.Folder() as folder:
        daemon = rig.Daemon(given.weird, folder)
        try:
            for case in CASES:
                if given.k in case.__name__:
                    report.case(case.__name__.replace('_', ' ').replace('ways', 'both ways:'), play, case, daemon)
            report.case('the daemon ends in order', lambda: same(daemon.stop(), 0, 'status'))
        finally:
            daemon.kill()
    return report.status()


if __name__ == '__main__':
    sys.exit(main())
