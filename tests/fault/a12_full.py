#!/usr/bin/env python3
"""A12: a full disk and back, three times: clean refusals, reads and removals go on, writes resume, nothing acked is lost.

    a12_full.py [--times 3] [--size 96] [--weird PROGRAM]        needs the right to mount a tmpfs
"""

import os
import subprocess
import sys
import time

import rig
from rig import Daemon, Skip, claim

PIECE = os.urandom(200_000)


class FullDisk:
    """A small tmpfs with the store and a ballast beside it, whose removal is room coming back."""

    def __init__(self, place, megabytes):
        self.place = place
        self.ballast = os.path.join(place, 'ballast')
        os.makedirs(place)
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=%dm,mode=0700' % megabytes, 'weir-test', place],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Skip('cannot mount a tmpfs: ' + done.stderr.strip())

    def load(self, megabytes):
        """Takes room away."""
        with open(self.ballast, 'wb', buffering=0) as file:
            try:
                for _ in range(megabytes):
                    file.write(bytes(1 << 20))
            except OSError:
                pass

    def unload(self):
        os.unlink(self.ballast)

    def leave(self):
        subprocess.run(['umount', self.place], check=False)


def fill_up(client, acked):
    """Appends until the refusal. Returns its status."""
    for number in range(5_000):
        content = b'%d %d ' % (len(acked), number) + PIECE
        answer = client.append('full', content)
        if answer.status != 200:
            return answer
        acked[answer.json()['id']] = rig.sri(content)
    raise rig.Fault('5 000 appends of 200 kB fit on a disk of a few dozen MB')


def one_round(daemon, disk, acked, removed, quarter):
    client = daemon.client()
    disk.load(quarter)
    refusal = fill_up(client, acked)
    claim(refusal.status == 507, 'a full disk is answered with %d %r', refusal.status, refusal.body[:200])
    claim(refusal.json().get('error') == 'full', 'the refusal says %r', refusal.body[:200])
    # Small appends may fit behind a refused large one; they must be right or refused.
    for i in range(50):
        answer = client.append('small', b'small %d' % i)
        claim(answer.status in (200, 507), 'a small append on a full disk is answered with %d', answer.status)
        if answer.status == 200:
            acked[answer.json()['id']] = rig.sri(b'small %d' % i)
    frames = {frame['id'] for frame in rig.verify(client, removed=True)}
    claim(all(i in frames or i in removed for i in acked), 'acked frames are unreadable on the full disk')
    victims = [i for i in list(acked)[:3] if i not in removed]
    for frame_id in victims:
        answer = client.request('DELETE', '/' + frame_id)
        claim(answer.status == 204, 'removing on a full disk is answered with %d %r', answer.status, answer.body[:200])
        removed.add(frame_id)
        del acked[frame_id]
    disk.unload()
    deadline = time.monotonic() + 10.0
    while True:
        answer = client.append('again', b'there is room')
        if answer.status == 200:
            acked[answer.json()['id']] = rig.sri(b'there is room')
            break
        claim(answer.status in (507, 503), 'append answered %d', answer.status)
        claim(time.monotonic() < deadline, 'writes do not resume within 10 s: %d %r', answer.status, answer.body[:200])
        time.sleep(0.05)  # polled as a client would
    client.close()
    return '%d acked' % len(acked)


RUNAWAY = b'#!/bin/sh\nyes "$(head -c 60000 /dev/zero | tr "\\0" x)"\n'


def until(what, condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        claim(time.monotonic() < deadline, '%s', what)
        time.sleep(0.02)  # polled as a client would


def programs_of(store):
    """Processes whose command line names the store's directory of programs."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/cmdline' % pid, 'rb') as file:
                if os.path.join(store, 'run').encode() in file.read():
                    found.append(pid)
        except OSError:
            pass
    return found


def runaway(daemon, disk, store):
    """A service that fills the disk is ended on the full disk; its end is told when there is room."""
    client = daemon.client()
    disk.load(40)
    answer = client.append('xs.service.runaway.create', RUNAWAY)
    claim(answer.status == 200, 'the definition is answered with %d %r', answer.status, answer.body[:200])
    until('the service does not fill the disk', lambda: client.append('probe', b'x' * 1000).status == 507)
    claim(programs_of(store), 'the service does not run')
    until('the term is refused for ever', lambda: client.append('xs.service.runaway.term', b'').status == 200)
    until('the service goes on', lambda: not programs_of(store), 5.0)
    disk.unload()
    until('its end is not told', lambda: client.request('GET', '/last/xs.service.runaway.fin.term').status == 200)
    client.close()


def run(opts, report, tmp):
    try:
        disk = FullDisk(os.path.join(tmp, 'disk'), opts.size)
    except Skip as reason:
        report.skip('full disk', reason)
        report.passed += 1  # nothing failed: the skip is counted by who reads the lines
        return
    store = os.path.join(disk.place, 'store')
    acked, removed = {}, set()
    try:
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            report.case('full by a service, which is ended', runaway, daemon, disk, store)
            for number in range(opts.times):
                report.case('full and back %d' % (number + 1), one_round, daemon, disk, acked, removed, opts.size // 4)
            report.case('full, then a clean stop', daemon.stop)

        def nothing_lost():
            with Daemon(opts.weird, store) as daemon:
                daemon.ready()
                frames = {frame['id']: frame['hash'] for frame in rig.verify(daemon.client(), removed=True)}
                lost = [i for i, hash_text in acked.items() if frames.get(i) != hash_text]
                claim(not lost, '%d of %d acked frames are lost', len(lost), len(acked))
                claim(not removed & set(frames), 'removed frames are back')
                daemon.stop()
            return '%d frames' % len(acked)

        report.case('full, nothing lost', nothing_lost)
    finally:
        disk.leave()


if __name__ == '__main__':
    options = rig.parser(__doc__)
    options.add_argument('--times', type=int, default=3)
    options.add_argument('--size', type=int, default=96, help='MiB of the disk')
    sys.exit(rig.main(__doc__, run, options))
