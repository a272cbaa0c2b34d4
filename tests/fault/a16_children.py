#!/usr/bin/env python3
"""Nothing that programs started outlives the daemon, and no zombie is left while it runs.

Fifty programs whose trees hold what gets away easily: background children, sessions of their own, double forks, processes that ignore SIGTERM or
left their directory and environment behind. The daemon is killed with -9 at once, within a burst of starts, and stopped with SIGTERM.
"""

import os
import sys
import time

import programs_rig as programs
import rig
from rig import Daemon, claim

COUNT = 50
GONE = 1.0

TREE = b'''#!/bin/sh
sleep 1000 &
setsid sleep 1000 &
setsid -f sh -c 'trap "" TERM HUP; setsid -f sleep 1000; while :; do sleep 1000; done'
(cd / && env -i setsid -f sleep 1000)
(sh -c 'sleep 1000 & exit' &)
true & true & sh -c 'sh -c true & exit' &
'''
SERVICE = TREE + b'echo up\nexec sleep 1000\n'
HANDLER = TREE + b'echo up\nwhile read -r line; do echo seen; done\n'
PROCESSES = 5  # of a tree, at least: sleeps that stay


def stamp(pid):
    """When a process began: a pid alone may be used again."""
    try:
        with open('/proc/%d/stat' % pid) as file:
            return file.read().rpartition(')')[2].split()[19]
    except OSError:
        return None


def descendants(pid):
    """pid -> (state, when it began) of all below a process."""
    table = programs.processes()
    children = {}
    for child, (_, parent) in table.items():
        children.setdefault(parent, []).append(child)
    found, left = {}, [pid]
    while left:
        for child in children.get(left.pop(), ()):
            found[child] = (table[child][0], stamp(child))
            left.append(child)
    return found


def alive(tree):
    """Those of them that still run. What ended is for its parent to take up, and the daemon's parent is not ours."""
    table = programs.processes()
    return [pid for pid, (_, began) in tree.items()
            if began and table.get(pid, 'Z')[0] != 'Z' and stamp(pid) == began]


def define_all(client, count=COUNT):
    for number in range(count):
        if number % 2:
            answer = client.append('xs.service.s%d.create' % number, SERVICE)
        else:
            answer = client.append('h%d.register' % number, HANDLER, meta={'topics': 'go'})
        claim(answer.status == 200, 'define answered %d', answer.status)


def all_up(daemon, count=COUNT):
    """Each has printed its line, so its tree stands."""
    up = set()
    with programs.Follow(daemon, '', limit=30.0) as follow:
        while len(up) < count:
            frame = follow.next()
            if frame['topic'].endswith(('.recv', '.out')):
                up.add(frame['topic'])
    return programs.until(lambda: len(descendants(daemon.process.pid)) >= count * PROCESSES and
                          descendants(daemon.process.pid), 'the trees stand')


def describe(pid):
    try:
        with open('/proc/%d/stat' % pid) as file, open('/proc/%d/cmdline' % pid) as line:
            return '%s [%s]' % (file.read()[:60], line.read().replace('\0', ' '))
    except OSError:
        return '%d' % pid


def gone(tree, begun, what):
    """All of them within a second of `begun`."""
    programs.until(lambda: not alive(tree),
                   lambda: '%s left %d processes: %s' % (what, len(alive(tree)), [describe(pid) for pid in alive(tree)[:5]]),
                   limit=max(GONE - (time.monotonic() - begun), 0.01))
    return time.monotonic() - begun


def is_ours(pid, program):
    """One of the daemon's own processes, which have to take up what ended below them. A program may leave its own children for later."""
    try:
        return os.path.realpath('/proc/%d/exe' % pid) == os.path.realpath(program)
    except OSError:
        return False


def no_zombies(opts, daemon):
    """None may stay below the daemon's own processes; one that is about to be taken up may be there for a moment."""
    def zombies():
        table = programs.processes()
        return {pid for pid, (state, _) in descendants(daemon.process.pid).items()
                if state == 'Z' and pid in table and is_ours(table[pid][1], opts.weird)}
    first = zombies()
    programs.until(lambda: not (first & zombies()), lambda: 'zombies stay: %s' % sorted(first & zombies()))


def killed(opts, tmp):
    store = os.path.join(tmp, 'killed')
    with Daemon(opts.weird, store) as daemon:
        daemon.ready()
        define_all(daemon.client())
        all_up(daemon)
        no_zombies(opts, daemon)
        tree = descendants(daemon.process.pid)
        begun = time.monotonic()
        daemon.kill()
        took = gone(tree, begun, 'kill -9')
    return '%d processes gone in %.2f s' % (len(tree), took)


def killed_while_starting(opts, tmp):
    """The same store again: everything starts, and the daemon is killed in the midst of it."""
    store = os.path.join(tmp, 'killed')
    worst = 0.0
    for ready_after in (1, 25):
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            start = max(frame['id'] for frame in daemon.client().frames() if frame['topic'] == 'xs.start')
            with programs.Follow(daemon, '&from=' + start) as follow:
                for _ in range(ready_after):
                    follow.until(lambda frame: frame['topic'].endswith(('.active', '.registered')))
            tree = descendants(daemon.process.pid)
            begun = time.monotonic()
            daemon.kill()
            worst = max(worst, gone(tree, begun, 'kill -9 after %d starts' % ready_after))
            programs.until(lambda: not programs.running(store), 'nothing of it runs')
    return 'worst %.2f s' % worst


def stopped(opts, tmp):
    store = os.path.join(tmp, 'killed')
    with Daemon(opts.weird, store) as daemon:
        daemon.ready()
        all_up(daemon)
        tree = descendants(daemon.process.pid)
        begun = time.monotonic()
        programs.stop(daemon)
        took = time.monotonic() - begun
        claim(not alive(tree), 'SIGTERM left %s', alive(tree))
        claim(took < 5.0, 'the stop took %.1f s', took)
    return '%d processes, %.2f s' % (len(tree), took)


def ended_one_by_one(opts, tmp):
    """term of each: its whole tree goes, and only its own; no zombie stays."""
    store = os.path.join(tmp, 'killed')
    with Daemon(opts.weird, store) as daemon:
        daemon.ready()
        all_up(daemon)
        client = daemon.client()
        for number in range(COUNT):
            topic = 'xs.service.s%d.term' % number if number % 2 else 'h%d.unregister' % number
            client.append(topic, b'')
        with programs.Follow(daemon) as follow:
            ends = set()
            while len(ends) < COUNT:
                frame = follow.next()
                meta = frame['meta'] or {}
                if frame['topic'].endswith('.fin.term') or meta.get('reason') == 'term':
                    ends.add(frame['topic'])
        claim(not programs.running(store), 'told to be over, yet %s', programs.running(store))
        no_zombies(opts, daemon)
        programs.until(lambda: len(descendants(daemon.process.pid)) <= 1,
                       lambda: 'left: %s' % descendants(daemon.process.pid))
        programs.stop(daemon)


def run(opts, report, tmp):
    for case in (killed, killed_while_starting, stopped, ended_one_by_one):
        report.case('children ' + case.__name__, case, opts, tmp)


if __name__ == '__main__':
    sys.exit(rig.main(__doc__, run))
