"""What the suites of SeaStreamer programs share: the .ss file once more, in Python, messages of all kinds, the peer's programs.

The programs come from scripts/dev/peers; a case that needs one which is not there is a skip with its reason. One line a case:
`ok NAME`, `not ok NAME reason`, `skip NAME reason`; status 1 when one failed. Python 3.11, standard library only.
"""

import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from s2_rig import ROOT, Fault, Report, Skip, claim, same  # noqa: F401  suites import them from here

DEADLINE = 20.0
FIXTURES = os.path.join(ROOT, 'tests', 'fixtures', 'seastreamer')
PEERS = os.path.join(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'weir-peers')
INTERNAL = 'SEA_STREAMER_INTERNAL'
TIME_MAX = 253402300799999
U64 = (1 << 64) - 1

# --- programs --------------------------------------------------------------------------------------------

PLACES = {
    'ss-decode': 'sea-streamer-file-1.0.0-rc.2/bin/ss-decode',
    'file-clock': 'sea-streamer-file-1.0.0-rc.2/bin/clock',
    'file-sink': 'sea-streamer-file-1.0.0-rc.2/bin/sink',
    'tail': 'sea-streamer-file-1.0.0-rc.2/bin/tail',
    'clock': 'sea-streamer-stdio-1.0.0-rc.2/bin/clock',
    'complex': 'sea-streamer-stdio-1.0.0-rc.2/bin/complex',
    'json-relay': 'sea-streamer-stdio-1.0.0-rc.2/bin/relay',
    'consumer': 'sea-streamer-redis-1.0.0-rc.5/bin/consumer',
    'producer': 'sea-streamer-redis-1.0.0-rc.5/bin/producer',
    'trim-stream': 'sea-streamer-redis-1.0.0-rc.5/bin/trim-stream',
    'relay': 'sea-streamer-relay-1.0.0-rc.2/bin/relay',
    'redis-streams-dump': 'redis-streams-dump-0.3.0/bin/redis-streams-dump',
}


def peer(name):
    """The path of one of the peer's programs; Skip when it is not installed."""
    path = os.path.join(PEERS, PLACES[name])
    if not os.access(path, os.X_OK):
        raise Skip('the peer\'s %s is not installed (scripts/dev/peers)' % name)
    return path


def have(name):
    return os.access(os.path.join(PEERS, PLACES[name]), os.X_OK)


def run(command, stdin=b'', status=0, limit=60.0, **options):
    """What it printed. `status`: the exit status wanted, None for any; then also the status comes back."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=limit, check=False, **options)
    if status is None:
        return done.stdout, done.returncode
    same(done.returncode, status, 'status of %s (%s)' % (' '.join(map(str, command))[:200], done.stderr.decode(errors='replace')[-300:]))
    return done.stdout


def until(condition, what, limit=DEADLINE):
    """What the condition returns once it is true."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        claim(time.monotonic() < end, 'waited %d s for %s', limit, what)
        time.sleep(0.005)


class Program:
    """One that runs beside the test. Its output goes to a file, so that no pipe is ever full; ended by its pid."""

    def __init__(self, command, folder, stdin=subprocess.DEVNULL, **options):
        self.name = os.path.basename(command[0])
        self.out = tempfile.NamedTemporaryFile(dir=folder, prefix='out.', delete=False).name
        self.errors = self.out + '.err'
        with open(self.out, 'wb') as out, open(self.errors, 'wb') as err:
            self.process = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=err, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdin:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass

    def said(self):
        with open(self.out, 'rb') as f:
            return f.read()

    def lines(self):
        """Whole lines so far."""
        return self.said().split(b'\n')[:-1]

    def complaint(self):
        with open(self.errors, 'rb') as f:
            return f.read().decode(errors='replace')[-300:]

    def feed(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def stop(self, number=signal.SIGTERM, status=None):
        """Asks it to end and waits."""
        self.process.send_signal(number)
        return self.ends(status)

    def ends(self, status=None):
        """Waits for its end."""
        try:
            got = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise Fault('%s does not end (%s)' % (self.name, self.complaint())) from None
        if status is not None:
            same(got, status, 'status of %s (%s)' % (self.name, self.complaint()))
        return got

    def has(self, count, limit=DEADLINE):
        """Waits for so many lines."""
        until(lambda: len(self.lines()) >= count or self.process.poll() is not None, '%d lines of %s' % (count, self.name), limit)
        got = self.lines()
        claim(len(got) >= count, '%s ended with %d of %d lines: %s', self.name, len(got), count, self.complaint())
        return got

    def rests(self):
        """
        Waits until each of its threads sleeps, twice with a pause between. The peer's consumers start to read before they have
        subscribed and lose what comes in between; a thread that reads and one that waits for messages both sleep.
        """
        def asleep():
            states = []
            for task in os.listdir('/proc/%d/task' % self.process.pid):
                with open('/proc/%d/task/%s/stat' % (self.process.pid, task), encoding='ascii') as f:
                    states.append(f.read().rsplit(')', 1)[1].split()[0])
            return len(states) > 1 and set(states) == {'S'}

        def twice():
            if not asleep():
                return False
            time.sleep(0.05)
            return asleep()
        until(twice, self.name + ' to wait for input')

    def watches(self):
        """Waits until it has asked the system to tell it of changes of files."""
        def watching():
            below = '/proc/%d/fdinfo' % self.process.pid
            for fd in os.listdir(below):
                try:
                    with open(os.path.join(below, fd), encoding='ascii') as f:
                        if 'inotify wd:' in f.read():
                            return True
                except OSError:
                    pass
            return False
        until(watching, self.name + ' to watch its file')


class Folder:
    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix='weir-ss.')
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


class Redis:
    """A server of our own, on a free port, that keeps nothing."""

    def __init__(self, folder):
        program = shutil.which('redis-server')
        if not program:
            raise Skip('redis-server is not installed')
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.port = s.getsockname()[1]
        self.server = Program([program, '--port', str(self.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no',
                               '--dir', folder, '--loglevel', 'warning'], folder)
        self.socket = None
        try:
            until(self._connects, 'redis-server')
        except Fault:
            self.server.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.socket:
            self.stream.close()
            self.socket.close()
        self.server.kill()

    def _connects(self):
        try:
            self.socket = socket.create_connection(('127.0.0.1', self.port), DEADLINE)
        except OSError:
            claim(self.server.process.poll() is None, 'redis-server ended: %s', self.server.complaint())
            return False
        self.stream = self.socket.makefile('rb')
        return self.do('PING') == b'PONG'

    def url(self, *keys):
        return 'redis://127.0.0.1:%d/%s' % (self.port, ','.join(keys))

    @staticmethod
    def _packed(words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        return b'*%d\r\n' % len(words) + b''.join(b'$%d\r\n%s\r\n' % (len(w), w) for w in words)

    def _answer(self):
        line = self.stream.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b'-':
            raise Fault('redis: ' + rest.decode())
        if kind == b':':
            return int(rest)
        if kind == b'$':
            return None if rest == b'-1' else self.stream.read(int(rest) + 2)[:-2]
        if kind == b'*':
            return None if rest == b'-1' else [self._answer() for _ in range(int(rest))]
        return rest

    def do(self, *words):
        self.socket.sendall(self._packed(words))
        return self._answer()

    def many(self, commands):
        """All of them at once; their answers."""
        self.socket.sendall(b''.join(map(self._packed, commands)))
        return [self._answer() for _ in commands]

    def entries(self, key):
        """[(ms, n, payload)]: the first `msg` of each entry."""
        out = []
        for name, fields in self.do('XRANGE', key, '-', '+'):
            ms, n = map(int, name.split(b'-'))
            out.append((ms, n, dict(zip(fields[::2], fields[1::2])).get(b'msg')))
        return out


# --- the file --------------------------------------------------------------------------------------------

Message = collections.namedtuple('Message', 'key shard seq ms payload')


def _table():
    for byte in range(256):
        value = byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0xC867) & 0xFFFF if value & 0x8000 else value << 1
        yield value


TABLE = tuple(_table())


def crc(data, value=0xFFFF):
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ TABLE[value >> 8 ^ byte]
    return value


def text(string):
    raw = string.encode()
    return bytes([len(raw)]) + raw


def header(name, created, interval):
    raw = name.encode()[:111]
    return b'Ss\x01' + bytes([len(raw)]) + raw + struct.pack('>QI', created, interval) + bytes(111 - len(raw)) + b'\r'


def frame(m):
    return text(m.key) + struct.pack('>QQQI', m.shard, m.seq, m.ms, len(m.payload)) + m.payload + struct.pack('>H', crc(m.payload)) + b'\r'


def end_mark(ms=1700000000000):
    return Message(INTERNAL, 0, 0, ms, b'EOS')


def item_limit(interval):
    return min(255, (interval - 7) // 282) // 2


def encode(messages, name='model.ss', created=1700000000000, interval=1024):
    """A whole file, as the rules of its writer say."""
    out = bytearray(header(name, created, interval))
    if interval == 128:
        out += b'\r\0\0\0\0\0\r'
    streams, items = {}, 0
    for m in messages:
        rest = frame(m)
        state = streams.setdefault((m.key.encode(), m.shard), [m.seq, m.ms, 0xFFFF])
        state[0], state[1] = max(state[0], m.seq), max(state[1], m.ms)
        state[2] = crc(struct.pack('>H', crc(m.payload)), state[2])
        while rest:
            take = interval - len(out) % interval
            out += rest[:take]
            rest = rest[take:]
            if len(out) % interval == 0:
                order = sorted(streams)
                count = min(len(order), item_limit(interval))
                first = items % len(order)
                chosen = [order[(first + i) % len(order)] for i in range(count)]
                items += count
                out += b'\r' + struct.pack('>IB', len(rest), count)
                for key, shard in chosen:
                    seq, ms, running = streams[key, shard]
                    out += bytes([len(key)]) + key + struct.pack('>QQQH', shard, seq, ms, running)
                out += b'\r'
    return bytes(out)


class Reader:
    """Walks over a file; `offsets` are those of the frames behind each message."""

    def __init__(self, data):
        claim(data[:3] == b'Ss\x01', 'no file header')
        length = data[3]
        self.name = data[4:4 + length].decode()
        self.created, self.interval = struct.unpack_from('>QI', data, 4 + length)
        self.data, self.at = data, 128
        self.messages, self.offsets, self.beacons = [], [], 0
        self.ended = False
        self._walk()

    def _beacon(self):
        claim(self.data[self.at] == 13, 'no beacon at %d', self.at)
        count = self.data[self.at + 5]
        self.at += 6
        for _ in range(count):
            self.at += 1 + self.data[self.at] + 26
        claim(self.data[self.at] == 13, 'the beacon does not end at %d', self.at)
        self.at += 1
        self.beacons += 1

    def _take(self, count):
        out = b''
        while count:
            if self.at % self.interval == 0:
                self._beacon()
            piece = self.data[self.at:self.at + min(count, self.interval - self.at % self.interval)]
            if not piece:
                raise EOFError
            out += piece
            self.at += len(piece)
            count -= len(piece)
        return out

    def _walk(self):
        try:
            while not self.ended:
                key = self._take(self._take(1)[0]).decode()
                shard, seq, ms, size = struct.unpack('>QQQI', self._take(28))
                payload = self._take(size)
                sum_, = struct.unpack('>H', self._take(3)[:2])
                same(sum_, crc(payload), 'checksum of %s %d' % (key, seq))
                m = Message(key, shard, seq, ms, payload)
                self.messages.append(m)
                self.offsets.append(self.at)
                self.ended = (key, payload) == (INTERNAL, b'EOS')
        except (EOFError, IndexError):
            pass

    def plain(self):
        """Without the end mark."""
        return self.messages[:-1] if self.ended else self.messages


def read_file(path):
    with open(path, 'rb') as f:
        return f.read()


def read_ss(path):
    return Reader(read_file(path))


def holds(path, count):
    """Whether a file that someone writes has so many messages, its end mark aside."""
    try:
        return len(read_ss(path).plain()) >= count
    except (Fault, UnicodeDecodeError):  # half of a write, or what is left of an end mark
        return False


# --- the peer's relay -----------------------------------------------------------------------------------------


def real_relay(folder, source, target, *more, stdin=subprocess.DEVNULL):
    """It never ends by itself, begins at the end of a file whatever it is told, and wants its output file to exist."""
    return Program([peer('relay'), '--input', source, '--output', target, *more], folder, stdin=stdin)


def breaks_real(path):
    """Whether the real programs end themselves where they look for a file's end: its last beacon ends the file."""
    if not os.path.getsize(path):
        return False
    r = read_ss(path)
    return (r.offsets[-1] if r.offsets else 128) % r.interval == 0


def real_appends(folder, path, key, payloads):
    """The real producer appends lines to a file; it is ended when they stand there."""
    count = len(read_ss(path).plain()) if os.path.getsize(path) else 0
    with real_relay(folder, 'stdio:///' + key, file_url(path, key), stdin=subprocess.PIPE) as relay:
        relay.rests()
        relay.feed(b''.join(b'[%s]%s\n' % (key.encode(), p and b' ' + p) for p in payloads))
        until(lambda: holds(path, count + len(payloads)) or relay.process.poll() is not None, 'the real producer')
        claim(holds(path, count + len(payloads)), 'the real producer ended: %s', relay.complaint())


def real_copies(redis, folder, key, path, target):
    """The real relay appends the entries of a Redis stream to a file."""
    count = (len(read_ss(path).plain()) if os.path.getsize(path) else 0) + redis.do('XLEN', key)
    with real_relay(folder, redis.url(key), file_url(path, target), '--offset', 'start') as relay:
        until(lambda: holds(path, count) or relay.process.poll() is not None, 'the real relay')
        claim(holds(path, count), 'the real relay ended: %s', relay.complaint())


def to_entries(redis, messages):
    """Messages as entries that rise, each shard a stream of its own where a key has any; as they read again: {(key, shard): [Message]}."""
    sharded, last, out, commands = {m.key for m in messages if m.shard}, {}, {}, []
    for m in messages:
        stream = (m.key, m.shard)
        ms, n = last.get(stream, (-1, 0))
        ms, n = (m.ms, m.seq % 3 + (m.ms == 0)) if m.ms > ms else (ms, n + 1)
        last[stream] = (ms, n)
        out.setdefault(stream, []).append(m._replace(seq=ms << 16 | n, ms=ms))
        commands.append(('XADD', '%s:%d' % stream if m.key in sharded else m.key, '%d-%d' % (ms, n), 'msg', m.payload))
    redis.many(commands)
    return out


def real_dump(redis, folder, keys, path, count):
    """The real low-level writer: entries with their keys, shards, sequences and times. It is ended when they stand there."""
    with Program([peer('redis-streams-dump'), '--stream', redis.url(*keys), '--output', path], folder) as dump:
        def done():
            return os.path.exists(path) and os.path.getsize(path) >= 128 and holds(path, count)
        until(lambda: done() or dump.process.poll() is not None, 'the real dump')
        claim(done(), 'the real dump ended: %s', dump.complaint())


def by_stream(messages):
    out = {}
    for m in messages:
        out.setdefault((m.key, m.shard), []).append(m)
    return out


# --- messages of all kinds ----------------------------------------------------------------------------------

NUMBERS = ['0', '-0', '-0.0', '1', '-1', '1.0', '1.5', '0.1', '1e3', '1E3', '1e+3', '1e-5', '1e-6', '1e-7', '123456789012345680', '1e15', '1e16', '1e17',
           '12345678901234567', '9007199254740993', '18446744073709551615', '18446744073709551616', '-9223372036854775808',
           '-9223372036854775809', '1.7976931348623157e308', '1e309', '-1e400', '5e-324', '2e-324', '1e-400', '0.30000000000000004',
           '100000000000000000000', '1e21', '123e-2', '0e0', '0.0001', '0.00001', '4.35', '2.5e-8', '1e22', '1e23', '33e15', '0.1e1']
BROKEN = ['{', '[1,]', '{"a":1,}', "{'a':1}", '01', '+1', '.5', '1.', '1e', 'nul', 'NaN', 'Infinity', '"\\x"', '"\\ud800"', '"\\udc00\\ud800"',
          '"\\ud83d\\ud83d"', '"a\tb"', '"a\nb"', '[1] 2', '{"a"}', '{a:1}', '--1', '"', '//', '\ufeff1', '\x0b1', '\xa01', '[1 2]', 'tru e', '-']
ODD = ['"\\ud83d\\ude00"', '"\\u0000"', '"\\u001f\\u007f\\u0080"', '"\\/\\b\\f\\n\\r\\t\\"\\\\"', ' 1 ', '\r\n[ ]\t', 'null', 'true', 'false', '""',
       '{}', '[]', '{"":{}}', '"\\u00e9\\u20ac"', '{"b":1,"a":2,"b":3}', '{"a":{"z":1,"y":[{"x":null}]},"A":0}', '{"\\u0061":1,"a":2}', '"\x7f"',
       '{"é":1,"z":2,"😀":3,"\uffff":4}']
TEXTS = ['', ' ', 'hello', 'EOS', 'tick-1', 'a\nb', 'a\r\n', '\x00', '\x1b[31m', 'ünïcödé', '漢字', '😀', '[k] x', '# comment', '/* x */', '"quoted"', '\u2028', 'x' * 300]


def json_text(rng, depth=0):
    kind = rng.randrange(10 if depth < 4 else 6)
    blank = rng.choice(['', '', '', ' ', '\n', '\t ', '\r\n'])
    if kind < 2:
        return blank + rng.choice(NUMBERS) + blank
    if kind == 2:
        return repr(rng.uniform(-1, 1) * 10 ** rng.randrange(-320, 309)).replace('inf', '1e400') + blank
    if kind == 3:
        return str(rng.getrandbits(rng.randrange(1, 70)) * rng.choice([1, -1]))
    if kind < 6:
        return blank + rng.choice(ODD[:15] + [json.dumps(t, ensure_ascii=rng.random() < .5) for t in TEXTS])
    if kind < 8:
        return '[' + ','.join(json_text(rng, depth + 1) for _ in range(rng.randrange(5))) + blank + ']'
    names = [json.dumps(rng.choice(['a', 'b', 'B', 'aa', '', 'é', '\u0001', '😀', 'key'])) for _ in range(rng.randrange(6))]
    return '{' + ','.join(blank + name + ':' + json_text(rng, depth + 1) for name in names) + '}'


def payload(rng, large=True):
    kind = rng.randrange(14)
    if kind < 4:
        return json_text(rng).encode()
    if kind == 4:
        return rng.choice(ODD + BROKEN + NUMBERS).encode()
    if kind == 5:
        deep = rng.choice([1, 100, 126, 127, 128, 129])
        return (b'[' * deep + b']' * deep) if rng.random() < .5 else (b'{"a":' * deep + b'1' + b'}' * deep)
    if kind < 8:
        return rng.choice(TEXTS).encode()
    if kind == 8:
        raw = bytearray(json_text(rng).encode())
        for _ in range(rng.randrange(1, 3)):
            if raw:
                raw[rng.randrange(len(raw))] = rng.randrange(256)
        return bytes(raw)
    if kind == 9:
        return rng.choice([b'\xff\xfe', b'\xc0\xaf', b'\xed\xa0\x80', b'\xf4\x90\x80\x80', b'\xe2\x82', b'ok\x80', bytes(range(256))])
    if kind == 10 and large:
        return rng.randbytes(rng.randrange(100, 20000))
    if kind == 11 and large:
        return bytes(rng.choices(b'abcdefgh \n', k=rng.randrange(100, 20000)))
    return rng.randbytes(rng.randrange(0, 60))


KEYS = ['a', 'hello', 'log', 'alpha', 'A', '9a', '-a', '.', '_x', 'k' * 249, 'a.b-c_d', 'z' * 100]


def messages(rng, count, large=True):
    """Of some streams, whose sequences and times mostly rise."""
    streams = [(rng.choice(KEYS), rng.choice([0, 0, 0, 1, 2, 10, U64, rng.getrandbits(64)])) for _ in range(rng.randrange(1, 7))]
    seqs = {s: rng.choice([0, 1, 1, 1, 5, U64 - count * 4, rng.getrandbits(63)]) for s in streams}
    ms, out = rng.choice([1700000000000, 1700000000000, 0, 951782400000 - 5, 253402300000000]), []
    for _ in range(count):
        stream = rng.choice(streams)
        ms = min(TIME_MAX, max(0, ms + rng.choice([0, 1, 7, 10, 100, 1000, 86400000, -3])))
        out.append(Message(*stream, min(seqs[stream], U64), ms, payload(rng, large)))
        seqs[stream] += rng.choice([1, 1, 1, 1, 3, 0])
    return out


def interval(rng, high_level=False):
    """High-level writers want a multiple of 1024."""
    if high_level:
        return 1024 * rng.choice([1, 1, 2, 3, 16, 1024])
    return rng.choice([128, 129, 130, 200, 255, 570, 571, 1024, 1024, 1135, 2048, 4096, 65536, 1048576, rng.randrange(128, 5000)])


# --- our side -------------------------------------------------------------------------------------------------

LINE = re.compile(rb'\[([^]|]+) \| ([^]|]+) \| (\d+)(?: \| (\d+))?\] ?(.*)\Z', re.S)


def stdio_line(line):
    """(time, key, sequence, shard or None, payload) of a line that a producer printed."""
    found = LINE.match(line)
    claim(found, 'no line of the dialect: %.200r', line)
    time_, key, seq, shard, rest = found.groups()
    return time_.decode(), key.decode(), int(seq), None if shard is None else int(shard), rest


def options(about):
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--weird', default=os.path.join(os.environ.get('BUILD', os.path.join(ROOT, 'build', 'release')), 'weird'),
                        help='the daemon; the other programs lie beside it')
    parser.add_argument('-k', default='', help='only cases whose name has this in it')
    parser.add_argument('--seed', type=int, default=20260102, help='of what is made at random')
    return parser


class Ours:
    """The programs under test. `weir` finds its neighbours and no daemon of the user."""

    def __init__(self, weird, folder):
        self.bin = os.path.dirname(os.path.abspath(weird))
        self.weir = os.path.join(self.bin, 'weir')
        self.weird = os.path.abspath(weird)
        self.folder = folder
        self.env = {**os.environ, 'XDG_STATE_HOME': os.path.join(folder, 'state'), 'XDG_DATA_HOME': os.path.join(folder, 'data'),
                    'XDG_RUNTIME_DIR': os.path.join(folder, 'run'), 'WEIR_NO_AUTOSTART': '1'}
        os.makedirs(self.env['XDG_RUNTIME_DIR'], mode=0o700, exist_ok=True)

    def run(self, *args, stdin=b'', status=0, limit=60.0):
        return run([self.weir, *args], stdin, status, limit, env=self.env)

    def start(self, *args, stdin=subprocess.DEVNULL):
        return Program([self.weir, *args], self.folder, stdin, env=self.env)

    def has(self, verb):
        """Whether this build has a verb."""
        return run([self.weir, verb, '--help'], status=None, env=self.env)[1] == 0

    def needs(self, verb):
        if not self.has(verb):
            raise Skip('this build has no `weir %s`' % verb)

    def copy(self, source, target, *more, stdin=b''):
        """A relay from the start of what exists to its end."""
        return self.run('relay', '--input', source, '--output', target, '--offset', 'start', '--no-follow', *more, stdin=stdin)


def file_url(path, *keys):
    return 'file://%s/%s' % (path, ','.join(keys))


def rng_for(seed, *words):
    return random.Random('%d %s' % (seed, ' '.join(map(str, words))))
