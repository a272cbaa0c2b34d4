#!/usr/bin/env python3
"""A11: open-file limit 64 and 200 clients: accepted ones work, no spinning, recovery within a second.

    a11_fds.py [--clients 200] [--limit 64] [--weird PROGRAM]
"""

import http.client
import os
import resource
import sys
import time

import rig
from rig import Daemon, claim

VERSION = b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n'
APPEND = b'POST /append/crowd HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello'


def answered(sock, request, limit=5.0):
    """The status of the answer on this connection, the answer read whole; None when there is none in time."""
    sock.settimeout(limit)
    try:
        sock.sendall(request)
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        answer.read()
        return answer.status
    except rig.BROKEN:
        return None


def run(opts, report, tmp):
    store = os.path.join(tmp, 'store')

    def limited():
        resource.setrlimit(resource.RLIMIT_NOFILE, (opts.limit, opts.limit))

    with Daemon(opts.weird, store, preexec=limited) as daemon:
        daemon.ready()
        clients = []

        def crowd():
            for _ in range(opts.clients):
                try:
                    clients.append(rig.dial(daemon.sock, 1.0))
                except OSError:
                    pass  # the backlog is full
            # The first ones were accepted while there was room.
            served = [sock for sock in clients[:10] if answered(sock, VERSION) == 200]
            claim(len(served) == 10, 'only %d of the first 10 clients are served', len(served))
            claim(daemon.alive(), 'the daemon died: %s', daemon.last_words())
            return '%d connected, %d files open' % (len(clients), daemon.open_files())

        def appends_in_the_crowd():
            status = answered(clients[0], APPEND)
            claim(status in (200, 503, 507), 'append answered %s', status)
            return 'status %d' % status

        def no_spinning():
            before = daemon.cpu_seconds()
            time.sleep(2.0)  # a span of doing nothing is what is measured
            share = (daemon.cpu_seconds() - before) / 2.0
            claim(share < 0.05, 'the crowded daemon uses %.0f %% of a processor while idle', 100 * share)
            return '%.1f %%' % (100 * share)

        def recovery():
            for sock in clients:
                sock.close()
            begun = time.monotonic()
            answer = daemon.client(5.0).append('after', b'there is room again')
            took = time.monotonic() - begun
            claim(answer.status == 200, 'append answered %d %r', answer.status, answer.body[:200])
            claim(took < 1.0, 'the first append after the crowd took %.2f s', took)
            return '%.3f s' % took

        def memory_of_it():
            frames = rig.verify(daemon.client())
            claim(any(frame['topic'] == 'after' for frame in frames), 'the append after the crowd is missing')
            daemon.stop()

        for case in (crowd, appends_in_the_crowd, no_spinning, recovery, memory_of_it):
            report.case('descriptors ' + case.__name__, case)


if __name__ == '__main__':
    options = rig.parser(__doc__)
    options.add_argument('--clients', type=int, default=200)
    options.add_argument('--limit', type=int, default=64)
    sys.exit(rig.main(__doc__, run, options))
