#!/usr/bin/env python3
"""Runnable conformance cases for stores that speak the xs dialect (CLI, HTTP over the Unix socket, CAS, TTL, ids).

The cases are those of the table "Conformance table" of the specification of xs, under the same names (C1, C2, ...):
everything about ids, append, topics, reading, last, TTL, content, import, daemon and command line. Cases about
programs that the daemon runs are not here.

Usage:  xs_public.py --cli PROGRAM [--only C7,C8] [--json out.json] [--dir TMP] [--slow FACTOR] [--retry N]

PROGRAM is the command line under test; it has the subcommands and the argument order of xs (`serve PATH`, `cat ADDR`,
`append ADDR TOPIC`, ...). Each case gets its own temporary directory and its own daemon, which the runner starts and
ends itself. One line per case: PASS, FAIL or SKIP, the name, the grade (`must`: a user would call a failure a bug;
`better`: goes past the peer), the text. The exit code is 0 when no `must` case failed.
A name with a letter behind it (C80b) is a part of that case which is judged by itself.
Python 3.11, standard library only.
"""

import argparse
import base64
import hashlib
import json
import os
import queue
import random
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from datetime import datetime, timezone
from urllib.parse import quote

# ---------------------------------------------------------------------------------------------------
# Harness: verdicts, ids, HTTP over a Unix socket, the daemon, followers
# ---------------------------------------------------------------------------------------------------


class Fail(Exception):
    """The product does not behave as the case says."""


class Skip(Exception):
    """The case cannot be judged here (missing tool, other layout, other contract)."""


class OutOfTime(BaseException):
    """The case's time box is over."""


def check(cond, text):
    if not cond:
        raise Fail(text)


def same(got, want, what):
    if got != want:
        raise Fail('%s: got %s, want %s' % (what, brief(got), brief(want)))


def brief(value, limit=300):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[:limit] + '...(%d)' % len(text)


def sri(data):
    return 'sha256-' + base64.b64encode(hashlib.sha256(data).digest()).decode()


def b64(data):
    return base64.b64encode(data).decode()


DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'


def id_encode(ms, hi, lo, node):
    n = (ms << 80) | (hi << 56) | (lo << 32) | node
    out = ''
    for _ in range(25):
        n, d = divmod(n, 36)
        out = DIGITS[d] + out
    return out


def id_decode(text):
    check(len(text) == 25, 'id %r has not 25 digits' % text)
    n = 0
    for c in text.lower():
        n = n * 36 + DIGITS.index(c)
    return n >> 80, (n >> 56) & 0xffffff, (n >> 32) & 0xffffff, n & 0xffffffff


def id_ms(text):
    return id_decode(text)[0]


def now_ms():
    return int(time.time() * 1000)


class Response:
    def __init__(self, status, headers, body, complete):
        self.status = status
        self.headers = headers
        self.body = body
        self.complete = complete

    @property
    def ctype(self):
        return self.headers.get('content-type', '').split(';')[0].strip()

    def json(self):
        return json.loads(self.body)

    def frames(self):
        return [json.loads(x) for x in self.body.split(b'\n') if x.strip()]


class Conn:
    """One HTTP/1.1 connection, raw enough to send malformed bytes."""

    def __init__(self, address, timeout=20):
        if isinstance(address, tuple):
            self.sock = socket.create_connection(address, timeout)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect(address)
        self.file = self.sock.makefile('rb', 65536)

    def close(self):
        for f in (lambda: self.sock.shutdown(socket.SHUT_RDWR), self.file.close, self.sock.close):
            try:
                f()
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def encode(method, target, body=None, headers=None, chunked=False):
        head = {'Host': 'localhost', 'Accept': '*/*'}
        head.update(headers or {})
        if chunked:
            head['Transfer-Encoding'] = 'chunked'
        elif body is not None or method in ('POST', 'PUT'):
            head.setdefault('Content-Length', str(len(body or b'')))
        out = ['%s %s HTTP/1.1' % (method, target)]
        out += ['%s: %s' % kv for kv in head.items() if kv[1] is not None]
        data = '\r\n'.join(out).encode('utf-8') + b'\r\n\r\n'
        if chunked:
            if body:
                data += b'%x\r\n' % len(body) + body + b'\r\n'
            data += b'0\r\n\r\n'
        elif body:
            data += body
        return data

    def send(self, data):
        self.sock.sendall(data)

    def request(self, method, target, body=None, headers=None, chunked=False):
        try:
            self.send(self.encode(method, target, body, headers, chunked))
        except BrokenPipeError:
            pass  # the server may answer before it has read the whole body
        return self.read(method)

    def head(self):
        """Status and headers; None at a clean end of the connection."""
        while True:
            line = self.file.readline(65536)
            if not line:
                return None
            m = re.match(rb'HTTP/1\.[01] (\d{3})', line)
            if not m:
                raise Fail('no HTTP status line: %r' % line[:80])
            status = int(m.group(1))
            headers = {}
            while True:
                line = self.file.readline(65536)
                if not line.endswith(b'\n'):
                    raise Fail('response cut inside its headers')
                line = line.strip()
                if not line:
                    break
                k, _, v = line.partition(b':')
                headers[k.decode('latin-1').strip().lower()] = v.decode('latin-1').strip()
            if status // 100 != 1:
                return status, headers

    def pieces(self, status, headers, method='GET'):
        """Body pieces as they come; the last item is True (complete) or False (cut)."""
        if method == 'HEAD' or status in (204, 304):
            yield True
            return
        if headers.get('transfer-encoding', '').lower() == 'chunked':
            while True:
                line = self.file.readline(1024)
                if not line.endswith(b'\n'):
                    yield False
                    return
                n = int(line.split(b';')[0].strip() or b'0', 16)
                data = b''
                while len(data) < n:
                    part = self.file.read1(n - len(data))
                    if not part:
                        if data:
                            yield data
                        yield False
                        return
                    data += part
                end = self.file.readline(1024)
                if n == 0:
                    while end.strip():
                        end = self.file.readline(1024)
                    yield bool(end)
                    return
                yield data
        elif 'content-length' in headers:
            left = int(headers['content-length'])
            while left:
                part = self.file.read1(min(left, 1 << 20))
                if not part:
                    yield False
                    return
                left -= len(part)
                yield part
            yield True
        else:
            while True:
                part = self.file.read1(1 << 16)
                if not part:
                    break
                yield part
            yield True

    def read(self, method='GET'):
        head = self.head()
        if head is None:
            raise Fail('connection closed without a response')
        status, headers = head
        body, complete = [], True
        for piece in self.pieces(status, headers, method):
            if isinstance(piece, bool):
                complete = piece
            else:
                body.append(piece)
        return Response(status, headers, b''.join(body), complete)


class Waiter:
    """Frames that arrive over time, with their arrival times, and how the stream ended."""

    def __init__(self):
        self.cond = threading.Condition()
        self.frames = []
        self.times = []
        self.lines = []
        self.end = None            # None while open, else 'clean', 'cut' or an error text
        self.end_time = None

    def put(self, line):
        frame = json.loads(line)
        with self.cond:
            self.frames.append(frame)
            self.times.append(time.monotonic())
            self.lines.append(line)
            self.cond.notify_all()

    def finish(self, how):
        with self.cond:
            if self.end is None:
                self.end = how
                self.end_time = time.monotonic()
            self.cond.notify_all()

    def topics(self):
        return [f['topic'] for f in list(self.frames)]

    def real(self):
        return [f for f in list(self.frames) if f['topic'] not in ('xs.threshold', 'xs.pulse')]

    def wait(self, pred, timeout, what):
        """Wait until pred(self) is true."""
        limit = time.monotonic() + timeout
        with self.cond:
            while not pred(self):
                left = limit - time.monotonic()
                if left <= 0 or (self.end is not None and not pred(self)):
                    raise Fail('%s: not seen within %.1f s (end=%s, last topics %s)' % (
                        what, timeout, self.end, brief(self.topics()[-8:])))
                self.cond.wait(min(left, 0.2))

    def wait_count(self, n, timeout=5, topic=None):
        def enough(w):
            return sum(1 for f in w.frames if topic is None or f['topic'] == topic) >= n
        self.wait(enough, timeout, '%d frames%s' % (n, ' on ' + topic if topic else ''))

    def wait_topic(self, topic, timeout=5, after=None, where=None):
        """The first frame of a topic (newer than id `after`)."""
        found = []

        def seen(w):
            for f in w.frames:
                if f['topic'] == topic and (after is None or f['id'] > after) and (where is None or where(f)):
                    found[:] = [f]
                    return True
            return False
        self.wait(seen, timeout, 'a frame on ' + topic)
        return found[0]

    def wait_end(self, timeout=5):
        limit = time.monotonic() + timeout
        with self.cond:
            while self.end is None:
                left = limit - time.monotonic()
                if left <= 0:
                    raise Fail('the stream did not end within %.1f s (%d frames, last topics %s)' % (
                        timeout, len(self.frames), brief(self.topics()[-5:])))
                self.cond.wait(left)
        return self.end


class HttpFollower(Waiter):
    def __init__(self, address, target, headers=None):
        super().__init__()
        self.conn = Conn(address, timeout=None)
        self.conn.send(Conn.encode('GET', target, headers=headers))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            head = self.conn.head()
            if head is None:
                self.finish('no response')
                return
            status, headers = head
            if status != 200:
                self.finish('status %d' % status)
                return
            sse = headers.get('content-type', '').startswith('text/event-stream')
            rest = b''
            for piece in self.conn.pieces(status, headers):
                if isinstance(piece, bool):
                    self.finish('clean' if piece else 'cut')
                    return
                rest += piece
                *lines, rest = rest.split(b'\n')
                for line in lines:
                    if sse:
                        line = line[5:].strip() if line.startswith(b'data:') else b''
                    if line.strip():
                        self.put(line)
        except Exception as e:  # the connection went away
            self.finish('error: %s' % e)

    def close(self):
        self.conn.close()


class CliFollower(Waiter):
    def __init__(self, store, *args):
        super().__init__()
        self.proc = subprocess.Popen([store.run.cli, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, env=store.run.env())
        store.run.procs.append(self.proc)
        self.err = b''
        self.t1 = threading.Thread(target=self.run, daemon=True)
        self.t2 = threading.Thread(target=self.drain, daemon=True)
        self.t2.start()  # first: run() joins it, and a quick program ends before the second start
        self.t1.start()

    def run(self):
        try:
            for line in self.proc.stdout:
                if line.strip():
                    self.put(line)
        except Exception as e:
            self.finish('error: %s' % e)
        self.t2.join(2)
        try:
            rc = self.proc.wait(10)
        except subprocess.TimeoutExpired:
            rc = 'still running'
        self.finish('exit %s' % rc)

    def drain(self):
        try:
            self.err = self.proc.stderr.read()
        except (OSError, ValueError):
            pass

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()


class Done:
    def __init__(self, rc, out, err):
        self.rc, self.out, self.err = rc, out, err.decode('utf-8', 'replace')

    def frames(self):
        return [json.loads(x) for x in self.out.split(b'\n') if x.strip()]

    def json(self):
        return json.loads(self.out)


class Store:
    """One store directory, its daemon, and the ways to talk to it."""

    def __init__(self, run, name='s', start=True, args=(), env=None):
        self.run = run
        self.dir = os.path.join(run.tmp, name)
        self.sock = os.path.join(self.dir, 'sock')
        self.log = os.path.join(run.tmp, name + '.log')
        self.proc = None
        self.pid = None
        self.keep = None
        run.stores.append(self)
        if start:
            self.start(*args, env=env)

    # -- life ---------------------------------------------------------------------------------------

    def start(self, *args, env=None, timeout=15):
        t0 = time.monotonic()
        with open(self.log, 'ab') as log:
            self.proc = subprocess.Popen([self.run.cli, 'serve', self.dir, *args], stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, env=self.run.env(env), start_new_session=True)
        self.pid = self.proc.pid
        while True:
            if self.proc.poll() is not None:
                raise Fail('the daemon ended with %s at start: %s' % (self.proc.returncode, self.log_tail()))
            try:
                with Conn(self.sock, timeout) as c:
                    c.request('GET', '/version')
                    cred = c.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                    pid = struct.unpack('3i', cred)[0]
                    if pid != self.proc.pid and is_descendant(pid, self.proc.pid):
                        self.pid = pid
                    return time.monotonic() - t0
            except (OSError, Fail):
                if time.monotonic() - t0 > timeout:
                    raise Fail('the daemon does not answer after %.0f s: %s' % (timeout, self.log_tail()))
                time.sleep(0.01)

    def log_tail(self):
        try:
            with open(self.log, 'rb') as f:
                return brief(f.read()[-300:].decode('utf-8', 'replace').replace('\n', ' | '))
        except OSError:
            return ''

    def stop(self, sig=signal.SIGINT, timeout=8):
        if self.keep:
            self.keep.close()
            self.keep = None
        os.kill(self.pid, sig)
        try:
            return self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Fail('the daemon did not end within %.0f s after signal %d' % (timeout, sig))

    def kill(self):
        if self.keep:
            self.keep.close()
            self.keep = None
        if self.proc is None:
            return
        for pid in {self.pid, self.proc.pid}:
            if pid == self.proc.pid and self.proc.poll() is not None:
                continue
            if pid != self.proc.pid and not is_descendant(pid, self.proc.pid):
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.proc.wait()

    def alive(self):
        if self.proc.poll() is not None:
            return False
        try:
            with Conn(self.sock, 5) as c:
                return c.request('GET', '/version').status == 200
        except (OSError, Fail):
            return False

    def memory(self):
        """Private resident memory of the daemon in bytes (mapped files are not counted)."""
        return anon_memory(self.pid)

    # -- HTTP ---------------------------------------------------------------------------------------

    def conn(self, timeout=20):
        return Conn(self.sock, timeout)

    def http(self, method, target, body=None, headers=None, chunked=False, timeout=20):
        with self.conn(timeout) as c:
            return c.request(method, target, body, headers, chunked)

    def append_raw(self, topic, body=b'', meta=None, ttl=None, query=''):
        headers = {}
        if meta is not None:
            headers['xs-meta'] = b64(json.dumps(meta, ensure_ascii=False).encode())
        q = [x for x in (query, 'ttl=' + quote(ttl) if ttl is not None else '') if x]
        data = Conn.encode('POST', '/append/' + topic + ('?' + '&'.join(q) if q else ''), body, headers)
        for attempt in (1, 2):
            try:
                if self.keep is None:
                    self.keep = self.conn()
                self.keep.send(data)
                r = self.keep.read('POST')
                if r.headers.get('connection', '').lower() == 'close':
                    self.keep.close()
                    self.keep = None
                return r
            except (OSError, Fail):
                self.keep = None
                if attempt == 2:
                    raise

    def append(self, topic, body=b'', meta=None, ttl=None, query=''):
        r = self.append_raw(topic, body, meta, ttl, query)
        if r.status != 200:
            raise Fail('append to %s: status %d %r' % (topic, r.status, r.body[:120]))
        return r.json()

    def appends(self, *topics):
        return [self.append(t) for t in topics]

    def cat(self, query=''):
        r = self.http('GET', '/' + ('?' + query if query else ''))
        if r.status != 200 or not r.complete:
            raise Fail('read %r: status %d, complete %s' % (query, r.status, r.complete))
        return r.frames()

    def topic(self, pattern, query=''):
        return self.cat('topic=' + quote(pattern) + ('&' + query if query else ''))

    def topics(self, query=''):
        return [f['topic'] for f in self.cat(query)]

    def get(self, id_):
        return self.http('GET', '/' + id_)

    def cas(self, hash_):
        r = self.http('GET', '/cas/' + hash_)
        check(r.status == 200 and r.complete, 'content %s: status %d, complete %s' % (hash_, r.status, r.complete))
        return r.body

    def has_content(self, data):
        """Whether the daemon serves this content. A connection closed without an answer counts as absent."""
        try:
            r = self.http('GET', '/cas/' + sri(data))
        except (OSError, Fail):
            return False
        return r.status == 200

    def follow(self, query='', headers=None, path='/'):
        f = HttpFollower(self.sock, path + '?follow=true' + ('&' + query if query else ''), headers)
        self.run.followers.append(f)
        return f

    def stream(self, target, headers=None):
        f = HttpFollower(self.sock, target, headers)
        self.run.followers.append(f)
        return f

    # -- CLI ----------------------------------------------------------------------------------------

    def cli(self, verb, *args, input=None, timeout=20):
        """CLI VERB STORE ARGS; without input, stdin is empty."""
        return self.run.command(verb, self.dir, *args, input=input, timeout=timeout)

    def cli_follow(self, *args):
        f = CliFollower(self, 'cat', self.dir, *args)
        self.run.followers.append(f)
        return f

    # -- files --------------------------------------------------------------------------------------

    def files(self):
        out = []
        for base, _, names in os.walk(self.dir):
            for name in names:
                path = os.path.join(base, name)
                try:
                    st = os.lstat(path)
                except OSError:
                    continue
                if stat.S_ISREG(st.st_mode):
                    out.append((path, st))
        return out

    def content_file(self, data):
        """The file whose bytes are exactly this content, or None (small content may lie elsewhere)."""
        for path, st in self.files():
            if st.st_size == len(data):
                with open(path, 'rb') as f:
                    if f.read() == data:
                        return path
        return None

    def disk(self):
        return sum(st.st_blocks * 512 for _, st in self.files())


def is_descendant(pid, ancestor):
    for _ in range(20):
        if pid == ancestor:
            return True
        try:
            with open('/proc/%d/stat' % pid) as f:
                pid = int(f.read().rsplit(')', 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            return False
        if pid <= 1:
            return False
    return False


def anon_memory(pid):
    total = 0
    with open('/proc/%d/status' % pid) as f:
        for line in f:
            if line.startswith(('RssAnon:', 'RssShmem:')):
                total += int(line.split()[1]) * 1024
    return total


def cpu_seconds(pid):
    with open('/proc/%d/stat' % pid) as f:
        parts = f.read().rsplit(')', 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf('SC_CLK_TCK')


def until(pred, timeout, what, step=0.03):
    limit = time.monotonic() + timeout
    while True:
        got = pred()
        if got:
            return got
        if time.monotonic() > limit:
            raise Fail('%s: not so after %.1f s' % (what, timeout))
        time.sleep(step)


def pump(store, jobs, clients=4, window=16):
    """Append jobs (topic, body, meta, ttl) over keep-alive connections, `window` requests at a time on each.

    Returns the frames in the order of the jobs. Raises on the first answer that is not 200.
    """
    out = [None] * len(jobs)
    errors = []

    def work(k):
        mine = range(k, len(jobs), clients)
        try:
            with store.conn(30) as c:
                for at in range(0, len(mine), window):
                    part = mine[at:at + window]
                    data = []
                    for i in part:
                        topic, body, meta, ttl = (tuple(jobs[i]) + (None,) * 4)[:4]
                        headers = {'xs-meta': b64(json.dumps(meta).encode())} if meta is not None else {}
                        data.append(Conn.encode('POST', '/append/' + topic + ('?ttl=' + ttl if ttl else ''),
                                                body or b'', headers))
                    c.send(b''.join(data))
                    for i in part:
                        r = c.read('POST')
                        if r.status != 200:
                            raise Fail('append: status %d %r' % (r.status, r.body[:100]))
                        out[i] = r.json()
        except (OSError, Fail, ValueError) as e:
            errors.append(e)
    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        while t.is_alive():
            t.join(0.2)
    if errors:
        raise Fail('append under load: %s' % errors[0])
    return out


class Run:
    """What one case has at hand; everything it started is ended by `close`."""

    def __init__(self, opts, tmp):
        self.opts = opts
        self.cli = opts.cli
        self.tmp = tmp
        self.full = opts.full
        self.slow = opts.slow
        self.stores = []
        self.procs = []
        self.followers = []
        self.cleanups = []

    def env(self, extra=None):
        env = dict(os.environ)
        for name in ('WEIR_ADDR', 'XS_ADDR', 'XS_APPEND_META'):
            env.pop(name, None)
        env['WEIR_NO_AUTOSTART'] = '1'
        env.update(extra or {})
        return env

    def store(self, name='s', **kw):
        return Store(self, name, **kw)

    def command(self, *args, input=None, timeout=20):
        p = subprocess.Popen([self.cli, *args], stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env())
        self.procs.append(p)
        try:
            out, err = p.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            p.communicate()
            raise Fail('command %s did not end within %d s' % (args[0], timeout))
        return Done(p.returncode, out, err)

    def close(self):
        for f in self.cleanups:
            try:
                f()
            except Exception:
                pass
        for p in self.procs:
            if p.poll() is None:
                p.kill()
                p.wait()
        for f in self.followers:
            f.close()
        for s in self.stores:
            s.kill()


CASES = []


def case(ident, grade, text, limit=10, weir_only=False):
    def register(func):
        CASES.append({'id': ident, 'grade': grade, 'text': text, 'limit': limit, 'weir_only': weir_only, 'func': func})
        return func
    return register


def alarm(_signum, _frame):
    raise OutOfTime()


def run_case(c, opts, base, is_weir):
    if c['weir_only'] and not is_weir:
        return 'SKIP', 'weir only', 0.0
    tmp = tempfile.mkdtemp(prefix='c', dir=base)
    run = Run(opts, tmp)
    t0 = time.monotonic()
    verdict, reason = 'PASS', ''
    signal.signal(signal.SIGALRM, alarm)
    limit = c['limit'] * opts.slow
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        c['func'](run)
    except Skip as e:
        verdict, reason = 'SKIP', str(e)
    except Fail as e:
        verdict, reason = 'FAIL', str(e)
    except OutOfTime:
        verdict, reason = 'FAIL', 'not finished after %.0f s' % limit
    except Exception as e:
        where = traceback.extract_tb(e.__traceback__)
        line = [x.lineno for x in where][1:2]
        verdict, reason = 'FAIL', '%s: %s (line %s)' % (type(e).__name__, e, line[0] if line else '?')
        if opts.verbose:
            traceback.print_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            run.close()
        except Exception as e:
            reason += ' [clean-up: %s]' % e
        if not opts.keep:
            shutil.rmtree(tmp, ignore_errors=True)
    return verdict, ' '.join(brief(reason, 400).split()), time.monotonic() - t0


def main(doc):
    p = argparse.ArgumentParser(description=doc.strip().split('\n')[0])
    p.add_argument('--cli', required=True, help='the program under test')
    p.add_argument('--only', help='comma-separated case names, or a prefix ending in *')
    p.add_argument('--json', help='write the results to this file')
    p.add_argument('--dir', help='where to make the temporary stores (a short path on a real disk)')
    p.add_argument('--slow', type=float, default=1.0, help='multiply all time limits by this')
    p.add_argument('--retry', type=int, default=0, help='run a failed case again up to this often (for a flaky peer)')
    p.add_argument('--full', action='store_true', help='sizes as written in the tables (long)')
    p.add_argument('--keep', action='store_true', help='keep the temporary directories')
    p.add_argument('--verbose', action='store_true', help='show tracebacks')
    p.add_argument('--list', action='store_true', help='only list the cases')
    p.add_argument('--peer', choices=('auto', 'xs', 'weir'), default='auto', help='which product it is')
    opts = p.parse_args()
    opts.cli = shutil.which(opts.cli) or os.path.abspath(opts.cli)
    if not os.access(opts.cli, os.X_OK):
        p.error('%s is not a program' % opts.cli)
    cases = CASES
    if opts.only:
        names = [x.strip() for x in opts.only.split(',') if x.strip()]
        cases = [c for c in CASES if any(
            c['id'] == n or re.fullmatch(re.escape(n) + '[a-z]', c['id']) or
            (n.endswith('*') and c['id'].startswith(n[:-1])) for n in names)]
    if opts.list:
        for c in cases:
            print('%s %s: %s' % (c['id'], c['grade'], c['text']))
        return 0
    version = subprocess.run([opts.cli, '--version'], stdin=subprocess.DEVNULL, capture_output=True, timeout=30).stdout
    is_weir = opts.peer == 'weir' or (opts.peer == 'auto' and b'cross-stream' not in version)
    base = tempfile.mkdtemp(prefix='xsc', dir=opts.dir)
    counts = {'PASS': 0, 'FAIL': 0, 'SKIP': 0}
    results = []
    bad_must = 0
    try:
        for c in cases:
            attempts = 1
            verdict, reason, seconds = run_case(c, opts, base, is_weir)
            while verdict == 'FAIL' and attempts <= opts.retry:
                attempts += 1
                first = reason
                verdict, reason, seconds = run_case(c, opts, base, is_weir)
                if verdict == 'PASS':
                    reason = 'at attempt %d; before: %s' % (attempts, first)
            counts[verdict] += 1
            if verdict == 'FAIL' and c['grade'] == 'must':
                bad_must += 1
            print('%s %s %s: %s%s' % (verdict, c['id'], c['grade'], c['text'], ' -- ' + reason if reason else ''), flush=True)
            results.append({'id': c['id'], 'grade': c['grade'], 'verdict': verdict, 'text': c['text'],
                            'reason': reason, 'seconds': round(seconds, 2), 'attempts': attempts})
    finally:
        if not opts.keep:
            shutil.rmtree(base, ignore_errors=True)
    if opts.json:
        with open(opts.json, 'w') as f:
            json.dump({'program': version.decode('utf-8', 'replace').strip(), 'counts': counts, 'cases': results}, f, indent=1)
            f.write('\n')
    print('%d passed, %d failed, %d skipped' % (counts['PASS'], counts['FAIL'], counts['SKIP']))
    return 1 if bad_must else 0

# ---------------------------------------------------------------------------------------------------
# Ids
# ---------------------------------------------------------------------------------------------------

ID_TABLE = [
    (0, 0, 0, 0, '0000000000000000000000000'),
    (2 ** 48 - 1, 0, 0, 0, 'f5lxx1zz5k6tp71geeh2db7k0'),
    (0, 2 ** 24 - 1, 0, 0, '0000000005gv2r2kjwr7n8xs0'),
    (0, 0, 2 ** 24 - 1, 0, '00000000000000jpia7ql4hs0'),
    (0, 0, 0, 2 ** 32 - 1, '0000000000000000001z141z3'),
    (2 ** 48 - 1, 2 ** 24 - 1, 2 ** 24 - 1, 2 ** 32 - 1, 'f5lxx1zz5pnorynqglhzmsp33'),
    (1700000000000, 1, 2, 3, '03amo4vrpq0xs2alqicv0426b'),
    (1735846904817, 3700363, 15394222, 0x089af023, '03d4q1qhbiv09ovtuhokw5yxv'),
    (1785966646158, 13437347, 11222487, 0x306ba4d4, '03gmmrhqljv8bnulus79wipck'),
]


def unpack(run, text):
    d = run.command('scru128', 'unpack', text)
    check(d.rc == 0, 'unpack %s: exit %d %s' % (text, d.rc, d.err))
    return d.json()


def unpacked_ms(obj):
    return obj['ts_ms'] if 'ts_ms' in obj else round(obj['timestamp'] * 1000)


def pack(run, data):
    return run.command('scru128', 'pack', input=data)


@case('C1', 'must', 'parse and print each text of the id table')
def c1(run):
    for ms, hi, lo, node, text in ID_TABLE:
        same(id_encode(ms, hi, lo, node), text, 'the table itself')
        for form in (text, text.upper()):
            o = unpack(run, form)
            same((unpacked_ms(o), o['counter_hi'], o['counter_lo'], o['node']), (ms, hi, lo, '%08x' % node), 'fields of ' + form)
        d = pack(run, json.dumps(o).encode())
        check(d.rc == 0, 'pack of %s: exit %d %s' % (o, d.rc, d.err))
        same(d.out.decode().strip(), text, 'text of %s' % (o,))
    d = run.command('scru128', 'unpack', '-', input=ID_TABLE[6][4].encode() + b'\n')
    check(d.rc == 0, 'unpack - reads stdin: exit %d' % d.rc)
    same(unpacked_ms(d.json()), 1700000000000, 'unpack -')


@case('C2', 'must', 'get the id of a frame in upper case: same frame, id in lower case')
def c2(run):
    s = run.store()
    f = s.append('note')
    r = s.get(f['id'].upper())
    same(r.status, 200, 'status')
    same(r.json(), f, 'frame')


@case('C3', 'must', 'unpack then pack fresh and pinned ids: identical text each time', limit=90)
def c3(run):
    ids = ['03gmmrhqljv8bnulus79wipck', '03gmmrhqzjzlbz75e1r8fyvmt', '03gmmrhsh0x17va0knqvbhly6']
    for _ in range(2000 if run.full else 150):
        d = run.command('scru128')
        same(d.rc, 0, 'exit code')
        ids.append(d.out.decode().strip())
    bad = []
    for text in ids:
        u = run.command('scru128', 'unpack', text)
        p = pack(run, u.out)
        if p.out.decode().strip() != text:
            bad.append(text)
    check(not bad, '%d of %d ids did not survive, for example %s' % (len(bad), len(ids), bad[:1]))


@case('C4', 'must', 'malformed ids are refused: 24 digits, 26 digits, a text with _, a value too large')
def c4(run):
    good = ID_TABLE[6][4]
    for bad in (good[:-1], good + '0', good[:-1] + '_', 'z' * 25, 'f5lxx1zz5pnorynqglhzmsp34', ''):
        d = run.command('scru128', 'unpack', bad)
        check(d.rc != 0, 'unpack %r: exit 0' % bad)
        check(d.err.strip(), 'unpack %r: no text on stderr' % bad)


@case('C5', 'must', '1000 appends by one client: ids strictly rising, times within the run', limit=30)
def c5(run):
    s = run.store()
    t0 = now_ms()
    ids = [f['id'] for f in pump(s, [('t',)] * 1000, clients=1, window=1)]
    t1 = now_ms()
    check(all(a < b for a, b in zip(ids, ids[1:])), 'ids do not rise strictly')
    same(len(set(ids)), 1000, 'distinct ids')
    out = [i for i in ids if not t0 - 2 <= id_ms(i) <= t1 + 2]
    check(not out, '%d ids have a time outside the run' % len(out))
    same([f['id'] for f in s.topic('t')], ids, 'order of a later read')


@case('C6', 'must', 'the time inside an id equals the timestamp shown with it')
def c6(run):
    s = run.store()
    f = s.cli('append', 't', '--with-timestamp').json()
    same(stamp_ms(f), id_ms(f['id']), 'timestamp')
    same(unpacked_ms(unpack(run, f['id'])), id_ms(f['id']), 'unpacked time')


def stamp_ms(frame):
    check('timestamp' in frame, 'no timestamp key in %s' % brief(frame))
    same(list(frame)[-1], 'timestamp', 'last key')
    text = frame['timestamp']
    check(re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?\+00:00', text), 'form of timestamp %r' % text)
    delta = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (delta.days * 86400 + delta.seconds) * 1000 + delta.microseconds // 1000


# ---------------------------------------------------------------------------------------------------
# Append, get, remove
# ---------------------------------------------------------------------------------------------------

@case('C7', 'must', 'start on a directory that does not exist: created, socket appears, one frame xs.start')
def c7(run):
    s = run.store('fresh')
    check(stat.S_ISSOCK(os.stat(s.sock).st_mode), 'no socket')
    frames = s.cat()
    same([f['topic'] for f in frames], ['xs.start'], 'topics')
    same(list(frames[0])[:5], ['topic', 'id', 'hash', 'meta', 'ttl'], 'keys')
    same((frames[0]['hash'], frames[0]['meta']), (None, None), 'hash and meta')


@case('C8', 'must', 'append with content from stdin: hash, ttl forever; cat shows it')
def c8(run):
    s = run.store()
    d = s.cli('append', 'note', input=b'test note')
    same(d.rc, 0, 'exit code')
    f = d.json()
    same((f['topic'], f['hash'], f['ttl']), ('note', 'sha256-TvgDcdg0JnFOEUYAdePEXelAWRjyVC+2MPS6V88eQXk=', 'forever'), 'frame')
    d = s.cli('cat')
    same(d.rc, 0, 'exit code of cat')
    same([x['topic'] for x in d.frames()], ['xs.start', 'note'], 'cat')
    same(d.frames()[1], f, 'frame in cat')
    check(d.out.endswith(b'\n'), 'last line ends in a newline')


@case('C9', 'must', 'append with empty stdin: hash is null, no content stored')
def c9(run):
    s = run.store()
    f = s.cli('append', 'note', input=b'').json()
    same(f['hash'], None, 'hash')
    check('hash' in f and 'meta' in f, 'null keys are written out')
    check(not any(os.path.basename(os.path.dirname(os.path.dirname(p))) == 'sha256' for p, _ in s.files()), 'a content file appeared')


@case('C10', 'must', 'UTF-8 in meta and content comes back byte for byte')
def c10(run):
    s = run.store()
    text = 'Información – 情報\n'.encode()
    d = s.cli('append', 'note', '--meta', '{"name":"Información"}', input=text)
    same(d.rc, 0, 'exit code')
    f = d.json()
    same(f['meta'], {'name': 'Información'}, 'meta')
    check('Información'.encode() in d.out, 'raw UTF-8 in the JSON')
    g = s.cli('get', f['id'])
    same(g.json(), f, 'get')
    same(s.cli('cas', f['hash']).out, text, 'content')


@case('C11', 'must', 'meta keeps its values and key order')
def c11(run):
    s = run.store()
    meta = {'z': 1, 'a': {'y': [1, 2.5, None, True]}}
    f = s.cli('append', 'note', '--meta', json.dumps(meta)).json()
    same(f['meta'], meta, 'meta')
    same(list(f['meta']), ['z', 'a'], 'key order')
    same(list(s.get(f['id']).json()['meta']), ['z', 'a'], 'key order in get')


@case('C12', 'must', 'meta that is not JSON: error, exit 1, nothing appended')
def c12(run):
    s = run.store()
    d = s.cli('append', 'note', '--meta', 'not json')
    same(d.rc, 1, 'exit code')
    check(d.err.strip(), 'no text on stderr')
    same(s.topics(), ['xs.start'], 'stream')


@case('C13', 'must', 'header xs-meta in base64')
def c13(run):
    s = run.store()
    r = s.http('POST', '/append/note', b'x', {'xs-meta': 'eyJrZXkiOiJ2YWx1ZSJ9'})
    same((r.status, r.ctype), (200, 'application/json'), 'status and type')
    same(r.json()['meta'], {'key': 'value'}, 'meta')
    r = s.http('POST', '/append/note', b'x', {'xs-meta': 'eyJuYW1lIjoiSW5mb3JtYWNpw7NuIn0='}, chunked=True)
    same(r.json()['meta'], {'name': 'Información'}, 'meta')


@case('C14', 'must', 'header xs-meta that is not base64: 400, no frame')
def c14(run):
    s = run.store()
    r = s.http('POST', '/append/note', b'x', {'xs-meta': '%%%'})
    same(r.status, 400, 'status')
    same(s.topics(), ['xs.start'], 'stream')


@case('C15', 'must', 'get returns what append printed')
def c15(run):
    s = run.store()
    f = s.cli('append', 'note', '--meta', '{"a":1}', '--ttl', 'last:3', input=b'body').json()
    same(s.cli('get', f['id']).json(), f, 'CLI get')
    r = s.get(f['id'])
    same((r.status, r.ctype, r.json()), (200, 'application/json', f), 'HTTP get')
    same(s.cat()[-1], f, 'cat')


@case('C16', 'must', 'get of an unknown id: HTTP 404 with empty body, CLI exit 1')
def c16(run):
    s = run.store()
    r = s.get('03bcpn2dnq529qrqkbqcz4jv4')
    same((r.status, r.body), (404, b''), 'status and body')
    same(s.cli('get', '03bcpn2dnq529qrqkbqcz4jv4').rc, 1, 'exit code')


@case('C17', 'must', 'GET of a path that is no id and no route: 4xx')
def c17(run):
    s = run.store()
    for path in ('/not-an-id', '/nothing', '/a/b/c'):
        r = s.http('GET', path)
        check(400 <= r.status < 500, 'GET %s: %d' % (path, r.status))


@case('C18', 'must', 'remove: 204; get 404; gone from cat, last and wildcard reads')
def c18(run):
    s = run.store()
    a, b = s.append('n.x'), s.append('n.x')
    r = s.http('DELETE', '/' + b['id'])
    same((r.status, r.body), (204, b''), 'DELETE')
    same(s.get(b['id']).status, 404, 'get')
    for what, frames in (('cat', s.cat()), ('topic', s.topic('n.x')), ('wildcard', s.topic('n.*'))):
        check(b['id'] not in [f['id'] for f in frames], 'still in ' + what)
    same(s.cli('last', 'n.x').json(), a, 'last')
    d = s.cli('remove', a['id'])
    same((d.rc, d.out), (0, b''), 'CLI remove')
    same(s.topics(), ['xs.start'], 'stream')


@case('C19', 'must', 'remove the same id again: 204, CLI exit 0')
def c19(run):
    s = run.store()
    f = s.append('n')
    for _ in range(2):
        same(s.http('DELETE', '/' + f['id']).status, 204, 'status')
    same(s.cli('remove', f['id']).rc, 0, 'exit code')
    check(400 <= s.http('DELETE', '/not-an-id').status < 500, 'DELETE of no id')


@case('C20', 'must', 'the same content twice: same hash, stored once')
def c20(run):
    s = run.store()
    data = random.Random(20).randbytes(300000)
    a, b = s.append('a', data), s.append('b', data)
    same((a['hash'], b['hash']), (sri(data),) * 2, 'hashes')
    copies = [p for p, st in s.files() if st.st_size == len(data)]
    check(len(copies) <= 1, '%d content files' % len(copies))


@case('C21', 'must', 'POST to a path that is no route: 404')
def c21(run):
    s = run.store()
    same(s.http('POST', '/no/such/route', b'').status, 404, 'status')
    same(s.http('PUT', '/nothing', b'').status, 404, 'status of PUT')


@case('C22', 'must', 'append with with-timestamp: extra key, equal to the time in the id')
def c22(run):
    s = run.store()
    f = s.append('t', query='with-timestamp')
    same(stamp_ms(f), id_ms(f['id']), 'timestamp')
    check('timestamp' not in s.append('t'), 'timestamp without asking')


@case('C100', 'must', 'with-timestamp on cat, last, get, append, threshold and pulse frames')
def c100(run):
    s = run.store()
    for _ in range(20):
        f = s.append('t')
    got = [s.cli('append', 't', '--with-timestamp').json(), s.cli('get', f['id'], '--with-timestamp').json(),
           s.cli('last', 't', '--with-timestamp').json()]
    got += s.cli('last', 't', '3', '--with-timestamp').frames() + s.cli('cat', '--with-timestamp').frames()
    w = s.stream('/?follow=50&with-timestamp')
    w.wait_topic('xs.pulse', 5)
    w.wait_topic('xs.threshold', 5)
    for f in got + list(w.frames):
        same(stamp_ms(f), id_ms(f['id']), 'timestamp of ' + f['topic'])


@case('C101', 'must', 'meta that is 5, "x", [1] or null')
def c101(run):
    s = run.store()
    for meta in (5, 'x', [1], None):
        f = s.cli('append', 't', '--meta', json.dumps(meta)).json()
        same(f['meta'], meta, 'CLI')
        r = s.http('POST', '/append/t', b'', {'xs-meta': b64(json.dumps(meta).encode())})
        same(r.json()['meta'], meta, 'HTTP')
        same(s.get(f['id']).json()['meta'], meta, 'get')


# ---------------------------------------------------------------------------------------------------
# Topics
# ---------------------------------------------------------------------------------------------------

BAD_TOPICS = ['a.', '.a', '-a', 'a..b', '123', 'a b', 'a*', 'a' * 256]


@case('C23', 'must', 'valid topics are accepted, also 255 letters')
def c23(run):
    s = run.store()
    good = ['a', '_private', 'user-123', 'orders.2024.pending', 'b' * 255]
    for t in good:
        d = s.cli('append', t)
        same(d.rc, 0, 'exit code for ' + t[:30])
        same(d.json()['topic'], t, 'topic')
    same(s.topics()[1:], good, 'stream')


@case('C24', 'must', 'invalid topics are refused by the CLI, nothing appended', limit=20)
def c24(run):
    s = run.store()
    for t in BAD_TOPICS + ['9a', 'a,b', 'a/b', 'ä', '']:
        d = s.cli('append', t)
        check(d.rc != 0, 'append to %r: exit 0' % t[:20])
    same(s.topics(), ['xs.start'], 'stream')


@case('C25', 'better', 'invalid topics over HTTP: 4xx, nothing appended')
def c25(run):
    s = run.store()
    bad = []
    for t in ['a.', '.a', '-a', 'a..b', '123', 'a%20b', 'a*', 'a' * 256]:
        r = s.http('POST', '/append/' + t, b'')
        if not 400 <= r.status < 500:
            bad.append('%s: %d' % (t[:20], r.status))
    same(s.topics(), ['xs.start'], 'stream')
    check(not bad, ', '.join(bad))


@case('C26', 'must', "-T 'user.*' gives the topics below user, in append order")
def c26(run):
    s = run.store()
    s.appends('user', 'user.profile', 'user.settings', 'order')
    d = s.cli('cat', '-T', 'user.*')
    same([f['topic'] for f in d.frames()], ['user.profile', 'user.settings'], 'topics')


@case('C27', 'must', '-T user gives only that topic')
def c27(run):
    s = run.store()
    s.appends('user', 'user.profile', 'user.settings', 'order')
    same([f['topic'] for f in s.cli('cat', '-T', 'user').frames()], ['user'], 'topics')


@case('C28', 'must', "-T '*' gives everything")
def c28(run):
    s = run.store()
    s.appends('user', 'user.profile', 'order')
    same([f['topic'] for f in s.cli('cat', '-T', '*').frames()], ['xs.start', 'user', 'user.profile', 'order'], 'topics')


@case('C29', 'must', 'wildcards at two depths')
def c29(run):
    s = run.store()
    all3 = ['user.a.messages', 'user.a.notes', 'user.b.messages']
    s.appends(*all3)
    same([f['topic'] for f in s.topic('user.a.*')], all3[:2], 'user.a.*')
    same([f['topic'] for f in s.topic('user.*')], all3, 'user.*')


GAME = ['game.create', 'noise', 'game.move.up', 'other.thing', 'game.move.down', 'game.create']


def game(run):
    s = run.store()
    ids = [f['id'] for f in s.appends(*GAME)]

    def numbers(frames):
        return [ids.index(f['id']) + 1 for f in frames]
    return s, ids, numbers


@case('C30', 'must', 'a list of patterns: frames of all of them in stream order')
def c30(run):
    s, _, numbers = game(run)
    same(numbers(s.cli('cat', '-T', 'game.move.*,game.create').frames()), [1, 3, 5, 6], 'frames')
    same(numbers(s.topic(' game.move.* , game.create ,')), [1, 3, 5, 6], 'blanks and empty elements')


@case('C31', 'must', 'a list of patterns with --after and --limit')
def c31(run):
    s, ids, numbers = game(run)
    d = s.cli('cat', '-T', 'game.move.*,game.create', '--after', ids[0], '--limit', '2')
    same(numbers(d.frames()), [3, 5], 'frames')


@case('C32', 'must', 'a list of patterns with --last')
def c32(run):
    s, _, numbers = game(run)
    same(numbers(s.cli('cat', '-T', 'game.move.*,game.create', '--last', '3').frames()), [3, 5, 6], 'frames')


@case('C33', 'must', "empty or invalid patterns are refused by the CLI: ',', '', 'a,1bad'")
def c33(run):
    s = run.store()
    for p in (',', '', 'a,1bad'):
        check(s.cli('cat', '-T', p).rc != 0, '-T %r: exit 0' % p)


@case('C34', 'must', "-T 'a,' is the same as -T a")
def c34(run):
    s = run.store()
    s.appends('a', 'b', 'a')
    d = s.cli('cat', '-T', 'a,')
    same((d.rc, d.out), (0, s.cli('cat', '-T', 'a').out), 'output')
    same(len(d.frames()), 2, 'frames')


# ---------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------

@case('C35', 'must', 'cat --limit 2 without follow: the first two, then the end, exit 0')
def c35(run):
    s = run.store()
    s.appends('a', 'b', 'c')
    d = s.cli('cat', '--limit', '2')
    same((d.rc, [f['topic'] for f in d.frames()]), (0, ['xs.start', 'a']), 'cat')


@case('C36', 'must', '--after is exclusive')
def c36(run):
    s = run.store()
    a, b, c = s.appends('t', 't', 't')
    same(s.cli('cat', '--after', a['id']).frames(), [b, c], 'frames')
    same(s.topic('t', 'after=' + a['id']), [b, c], 'frames of the topic')


@case('C37', 'must', '--from is inclusive')
def c37(run):
    s = run.store()
    a, b, c = s.appends('t', 't', 't')
    same(s.cli('cat', '--from', b['id']).frames(), [b, c], 'frames')
    same(s.topic('t', 'from=' + b['id']), [b, c], 'frames of the topic')


@case('C38', 'must', '--after the newest id: empty output, exit 0')
def c38(run):
    s = run.store()
    f = s.append('t')
    d = s.cli('cat', '--after', f['id'])
    same((d.rc, d.out), (0, b''), 'cat')


@case('C99', 'must', '--from wins over --after')
def c99(run):
    s = run.store()
    a, b, c, e = s.appends('t', 't', 't', 't')
    same(s.cli('cat', '--from', b['id'], '--after', c['id']).frames(), [b, c, e], 'from before after')
    same(s.cli('cat', '--after', a['id'], '--from', e['id']).frames(), [e], 'from behind after')


@case('C39', 'must', '--last 2: the newest two, ascending')
def c39(run):
    s = run.store()
    f = s.appends('a', 'b', 'c', 'd', 'e')
    same(s.cli('cat', '--last', '2').frames(), f[3:], 'frames')


@case('C40', 'must', '--last 2 with a topic')
def c40(run):
    s = run.store()
    f = s.appends('a', 'b', 'a', 'b', 'a')
    same(s.cli('cat', '--last', '2', '-T', 'a').frames(), [f[2], f[4]], 'frames')


@case('C41', 'must', 'a topic without frames: HTTP 200, empty body')
def c41(run):
    s = run.store()
    r = s.http('GET', '/?topic=nothing')
    same((r.status, r.body, r.complete), (200, b'', True), 'response')


@case('C42', 'must', 'cat -f: history, threshold, then live frames within 200 ms')
def c42(run):
    s = run.store()
    w = s.cli_follow('-f')
    w.wait_count(2)
    same(w.topics(), ['xs.start', 'xs.threshold'], 'history and threshold')
    t = w.frames[1]
    same((t['hash'], t['meta'], t['ttl']), (None, None, 'ephemeral'), 'shape of the threshold')
    time.sleep(0.3)
    same(len(w.frames), 2, 'frames while idle')
    best = 9
    for n in range(4):
        t0 = time.monotonic()
        f = s.append('note')
        w.wait_count(3 + n)
        same(w.frames[-1], f, 'live frame')
        best = min(best, w.times[-1] - t0)
    check(best < 0.2, 'fastest delivery took %.0f ms' % (best * 1000))
    check('xs.threshold' not in s.topics(), 'threshold was stored')


@case('C43', 'must', 'cat -f --new: no history, no threshold')
def c43(run):
    s = run.store()
    s.append('old')
    w = s.cli_follow('-f', '--new')
    time.sleep(0.7)
    same(w.topics(), [], 'before the append')
    s.append('fresh')
    w.wait_count(1)
    same(w.topics(), ['fresh'], 'frames')


@case('C44', 'must', 'cat -f -p 50 on an idle store: about 20 pulses a second, none stored')
def c44(run):
    s = run.store()
    w = s.stream('/?follow=50')
    w.wait_count(2)
    time.sleep(1)
    n = w.topics().count('xs.pulse')
    check(10 <= n <= 26, '%d pulses in a second' % n)
    same([t for t in w.topics() if t != 'xs.pulse'], ['xs.start', 'xs.threshold'], 'other frames')
    p = [f for f in w.frames if f['topic'] == 'xs.pulse'][0]
    same((p['hash'], p['meta'], p['ttl']), (None, None, 'ephemeral'), 'shape of the pulse')
    same(s.topics(), ['xs.start'], 'stream')


@case('C45', 'must', '-p 50 without -f follows')
def c45(run):
    s = run.store()
    w = s.cli_follow('-p', '50')
    w.wait_topic('xs.pulse')
    s.append('note')
    w.wait_topic('note')


@case('C46', 'must', '-f --last 2 with one frame on the topic: it, threshold, live')
def c46(run):
    s = run.store()
    s.append('t')
    w = s.cli_follow('-f', '--last', '2', '-T', 't')
    w.wait_count(2)
    s.append('t')
    w.wait_count(3)
    same(w.topics(), ['t', 'xs.threshold', 't'], 'topics')


@case('C47', 'must', '-f --limit 2 with one frame in history: ends after the first live one')
def c47(run):
    s = run.store()
    a = s.append('test')
    w = s.cli_follow('-f', '--limit', '2', '-T', 'test')
    w.wait_topic('xs.threshold')
    b = s.append('test')
    s.append('test')
    same(w.wait_end(), 'exit 0', 'end')
    same([f['id'] for f in w.real()], [a['id'], b['id']], 'frames')
    same(w.topics(), ['test', 'xs.threshold', 'test'], 'topics')


@case('C48', 'must', '-f --limit 3 with five matching frames: exactly three and the end, no threshold')
def c48(run):
    s = run.store()
    f = s.appends('t', 't', 't', 't', 't')
    w = s.cli_follow('-f', '--limit', '3', '-T', 't')
    same(w.wait_end(), 'exit 0', 'end')
    same(w.frames, f[:3], 'frames')


@case('C49', 'must', "-f -T 'user.*': live frames are filtered")
def c49(run):
    s = run.store()
    w = s.cli_follow('-f', '-T', 'user.*')
    w.wait_count(1)
    s.appends('user.x', 'order', 'user.y')
    w.wait_count(3)
    same(w.topics(), ['xs.threshold', 'user.x', 'user.y'], 'topics')


@case('C50', 'must', '-f on a topic without frames: the threshold comes at once')
def c50(run):
    s = run.store()
    w = s.cli_follow('-f', '-T', 'foo')
    w.wait_count(1, 3)
    same(w.topics(), ['xs.threshold'], 'topics')


@case('C51', 'must', 'follow=yes, follow, follow=true follow; follow=false and follow=no do not')
def c51(run):
    s = run.store()
    for q in ('follow=yes', 'follow', 'follow=true', 'follow='):
        w = s.stream('/?' + q)
        w.wait_topic('xs.threshold')
        same(w.end, None, q)
        w.close()
    for q in ('follow=false', 'follow=no'):
        same(s.topics(q), ['xs.start'], q)


@case('C52', 'must', 'after=123, limit=x, follow=maybe: 400 each')
def c52(run):
    s = run.store()
    for q in ('after=123', 'limit=x', 'follow=maybe', 'from=xyz', 'last=-1'):
        same(s.http('GET', '/?' + q).status, 400, q)
    check(s.alive(), 'daemon is gone')


@case('C53', 'must', 'an unknown query key is ignored')
def c53(run):
    s = run.store()
    r = s.http('GET', '/?foo=bar')
    same((r.status, len(r.frames())), (200, 1), 'response')


@case('C54', 'must', 'Accept: text/event-stream')
def c54(run):
    s = run.store()
    s.append('a', meta={'k': 'v'})
    r = s.http('GET', '/', headers={'Accept': 'text/event-stream'})
    same((r.status, r.ctype), (200, 'text/event-stream'), 'status and type')
    blocks = r.body.decode().split('\n\n')
    same(blocks.pop(), '', 'behind the last block')
    same(len(blocks), 2, 'blocks')
    for b in blocks:
        m = re.fullmatch(r'id: (\S+)\ndata: (.*)', b)
        check(m, 'form of %r' % b)
        same(json.loads(m.group(2))['id'], m.group(1), 'id')
    d = s.cli('cat', '--sse')
    same(d.out, r.body, 'cat --sse')


@case('C55', 'must', 'without Accept: application/x-ndjson, every line ends in LF')
def c55(run):
    s = run.store()
    s.append('a')
    r = s.http('GET', '/', headers={'Accept': None})
    same((r.status, r.ctype), (200, 'application/x-ndjson'), 'status and type')
    check(r.body.endswith(b'\n'), 'last line')
    same(r.body.count(b'\n'), 2, 'lines')


@case('C56', 'must', 'three followers, 100 appends: each sees all once, in id order', limit=20)
def c56(run):
    s = run.store()
    ws = [s.follow('new=true') if k else s.cli_follow('-f', '-T', 't') for k in range(3)]
    ws[0].wait_topic('xs.threshold')
    time.sleep(0.3)
    ids = sorted(f['id'] for f in pump(s, [('t',)] * 100, clients=4))
    for w in ws:
        w.wait_count(100, topic='t')
        same([f['id'] for f in w.frames if f['topic'] == 't'], ids, 'ids')


# ---------------------------------------------------------------------------------------------------
# last
# ---------------------------------------------------------------------------------------------------

def greek(run):
    s = run.store()
    return s, s.appends('alpha', 'alpha', 'beta', 'alpha', 'beta')


@case('C57', 'must', 'last TOPIC: the newest frame, one object')
def c57(run):
    s, f = greek(run)
    d = s.cli('last', 'alpha')
    same((d.rc, d.json()), (0, f[3]), 'CLI')
    r = s.http('GET', '/last/alpha')
    same((r.status, r.ctype, r.json()), (200, 'application/json', f[3]), 'HTTP')


@case('C58', 'must', 'last without topic: the newest frame of all')
def c58(run):
    s, f = greek(run)
    same(s.cli('last').json(), f[4], 'CLI')
    same(s.http('GET', '/last').json(), f[4], 'HTTP')


@case('C59', 'must', 'last TOPIC 2 and last 2 TOPIC: two lines, ascending')
def c59(run):
    s, f = greek(run)
    for args in (('alpha', '2'), ('2', 'alpha')):
        same(s.cli('last', *args).frames(), [f[1], f[3]], ' '.join(args))
    r = s.http('GET', '/last/alpha?last=2')
    same((r.ctype, r.frames()), ('application/x-ndjson', [f[1], f[3]]), 'HTTP')


@case('C60', 'must', 'last 3: the three newest over all topics')
def c60(run):
    s, f = greek(run)
    same(s.cli('last', '3').frames(), f[2:], 'frames')


@case('C61', 'must', 'last TOPIC 3 when one frame exists: one line with newline')
def c61(run):
    s = run.store()
    f = s.append('single')
    d = s.cli('last', 'single', '3')
    same((d.rc, d.frames()), (0, [f]), 'output')
    check(d.out.endswith(b'\n'), 'newline')


@case('C62', 'must', 'last of an unknown topic: HTTP 404, CLI exit 1')
def c62(run):
    s = run.store()
    same(s.http('GET', '/last/nosuch').status, 404, 'status')
    same(s.cli('last', 'nosuch').rc, 1, 'exit code')


@case('C63', 'must', 'last with a wildcard')
def c63(run):
    s = run.store()
    s.append('W.foo')
    f = s.append('W.bar')
    s.append('other')
    same(s.cli('last', 'W.*').json(), f, 'frame')


@case('C64', 'must', 'last TOPIC -f: current last, threshold, new frames')
def c64(run):
    s = run.store()
    s.append('t')
    b = s.append('t')
    w = CliFollower(s, 'last', s.dir, 't', '-f')
    run.followers.append(w)
    w.wait_topic('xs.threshold')
    s.append('other')
    c = s.append('t')
    w.wait_count(3)
    same([f['id'] for f in w.real()], [b['id'], c['id']], 'frames')
    same(w.topics(), ['t', 'xs.threshold', 't'], 'topics')


# ---------------------------------------------------------------------------------------------------
# TTL
# ---------------------------------------------------------------------------------------------------

@case('C65', 'must', 'ttl ephemeral: delivered live, not stored')
def c65(run):
    s = run.store()
    w = s.cli_follow('-f')
    w.wait_topic('xs.threshold')
    f = s.cli('append', 'e', '--ttl', 'ephemeral', input=b'gone').json()
    same(f['ttl'], 'ephemeral', 'ttl')
    same(w.wait_topic('e'), f, 'follower')
    same(s.get(f['id']).status, 404, 'get')
    same(s.topics(), ['xs.start'], 'cat')


@case('C66', 'must', 'ttl time: gone from reads when it is over, then from get')
def c66(run):
    s = run.store()
    a = s.append('t')
    b = s.append('t', ttl='time:600')
    same(s.topic('t'), [a, b], 'at once')
    time.sleep(0.8)
    same(s.topic('t'), [a], 'after its time')
    same(s.cli('last', 't').json(), a, 'last')
    until(lambda: s.get(b['id']).status == 404, 3, 'get of the expired frame gives 404')


@case('C67', 'must', 'ttl last:2 keeps the newest two of that exact topic')
def c67(run):
    s = run.store()
    o = s.append('other', ttl='last:2')
    f = [s.append('test', ttl='last:2') for _ in range(4)]
    until(lambda: s.topic('test') == f[2:], 3, 'two frames remain')
    same(s.cat()[1:], [o] + f[2:], 'stream')


@case('C68', 'must', 'invalid TTLs are refused, nothing appended')
def c68(run):
    s = run.store()
    for ttl in ('last:0', 'time:abc', 'head', 'bogus', 'last:-1', 'time:', 'head:1', 'Forever'):
        check(s.cli('append', 't', '--ttl', ttl).rc != 0, 'CLI accepts ' + ttl)
        same(s.append_raw('t', ttl=ttl).status, 400, 'HTTP status for ' + ttl)
    same(s.topics(), ['xs.start'], 'stream')


@case('C69', 'must', 'each valid TTL is shown as given')
def c69(run):
    s = run.store()
    for ttl in ('forever', 'ephemeral', 'time:3600000', 'last:1', 'last:4294967295'):
        same(s.append('t', ttl=ttl)['ttl'], ttl, 'HTTP')
        same(s.cli('append', 't', '--ttl', ttl).json()['ttl'], ttl, 'CLI')


@case('C102', 'must', 'last:1 on a topic leaves topics with a like name alone')
def c102(run):
    s = run.store()
    keep = s.appends('a.b', 'ab', 'a.b', 'ab')
    s.append('a', ttl='last:1')
    f = s.append('a', ttl='last:1')
    until(lambda: s.topic('a') == [f], 3, 'one frame remains')
    time.sleep(0.2)
    same(s.cat()[1:], keep + [f], 'stream')


# ---------------------------------------------------------------------------------------------------
# Content, import, export
# ---------------------------------------------------------------------------------------------------

HELLO = 'sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ='


@case('C70', 'must', 'cas-post prints the hash; no frame appended')
def c70(run):
    s = run.store()
    d = s.cli('cas-post', input=b'hello')
    same((d.rc, d.out.decode().strip()), (0, HELLO), 'CLI')
    r = s.http('POST', '/cas', b'hello')
    same((r.status, r.ctype, r.body.decode().strip()), (200, 'text/plain', HELLO), 'HTTP')
    same(s.topics(), ['xs.start'], 'stream')


@case('C71', 'must', 'cas returns the bytes, also binary')
def c71(run):
    s = run.store()
    for data in (b'hello', bytes(range(256)) * 3, b'\n', b'a\r\nb\x00'):
        h = s.cli('cas-post', input=data).out.decode().strip()
        same(h, sri(data), 'hash')
        d = s.cli('cas', h)
        same((d.rc, d.out), (0, data), 'CLI')
        same(s.cas(h), data, 'HTTP')


@case('C72', 'must', 'cas-post of nothing: error, exit 1')
def c72(run):
    s = run.store()
    d = s.cli('cas-post', input=b'')
    same(d.rc, 1, 'exit code')
    check(d.err.strip(), 'no text on stderr')
    same(s.http('POST', '/cas', b'').status, 400, 'HTTP status')


@case('C73', 'must', 'malformed hash or unknown algorithm: 400')
def c73(run):
    s = run.store()
    for h in ('sha256-%%', 'md9-abcd'):
        same(s.http('GET', '/cas/' + h).status, 400, h)


@case('C74', 'better', 'absent content: 404 with a complete response; CLI exit 1')
def c74(run):
    s = run.store()
    same(s.cli('cas', HELLO).rc, 1, 'exit code')
    r = s.http('GET', '/cas/' + HELLO)
    same((r.status, r.complete), (404, True), 'HTTP')


@case('C75', 'must', 'import of a minimal frame: null keys, sorts by its id')
def c75(run):
    s = run.store()
    old = '03bcpn2dnq529qrqkbqcz4jv4'
    d = s.cli('import', input=json.dumps({'topic': 'test', 'id': old}).encode())
    want = {'topic': 'test', 'id': old, 'hash': None, 'meta': None, 'ttl': None}
    same((d.rc, d.json()), (0, want), 'CLI')
    same(s.get(old).json(), want, 'get')
    same(s.topics(), ['test', 'xs.start'], 'order')
    r = s.http('POST', '/import', json.dumps({'topic': 'test', 'id': old}).encode())
    same((r.status, r.ctype), (200, 'application/json'), 'HTTP')


@case('C76', 'must', 'import of {}, [], a frame with a bad id: 400, nothing stored')
def c76(run):
    s = run.store()
    for text in ('{}', '[]', '{"topic":"t","id":"123"}', 'x', ''):
        same(s.http('POST', '/import', text.encode()).status, 400, text)
    same(s.topics(), ['xs.start'], 'stream')


@case('C77', 'must', 'export a store and import it into a fresh one: same frames, all content readable', limit=20)
def c77(run):
    a = run.store('a')
    for k in range(20):
        a.append('t%d' % (k % 3), b'content %d' % (k % 7) if k % 2 else b'', {'k': k, 'u': 'ü'} if k % 3 else None,
                 'last:100' if k % 5 == 0 else None)
    lines = a.http('GET', '/').body.splitlines(keepends=True)
    b = run.store('b')
    for h in {json.loads(x)['hash'] for x in lines} - {None}:
        same(b.http('POST', '/cas', a.cas(h)).body.decode().strip(), h, 'hash of the copy')
    for x in lines:
        same(b.http('POST', '/import', x).status, 200, 'import')
    got = b.http('GET', '/').body.splitlines(keepends=True)
    missing = [x for x in lines if x not in got]
    check(not missing, 'not byte for byte: %s' % brief(missing[:1]))
    for x in lines:
        h = json.loads(x)['hash']
        if h:
            same(b.cas(h), a.cas(h), 'content')


# ---------------------------------------------------------------------------------------------------
# Daemon and CLI
# ---------------------------------------------------------------------------------------------------

@case('C78', 'must', 'a second daemon on the same store is refused with a text; the first keeps working')
def c78(run):
    s = run.store()
    s.append('a')
    d = run.command('serve', s.dir)
    check(d.rc != 0, 'exit 0')
    check(d.err.strip(), 'no text on stderr')
    s.append('b')
    same(s.topics(), ['xs.start', 'a', 'b'], 'stream')


@case('C79', 'must', 'client without daemon: stderr names the address and how to start; exit 1')
def c79(run):
    s = run.store('none', start=False)
    d = s.cli('cat')
    same(d.rc, 1, 'exit code')
    check(s.dir in d.err, 'no address in %r' % d.err)
    check('serve' in d.err, 'no hint how to start in %r' % d.err)


def stop_case(run, sig):
    s = run.store()
    s.append('a')
    w = s.follow()
    w.wait_topic('xs.threshold')
    same(s.stop(sig, 5), 0, 'exit code')
    w.wait_end()
    s.start()
    same([t for t in s.topics() if t != 'xs.stop'], ['xs.start', 'a', 'xs.stopping', 'xs.start'], 'stream')


@case('C80', 'must', 'SIGINT: exit 0 within 5 s; then a stop marker and a new start frame', limit=15)
def c80(run):
    stop_case(run, signal.SIGINT)


@case('C80b', 'must', 'SIGTERM: the same', limit=15)
def c80b(run):
    stop_case(run, signal.SIGTERM)


@case('C81', 'must', 'after a restart all frames are there, in order, plus the new start frame', limit=20)
def c81(run):
    s = run.store()
    pump(s, [('t%d' % (k % 3), b'x%d' % k) for k in range(60)])
    before = s.cat()
    s.stop()
    s.start()
    after = s.cat()
    same(after[:len(before)], before, 'old frames')
    same(after[-1]['topic'], 'xs.start', 'last topic')
    check(all(a['id'] < b['id'] for a, b in zip(after, after[1:])), 'order')


@case('C82', 'must', 'version: a JSON object with a version string')
def c82(run):
    s = run.store()
    d = s.cli('version')
    same(d.rc, 0, 'exit code')
    check(isinstance(d.json().get('version'), str), 'output %r' % d.out)
    r = s.http('GET', '/version')
    same((r.status, r.ctype), (200, 'application/json'), 'HTTP')
    same(r.json(), d.json(), 'HTTP and CLI')


def free_port():
    with socket.socket() as k:
        k.bind(('127.0.0.1', 0))
        return k.getsockname()[1]


@case('C83', 'must', 'serve --expose :PORT: the same API over TCP; xs.start says so')
def c83(run):
    port = free_port()
    s = run.store(args=('--expose', ':%d' % port))
    start = s.cat()[0]
    check(start['meta'] and 'expose' in start['meta'], 'meta of xs.start: %r' % (start['meta'],))
    with Conn(('127.0.0.1', port)) as c:
        f = c.request('POST', '/append/tcp', b'over tcp').json()
        same(c.request('GET', '/cas/' + f['hash']).body, b'over tcp', 'content')
    same(s.cat()[-1], f, 'seen on the Unix socket')
    d = run.command('cat', ':%d' % port)
    same((d.rc, d.frames()), (0, s.cat()), 'CLI over TCP')


@case('C84', 'must', 'unknown flag, missing argument: text on stderr, exit 2')
def c84(run):
    for args in (('cat', '--no-such-flag', '.'), ('append',), ('get', './x'), ('no-such-command',)):
        d = run.command(*args)
        same(d.rc, 2, 'exit code of %s' % ' '.join(args))
        check(d.err.strip(), 'no text on stderr')


@case('C103', 'must', 'append, get, cat, append pipelined on one connection: all answered in order')
def c103(run):
    s = run.store()
    f = s.append('first')
    with s.conn() as c:
        c.send(Conn.encode('POST', '/append/two', b'body') + Conn.encode('GET', '/' + f['id']) +
               Conn.encode('GET', '/') + Conn.encode('POST', '/append/three', b'', chunked=True))
        r = [c.read() for _ in range(4)]
    same([x.status for x in r], [200] * 4, 'statuses')
    same(r[0].json()['topic'], 'two', 'first answer')
    same(r[1].json(), f, 'second answer')
    same([x['topic'] for x in r[2].frames()], ['xs.start', 'first', 'two'], 'third answer')
    same(r[3].json()['topic'], 'three', 'fourth answer')


@case('C104', 'must', 'kill -9 the daemon, start again: starts, stream intact', limit=20)
def c104(run):
    s = run.store()
    pump(s, [('t', b'x%d' % k) for k in range(50)])
    before = s.cat()
    s.kill()
    check(os.path.exists(s.sock), 'the socket file stays')
    s.start()
    same(s.cat()[:len(before)], before, 'stream')
    same(s.topics()[-1], 'xs.start', 'newest frame')
    for f in before[-5:]:
        same(sri(s.cas(f['hash'])), f['hash'], 'content')


if __name__ == '__main__':
    sys.exit(main(__doc__))
