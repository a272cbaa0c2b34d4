#!/usr/bin/env python3
"""A relay under kill -9 and SIGTERM at random moments: what its cursor promises.

Numbered messages are written into a file all the time; a relay with a cursor follows it, is ended again and again at random moments, and
goes on. Into a store, which keeps the cursor in the record of the messages, every message comes exactly once, also when the daemon is
killed. Into a file every message comes at least once after kill -9, and exactly once after SIGTERM. A control run that begins anew each time
must be seen to give messages twice, or the rig proves nothing.

    relay.py [--messages 40000] [--rounds 40] [--seed N] [--weird PROGRAM]
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import rig
from rig import Daemon, claim

LINE = re.compile(rb'^\[[^]]*\] n (\d+)$')
LIMIT = 30


class Rig:
    """Programs and places of one case."""

    def __init__(self, opts, tmp, name):
        self.program = os.path.join(os.path.dirname(opts.weird), 'weir-relay')
        self.weird = opts.weird
        self.dir = os.path.join(tmp, name)
        os.mkdir(self.dir)
        self.source = self.dir + '/in.ss'
        self.store = self.dir + '/store'
        self.env = {**os.environ, 'HOME': self.dir, 'WEIR_NO_AUTOSTART': '1'}
        self.env.pop('XDG_STATE_HOME', None)
        self.said = open(self.dir + '/stderr', 'w+b')
        self.writer = None
        self.given = 0

    def start(self, *args, **more):
        return subprocess.Popen([self.program, 'relay', *args], env=self.env, stderr=self.said, **more)

    def run(self, *args):
        """To its end; what it prints."""
        process = self.start(*args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        out, _ = process.communicate(timeout=LIMIT)
        claim(process.returncode == 0, 'relay %s ended with %d: %s', ' '.join(args), process.returncode, self.words())
        return out

    def words(self):
        self.said.flush()
        size = os.fstat(self.said.fileno()).st_size
        return os.pread(self.said.fileno(), size, 0).decode('utf-8', 'replace')[-300:].strip()

    def feed(self, count):
        """So many more messages for the input, which its writer puts there at once."""
        if self.writer is None:
            self.writer = self.start('-i', 'stdio:///', '-o', 'file://%s/k' % self.source, stdin=subprocess.PIPE)
        lines = b''.join(b'n %d\n' % n for n in range(self.given, self.given + count))
        self.given += count
        self.writer.stdin.write(lines)
        self.writer.stdin.flush()

    def feed_no_more(self):
        self.writer.stdin.close()
        claim(self.writer.wait(LIMIT) == 0, 'the writer ended with %d: %s', self.writer.returncode, self.words())
        self.writer = None

    def finish(self):
        if self.writer:
            self.writer.kill()
            self.writer.wait()
        self.said.close()


def numbers_of_lines(text):
    numbers = []
    for line in text.splitlines():
        found = LINE.match(line)
        claim(found, 'a line came over that was not given: %r', line[:80])
        numbers.append(int(found.group(1)))
    return numbers


def numbers_of_file(r, path):
    return numbers_of_lines(r.run('-i', path, '-o', 'stdio:///', '--preserve', '--offset', 'start', '--no-follow'))


def numbers_of_store(client):
    answer = client.request('GET', '/?stream=k&with-content')
    claim(answer.status == 200, 'GET / answered %d %r', answer.status, answer.body[:200])
    return [int(json.loads(line)['content'].split()[1]) for line in answer.body.splitlines() if line.strip()]


def check_once(numbers, count):
    twice = len(numbers) - len(set(numbers))
    lost = count - len(set(numbers))
    claim(not twice, '%d of %d came twice', twice, count)
    claim(not lost, '%d of %d were lost', lost, count)
    claim(numbers == list(range(count)), 'the order is another one')


def check_at_least_once(numbers, count):
    """All of them; where the relay began again it repeats a run, and goes on without a hole. Returns how many came twice."""
    due = 0
    for n in numbers:
        claim(n <= due, '%d came where %d was due', n, due)
        due = n + 1
    claim(due == count and len(set(numbers)) == count, '%d of %d came', len(set(numbers)), count)
    return len(numbers) - count


def end_at_random(r, rng, process, kinds):
    """After a random while; a clean end has status 0."""
    kind = rng.choice(kinds)
    deadline = time.monotonic() + rng.random() ** 2 * 0.08
    while time.monotonic() < deadline:
        pass
    process.send_signal(kind)
    code = process.wait(LIMIT)
    # A signal that comes before the relay heeds any ends it as any program. One that cannot reach its store when it is to stop says so.
    words = r.words()
    claim(code in (0, -kind) or (code == 1 and re.search('no daemon at|stopped before all was stored', words.splitlines()[-1])),
          'a relay ended with %d: %s', code, words)


def rounds(r, rng, opts, args, kinds, each=None):
    """Feeds, relays, ends, again and again; then lets it come to the end."""
    share = opts.messages // opts.rounds
    for number in range(opts.rounds):
        r.feed(rng.randint(1, share // 2))
        process = r.start(*args, stdin=subprocess.DEVNULL)
        r.feed(share - rng.randint(0, share // 2))
        if each:
            each(number)
        end_at_random(r, rng, process, kinds)
    r.feed_no_more()
    r.run(*args, '--no-follow')


def into_store(opts, rng, tmp, kill_daemon):
    r = Rig(opts, tmp, 'store-and-daemon' if kill_daemon else 'store')
    args = ('-i', r.source, '-o', 'weir://%s/k' % r.store, '--offset', 'start', '--cursor', 'c')
    daemons = [Daemon(opts.weird, r.store)]
    daemons[0].ready()

    def again(number):
        if number % 2:
            deadline = time.monotonic() + rng.random() * 0.03
            while time.monotonic() < deadline:
                pass
            daemons[-1].kill()
            daemons.append(Daemon(opts.weird, r.store))
            daemons[-1].ready()

    try:
        r.feed(1)
        rounds(r, rng, opts, args, (signal.SIGKILL, signal.SIGTERM), again if kill_daemon else None)
        numbers = numbers_of_store(daemons[-1].client(timeout=60.0))
        check_once(numbers, r.given)
        daemons[-1].stop()
        return '%d messages, %d ends, %d daemons killed' % (r.given, opts.rounds, len(daemons) - 1)
    finally:
        for daemon in daemons:
            daemon.kill()
        r.finish()


def into_file(opts, rng, tmp, kinds, name):
    r = Rig(opts, tmp, name)
    out = r.dir + '/out.ss'
    try:
        r.feed(1)
        rounds(r, rng, opts, ('-i', r.source, '-o', 'file://%s/k' % out, '--offset', 'start', '--cursor', 'c'), kinds)
        numbers = numbers_of_file(r, out)
        if signal.SIGKILL in kinds:
            return '%d messages, %d ends, %d came twice' % (r.given, opts.rounds, check_at_least_once(numbers, r.given))
        check_once(numbers, r.given)
        return '%d messages, %d ends' % (r.given, opts.rounds)
    finally:
        r.finish()


def out_of_store(opts, rng, tmp, kinds, name):
    """The store keeps the cursor of what is read from it."""
    r = Rig(opts, tmp, name)
    out = r.dir + '/out.ss'
    try:
        with Daemon(opts.weird, r.store) as daemon:
            daemon.ready()
            r.feed(opts.messages)
            r.feed_no_more()
            r.run('-i', r.source, '-o', 'weir://%s/k' % r.store, '--offset', 'start', '--no-follow')
            args = ('-i', 'weir://%s/k' % r.store, '-o', 'file://%s/k' % out, '--offset', 'start', '--cursor', 'c')
            for _ in range(opts.rounds):
                end_at_random(r, rng, r.start(*args, stdin=subprocess.DEVNULL), kinds)
            r.run(*args, '--no-follow')
            numbers = numbers_of_file(r, out)
            daemon.stop()
        if signal.SIGKILL in kinds:
            return '%d came twice' % check_at_least_once(numbers, r.given)
        check_once(numbers, r.given)
        return None
    finally:
        r.finish()


def control(opts, rng, tmp):
    r = Rig(opts, tmp, 'control')
    args = ('-i', r.source, '-o', 'weir://%s/k' % r.store, '--offset', 'start')
    try:
        with Daemon(opts.weird, r.store) as daemon:
            daemon.ready()
            r.feed(100)
            r.feed_no_more()
            for _ in range(2):
                r.run(*args, '--no-follow')
            numbers = numbers_of_store(daemon.client())
            daemon.stop()
        try:
            check_once(numbers, r.given)
        except rig.Fault as fault:
            return 'seen, as it must be: %s' % fault
        raise rig.Fault('messages that came twice were not seen')
    finally:
        r.finish()


def run(opts, report, tmp):
    rng = random.Random(opts.seed)
    both = (signal.SIGKILL, signal.SIGTERM)
    report.case('file to store, exactly once over kill -9 and SIGTERM', into_store, opts, rng, tmp, False)
    report.case('file to store, exactly once over kill -9 of the daemon, too', into_store, opts, rng, tmp, True)
    report.case('file to file, exactly once over SIGTERM', into_file, opts, rng, tmp, (signal.SIGTERM,), 'file-term')
    report.case('file to file, at least once over kill -9', into_file, opts, rng, tmp, both, 'file-kill')
    report.case('store to file, exactly once over SIGTERM', out_of_store, opts, rng, tmp, (signal.SIGTERM,), 'out-term')
    report.case('store to file, at least once over kill -9', out_of_store, opts, rng, tmp, both, 'out-kill')
    report.case('control', control, opts, rng, tmp)


if __name__ == '__main__':
    options = rig.parser(__doc__)
    options.add_argument('--messages', type=int, default=40000)
    options.add_argument('--rounds', type=int, default=40)
    sys.exit(rig.main(__doc__, run, options))
