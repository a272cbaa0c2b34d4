#!/usr/bin/env python3
"""Basins of the S2 API under kill -9, and many of them.

    s2_basins.py [--kills 12] [--basins 300] [--seed N] [--weird PROGRAM]

What was answered holds after the next start: a basin that was created is there with its config and streams, one that was deleted goes and
leaves nothing on the disk. What was under way is there whole or not at all.
"""

import json
import os
import random
import threading
import time

import rig
from rig import BROKEN, Daemon, claim

JSON = {'content-type': 'application/json'}


def call(client, method, path, body=None, basin=None):
    headers = dict(JSON) if body is not None else {}
    if basin:
        headers['s2-basin'] = basin
    return client.request(method, path, None if body is None else json.dumps(body), headers)


class Known:
    """What one worker knows of its basin: None = not sure."""

    def __init__(self, name):
        self.name = name
        self.there = False
        self.age = None
        self.streams = {}  # name: True, False, None


class Worker(threading.Thread):
    """Creates, changes and deletes its own basins until the daemon dies."""

    def __init__(self, daemon, rnd, names):
        super().__init__()
        self.client = daemon.client()
        self.rnd = rnd
        self.known = names
        self.fault = None

    def run(self):
        try:
            while True:
                self.step(self.rnd.choice(self.known))
        except BROKEN:
            pass
        except rig.Fault as fault:
            self.fault = fault
        finally:
            self.client.close()

    def step(self, k):
        if k.there:
            self.rnd.choice([self.change, self.change, self.stream, self.stream, self.drop_stream, self.delete])(k)
        else:
            self.create(k)

    def create(self, k):
        was, k.there = k.there, None
        age = self.rnd.randint(1, 10 ** 9)
        k.age, k.streams = None, {}
        answer = call(self.client, 'PUT', '/v1/basins/' + k.name,
                      {'config': {'default_stream_config': {'retention_policy': {'age': age}}}})
        if answer.status == 409:
            claim(answer.json()['code'] == 'basin_deletion_pending', 'create: %r', answer.body)
            k.there = was
            return
        claim(answer.status in (200, 201), 'create answered %d %r', answer.status, answer.body)
        k.there, k.age = True, age

    def change(self, k):
        age = self.rnd.randint(1, 10 ** 9)
        k.age = None
        answer = call(self.client, 'PATCH', '/v1/basins/' + k.name,
                      {'default_stream_config': {'retention_policy': {'age': age}}})
        claim(answer.status == 200, 'change answered %d %r', answer.status, answer.body)
        k.age = age

    def stream(self, k):
        name = 's%d' % self.rnd.randint(0, 5)
        was = k.streams.get(name, False)
        k.streams[name] = None
        answer = call(self.client, 'POST', '/v1/streams', {'stream': name}, k.name)
        if was is not None:
            claim(answer.status == (409 if was else 201), 'stream answered %d %r', answer.status, answer.body)
        k.streams[name] = True

    def drop_stream(self, k):
        name = 's%d' % self.rnd.randint(0, 5)
        was = k.streams.get(name, False)
        k.streams[name] = None
        answer = call(self.client, 'DELETE', '/v1/streams/' + name, None, k.name)
        if was is not None:
            claim(answer.status == (202 if was else 404), 'drop answered %d %r', answer.status, answer.body)
        k.streams[name] = False

    def delete(self, k):
        k.there = None
        answer = call(self.client, 'DELETE', '/v1/basins/' + k.name)
        claim(answer.status == 202, 'delete answered %d %r', answer.status, answer.body)
        k.there, k.streams = False, {}


def listed(client):
    answer = call(client, 'GET', '/v1/basins')
    claim(answer.status == 200, 'the list answered %d', answer.status)
    return {b['name']: b for b in answer.json()['basins'] if b['name'] != 'weir-root'}


def settled(client):
    """The list, when nothing is being deleted any more."""
    deadline = time.monotonic() + 10
    while True:
        basins = listed(client)
        if all(b['deleted_at'] is None for b in basins.values()):
            return basins
        claim(time.monotonic() < deadline, 'a basin is deleted for ever: %r', basins)
        time.sleep(0.01)


def look(client, k, basins):
    """Compares one with what is there, and takes over what was not sure."""
    there = k.name in basins
    claim(k.there is None or k.there == there, '%s is %s', k.name, 'there' if there else 'not there')
    k.there = there
    if not there:
        k.age, k.streams = None, {}
        return
    config = call(client, 'GET', '/v1/basins/' + k.name).json()
    age = config['default_stream_config']['retention_policy']['age']
    claim(k.age is None or k.age == age, '%s has the age %r, not %r', k.name, age, k.age)
    k.age = age
    answer = call(client, 'GET', '/v1/streams', None, k.name)
    claim(answer.status == 200, 'streams of %s: %d %r', k.name, answer.status, answer.body)
    names = {s['name'] for s in answer.json()['streams']}
    for name in set(k.streams) | names:
        want = k.streams.get(name, False)
        claim(want is None or want == (name in names), '%s/%s is %s', k.name, name, 'there' if name in names else 'gone')
        k.streams[name] = name in names


def directories(store, basins):
    """Each basin has one directory; nothing else is left, once what goes is gone."""
    deadline = time.monotonic() + 10
    place = os.path.join(store, 'basins')
    while True:
        names = sorted(n.rpartition('.')[0] for n in os.listdir(place)) if os.path.isdir(place) else []
        if names == sorted(basins):
            return
        claim(time.monotonic() < deadline, 'on the disk are %r, there are %r', names, sorted(basins))
        time.sleep(0.01)


def kills(opts, rnd, store):
    groups = [[Known('basin-%d-%d' % (w, n)) for n in range(2)] for w in range(4)]
    for _ in range(opts.kills):
        with Daemon(opts.weird, store, ['--store-idle', '1']) as daemon:
            daemon.ready()
            client = daemon.client()
            basins = settled(client)
            for k in [k for group in groups for k in group]:
                look(client, k, basins)
            directories(store, basins)
            client.close()
            workers = [Worker(daemon, random.Random(rnd.random()), group) for group in groups]
            for worker in workers:
                worker.start()
            time.sleep(rnd.uniform(0.02, 0.4))  # the kill comes at any moment
            daemon.kill()
            for worker in workers:
                worker.join(10)
                if worker.fault:
                    raise worker.fault
    return '%d kills' % opts.kills


def many(opts, store):
    with Daemon(opts.weird, store, ['--store-idle', '1']) as daemon:
        daemon.ready()
        client = daemon.client()
        begun = time.monotonic()
        for n in range(opts.basins):
            answer = call(client, 'POST', '/v1/basins', {'basin': 'one-of-many-%d' % n})
            claim(answer.status == 201, 'basin %d: %d %r', n, answer.status, answer.body)
        each = (time.monotonic() - begun) / opts.basins
        claim(len(listed(client)) == opts.basins, 'not all are listed')
        daemon.stop(60)
    with Daemon(opts.weird, store) as daemon:
        again = daemon.ready(60)
        client = daemon.client()
        claim(len(listed(client)) == opts.basins, 'not all are there again')
        for n in (0, opts.basins - 1):
            answer = call(client, 'POST', '/v1/streams', {'stream': 's'}, 'one-of-many-%d' % n)
            claim(answer.status == 201, 'stream: %d %r', answer.status, answer.body)
        memory = daemon.memory()
        daemon.stop(60)
    return '%d basins: %.1f ms each, a start %.0f ms, %.0f MiB' % (opts.basins, each * 1e3, again * 1e3, memory / 2 ** 20)


def run(opts, report, tmp):
    rnd = random.Random(opts.seed)
    report.case('what was answered holds after kill -9', kills, opts, rnd, os.path.join(tmp, 'kills'))
    report.case('many basins', many, opts, os.path.join(tmp, 'many'))


if __name__ == '__main__':
    options = rig.parser(__doc__)
    options.add_argument('--kills', type=int, default=12)
    options.add_argument('--basins', type=int, default=300)
    raise SystemExit(rig.main(__doc__, run, options))
