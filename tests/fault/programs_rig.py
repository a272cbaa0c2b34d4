"""What the suites of programs share: the two vocabularies, following the log, and which programs really run."""

import json
import os
import signal
import time

import rig
from rig import Fault, claim

KINDS = ('service', 'handler', 'action')
WORDS = ('seed', 'new')
TOPIC_KIND = {'service': 'service', 'handler': 'actor', 'action': 'action'}
SEED = {
    'service': {'create': 'spawn', 'term': 'terminate', 'active': 'start', 'end': 'stop', 'invalid': 'spawn.error'},
    'handler': {'create': 'register', 'term': 'unregister', 'active': 'registered', 'end': 'unregistered',
                'invalid': 'unregistered'},
    'action': {'create': 'define', 'term': 'undefine', 'active': 'ready', 'end': 'undefined',
               'invalid': 'define.error'},
}
REASONS = {'fin.ok': 'finished', 'fin.error': 'error', 'fin.term': 'term', 'replaced': 'replaced',
           'stopped': 'shutdown', 'invalid': 'invalid'}
POINTERS = {'service': ('service_id', 'source_id'), 'handler': ('handler_id', 'actor_id'), 'action': ('action_id',)}
EVENTS = ('create', 'term', 'active', 'invalid', 'fin.ok', 'fin.error', 'fin.term', 'replaced', 'stopped', 'retry')

# Programs by what becomes of them.
RUNS = {'service': b'#!/bin/sh\nexec sleep 1000\n', 'handler': b'#!/bin/sh\nexec cat >/dev/null\n',
        'action': b'#!/bin/sh\nexec cat\n'}
BROKEN = b'#!/no/such/interpreter\n'


def topic(kind, words, name, event):
    """The topic that says it; None when these words do not have it."""
    if words == 'new':
        return 'xs.%s.%s.%s' % (TOPIC_KIND[kind], name, event)
    if event == 'retry':
        return None
    return '%s.%s' % (name, SEED[kind].get(event, SEED[kind]['end']))


def meta_of(kind, words, event, of):
    """The meta of an answer."""
    meta = {POINTERS[kind][0]: of}
    if words == 'seed' and event in REASONS:
        meta['reason'] = REASONS[event]
    return meta


def read(frame):
    """(kind, words, name, event) of a frame, or None. Written from the words' table, not from the daemon's code."""
    text = frame['topic']
    if text.startswith('xs.'):
        for kind, word in TOPIC_KIND.items():
            prefix = 'xs.%s.' % word
            for event in EVENTS:
                if text.startswith(prefix) and text.endswith('.' + event) and len(text) > len(prefix) + len(event) + 1:
                    if event == 'term' and text.endswith('.fin.term'):
                        continue
                    return kind, 'new', text[len(prefix):-len(event) - 1], event
        return None
    for kind, words in SEED.items():
        for event in ('invalid', 'create', 'term', 'active', 'end'):
            word = words[event]
            if not text.endswith('.' + word):
                continue
            if event in ('end', 'invalid'):
                reason = (frame.get('meta') or {}).get('reason')
                if word != words['end']:
                    event = 'invalid'
                else:
                    event = {text: name for name, text in REASONS.items()}.get(reason, 'fin.error')
            return kind, 'seed', text[:-len(word) - 1], event
    return None


def pointer(kind, frame):
    meta = frame.get('meta') or {}
    for key in POINTERS[kind]:
        if key in meta:
            return meta[key]
    return None


class Follow:
    """Frames as they come, history first."""

    def __init__(self, daemon, query='', limit=20.0):
        self.limit = limit
        self.client = daemon.client(limit)
        self.client.conn = rig.UnixConnection(daemon.sock, limit)
        self.client.conn.request('GET', '/?follow=true' + query)
        self.answer = self.client.conn.getresponse()
        claim(self.answer.status == 200, 'following answered %d', self.answer.status)
        self.seen = []

    def next(self):
        try:
            line = self.answer.readline()
        except TimeoutError:
            raise Fault('no frame came for %g s; the last: %s' % (self.limit, self.seen[-4:])) from None
        claim(line, 'the followed stream ended after %s', self.seen[-2:])
        frame = json.loads(line)
        self.seen.append(frame)
        return frame

    def until(self, wanted, what='a frame'):
        """The next frame for which `wanted` holds."""
        deadline = time.monotonic() + self.limit
        while time.monotonic() < deadline:
            frame = self.next()
            if wanted(frame):
                return frame
        raise Fault('%s did not come within %g s' % (what, self.limit))

    def every(self, *wanted):
        """The first frame for each of them, in whatever order they come."""
        found = [None] * len(wanted)
        while None in found:
            frame = self.next()
            for number, one in enumerate(wanted):
                if found[number] is None and one(frame):
                    found[number] = frame
        return found

    def close(self):
        self.client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def stop(daemon):
    """A clean stop, which a sanitizer has nothing to say against."""
    code = daemon.stop()
    claim(code == 0, 'the daemon ended with %d: %s', code, daemon.last_words())


def processes():
    """pid -> (state, parent) of all processes."""
    found = {}
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                with open('/proc/%s/stat' % entry) as file:
                    fields = file.read().rpartition(')')[2].split()
                found[int(entry)] = (fields[0], int(fields[1]))
            except OSError:
                pass
    return found


def where(pid):
    try:
        return os.readlink('/proc/%d/cwd' % pid)
    except OSError:
        return ''


def running(store):
    """Ids of definitions that a process has as its working directory."""
    run = os.path.join(os.path.realpath(store), 'run') + '/'
    found = {}
    for pid in processes():
        path = where(pid)
        if path.startswith(run):
            found.setdefault(path[len(run):].split('/')[0].split(' ')[0], []).append(pid)
    return found


def until(condition, what, limit=10.0):
    """Looks until the condition holds; there is no event to wait for."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Fault('not within %g s: %s' % (limit, what() if callable(what) else what))
        time.sleep(0.01)


def end_leftovers(store):
    """Ends what a broken daemon left, by pid."""
    for pids in running(store).values():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
