#!/usr/bin/env python3
"""What starts at daemon start, judged by a model of the two-slot rule written from its table alone.

First histories made of every short sequence of lifecycle frames, of each kind and vocabulary, imported and then met by a fresh daemon; then lives as
daemons make them, cut by kill -9 or a clean stop at any point, with what runs compared at every start.
"""

import itertools
import json
import os
import random
import shutil
import sys

import programs_rig as programs
import rig
from rig import Daemon, claim

BASE = 36 ** 25


class Model:
    """The two slots of one program, and what it is told."""

    def __init__(self):
        self.confirmed = self.pending = None
        self.known = set()

    def apply(self, event, of):
        if event == 'create':
            self.known.add(of)
            self.pending = of
        elif event == 'term':
            self.confirmed = self.pending = None
        elif of not in self.known:
            return
        elif event == 'active':
            self.confirmed = of
            self.pending = None if self.pending == of else self.pending
        elif event == 'invalid':
            self.pending = None if self.pending == of else self.pending
        elif event in ('fin.ok', 'fin.error'):
            self.confirmed = self.pending = None
        elif event == 'fin.term':
            self.confirmed = None
            if self.pending is not None and self.pending <= of:
                self.pending = None

    def pick(self):
        return self.pending or self.confirmed

    def fallback(self):
        return self.confirmed if self.pending else None


def digits(value):
    text = ''
    for _ in range(25):
        value, digit = divmod(value, 36)
        text = '0123456789abcdefghijklmnopqrstuvwxyz'[digit] + text
    return text


class Ids:
    """Ids of the past, rising."""

    def __init__(self):
        self.ms = 1700000000000

    def next(self):
        self.ms += 1
        return digits(self.ms << 80 | 1 << 32)


# --- histories -----------------------------------------------------------------------------------------

# An event and the definition it points at: 0 the first, 1 the second.
ALPHABET = ([('create', 0), ('create', 1), ('term', None)] +
            [(event, of) for event in ('active', 'invalid', 'fin.ok', 'fin.error', 'fin.term') for of in (0, 1)] +
            [('replaced', 0), ('stopped', 0), ('retry', 0)])

LIVES = [
    [('create', 0), ('active', 0), ('stopped', 0), ('active', 0), ('term', None), ('fin.term', 0)],
    [('create', 0), ('active', 0), ('create', 1), ('replaced', 0), ('active', 1), ('retry', 1), ('fin.error', 1)],
    [('create', 0), ('active', 0), ('create', 1), ('invalid', 1), ('stopped', 0), ('active', 0), ('fin.ok', 0)],
    [('create', 0), ('invalid', 0), ('create', 1), ('active', 1), ('term', None), ('create', 1)],
    [('create', 0), ('term', None), ('fin.term', 0), ('create', 1), ('active', 1), ('stopped', 1)],
    [('create', 0), ('create', 1), ('active', 0), ('replaced', 0), ('active', 1), ('invalid', 0)],
]


def sequences(rng, extra):
    """Every prefix of the lives that daemons make, and some that they do not."""
    found = {tuple(life[:end]) for life in LIVES for end in range(1, len(life) + 1)}
    short = list(itertools.product(ALPHABET, repeat=2))
    long = [[rng.choice(ALPHABET) for _ in range(rng.randint(3, 7))] for _ in range(extra)]
    found.update(tuple([('create', 0), *pair]) for pair in rng.sample(short, extra // 2))
    found.update(tuple([('create', 0), *rest]) for rest in long)
    return sorted(found, key=str)


def write_history(ids, kind, words, name, sequence, broken):
    """Frames of a sequence, and the model that met them. Both definitions of a name may be created twice, under new ids."""
    frames, model, current = [], Model(), {}
    for event, which in sequence:
        spoken = words if words != 'both' else ('seed', 'new')[len(frames) % 2]
        topic = programs.topic(kind, spoken, name, event)
        if topic is None:
            continue
        frame = {'id': ids.next(), 'topic': topic}
        of = None
        if event == 'create':
            of = current[which] = frame['id']
            text = programs.BROKEN if (kind, which) in broken else programs.RUNS[kind]
            frame['content'] = text.decode()
        elif event != 'term':
            of = current.get(which, digits(5))
            frame['meta'] = programs.meta_of(kind, spoken, event, of)
        frames.append(frame)
        model.apply(event, of)
    return frames, model, current


def import_frames(client, frames):
    body = b''.join(json.dumps(frame).encode() + b'\n' for frame in frames)
    answer = client.request('POST', '/import?stream', body)
    claim(answer.status == 200, 'import answered %d %r', answer.status, answer.body[:300])


def answers_since(frames, start):
    """Per program, the daemon's answers after the frame with id `start`."""
    found = {}
    for frame in frames:
        said = programs.read(frame)
        if frame['id'] > start and said and said[3] not in ('create', 'term'):
            found.setdefault((said[0], said[2]), []).append((said[3], programs.pointer(said[0], frame)))
    return found


def last_start(frames):
    return max(frame['id'] for frame in frames if frame['topic'] == 'xs.start')


def expected_answers(model, is_broken):
    """What the log has of a program right after the start."""
    pick = model.pick()
    if not pick:
        return []
    if not is_broken(pick):
        return [('active', pick)]
    fallback = model.fallback()
    answers = [('invalid', pick)]
    if fallback and fallback != pick:
        answers.append(('invalid' if is_broken(fallback) else 'active', fallback))
    return answers


def compare_start(daemon, expected, what):
    """Waits until all of `expected` (program -> answers) was told; then nothing else may have been told, and just these run."""
    start = last_start(daemon.client().frames())
    told, lacking = {}, dict(expected)
    with programs.Follow(daemon, '&from=' + start) as follow:
        while lacking:
            try:
                said = programs.read(follow.next())
            except rig.Fault:
                raise rig.Fault('%s: not told %s' % (what, lacking)) from None
            if said and said[3] not in ('create', 'term'):
                program = said[0], said[2]
                told[program] = told.get(program, 0) + 1
                if told[program] >= len(expected.get(program, [])):
                    lacking.pop(program, None)
    got = answers_since(daemon.client().frames(), start)
    for program in sorted(set(expected) | set(got)):
        first = got.get(program, [])[:len(expected.get(program, [])) or 1]
        claim(first == expected.get(program, []), '%s %s: told %s, the rule says %s', what, program, first,
              expected.get(program))
    return got


def runs_exactly(daemon, expected, what):
    """The processes of services and handlers are those that were told to be active."""
    wanted = {of for (kind, _), answers in expected.items() for event, of in answers
              if event == 'active' and kind != 'action'}
    programs.until(lambda: set(programs.running(daemon.store)) == wanted,
                   lambda: '%s: runs %s beyond, lacks %s' % (
                       what, set(programs.running(daemon.store)) - wanted, wanted - set(programs.running(daemon.store))))


def history(opts, tmp, kind, words):
    rng = random.Random('%s %s %s' % (opts.seed, kind, words))
    store = os.path.join(tmp, 'history')
    ids, expected, broken_ids, frames = Ids(), {}, set(), []
    broken = {(kind, 1)}
    for number, sequence in enumerate(sequences(rng, 16)):
        name = 'p%d' % number
        made, model, current = write_history(ids, kind, words, name, sequence, broken if number % 3 == 0 else set())
        frames += made
        broken_ids.update(frame['id'] for frame in made if frame.get('content') == programs.BROKEN.decode())
        answers = expected_answers(model, broken_ids.__contains__)
        if answers:
            expected[kind, name] = answers
    try:
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            import_frames(daemon.client(), frames)
            programs.stop(daemon)
        with Daemon(opts.weird, store) as daemon:
            daemon.ready()
            compare_start(daemon, expected, 'history')
            runs_exactly(daemon, expected, 'history')
            programs.stop(daemon)
        claim(not programs.running(store), 'a clean stop left %s', programs.running(store))
    finally:
        programs.end_leftovers(store)
        shutil.rmtree(store, ignore_errors=True)
    return '%d histories, %d run' % (number + 1, len(expected))


# --- lives --------------------------------------------------------------------------------------------------

FAILS = {'service': b'#!/bin/sh\nexit 3\n', 'handler': b'#!/bin/sh\nexec cat >/dev/null\n', 'action': b'#!/bin/sh\nexit 3\n'}


def header_alone():
    """An ELF file that looks right until it is run."""
    with open('/bin/sh', 'rb') as file:
        return file.read(64) + b'\0' * 64


class Life:
    """A store whose programs are defined and ended at random, by a daemon that is cut at random."""

    def __init__(self, opts, store):
        self.opts = opts
        self.store = store
        self.rng = random.Random(opts.seed)
        self.names = [(kind, 'n%d' % number) for kind in programs.KINDS for number in range(4)]
        self.bad = set()
        self.late_bad = set()
        self.elf = header_alone()

    def append(self, client, kind, name):
        words = self.rng.choice(programs.WORDS)
        action = self.rng.choice(('good', 'good', 'good', 'broken', 'elf', 'fails', 'term', 'term'))
        if action == 'term':
            answer = client.append(programs.topic(kind, words, name, 'term'), b'')
        else:
            text = {'good': programs.RUNS[kind], 'broken': programs.BROKEN, 'elf': self.elf, 'fails': FAILS[kind]}[action]
            answer = client.append(programs.topic(kind, words, name, 'create'), text)
        claim(answer.status == 200, 'append answered %d', answer.status)
        frame = answer.json()
        if action == 'broken' or (action == 'elf' and kind != 'action'):
            self.bad.add(frame['id'])

    def burst(self, daemon):
        """Appends, of which the last answers may still be on their way when it returns."""
        client = daemon.client()
        for _ in range(self.rng.randint(1, 10)):
            self.append(client, *self.rng.choice(self.names))
        answers = self.rng.randint(0, 6)
        with programs.Follow(daemon, '&last=200', limit=0.3) as follow:
            try:
                while answers > 0:
                    said = programs.read(follow.next())
                    answers -= said is not None and said[3] not in ('create', 'term')
            except rig.Fault:
                pass  # there were not so many
        client.close()

    def models(self, frames):
        found = {}
        for frame in frames:
            said = programs.read(frame)
            if not said:
                continue
            kind, _, name, event = said
            model = found.setdefault((kind, name), Model())
            model.apply(event, frame['id'] if event in ('create', 'term') else programs.pointer(kind, frame))
        return found

    def start(self, number):
        daemon = Daemon(self.opts.weird, self.store)
        try:
            daemon.ready()
            frames = daemon.client().frames()
            before = [frame for frame in frames if frame['id'] < last_start(frames)]
            expected = {}
            for program, model in self.models(before).items():
                answers = expected_answers(model, self.bad.__contains__)
                if answers:
                    expected[program] = answers
            compare_start(daemon, expected, 'start %d' % number)
            return daemon
        except BaseException:
            daemon.kill()
            raise

    def check_settled(self, daemon):
        """Once everything was answered, what runs is what a start would pick."""
        def agrees():
            models = self.models(daemon.client().frames())
            wanted = {model.pick() for (kind, _), model in models.items() if kind != 'action' and model.pick()}
            return set(programs.running(self.store)) == wanted
        programs.until(agrees, lambda: 'runs %s' % programs.running(self.store))


def lives(opts, tmp, rounds=14):
    store = os.path.join(tmp, 'lives')
    life = Life(opts, store)
    cuts = [0, 0]
    try:
        for number in range(rounds):
            daemon = life.start(number)
            with daemon:
                life.burst(daemon)
                if number % 4 == 3:
                    life.check_settled(daemon)
                clean = life.rng.random() < 0.3
                cuts[clean] += 1
                if clean:
                    programs.stop(daemon)
                    claim(not programs.running(store), 'a clean stop left %s', programs.running(store))
                else:
                    daemon.kill()
                    programs.until(lambda: not programs.running(store), 'the killed daemon\'s programs are gone')
    finally:
        programs.end_leftovers(store)
    return '%d kills, %d stops' % tuple(cuts)


def run(opts, report, tmp):
    for kind in programs.KINDS:
        for words in ('seed', 'new', 'both'):
            report.case('history %s %s' % (kind, words), history, opts, tmp, kind, words)
    report.case('lives', lives, opts, tmp)


if __name__ == '__main__':
    sys.exit(rig.main(__doc__, run))
