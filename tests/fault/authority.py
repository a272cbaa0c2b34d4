#!/usr/bin/env python3
"""Who may define, end and speak for programs, by every way in.

Appending can be running code. So: without exec authority no frame defines or ends a program, live or at the next start; the daemon's answers count only
from the daemon, or imported with exec, and only where they point at a definition of the same kind and name.
"""

import base64
import http.client
import json
import os
import sys

import programs_rig as programs
import rig
from rig import Daemon, claim

EVIL = b'#!/bin/sh\ntouch "$WEIR_MARK"\nexec sleep 1000\n'


class Tcp:
    """Requests over the exposed address, with an access token or without."""

    def __init__(self, daemon, token=None):
        self.token = token
        frame = [f for f in daemon.client().frames() if f['topic'] == 'xs.start'][-1]
        host, _, port = frame['meta']['expose'].rpartition(':')
        self.host, self.port = host, int(port)

    def request(self, target, body, headers=None, method='POST'):
        conn = http.client.HTTPConnection(self.host, self.port, timeout=10)
        bearer = {'Authorization': 'Bearer ' + self.token} if self.token else {}
        conn.request(method, target, body=body, headers={**bearer, **(headers or {})})
        answer = conn.getresponse()
        found = rig.Answer(answer.status, answer.headers, answer.read())
        conn.close()
        return found


def xs_meta(meta):
    return {'xs-meta': base64.b64encode(json.dumps(meta).encode()).decode()} if meta else {}


PAST = [1]


def past_id():
    PAST[0] += 1
    value, text = (1700000000000 + PAST[0]) << 80, ''
    for _ in range(25):
        value, digit = divmod(value, 36)
        text = '0123456789abcdefghijklmnopqrstuvwxyz'[digit] + text
    return text


def line(topic, content, meta, past=False):
    frame = {'topic': topic, 'meta': meta or None}
    if content:
        frame['content'] = content.decode()
    if past:
        frame['id'] = past_id()
    return json.dumps(frame).encode()


def s2_target(topic):
    return '/v1/streams/%s/records' % topic


def s2_append(tcp, topic, content, meta):
    """A record with the meta's members as headers; the basin makes its stream."""
    record = {'body': base64.b64encode(content).decode(),
              'headers': [[base64.b64encode(str(part).encode()).decode() for part in pair] for pair in (meta or {}).items()]}
    return tcp.request(s2_target(topic), json.dumps({'records': [record]}).encode(),
                       {'s2-basin': BASIN, 'Content-Type': 'application/json', 's2-format': 'base64'})


def field(number, data):
    """One length-delimited field of a protobuf message."""
    size, left = b'', len(data)
    while left > 127:
        size += bytes([left & 127 | 128])
        left >>= 7
    return bytes([number << 3 | 2]) + size + bytes([left]) + data


def s2_message(content, meta):
    headers = b''.join(field(2, field(1, name.encode()) + field(2, str(value).encode())) for name, value in (meta or {}).items())
    return field(1, headers + field(3, content))


def s2_proto(tcp, topic, content, meta):
    return tcp.request(s2_target(topic), s2_message(content, meta), {'s2-basin': BASIN, 'Content-Type': 'application/protobuf'})


def s2_session(tcp, topic, content, meta):
    message = s2_message(content, meta)
    frame = (len(message) + 1).to_bytes(3, 'big') + b'\0' + message
    return tcp.request(s2_target(topic), frame, {'s2-basin': BASIN, 'Content-Type': 's2s/proto'})


BASIN = 'weir-root'

# Every route that takes frames: name -> (request(tcp, topic, content, meta), status of a refusal).
ROUTES = {
    'append': lambda tcp, topic, content, meta: tcp.request('/append/' + topic, content, xs_meta(meta)),
    'seed append': lambda tcp, topic, content, meta: tcp.request('/' + topic, content, xs_meta(meta)),
    'batch': lambda tcp, topic, content, meta: tcp.request('/append', line(topic, content, meta)),
    'stream': lambda tcp, topic, content, meta: tcp.request('/append?stream', line(topic, content, meta)),
    'import': lambda tcp, topic, content, meta: tcp.request('/import', line(topic, content, meta, True)),
    'import lines': lambda tcp, topic, content, meta: tcp.request('/import?stream', line(topic, content, meta, True) + b'\n'),
    'append to a stream': lambda tcp, topic, content, meta: tcp.request('/append/%s?stream=true' % topic, content, xs_meta(meta)),
    's2 append': s2_append,
    's2 protobuf append': s2_proto,
    's2 session': s2_session,
}


def said_refused(answer):
    """By status; a stream that has begun says it in its lines."""
    return answer.status == 403 or b'403' in answer.body or b'forbidden' in answer.body or b'permission_denied' in answer.body


class Bench:
    """A daemon with one program of each kind that must go on, and a look at what runs."""

    def __init__(self, opts, store):
        self.opts = opts
        self.store = store
        self.ids = {}

    def start(self):
        daemon = Daemon(self.opts.weird, self.store, ['--expose', '127.0.0.1:0'])
        daemon.ready()
        return daemon

    def define(self, daemon):
        for kind in programs.KINDS:
            for words in programs.WORDS:
                name = 'good-%s-%s' % (kind, words)
                answer = daemon.client().append(programs.topic(kind, words, name, 'create'), programs.RUNS[kind])
                claim(answer.status == 200, 'define answered %d', answer.status)
                self.ids[kind, words, name] = answer.json()['id']
        self.answered(daemon, 'active')

    def answered(self, daemon, event, since=''):
        left = set(self.ids.values())
        with programs.Follow(daemon, since) as follow:
            while left:
                frame = follow.next()
                said = programs.read(frame)
                if said and said[3] == event:
                    left.discard(programs.pointer(said[0], frame))

    def goes_on(self, daemon, what):
        """The good ones run and nothing else, after everything so far was looked at; actions answer."""
        client = daemon.client()
        calls = {}
        for (kind, _, name), _ in self.ids.items():
            if kind == 'action':
                calls[client.append(name + '.call', b'x').json()['id']] = name
        first = min(calls)
        with programs.Follow(daemon, '&from=' + first) as follow:
            while calls:
                frame = follow.next()
                if frame['topic'].endswith(('.response', '.error')) and (frame['meta'] or {}).get('frame_id') in calls:
                    claim(frame['topic'].endswith('.response'), '%s: a call was answered with %s', what, frame)
                    del calls[frame['meta']['frame_id']]
        wanted = {of for (kind, _, _), of in self.ids.items() if kind != 'action'}
        programs.until(lambda: set(programs.running(self.store)) - {of for (k, _, _), of in self.ids.items() if k == 'action'}
                       == wanted, lambda: '%s: runs %s, should %s' % (what, programs.running(self.store), wanted))
        claim(not any('evil' in (frame['meta'] or {}).get('origin', '') for frame in client.frames()),
              '%s: a program that nobody may define printed something', what)

    def restart(self, daemon, what):
        daemon.kill()
        fresh = self.start()
        try:
            start = [f for f in fresh.client().frames() if f['topic'] == 'xs.start'][-1]['id']
            self.answered(fresh, 'active', '&from=' + start)
            told = [f for f in fresh.client().frames('&from=' + start) if 'evil' in f['topic'] and programs.read(f)]
            claim(not told, '%s: after a restart the daemon says %s', what, told[:2])
            self.goes_on(fresh, what + ', after a restart')
        except BaseException:
            fresh.kill()
            raise
        return fresh


def attack(tcp, daemon, bench, route, send):
    """Everything that would define, end, replace or speak for a program."""
    refused = 0
    for kind in programs.KINDS:
        for words in programs.WORDS:
            good = 'good-%s-%s' % (kind, words)
            of = bench.ids[kind, words, good]
            tries = [('create', 'evil-%s' % kind, EVIL, None), ('create', good, EVIL, None), ('term', good, b'', None)]
            tries += [(event, good, b'', programs.meta_of(kind, words, event, of))
                      for event in programs.EVENTS if event not in ('create', 'term')]
            for event, name, content, meta in tries:
                topic = programs.topic(kind, words, name, event)
                if topic is None:
                    continue
                answer = send(tcp, topic, content, meta)
                if words == 'new':
                    claim(said_refused(answer), '%s took %s: %d %r', route, topic, answer.status, answer.body[:100])
                    refused += 1
                else:
                    claim(answer.status == 200, '%s of the ordinary topic %s: %d %r', route, topic, answer.status,
                          answer.body[:200])
    return refused


def without_exec(opts, tmp):
    bench = Bench(opts, os.path.join(tmp, 'tcp'))
    daemon = bench.start()
    refused = 0
    try:
        bench.define(daemon)
        tcp = Tcp(daemon)
        auto_create(tcp)
        for route, send in ROUTES.items():
            refused += attack(tcp, daemon, bench, route, send)
            bench.goes_on(daemon, route)
        daemon = bench.restart(daemon, 'routes')
    finally:
        daemon.kill()
        programs.until(lambda: not programs.running(bench.store), 'all is gone')
    return '%d routes, %d refusals' % (len(ROUTES), refused)


def auto_create(tcp):
    """The basin makes the streams that are appended to, whatever they are called."""
    answer = tcp.request('/v1/basins/' + BASIN, b'{"create_stream_on_append":true}', {'Content-Type': 'application/json'}, 'PATCH')
    claim(answer.status == 200, 'the basin was not reconfigured: %d %r', answer.status, answer.body)


ALL = {'basins': {'prefix': ''}, 'streams': {'prefix': ''}, 'access_tokens': {'prefix': ''},
       'op_groups': {kind: {'read': True, 'write': True} for kind in ('account', 'basin', 'stream')}}


def issue(via, scope, name):
    answer = via.request('POST', '/tokens', json.dumps({'id': name, 'scope': scope}).encode())
    claim(answer.status == 201, 'no token: %d %r', answer.status, answer.body)
    return answer.json()['access_token']


def without_exec_token(opts, tmp):
    """With a token for everything but exec it is the same, and no such token makes one with exec."""
    bench = Bench(opts, os.path.join(tmp, 'token'))
    daemon = bench.start()
    refused = 0
    try:
        bench.define(daemon)
        claim(daemon.client().request('POST', '/tokens', b'{"root":true}').status == 201, 'no root token')
        tcp = Tcp(daemon, issue(daemon.client(), ALL, 'most'))
        claim(Tcp(daemon).request('/append/x', b'x').status == 401, 'a request without a token was taken')
        auto_create(tcp)
        for route, send in ROUTES.items():
            refused += attack(tcp, daemon, bench, route, send)
        exec_too = {**ALL, 'ops': ['exec']}
        for target, body in (('/tokens', {'id': 'evil', 'scope': exec_too}), ('/v1/access-tokens', {'id': 'evil', 'scope': exec_too}),
                             ('/tokens', {'root': True}), ('/eval', 'true'), ('/pipe/' + min(bench.ids.values()), 'true')):
            data = body if isinstance(body, str) else json.dumps(body)
            answer = tcp.request(target, data.encode(), {'Content-Type': 'application/json'})
            claim(answer.status in (400, 403), '%s %s: %d %r', target, data, answer.status, answer.body)
        claim(tcp.request('/tokens/root', None, method='DELETE').status == 403, 'the root token was revoked')
        bench.goes_on(daemon, 'token')
        daemon = bench.restart(daemon, 'token')
    finally:
        daemon.kill()
        programs.until(lambda: not programs.running(bench.store), 'all is gone')
    return '%d routes, %d refusals' % (len(ROUTES), refused)


def with_exec_token(opts, tmp):
    """A token that grants exec defines and ends programs over TCP, by every route, in the topics and basins that it has."""
    store = os.path.join(tmp, 'exec')
    with Daemon(opts.weird, store, ['--expose', '127.0.0.1:0']) as daemon:
        daemon.ready()
        auto_create(Tcp(daemon))
        tcp = Tcp(daemon, issue(daemon.client(), {**ALL, 'ops': ['exec']}, 'all'))
        for number, (route, send) in enumerate(ROUTES.items()):
            name = 'one%d' % number
            answer = send(tcp, name + '.spawn', programs.RUNS['service'], None)
            claim(answer.status == 200, '%s: %d %r', route, answer.status, answer.body)
            if not route.startswith('import'):
                programs.until(lambda: len(programs.running(store)) == 1, lambda: '%s: runs %s' % (route, programs.running(store)))
                answer = send(tcp, name + '.terminate', b'', None)
                claim(answer.status == 200, '%s: %d %r', route, answer.status, answer.body)
            programs.until(lambda: not programs.running(store) or route.startswith('import'), lambda: '%s did not end it' % route)
            for name in programs.running(store):
                end = [f for f in daemon.client().frames() if f['id'] == name][0]
                daemon.client().append(end['topic'].replace('.spawn', '.terminate'), b'')
            programs.until(lambda: not programs.running(store), lambda: 'left %s' % programs.running(store))
        for name, scope in (('topics', {**ALL, 'ops': ['exec'], 'streams': {'prefix': 'other.'}}),
                            ('basins', {**ALL, 'ops': ['exec'], 'basins': {'prefix': 'other-basin'}})):
            narrow = Tcp(daemon, issue(daemon.client(), scope, name))
            for route, send in ROUTES.items():
                answer = send(narrow, 'narrow.spawn', programs.RUNS['service'], None)
                claim(said_refused(answer), '%s of a token for other %s: %d %r', route, name, answer.status, answer.body)
        claim(not programs.running(store), 'runs %s', programs.running(store))
        programs.stop(daemon)


def forged_with_exec(opts, tmp):
    """Answers with exec authority that point at nothing, at another kind's or another name's definition: they end nothing."""
    bench = Bench(opts, os.path.join(tmp, 'forged'))
    daemon = bench.start()
    try:
        bench.define(daemon)
        client = daemon.client()
        for kind in programs.KINDS:
            for words in programs.WORDS:
                good = 'good-%s-%s' % (kind, words)
                others = [of for (k, w, _), of in bench.ids.items() if (k, w) != (kind, words)]
                for event in ('active', 'invalid', 'fin.ok', 'fin.error', 'fin.term'):
                    for of in [None, 'x', past_id(), *others]:
                        meta = programs.meta_of(kind, words, event, of) if of else {'reason': programs.REASONS.get(event)}
                        topic = programs.topic(kind, words, good, event)
                        # Some are past the definition, as an import of another store's frames would be.
                        answer = client.append(topic, b'', meta)
                        claim(answer.status == 200, '%s answered %d', topic, answer.status)
        bench.goes_on(daemon, 'forged')
        daemon = bench.restart(daemon, 'forged')
    finally:
        daemon.kill()
        programs.until(lambda: not programs.running(bench.store), 'all is gone')


def import_counts(opts, tmp):
    """An end that came with exec and points right does count, live and at the next start; without exec it does not."""
    store = os.path.join(tmp, 'counts')
    with Daemon(opts.weird, store, ['--expose', '127.0.0.1:0']) as daemon:
        daemon.ready()
        ids = {}
        for name in ('theirs', 'ours'):
            ids[name] = past_id()
            create = {'id': ids[name], 'topic': name + '.spawn', 'content': programs.RUNS['service'].decode()}
            active = {'id': past_id(), 'topic': name + '.start', 'meta': {'service_id': ids[name]}}
            body = json.dumps(create).encode() + b'\n' + json.dumps(active).encode() + b'\n'
            claim(daemon.client().request('POST', '/import?stream', body).status == 200, 'import failed')
        tcp = Tcp(daemon)
        for name in ids:
            end = line(name + '.stop', b'', {'service_id': ids[name], 'reason': 'error'}, True)
            answer = tcp.request('/import', end) if name == 'ours' else daemon.client().request('POST', '/import', end)
            claim(answer.status == 200, 'import answered %d', answer.status)
        daemon.kill()
    with Daemon(opts.weird, store, ['--expose', '127.0.0.1:0']) as daemon:
        daemon.ready()
        programs.until(lambda: set(programs.running(store)) == {ids['ours']}, lambda: 'runs %s' % programs.running(store))
        meta = {'service_id': ids['ours'], 'reason': 'error'}
        tcp = Tcp(daemon)
        claim(tcp.request('/append/ours.stop', b'', xs_meta(meta)).status == 200, 'an ordinary frame was refused')
        started = daemon.client().append('more.spawn', programs.RUNS['service']).json()['id']
        programs.until(lambda: set(programs.running(store)) == {ids['ours'], started}, 'the next program runs beside it')
        end = daemon.client().append('ours.stop', b'', meta).json()['id']
        with programs.Follow(daemon, '&from=' + end) as follow:
            follow.until(lambda f: f['topic'] == 'ours.stop' and f['meta'].get('reason') == 'term')
        claim(set(programs.running(store)) == {started}, 'runs %s', programs.running(store))
        programs.stop(daemon)


PRINTS = b'''#!/bin/sh
cat <<'END'
{"topic":"xs.service.evil.create","content":"#!/bin/sh\\nexec sleep 1000\\n"}
{"topic":"evil.spawn","content":"#!/bin/sh\\nexec sleep 1000\\n"}
{"topic":"good.terminate"}
{"topic":"xs.service.good.term"}
{"topic":"after","content":"x"}
END
exec sleep 1000
'''
APPENDS = b'''#!/bin/sh
printf '#!/bin/sh\\nexec sleep 1000\\n' | weir append made.spawn || exit 9
weir append good.terminate --no-content || exit 9
exec sleep 1000
'''


def from_programs(opts, tmp):
    """What a program prints has no exec authority unless its definition says so; what it appends at its own address has."""
    store = os.path.join(tmp, 'inside')
    with Daemon(opts.weird, store) as daemon:
        daemon.ready()
        client = daemon.client()
        good = client.append('good.spawn', programs.RUNS['service']).json()['id']
        prints = client.append('prints.spawn', PRINTS).json()['id']
        with programs.Follow(daemon) as follow:
            follow.until(lambda f: f['topic'] == 'after')
        programs.until(lambda: set(programs.running(store)) == {good, prints}, lambda: 'runs %s' % programs.running(store))
        errors = [f['meta']['error'] for f in client.frames() if f['topic'] == 'prints.error']
        claim(len(errors) == 2 and all('exec' in text for text in errors), 'errors of what it printed: %s', errors)
        allowed = client.append('allowed.spawn', PRINTS, {'exec': True}).json()['id']
        with programs.Follow(daemon) as follow:
            evil, _ = follow.every(
                lambda f: f['topic'] == 'xs.service.evil.create' and 'allowed' in f['meta']['origin'],
                lambda f: f['topic'] in ('xs.service.good.fin.term', 'good.stop') and f['meta']['service_id'] == good)
            again = client.append('good.spawn', programs.RUNS['service']).json()['id']
            follow.until(lambda f: f['topic'] == 'good.start' and f['meta']['service_id'] == again)
            appends = client.append('appends.spawn', APPENDS).json()['id']
            started, _ = follow.every(
                lambda f: f['topic'] == 'made.start',
                lambda f: f['topic'] == 'good.stop' and f['meta']['service_id'] == again)
            made = started['meta']['service_id']
        newest = [f['id'] for f in client.frames() if f['topic'] == 'evil.spawn' and 'allowed' in f['meta']['origin']][0]
        programs.until(lambda: set(programs.running(store)) == {prints, allowed, appends, made, newest},
                       lambda: 'runs %s, not %s' % (programs.running(store), (prints, allowed, appends, made, newest)))
        claim(evil['id'] < newest, 'printed out of order')
        made_by = [f['meta']['origin'] for f in client.frames() if f['topic'] == 'made.spawn']
        claim(made_by == ['service/appends'], 'the origin of what a program appends: %s', made_by)
        programs.stop(daemon)
    claim(not programs.running(store), 'left %s', programs.running(store))


def run(opts, report, tmp):
    for case in (without_exec, without_exec_token, with_exec_token, forged_with_exec, import_counts, from_programs):
        report.case('authority ' + case.__name__, case, opts, tmp)


if __name__ == '__main__':
    sys.exit(rig.main(__doc__, run))
