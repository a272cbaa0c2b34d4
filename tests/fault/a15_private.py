#!/usr/bin/env python3
"""A15: the store is private: modes, foreign users, names that try to leave it, symlinks, one owner.

    a15_private.py [--weird PROGRAM]
"""

import os
import socket
import stat
import subprocess
import sys
import time

import rig
from rig import Daemon, Skip, claim

LARGE = os.urandom(2_000_000)
NOBODY = 65534


def tree(place, without):
    """Every name below `place` but those below `without`, with size and time of change."""
    seen = {}
    for folder, folders, names in os.walk(place):
        folders[:] = [f for f in folders if os.path.join(folder, f) != without]
        for name in names + folders:
            path = os.path.join(folder, name)
            info = os.lstat(path)
            seen[path] = (info.st_size, info.st_mtime_ns if not stat.S_ISDIR(info.st_mode) else 0)
    return seen


def raw(daemon, data):
    with rig.dial(daemon.sock, 5.0) as sock:
        sock.sendall(data)
        sock.settimeout(5.0)
        answer = sock.recv(65536)
        return int(answer.split(b' ')[1]) if answer else None


def modes(opts, tmp):
    store = os.path.join(tmp, 'modes')
    with Daemon(opts.weird, store, preexec=lambda: os.umask(0)) as daemon:
        daemon.ready()
        client = daemon.client()
        for content in (b'small', LARGE):
            claim(client.append('modes', content).status == 200, 'append failed')
        count = 0
        for folder, _, names in os.walk(store):
            mode = stat.S_IMODE(os.lstat(folder).st_mode)
            claim(mode == 0o700, '%s has mode %o', os.path.relpath(folder, tmp), mode)
            for name in names:
                mode = stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode)
                claim(mode & 0o177 == 0, '%s has mode %o', os.path.relpath(os.path.join(folder, name), tmp), mode)
                count += 1
        daemon.stop()
    return '%d files' % count


def odd_names(opts, tmp):
    """Requests that would be paths if somebody made paths of them."""
    store = os.path.join(tmp, 'odd', 'store')
    os.makedirs(os.path.dirname(store))
    with open(os.path.join(tmp, 'odd', 'secret'), 'w') as file:
        file.write('secret')
    names = [b'../secret', b'..%2fsecret', b'%2e%2e/secret', b'/etc/passwd', b'%2fetc%2fpasswd', b'....//secret',
             b'..', b'.', b'%00', b'a%00b', b'sha256-../../secret', b'sha256-Li4vLi4vc2VjcmV0', b'tmp/../../secret',
             b'%ff%fe', b'a/../../../secret', b'..\\secret']
    with Daemon(opts.weird, store) as daemon:
        daemon.ready()
        before = tree(tmp, store)
        tried = 0
        for name in names:
            for method, prefix in ((b'GET', b'/'), (b'GET', b'/cas/'), (b'GET', b'/last/'), (b'POST', b'/append/'),
                                   (b'POST', b'/'), (b'DELETE', b'/'), (b'HEAD', b'/cas/')):
                body = b'x' if method == b'POST' else b''
                status = raw(daemon, method + b' ' + prefix + name + b' HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
                             b'Content-Length: %d\r\n\r\n' % len(body) + body)
                claim(status is None or 400 <= status < 500 or (status in (200, 204) and not leaves(name)),
                      '%s %s answered %s', method, prefix + name, status)
                tried += 1
        claim(tree(tmp, store) == before, 'something outside of the store changed')
        for frame in rig.verify(daemon.client()):
            claim('..' not in frame['topic'] and '/' not in frame['topic'], 'topic %s', frame['topic'])
        daemon.stop()
    return '%d requests' % tried


def leaves(name):
    return b'secret' in name or b'passwd' in name


def store_by_symlink(opts, tmp):
    real = os.path.join(tmp, 'real')
    link = os.path.join(tmp, 'link')
    os.mkdir(real, 0o700)
    os.symlink(real, link)
    with Daemon(opts.weird, link) as daemon:
        if not daemon.wait_listening():
            claim(daemon.process.poll() is not None and daemon.said().strip(), 'neither works nor says why')
            return 'refused with a message'
        claim(daemon.client().append('linked', b'x').status == 200, 'append failed')
        with Daemon(opts.weird, real) as second:
            claim(second.process.wait(5) != 0, 'two daemons own one store by two names')
        daemon.stop()
    return 'works'


def folders_by_symlink(opts, tmp):
    """A folder of the store that was replaced by a link to elsewhere: nothing is written there."""
    template = os.path.join(tmp, 'template')
    with Daemon(opts.weird, template) as daemon:
        daemon.ready()
        claim(daemon.client().append('first', LARGE).status == 200, 'append failed')
        daemon.stop()
    folders = [f for f in sorted(os.listdir(template)) if os.path.isdir(os.path.join(template, f))]
    claim(folders, 'the store has no folders')
    through = []
    for folder in folders:
        store = os.path.join(tmp, 'bent-' + folder)
        outside = os.path.join(tmp, 'outside-' + folder)
        rig.copy_store(template, store)
        os.rename(os.path.join(store, folder), outside)
        os.symlink(outside, os.path.join(store, folder))
        before = tree(outside, '')
        with Daemon(opts.weird, store) as daemon:
            if daemon.wait_listening():
                try:
                    daemon.client().append('bent', LARGE[::-1])
                except rig.BROKEN:
                    pass
            else:
                claim(daemon.said().strip(), 'refuses without a word')
            claim(daemon.alive() or daemon.process.returncode >= 0, 'died of a signal')
        if tree(outside, '') != before:
            through.append(folder)
    claim(not through, 'links in place of %s were written through', ' '.join(through))
    return ' '.join(folders)


def foreign_user(opts, tmp):
    """Even with the folder opened up by mistake, another user is not served."""
    if os.geteuid() != 0:
        raise Skip('only root can become somebody else')
    os.chmod(tmp, 0o755)
    store = os.path.join(tmp, 'foreign')
    with Daemon(opts.weird, store) as daemon:
        daemon.ready()
        code = ('import socket,sys\n'
                's=socket.socket(socket.AF_UNIX)\n'
                's.settimeout(5)\n'
                'try:\n'
                '    s.connect(sys.argv[1])\n'
                '    s.sendall(b"GET /version HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")\n'
                '    d=s.recv(64)\n'
                'except OSError as e: d=b"refused"\n'
                'print(d)\n')

        def ask():
            # The program of the test may lie where another user cannot look, so the system's Python is taken.
            return subprocess.run(['/usr/bin/python3', '-c', code, daemon.sock], user=NOBODY, group=NOBODY, cwd='/',
                                  extra_groups=[], capture_output=True, text=True, timeout=20, check=False)
        closed = ask()
        claim(closed.returncode == 0, '%s', closed.stderr)
        claim('200' not in closed.stdout, 'another user is served: %s', closed.stdout)
        os.chmod(store, 0o755)
        os.chmod(daemon.sock, 0o666)
        opened = ask()
        claim('200' not in opened.stdout, 'with the folder open another user is served: %s', opened.stdout)
        daemon.stop()


def one_owner(opts, tmp):
    store = os.path.join(tmp, 'owner')
    with Daemon(opts.weird, store) as first:
        first.ready()
        begun = time.monotonic()
        with Daemon(opts.weird, store) as second:
            code = second.process.wait(10)
            took = time.monotonic() - begun
            claim(code > 0, 'the second daemon ended with %d', code)
            claim(took < 1.0, 'the second daemon took %.1f s to step aside', took)
            claim(second.said().strip(), 'the second daemon said nothing')
        claim(first.client().append('owner', b'x').status == 200, 'the first daemon lost its socket')
        first.kill()
    claim(os.path.exists(first.sock), 'a killed daemon leaves its socket behind: the case proves nothing')
    with Daemon(opts.weird, store) as third:
        third.ready()
        third.stop()
    return '%.2f s' % took


def not_a_store(opts, tmp):
    """A folder with somebody's files in it is left as it is."""
    place = os.path.join(tmp, 'photos')
    os.mkdir(place)
    with open(os.path.join(place, 'holiday.jpg'), 'wb') as file:
        file.write(b'\xff\xd8 not really')
    os.chmod(place, 0o755)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(os.path.join(place, 'sock'))
    sock.listen(1)
    with sock, Daemon(opts.weird, place) as daemon:
        listening = daemon.process.poll() is None
        try:
            daemon.process.wait(3)
            listening = False
        except subprocess.TimeoutExpired:
            pass
        claim(not listening, 'the daemon took over a folder with a live socket of somebody else')
        claim(daemon.said().strip(), 'refuses without a word')
        with rig.dial(os.path.join(place, 'sock'), 1.0):
            pass
    claim('holiday.jpg' in os.listdir(place), 'the file is gone')


def run(opts, report, tmp):
    for case in (modes, odd_names, store_by_symlink, folders_by_symlink, foreign_user, one_owner, not_a_store):
        report.case('private ' + case.__name__, case, opts, tmp)


if __name__ == '__main__':
    sys.exit(rig.main(__doc__, run))
