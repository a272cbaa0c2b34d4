"""What the fault suites share: a daemon under test, HTTP over its socket, and the lines they print.

A suite prints one line a case, `ok NAME`, `not ok NAME reason` or `skip NAME reason`, and ends with
status 1 when a case failed. Python 3.11, standard library only.
"""

import argparse
import base64
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from urllib.parse import quote

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START_LIMIT = 10.0


def sri(content):
    """The text form of a content's hash."""
    return 'sha256-' + base64.b64encode(hashlib.sha256(content).digest()).decode()


class Report:
    """Counts and prints cases."""

    def __init__(self):
        self.failed = 0
        self.passed = 0

    def ok(self, name, note=''):
        self.passed += 1
        print('ok %s%s' % (name, ' # ' + note if note else ''), flush=True)

    def bad(self, name, reason):
        self.failed += 1
        print('not ok %s %s' % (name, str(reason).replace('\n', ' ')), flush=True)

    def skip(self, name, reason):
        print('skip %s %s' % (name, reason), flush=True)

    def case(self, name, function, *args):
        """Runs one case; a Fault or any other exception is its failure. True when it passed."""
        try:
            note = function(*args)
        except Skip as reason:
            self.skip(name, reason)
            return False
        except Exception as fault:  # a broken connection is as much a failure as a broken promise
            text = str(fault) if isinstance(fault, Fault) else '%s: %s' % (type(fault).__name__, fault)
            self.bad(name, text)
            return False
        self.ok(name, note or '')
        return True

    def status(self):
        return 1 if self.failed or not self.passed else 0


class Fault(Exception):
    """The daemon broke a promise."""


class Skip(Exception):
    """The case cannot be judged on this machine."""


def claim(condition, text, *args):
    if not condition:
        raise Fault(text % args if args else text)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket; long paths through /proc/self/fd."""

    def __init__(self, path, timeout=10.0):
        super().__init__('localhost', timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = dial(self.path, self.timeout)


def dial(path, timeout=10.0):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    held = None
    try:
        if len(os.fsencode(path)) > 107:
            held = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
            path = '/proc/self/fd/%d/%s' % (held, os.path.basename(path))
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    finally:
        if held is not None:
            os.close(held)
    return sock


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def lines(self):
        return [json.loads(line) for line in self.body.splitlines() if line.strip()]


class Client:
    """Blocking requests over one kept connection. Any fault of the transport is an OSError or HTTPException."""

    def __init__(self, path, timeout=10.0):
        self.path = path
        self.timeout = timeout
        self.conn = None

    def request(self, method, target, body=None, headers=None):
        if self.conn is None:
            self.conn = UnixConnection(self.path, self.timeout)
        try:
            self.conn.request(method, target, body=body, headers=headers or {})
            answer = self.conn.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.conn is not None:
            self.conn.close()
            self.conn = None

    def append(self, topic, content, meta=None, query=''):
        headers = {}
        if meta is not None:
            headers['xs-meta'] = base64.b64encode(json.dumps(meta).encode()).decode()
        return self.request('POST', '/append/%s?with-seq%s' % (topic, query), content, headers)

    def batch(self, frames):
        body = b''.join(json.dumps(frame).encode() + b'\n' for frame in frames)
        return self.request('POST', '/append', body)

    def content(self, hash_text):
        return self.request('GET', '/cas/' + quote(hash_text, safe=''))

    def frames(self, query=''):
        answer = self.request('GET', '/?with-seq' + query)
        claim(answer.status == 200, 'GET / answered %d %r', answer.status, answer.body[:200])
        return answer.lines()


# What a request may end in when the daemon dies under it.
BROKEN = (OSError, http.client.HTTPException)


class Daemon:
    """One weird process over one store."""

    def __init__(self, program, store, args=(), env=None, preexec=None, log=None):
        self.store = store
        self.sock = os.path.join(store, 'sock')
        self.log = log or tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [program, store, *args], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, **(env or {})}, preexec_fn=preexec)

    def wait_listening(self, limit=START_LIMIT):
        """Until the socket takes a connection; False when the process ended or time is over."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            try:
                dial(self.sock, 1.0).close()
                return True
            except OSError:
                time.sleep(0.002)  # nothing to wait on before the socket is there
        return False

    def ready(self, limit=START_LIMIT):
        """Until GET /version answers. Returns seconds since the call."""
        begun = time.monotonic()
        claim(self.wait_listening(limit), 'the daemon does not listen: %s', self.last_words())
        answer = self.client().request('GET', '/version')
        claim(answer.status == 200, 'GET /version answered %d', answer.status)
        return time.monotonic() - begun

    def client(self, timeout=10.0):
        return Client(self.sock, timeout)

    def kill(self):
        """kill -9, and reaps."""
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()

    def stop(self, limit=10.0):
        """A clean stop; Fault when it takes too long or ends in a signal."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Fault('the daemon did not stop within %g s' % limit) from None
        claim(code >= 0, 'the daemon died of signal %d: %s', -code, self.last_words())
        return code

    def alive(self):
        return self.process.poll() is None

    def cpu_seconds(self):
        with open('/proc/%d/stat' % self.process.pid) as file:
            fields = file.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def memory(self):
        """Resident bytes."""
        with open('/proc/%d/statm' % self.process.pid) as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')

    def open_files(self):
        return len(os.listdir('/proc/%d/fd' % self.process.pid))

    def said(self):
        self.log.flush()
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode('utf-8', 'replace')

    def last_words(self):
        code = self.process.poll()
        end = 'running' if code is None else 'exit status %d' % code
        return '%s; %s' % (end, ' | '.join(self.said().strip().splitlines()[-4:]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.log.close()


def copy_store(source, target):
    """A copy of a store that no daemon has open, without its socket."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns('sock'))


def verify(client, checked=None, removed=False):
    """Everything a store promises about what it holds. Returns its frames.

    ids rise strictly; each topic's seq rises from 0 without holes (with `removed` only: rises); each hash resolves to
    bytes of that hash. `checked`: a set of hashes known good, added to.
    """
    frames = client.frames()
    ids = [frame['id'] for frame in frames]
    for one, two in zip(ids, ids[1:]):
        claim(one < two, 'ids do not rise: %s, then %s', one, two)
    next_seq = {}
    for frame in frames:
        seq = frame.get('seq')
        if seq is None:
            continue
        due = next_seq.get(frame['topic'], 0)
        claim(seq >= due if removed else seq == due, 'topic %s: seq %d where %d was due', frame['topic'], seq, due)
        next_seq[frame['topic']] = seq + 1
    checked = set() if checked is None else checked
    for frame in frames:
        hash_text = frame.get('hash')
        if hash_text is None or hash_text in checked:
            continue
        answer = client.content(hash_text)
        claim(answer.status == 200, 'frame %s: content %s answered %d', frame['id'], hash_text, answer.status)
        claim(sri(answer.body) == hash_text, 'frame %s: content is not that of %s', frame['id'], hash_text)
        checked.add(hash_text)
    return frames


def parser(doc):
    p = argparse.ArgumentParser(description=doc.strip().split('\n')[0])
    build = os.environ.get('BUILD', os.path.join(ROOT, 'build', 'release'))
    p.add_argument('--weird', default=os.path.join(build, 'weird'), help='the daemon under test')
    p.add_argument('--shim', default=os.path.join(build, 'tests', 'faultshim.so'), help='the fault shim')
    p.add_argument('--seed', type=int, default=int.from_bytes(os.urandom(4), 'little'), help='of all that is random')
    return p


def main(doc, run, options=None):
    """Parses options, makes a temporary directory, runs the suite, returns the exit status."""
    opts = options.parse_args() if options else parser(doc).parse_args()
    report = Report()
    if not os.access(opts.weird, os.X_OK):
        report.bad('start', '%s is not a program' % opts.weird)
        return report.status()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print('# seed %d' % opts.seed, flush=True)
    tmp = tempfile.mkdtemp(prefix='weir')
    try:
        run(opts, report, tmp)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    return report.status()
