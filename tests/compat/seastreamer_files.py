#!/usr/bin/env python3
"""SeaStreamer files: the fixtures, and the peer's programs beside ours on the same files.

    seastreamer_files.py [--fixtures] [--weird PROGRAM] [--files N] [--seed N] [-k PART]

--fixtures: only what needs no program of the peer. --files: how many random files both decoders read (each in two forms).
"""

import base64
import glob
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import time

import seastreamer_rig as rig
from seastreamer_rig import FIXTURES, INTERNAL, Fault, Message, Report, Skip, claim, file_url, peer, read_file, read_ss, run, same, until

NAMES = sorted(os.path.basename(p)[:-3] for p in glob.glob(os.path.join(FIXTURES, '*.ss')))
WHOLE = ['appended-1k', 'basic', 'boundary-1k', 'empty', 'empty-eos', 'ended-1k', 'interval-128', 'large-1k', 'multi-1k', 'payloads-2k']


def fixture(name, ending='ss'):
    return os.path.join(FIXTURES, name + '.' + ending)


def status_of(name):
    with open(fixture(name, 'status.json'), encoding='utf-8') as f:
        return json.load(f)


def first_difference(got, want):
    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    return 'byte %d of %d and %d: %.80r, not %.80r' % (at, len(got), len(want), got[max(0, at - 20):at + 60], want[max(0, at - 20):at + 60])


def same_bytes(got, want, what):
    claim(got == want, '%s: %s', what, first_difference(got, want) if got != want else '')


# --- fixtures ------------------------------------------------------------------------------------------------


def sums():
    """The files are those that their descriptions speak of."""
    claim(len(NAMES) >= 13, 'only %d fixtures', len(NAMES))
    for name in NAMES:
        data, about = read_file(fixture(name)), status_of(name)
        same(len(data), about['size'], name + ' size')
        same(hashlib.sha256(data).hexdigest(), about['sha256'], name + ' sha256')


def model():
    """The rig's own codec makes the real writer's bytes; the rest of these suites leans on it."""
    for name in WHOLE:
        if name == 'appended-1k':  # running checksums of a reopened file do not follow from its data
            continue
        data = read_file(fixture(name))
        r = rig.Reader(data)
        same(len(r.messages), status_of(name)['messages_before_stop'], name + ' messages')
        same_bytes(rig.encode(r.messages, r.name, r.created, r.interval), data, name)


def decodes(ours, name):
    about = status_of(name)['decode']
    for form in ('log', 'ndjson'):
        if not os.path.exists(fixture(name, form)):
            continue
        got, status = ours.run('decode', '--format', form, '--file', fixture(name), status=None)
        same_bytes(got, read_file(fixture(name, form)), '%s as %s' % (name, form))
        same(status, about['exit'], '%s status as %s' % (name, form))
        with open(fixture(name), 'rb') as f:
            claim(f.read() == read_file(fixture(name)), 'decoding changed the file')
    same_bytes(ours.run('decode', '--format', 'log', fixture(name), status=None)[0],
               ours.run('decode', '--file', fixture(name), status=None)[0], name + ' with the file as operand, and the default form')


def without_payloads(ndjson):
    out = []
    for line in ndjson.splitlines(keepends=True):
        if line.startswith(b'{'):
            line = line[:line.index(b',"payload":')] + b',"payload":null}\n'
        out.append(line)
    return b''.join(out)


def headers_only(ours, name):
    ndjson = read_file(fixture(name, 'ndjson'))
    got, status = ours.run('decode', '--format', 'ndjson', '--header-only', fixture(name), status=None)
    same(status, status_of(name)['decode']['exit'], 'status')
    same_bytes(got, without_payloads(ndjson), name + ' without payloads')
    lines = []
    for line in ndjson.splitlines():
        if line.startswith(b'{'):
            head = json.loads(line)['header']
            lines.append('[%s | %s | %d | %d]' % (head['timestamp'], head['stream_key'], head['sequence'], head['shard_id']))
        else:
            lines.append('# ' + line.decode()[3:-3])
    want = ''.join(line + '\n' for line in lines).encode()
    same_bytes(ours.run('decode', '--header-only', fixture(name), status=None)[0], want, name + ' as log without payloads')


def plain_forms(ours, name):
    """NDJSON without comments is the other without its comment lines; exact bytes give every payload back."""
    want = b''.join(line for line in read_file(fixture(name, 'ndjson')).splitlines(keepends=True) if line.startswith(b'{'))
    same_bytes(ours.run('decode', '--format', 'plain', fixture(name)), want, name + ' as plain NDJSON')
    for line in want.splitlines():
        json.loads(line)
    r = read_ss(fixture(name))
    got = []
    for line in ours.run('decode', '--format', 'exact', fixture(name)).splitlines():
        value = json.loads(line)
        head = value['header']
        raw = value['payload'].encode() if 'payload' in value else base64.b64decode(value['payload_base64'], validate=True)
        got.append((head['stream_key'], head['shard_id'], head['sequence'], raw))
    same(got, [(m.key, m.shard, m.seq, m.payload) for m in r.messages], name + ' with exact bytes')


def same_file(got, want, what):
    """Equal but for the creation time, and the end mark's time, which is that of its writing."""
    got, want = bytearray(got), bytes(want)
    g, w = rig.Reader(bytes(got)), rig.Reader(want)
    same((g.name, g.interval, g.ended), (w.name, w.interval, w.ended), what + ': name, interval, whether it ended')
    messages = w.messages
    if w.ended:
        same(len(g.messages), len(messages), what + ': messages')
        messages = messages[:-1] + [messages[-1]._replace(ms=g.messages[-1].ms)]
    same_bytes(bytes(got), rig.encode(messages, w.name, g.created, w.interval), what)


def again(ours, name):
    """The messages of a fixture, written again: the same bytes."""
    r = read_ss(fixture(name))
    place = os.path.join(ours.folder, 'again')
    os.makedirs(place, exist_ok=True)
    target = os.path.join(place, name + '.ss')
    if os.path.exists(target):
        os.unlink(target)
    ours.copy(file_url(fixture(name), rig_keys(r)), file_url(target), '--preserve', '--interval', str(r.interval),
              *(['--end-mark'] if r.ended else []))
    if name == 'appended-1k':  # the fixture's running checksums are those of a reopened file
        same(read_ss(target).plain(), r.plain(), name)
    else:
        same_file(read_file(target), read_file(fixture(name)), name)


def rig_keys(reader):
    return ','.join(sorted({m.key for m in reader.messages if m.key != INTERNAL}))


def verifies(ours, name):
    """Damage, and only damage, is an error of --verify."""
    bad = name in ('bad-magic', 'flipped-payload')
    same(ours.run('decode', '--verify', fixture(name), status=None)[1], 1 if bad else 0, 'status of --verify for ' + name)


def taken(ours, name, keys, *more):
    """Messages of a fixture that a relay takes."""
    target = os.path.join(ours.folder, 'taken.ss')
    if os.path.exists(target):
        os.unlink(target)
    ours.run('relay', '--input', file_url(fixture(name), *keys), '--output', file_url(target), '--preserve', '--no-follow', *more)
    return read_ss(target).messages if os.path.exists(target) and os.path.getsize(target) else []


def fixture_seeks(ours):
    """By sequence: the first that is not before it. By time: the first behind it. Nothing there: out of bound."""
    same(taken(ours, 'ended-1k', ['hello'], '--offset', '20')[0].seq, 20, 'first message from sequence 20')
    same(taken(ours, 'ended-1k', ['hello'], '--offset', iso(1700000020000))[0].seq, 21, 'first message behind a time')
    args = ['relay', '--input', file_url(fixture('ended-1k'), 'hello'), '--output', 'stdio:///o', '--no-follow', '--offset', '999']
    same(ours.run(*args, status=None), (b'', 1), 'output and status of a seek out of bound')
    same([m.seq for m in taken(ours, 'multi-1k', ['beta'], '--offset', '14') if m.shard == 1][0], 14, 'first message of beta/1 from 14')


def fixture_groups(ours):
    """Members of a group by sequence modulo their count; a wildcard gives all but internal messages."""
    for member in range(3):
        got = [m.seq for m in taken(ours, 'ended-1k', ['hello'], '--offset', 'start', '--share', '%d/3' % member)]
        same(got, [n for n in range(1, 41) if n % 3 == member], 'member %d' % member)
    want = read_ss(fixture('multi-1k')).plain()
    same(len(want), 90, 'messages of multi-1k')
    same(taken(ours, 'multi-1k', ['SEA_STREAMER_WILDCARD'], '--offset', 'start'), want, 'wildcard')
    same(taken(ours, 'multi-1k', ['beta', 'gamma'], '--offset', 'start'), [m for m in want if m.key != 'alpha'], 'two keys')


# --- both decoders ---------------------------------------------------------------------------------------------


def made(ours, rng, path, redis):
    """A file of random messages by one of the writers, perhaps harmed: (writer, interval, harm)."""
    count = rng.choice([0, 1, 2, 5, 20, 60])
    messages = rig.messages(rng, count)
    how = rng.choice(['model', 'model', 'lines'] + ['dump', 'dump', 'redis'] * bool(redis)) if messages else 'model'
    b = 1 << 20 if how == 'dump' else rig.interval(rng)
    if how == 'dump':
        if rng.random() < .2:  # so that there are beacons
            messages += [m._replace(payload=rng.randbytes(rng.randrange(300000))) for m in messages[:12]] * 2
        by_dump(ours, redis, messages, path)
    elif how == 'model':
        if messages and rng.random() < .5:  # an end mark anywhere, and signals that are none
            messages.insert(rng.randrange(len(messages)), rng.choice([rig.end_mark(), Message(INTERNAL, 3, 9, 5, b'PULSE'),
                                                                      Message(INTERNAL, 7, 7, 7, b'EOS')]))
        with open(path, 'wb') as f:
            f.write(rig.encode(messages, rng.choice(['m.ss', 'ünï.ss', '', '"q"\\.ss', 'x' * 111]), rng.choice([0, 1700000000000, 999, 1]), b))
    else:
        by_producer(ours, redis if how == 'redis' else None, messages, path, b)
    return how, b, harmed(rng, path)


def harmed(rng, path):
    if rng.random() >= .4:
        return ''
    data = bytearray(read_file(path))
    harm = rng.choice(['cut', 'flip', 'flip', 'more'])
    if harm == 'cut':
        del data[rng.randrange(len(data)):]
    elif harm == 'flip':
        for _ in range(rng.randrange(1, 4)):
            data[rng.choice([rng.randrange(len(data)), rng.randrange(min(len(data), 200))])] ^= 1 << rng.randrange(8)
    else:
        data += rng.randbytes(rng.randrange(1, 200))
    with open(path, 'wb') as f:
        f.write(data)
    return harm


def by_dump(ours, redis, messages, path):
    """The real low-level writer's file: the rules give its bytes, and so do ours of the same messages."""
    redis.do('FLUSHALL')
    want = rig.to_entries(redis, messages)
    rig.real_dump(redis, ours.folder, sorted({m.key for m in messages}), path, len(messages))
    r = read_ss(path)
    same(rig.by_stream(r.messages), want, 'messages of the real dump')
    same_bytes(read_file(path), rig.encode(r.messages, r.name, r.created, r.interval), 'the real dump')
    target = os.path.join(ours.folder, 'dumped.ss')
    if os.path.exists(target):
        os.unlink(target)
    ours.copy(file_url(path, rig_keys(r)), file_url(target), '--preserve', '--interval', str(r.interval))
    same_bytes(read_file(target)[128:], read_file(path)[128:], 'ours of the same messages')


def by_producer(ours, redis, messages, path, b):
    """The real producer in a file of ours, from lines or, with any bytes, from Redis."""
    key, payloads = messages[0].key, [m.payload for m in messages]
    if not redis:
        payloads = [p for p in payloads if b'\n' not in p and is_text(p) and not p.decode()[0].isspace()] or [b'x']
    before = []
    while not before or rig.breaks_real(path):
        before.append(b'ours')
        ours.copy('stdio:///' + key, file_url(path, key), '--interval', str(b), stdin=b'[%s] ours\n' % key.encode())
    if redis:
        redis.do('FLUSHALL')
        redis.many([('XADD', 'in', '*', 'msg', p) for p in payloads])
        rig.real_copies(redis, ours.folder, 'in', path, key)
    else:
        rig.real_appends(ours.folder, path, key, payloads)
    got = read_ss(path).messages
    same([m[:3] for m in got], [(key, 0, n) for n in range(1, len(before + payloads) + 1)], 'keys and numbers of the real producer')
    same([m.payload for m in got], before + payloads, 'payloads of the real producer')


def is_text(raw):
    try:
        return bool(raw.decode())
    except UnicodeDecodeError:
        return False


def both(ours, path, *how, harmed=False):
    """
    Both decoders on one file: the same bytes, the same status. A crash of the real one stands for an error of ours. In a file that was
    harmed ours may call damage what the real one takes for a cut end: it looks at the marks of beacons, and at the lengths they state.
    """
    theirs, their_status = run([peer('ss-decode'), '--file', path, *how], status=None)
    got, status = ours.run('decode', '--file', path, *how, status=None)
    same_bytes(got, theirs, ' '.join(how))
    if not (harmed and (status, their_status) == (1, 0)):
        same(status, 1 if their_status in (101, -6) else their_status, 'status, ' + ' '.join(how))
    return status, their_status


def differential(ours, seed, files):
    """The first files on which they differ are kept, and named."""
    peer('ss-decode'), peer('relay'), peer('redis-streams-dump')
    try:
        server = rig.Redis(ours.folder)
    except Skip as reason:
        print('# no files by way of Redis: %s' % reason)
        return compared(ours, seed, files, None)
    with server as redis:
        compared(ours, seed, files, redis)


def compared(ours, seed, files, redis):
    path, faults, stricter = os.path.join(ours.folder, 'd.ss'), [], 0
    for number in range(files):
        rng = rig.rng_for(seed, 'decode', number)
        if os.path.exists(path):
            os.unlink(path)
        what = made(ours, rng, path, redis)
        for how in rng.sample([['--format', 'log'], ['--format', 'ndjson'], ['--format', 'ndjson', '--header-only'], ['--header-only']], 2):
            try:
                status, their_status = both(ours, path, *how, harmed=what[2])
                stricter += status != their_status
            except Fault as fault:
                kept = os.path.join(tempfile.gettempdir(), 'weir-ss-%d-%d.ss' % (seed, number))
                shutil.copy(path, kept)
                faults.append('%s (%s B=%d %s): %s' % (kept, *what, fault))
                break
        if len(faults) == 10:
            break
    claim(not faults, '%d of %d files, seed %d: %s', len(faults), files, seed, '; '.join(faults))
    print('# %d files, seed %d: %d times damage where the real decoder sees a cut end' % (files, seed, stricter))


def json_payloads(ours, seed):
    """One large file of every odd text there is, so that each form of a value is printed."""
    rng = random.Random(seed)
    texts = [t.encode() for t in rig.ODD + rig.BROKEN + rig.TEXTS + rig.NUMBERS]
    texts += [b'[' + t + b']' for t in texts] + [rig.payload(rng) for _ in range(3000)]
    messages = [Message('json', 0, n, 1700000000000 + n, t) for n, t in enumerate(texts, 1)]
    path = os.path.join(ours.folder, 'json.ss')
    with open(path, 'wb') as f:
        f.write(rig.encode(messages, 'json.ss', 1700000000000, 4096))
    for how in (['--format', 'ndjson'], ['--format', 'log']):
        both(ours, path, *how)


# --- files of ours, read by the peer ---------------------------------------------------------------------------------


def written(ours, seed, files):
    """A relay's copy in another beacon interval is what the rules say, byte for byte; the real decoder says the same of it."""
    source, target = os.path.join(ours.folder, 'source.ss'), os.path.join(ours.folder, 'target.ss')
    for number in range(files):
        rng = rig.rng_for(seed, 'written', number)
        messages, b, ended = rig.messages(rng, rng.choice([1, 2, 10, 60])), rig.interval(rng), rng.random() < .5
        for path in (source, target):
            if os.path.exists(path):
                os.unlink(path)
        with open(source, 'wb') as f:
            f.write(rig.encode(messages + [rig.end_mark()] * rng.randrange(2), 'source.ss', 1, rig.interval(rng)))
        keys = sorted({m.key for m in messages})
        ours.copy(file_url(source, *keys), file_url(target), '--preserve', '--interval', str(b), *(['--end-mark'] if ended else []))
        want = rig.encode(messages + ([rig.end_mark()] if ended else []), 'target.ss', 1, b)
        same_file(read_file(target), want, 'file %d, B=%d' % (number, b))
        if rig.have('ss-decode'):
            both(ours, target, '--format', 'ndjson')


def consumed(ours, seed):
    """The real consumer gets what lines become in a file that it follows: those of its key, in order, up to the end mark."""
    rng = rig.rng_for(seed, 'consumed')
    path = os.path.join(ours.folder, 'consumed.ss')
    payloads = [json.dumps({'n': n, 'pad': 'é' * rng.randrange(400)}, ensure_ascii=False).encode() for n in range(500)]
    ours.copy('stdio:///log', file_url(path, 'log'), '--interval', '1024', stdin=b'[log] before\n')
    stated = b''.join(b'[2023-11-14T22:13:20 | other | %d | 0] not this\n[2023-11-14T22:13:20 | log | %d | 0] %s\n' % (n, n + 2, p)
                      for n, p in enumerate(payloads))
    with rig.real_relay(ours.folder, file_url(path, 'log'), 'stdio:///o') as consumer:
        consumer.watches()
        consumer.rests()
        ours.copy('stdio:///log,other', file_url(path), '--preserve', '--end-mark', stdin=stated)
        same([rig.stdio_line(line)[1:3] + rig.stdio_line(line)[4:] for line in consumer.has(500)],
             [('o', n, p) for n, p in enumerate(payloads)], 'what the consumer got')
        consumer.ends()
    r = read_ss(path)
    same([(m.seq, m.payload) for m in r.messages if m.key == 'log'], list(enumerate([b'before'] + payloads, 1)), 'messages of the file')
    both(ours, path, '--format', 'ndjson')


def sought(ours, seed):
    """Seeking by sequence and time: the first message that is not before the one, or is behind the other; and all that follow it."""
    rng = rig.rng_for(seed, 'sought')
    messages = [Message('k', 0, n * 3, 1700000000000 + n * 100, rng.randbytes(rng.randrange(300))) for n in range(1, 300)]
    path = os.path.join(ours.folder, 'sought.ss')
    with open(path, 'wb') as f:
        f.write(rig.encode(messages, 'sought.ss', 1, 1024))
    for _ in range(20):
        by, value = rng.choice([('seq', rng.randrange(1, 897)), ('time', rng.choice(messages[:-1]).ms + rng.choice([0, 0, 1, 99, -1]))])
        want = [m for m in messages if (m.seq >= value if by == 'seq' else m.ms > value)]
        offset = str(value) if by == 'seq' else iso(value)
        target = os.path.join(ours.folder, 'found.ss')
        if os.path.exists(target):
            os.unlink(target)
        ours.run('relay', '--input', file_url(path, 'k'), '--output', file_url(target, 'k'), '--offset', offset, '--no-follow', '--preserve')
        same(read_ss(target).messages, want, '%s %d' % (by, value))


def iso(ms):
    return time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ms // 1000)) + '.%03d' % (ms % 1000)


# --- one file, two writers -------------------------------------------------------------------------------------------


def turns(ours, seed, b):
    """The real producer and ours append in turns, without end marks between: each goes on where the other stopped."""
    peer('relay')
    rng = rig.rng_for(seed, 'turns', b)
    path = os.path.join(ours.folder, 'turns-%d.ss' % b)
    wanted = {'a': [], 'b': []}

    def body(key):
        payload = b'm%d %s' % (len(wanted[key]), b'x' * rng.randrange(200))
        wanted[key].append(payload)
        return payload

    def ours_adds(key, count=1):
        lines = b''.join(b'[%s] %s\n' % (key.encode(), body(key)) for _ in range(count))
        ours.copy('stdio:///' + key, file_url(path, key), '--interval', str(b), stdin=lines)

    def theirs_adds(key, count):
        while rig.breaks_real(path):
            ours_adds(key)
        rig.real_appends(ours.folder, path, key, [body(key) for _ in range(count)])

    if b == 1 << 20:  # the peer makes the header only in a file that is there, and only with its own interval
        open(path, 'wb').close()
        theirs_adds('a', 3)
    for turn in range(8):
        for key in rng.sample('ab', rng.randrange(1, 3)):
            (theirs_adds if turn % 2 else ours_adds)(key, rng.randrange(1, 30))
        r = read_ss(path)
        for key, payloads in wanted.items():
            got = [(m.seq, m.payload) for m in r.messages if m.key == key]
            same(got, list(enumerate(payloads, 1)), 'stream %s after turn %d' % (key, turn))
    same(r.interval, b, 'beacon interval')
    both(ours, path, '--format', 'ndjson')
    both(ours, path, '--format', 'log')


def again_and_again(ours, seed, b):
    """Ours reopens a file many times, with other streams in each: all go on, and nothing is left between."""
    rng = rig.rng_for(seed, 'again', b)
    path = os.path.join(ours.folder, 'again-%d.ss' % b)
    wanted = {}
    for _ in range(30):
        key = rng.choice('abc')
        payloads = [b'x' * rng.randrange(400) + b'%d' % n for n in range(rng.randrange(1, 20))]
        wanted.setdefault(key, []).extend(payloads)
        ours.copy('stdio:///' + key, file_url(path, key), '--interval', str(b), *(['--end-mark'] if rng.random() < .5 else []),
                  stdin=b''.join(b'[%s] %s\n' % (key.encode(), p) for p in payloads))
    r = read_ss(path)
    for key, payloads in wanted.items():
        same([(m.seq, m.payload) for m in r.plain() if m.key == key], list(enumerate(payloads, 1)), 'stream ' + key)
    same(r.at, os.path.getsize(path), 'end of the last message')
    ours.run('decode', '--verify', path)


def over_real_mark(ours):
    """Ours goes on where the real writer made its end mark."""
    for name in ('ended-1k', 'empty-eos', 'appended-1k', 'multi-1k'):
        old = read_ss(fixture(name))
        path = os.path.join(ours.folder, name + '.ss')
        shutil.copy(fixture(name), path)
        key = old.plain()[-1].key if old.plain() else 'k'
        last = max((m.seq for m in old.plain() if (m.key, m.shard) == (key, 0)), default=0)
        ours.copy('stdio:///' + key, file_url(path, key), '--end-mark', stdin=b'[%s] one\n[%s] two\n' % (key.encode(), key.encode()))
        r = read_ss(path)
        claim(old.ended and r.ended and r.at == os.path.getsize(path), '%s: end marks', name)
        same(r.plain()[:-2], old.plain(), name + ': messages before')
        same([(m.key, m.shard, m.seq, m.payload) for m in r.plain()[-2:]], [(key, 0, last + 1, b'one'), (key, 0, last + 2, b'two')], name + ': ours')
        ours.run('decode', '--verify', path)


def over_marks(ours, b):
    """
    Appending over an end mark: ours takes it away, and what the real writer leaves of one. The real writer goes on only in a file
    that has a beacon behind which the mark stands; so it comes when there are some.
    """
    peer('relay')
    path = os.path.join(ours.folder, 'marks.ss')
    body = b'y' * 200

    def ours_adds(count, *more):
        ours.copy('stdio:///k', file_url(path, 'k'), *more, stdin=b''.join(b'[k] ' + body + b'\n' for _ in range(count)))

    ours_adds(20, '--interval', str(b), '--end-mark')
    claim(read_ss(path).ended and read_ss(path).beacons >= 2, 'the file has no end mark, or no beacons')
    rig.real_appends(ours.folder, path, 'k', [b''])  # shorter than the mark: bytes of it are left
    claim(read_ss(path).offsets[-1] < os.path.getsize(path), 'the real writer left nothing of the mark')
    ours.run('decode', '--verify', path)
    both(ours, path, '--format', 'ndjson')
    ours_adds(3, '--end-mark')
    rig.real_appends(ours.folder, path, 'k', [body] * 5)
    ours_adds(1)
    r = read_ss(path)
    same([m.seq for m in r.messages], list(range(1, 31)), 'sequences')
    same([m.payload for m in r.messages], [body] * 20 + [b''] + [body] * 9, 'payloads')
    claim(not r.ended and r.at == len(read_file(path)), 'bytes behind the last message')
    both(ours, path, '--format', 'ndjson')


def real_clock(ours):
    """The real clock appends to a file that we made; we follow it, then go on in it."""
    clock = peer('file-clock')
    path = os.path.join(ours.folder, 'clock.ss')
    ours.copy('stdio:///clock', file_url(path, 'clock'), stdin=b'[clock] before\n')
    with ours.start('relay', '--input', file_url(path, 'clock'), '--output', 'stdio:///seen', '--offset', 'start') as follower:
        with rig.Program([clock, '--file', path, '--interval', '2ms'], ours.folder):
            got = follower.has(50)
        follower.stop(status=0)
    same([rig.stdio_line(line)[1:3] for line in got[:50]], [('seen', n) for n in range(50)], 'keys and numbers')
    same([rig.stdio_line(line)[4] for line in got[:50]], [b'before'] + [b'tick-%d' % n for n in range(49)], 'payloads')
    ours.copy('stdio:///clock', file_url(path, 'clock'), stdin=b'[clock] after\n')
    r = read_ss(path)
    same([m.seq for m in r.messages], list(range(1, len(r.messages) + 1)), 'sequences')
    same((r.messages[0].payload, r.messages[-1].payload), (b'before', b'after'), 'our messages')
    both(ours, path, '--format', 'log')


def real_sink(ours):
    path = os.path.join(ours.folder, 'sink.ss')
    with rig.Program([peer('file-sink'), '--file', path, '--interval', '1ms'], ours.folder):
        until(lambda: os.path.exists(path) and os.path.getsize(path) > 3000, 'the sink to write')
    both(ours, path, '--format', 'ndjson')
    r = read_ss(path)
    same([m.seq for m in r.messages], list(range(len(r.messages))), 'sequences')


def ascii_messages(count):
    """Those whose frames are text: the real tail ends itself at the first byte that is none."""
    out, n = [], 0
    while len(out) < count:
        m = Message('k', 0, len(out) + 2, len(out) % 100, b'message %d' % n)
        n += 1
        if max(rig.frame(m)) < 128:
            out.append(m)
    return out


def real_tail(ours):
    """The real tail prints the bytes that we append."""
    path = os.path.join(ours.folder, 'tail.ss')
    ours.copy('stdio:///k', file_url(path, 'k'), stdin=b'[k] before\n')
    size = os.path.getsize(path)
    messages = ascii_messages(100)
    lines = b''.join(b'[%s | k | %d | 0] %s\n' % (iso(m.ms).encode(), m.seq, m.payload) for m in messages)
    with rig.Program([peer('tail'), '--file', path], ours.folder) as tail:
        tail.watches()
        tail.rests()
        ours.copy('stdio:///k', file_url(path), '--preserve', stdin=lines)
        want = b''.join(rig.frame(m) for m in messages)
        same_bytes(read_file(path)[size:], want, 'what was appended')
        until(lambda: len(tail.said()) >= len(want), 'what tail prints')
        same_bytes(tail.said(), want, 'tail')


def followed(ours, follow, first):
    """A message is at the follower before the next one is written; at the end mark the follower ends."""
    path = os.path.join(ours.folder, 'followed.ss')
    ours.copy('stdio:///k', file_url(path, 'k'), '--interval', '1024', stdin=b'[k] 0\n')
    with follow(file_url(path, 'k')) as consumer:
        consumer.watches()
        consumer.rests() if first else consumer.has(1)
        with ours.start('relay', '--input', 'stdio:///k', '--output', file_url(path, 'k'), '--end-mark', stdin=-1) as relay:
            for n in range(1, 40):
                relay.feed(b'[k] %d\n' % n)
                consumer.has(n + 1 - first)
            relay.process.stdin.close()
            relay.ends(0)
        same([rig.stdio_line(line)[1:3] + rig.stdio_line(line)[4:] for line in consumer.has(40 - first)],
             [('o', n, b'%d' % (n + first)) for n in range(40 - first)], 'messages')
        return consumer.ends()


def real_follower(ours):
    """The real consumer follows a file while we write it; it begins at the file's end."""
    peer('relay')
    followed(ours, lambda url: rig.real_relay(ours.folder, url, 'stdio:///o'), 1)


def our_follower(ours):
    same(followed(ours, lambda url: ours.start('relay', '--input', url, '--output', 'stdio:///o', '--offset', 'start'), 0), 0, 'status')


def main():
    parser = rig.options(__doc__)
    parser.add_argument('--fixtures', action='store_true')
    parser.add_argument('--files', type=int, default=200)
    args = parser.parse_args()
    print('# seed %d' % args.seed)
    report = Report('seastreamer files')

    def case(name, function, *more):
        if args.k not in name:
            return
        with rig.Folder() as folder:
            report.case(name, function, rig.Ours(args.weird, folder), *more)

    for name, function in (('fixtures are whole', sums), ('the codec of these tests makes the fixtures', model)):
        if args.k in name:
            report.case(name, function)
    for name in NAMES:
        case('fixture %s decodes' % name, decodes, name)
        case('fixture %s without payloads' % name, headers_only, name)
        case('fixture %s verified' % name, verifies, name)
    for name in WHOLE + ['truncated-payload']:
        case('fixture %s as plain NDJSON and exact bytes' % name, plain_forms, name)
    for name in WHOLE:
        if name not in ('empty', 'empty-eos'):
            case('fixture %s written again' % name, again, name)
    case('fixture seeks', fixture_seeks)
    case('fixture groups and keys', fixture_groups)
    case('copies in other beacon intervals', written, args.seed, 25)
    case('seeks come to the same messages', sought, args.seed)
    for b in (128, 1024, 1048576):
        case('appending again and again, B=%d' % b, again_and_again, args.seed, b)
    case('appending over real end marks', over_real_mark)
    case('ours follows', our_follower)
    if not args.fixtures:
        case('both decoders on random files', differential, args.seed, args.files)
        case('both decoders on JSON of all kinds', json_payloads, args.seed)
        case('the real consumer reads ours', consumed, args.seed)
        for b in (1024, 4096, 1048576):
            case('appending in turns, B=%d' % b, turns, args.seed, b)
        case('appending over end marks', over_marks, 1024)
        case('the real clock in our file', real_clock)
        case('the real sink', real_sink)
        case('the real tail', real_tail)
        case('the real consumer follows', real_follower)
    sys.exit(report.status())


if __name__ == '__main__':
    main()
