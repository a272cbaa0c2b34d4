#!/usr/bin/env python3
"""Answers frames http.request of a store by frames http.response, as the request's path asks: for serve.bats.

    responder.py STORE FOLDER [NAME]

Writes FOLDER/ready when it follows. NAME is put into meta as handler_id: it stands for one responder among several.
"""

import json
import os
import subprocess
import sys
import time

STORE, FOLDER = sys.argv[1:3]
NAME = sys.argv[3] if len(sys.argv) > 3 else None


def respond(request, content=b'', **meta):
    meta['request_id'] = request['id']
    if NAME:
        meta['handler_id'] = NAME
    subprocess.run(['weir', 'append', STORE, 'http.response', '--ttl', 'ephemeral', '--meta', json.dumps(meta)],
                   input=content, stdout=subprocess.DEVNULL, check=True)


def content_of(request):
    if request['hash'] is None:
        return b''
    return subprocess.run(['weir', 'cas', STORE, request['hash']], capture_output=True, check=True).stdout


def wait_for(name):
    end = time.monotonic() + 10
    while not os.path.exists(os.path.join(FOLDER, name)) and time.monotonic() < end:
        time.sleep(0.01)


def echo(request):
    respond(request, json.dumps(request).encode(), headers={'content-type': 'application/json'})


def body(request):
    respond(request, content_of(request), headers={'Content-Type': 'application/octet-stream'})


def plain(request):
    respond(request, b'plain')


def head(request):
    respond(request, b'made', status=int(request['meta']['query']['status']),
            headers={'X-One': 'uno', 'Set-Cookie': ['a=1', 'b=2'], 'Content-Length': '99', 'Connection': 'close', 'x-empty': ''})


def more(request):
    respond(request, b'one ', more=True)
    respond(request, b'two ', status=404, more=True)
    respond(request, b'three')
    respond(request, b'late')


def events(request):
    respond(request, b'data: 1\n\n', headers={'content-type': 'text/event-stream'}, more=True)
    wait_for('go')
    respond(request, b'data: 2\n\n', more=False)


def held(request):
    """Answers with what the request's frame still is after many others."""
    wait_for('go')
    body(request)


def stuck(request):
    """More than a client that does not read may have waiting."""
    respond(request, b'', more=True)
    for _ in range(200):
        respond(request, bytes(60000), more=True)


BAD = {
    '/bad/status': {'status': 700},
    '/bad/interim': {'status': 101},
    '/bad/word': {'status': 'ok'},
    '/bad/line': {'headers': {'x-a': 'b\r\nx-c: d'}},
    '/bad/name': {'headers': {'x a': 'b'}},
    '/bad/number': {'headers': {'x-a': 5}},
    '/bad/headers': {'headers': [1]},
    '/bad/long': {'headers': {'x-%d' % i: 'v' * 1000 for i in range(100)}},
}
PATHS = {'/echo': echo, '/body': body, '/plain': plain, '/head': head, '/more': more, '/events': events, '/held': held,
         '/stuck': stuck, '/silent': lambda request: None}

follow = subprocess.Popen(['weir', 'cat', STORE, '-f', '--topic', 'http.request,tick'], stdout=subprocess.PIPE)
for line in follow.stdout:
    frame = json.loads(line)
    if frame['topic'] == 'xs.threshold':
        with open(os.path.join(FOLDER, 'ready' + (NAME or '')), 'w', encoding='ascii'):
            pass
    if frame['topic'] != 'http.request':
        continue
    path = frame['meta']['path']
    if path in BAD:
        respond(frame, b'no', **BAD[path])
    else:
        PATHS.get(path, echo)(frame)
