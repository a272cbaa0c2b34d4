"""What the suites of S2 clients share: a daemon under test, where clients are installed, the lines they print.

Clients come from their ordinary package registries, once, into ${XDG_CACHE_HOME:-~/.cache}/weir-compat. Where that cannot be, a
suite is one skip with its reason. One line a case: `ok NAME`, `not ok NAME reason`, `skip NAME reason`; status 1 when one failed.
Python 3.11, standard library only.
"""

import argparse
import fcntl
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DEADLINE = 20.0
CACHE = os.path.join(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'weir-compat')
ROOT_BASIN = 'weir-root'


class Fault(Exception):
    """Something is not as it has to be."""


class Skip(Exception):
    """This cannot be judged here."""


def claim(condition, text, *args):
    if not condition:
        raise Fault(text % args if args else text)


def same(got, want, what):
    if got != want:
        raise Fault('%s: %.300r, not %.300r' % (what, got, want))


# --- lines -----------------------------------------------------------------------------------------------


class Report:
    def __init__(self, prefix):
        self.prefix = prefix
        self.passed = self.failed = 0

    def ok(self, name):
        self.passed += 1
        print('ok %s %s' % (self.prefix, name), flush=True)

    def bad(self, name, fault):
        self.failed += 1
        text = str(fault) if isinstance(fault, Fault) else '%s: %s' % (type(fault).__name__, fault)
        print('not ok %s %s: %s' % (self.prefix, name, text.replace('\n', ' ')[:600]), flush=True)

    def skip(self, name, reason):
        print('skip %s %s: %s' % (self.prefix, name, reason), flush=True)

    def case(self, name, function, *args):
        try:
            function(*args)
        except Skip as reason:
            self.skip(name, reason)
        except Exception as fault:  # what a client throws is as much a failure as a broken claim
            self.bad(name, fault)
        else:
            self.ok(name)

    def status(self):
        return 1 if self.failed or not self.passed else 0


def skip_all(name, reason):
    print('skip %s: %s' % (name, str(reason).replace('\n', ' ')), flush=True)
    sys.exit(0)


# --- clients -----------------------------------------------------------------------------------------------


class Locked:
    """One installs at a time."""

    def __enter__(self):
        os.makedirs(CACHE, exist_ok=True)
        self.file = open(os.path.join(CACHE, 'lock'), 'w', encoding='ascii')
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


def run(command, limit=300, **options):
    """Its output; Skip with what it said last when it fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit,
                              check=False, **options)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise Skip('%s: %s' % (command[0], fault)) from None
    text = done.stdout.decode(errors='replace')
    if done.returncode != 0:
        raise Skip('%s: status %d: %s' % (' '.join(command[:4]), done.returncode, text.strip()[-200:]))
    return text


def python_with(packages, check):
    """A Python that has the packages; `check` is a program that fails without them."""
    place = os.path.join(CACHE, 'python-%d.%d' % sys.version_info[:2])
    python = os.path.join(place, 'bin', 'python')
    with Locked():
        if not os.path.exists(python):
            run([sys.executable, '-m', 'venv', place])
        try:
            run([python, '-c', check], 60)
        except Skip:
            run([python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--upgrade', *packages])
            run([python, '-c', check], 60)
    return python


def in_python_with(name, packages, check):
    """Goes on in a Python that has the packages: returns there. Where there can be none, ends with a skip."""
    if os.environ.get('WEIR_COMPAT_INSIDE') == name:
        return
    try:
        python = python_with(packages, check)
    except Skip as reason:
        skip_all(name, reason)
    os.environ['WEIR_COMPAT_INSIDE'] = name
    os.environ['PYTHONDONTWRITEBYTECODE'] = '1'
    os.execv(python, [python, '-u', *sys.argv])


def node_with(package, least):
    """A directory below which node finds the package."""
    if not shutil.which('node') or not shutil.which('npm'):
        raise Skip('node and npm are not installed')
    version = run(['node', '--version'], 60).strip()
    if int(version.lstrip('v').split('.')[0]) < 20:
        raise Skip('node is %s, older than 20' % version)
    place = os.path.join(CACHE, 'node')
    found = os.path.join(place, 'node_modules', *package.split('/'), 'package.json')
    with Locked():
        os.makedirs(place, exist_ok=True)
        if not os.path.exists(os.path.join(place, 'package.json')):
            with open(os.path.join(place, 'package.json'), 'w', encoding='ascii') as file:
                file.write('{"private":true}\n')
        if not os.path.exists(found):
            run(['npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', '%s@>=%s' % (package, least)], cwd=place)
    return place


# --- the daemon ---------------------------------------------------------------------------------------------


class Daemon:
    """weir on a store, on its socket and a TCP port; it can be killed and started again on the same."""

    def __init__(self, program, folder, *options, store=None):
        self.program = program
        self.folder = folder
        self.store = store or os.path.join(folder, 's')
        self.options = options
        self.port = 0
        self.process = None
        self.starts = 0
        self.start()

    def start(self):
        self.starts += 1
        self.log = os.path.join(self.folder, 'log.%d' % self.starts)
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen([self.program, self.store, '--expose', '127.0.0.1:%d' % self.port, '--cors', '*',
                                             *self.options], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.port = self._port()
        self._answers()

    def _said(self):
        with open(self.log, encoding='utf-8', errors='replace') as log:
            return log.read()

    def _port(self):
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end and self.process.poll() is None:
            for line in self._said().splitlines(keepends=True):
                if 'listening=127.0.0.1:' in line and line.endswith('\n'):
                    return int(line.split('listening=127.0.0.1:', 1)[1].split()[0])
            time.sleep(0.01)
        raise Fault('the daemon did not start: ' + self._said()[-500:])

    def _answers(self):
        end = time.monotonic() + DEADLINE
        while True:
            try:
                if self.request('GET', '/health')[0] == 200:
                    return
            except OSError:
                pass
            claim(time.monotonic() < end, 'the daemon does not answer: %s', self._said()[-500:])
            time.sleep(0.01)

    @property
    def address(self):
        return '127.0.0.1:%d' % self.port

    @property
    def url(self):
        return 'http://' + self.address

    def request(self, method, path, body=None, headers=None, port=None):
        conn = http.client.HTTPConnection('127.0.0.1', port or self.port, timeout=DEADLINE)
        try:
            conn.request(method, path, body=body, headers=headers or {})
            answer = conn.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as fault:
            raise OSError(str(fault)) from None
        finally:
            conn.close()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def again(self):
        """Killed and started again, on the same store and port."""
        self.kill()
        self.start()

    def stop(self):
        if self.process.poll() is not None:
            return self.process.returncode
        self.process.terminate()
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Fault('the daemon does not end') from None

    # --- the same store by the command line

    def weir(self, verb, *args, stdin=b'', status=0, store=None):
        command = [os.path.join(os.path.dirname(self.program), 'weir'), verb, store or self.store, *args]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=DEADLINE, check=False,
                              env={**os.environ, 'WEIR_NO_AUTOSTART': '1'})
        same(done.returncode, status, 'status of weir %s %s (%s)' % (verb, ' '.join(args), done.stderr.decode()[-200:]))
        return done.stdout

    def frames(self, topic, *args, store=None):
        return [json.loads(line) for line in self.weir('cat', '-T', topic, *args, store=store).splitlines()]

    def content(self, frame, store=None):
        return self.weir('cas', frame['hash'], store=store) if frame['hash'] else b''

    def basin_store(self, basin):
        """The address of a basin that was made by the API."""
        below = os.path.join(self.store, 'basins')
        found = [name for name in os.listdir(below) if name.split('.')[0] == basin]
        same(len(found), 1, 'directories of ' + basin)
        return os.path.join(below, found[0])


class Folder:
    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix='weir-s2.')
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def options(about):
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--weird', default=os.path.join(os.environ.get('BUILD', os.path.join(ROOT, 'build', 'release')), 'weird'))
    parser.add_argument('-k', default='', help='only cases whose name has this in it')
    return parser
