#!/usr/bin/env python3
"""Turns requests POST /hook/NAME into frames `hook.NAME` with the body as content.

    weir serve ./store --http 127.0.0.1:8080 &
    weir handler add webhook scripts/examples/webhook.py --topics http.request --content
    curl -d '{"ref":"main"}' http://127.0.0.1:8080/hook/deploy
    weir cat --topic 'hook.*'

With --env SECRET=... the header X-Hub-Signature-256 must sign the body, as code forges do.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import sys

SECRET = os.environ.get('SECRET', '').encode()
PATH = re.compile(r'/hook/([A-Za-z_][A-Za-z0-9_-]{0,99})')


def body_of(frame):
    """Contents that are no UTF-8 come in base64; None: there is no body."""
    if 'content_base64' in frame:
        return base64.b64decode(frame['content_base64'])
    return (frame.get('content') or '').encode()


def is_signed(headers, body):
    want = 'sha256=' + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    given = headers.get('x-hub-signature-256', '')
    return isinstance(given, str) and hmac.compare_digest(given.encode(), want.encode())


def judge(meta, frame):
    """The status, and for 202 the topic and the body."""
    path = PATH.fullmatch(meta['path'])
    if not path:
        return 404, None, None
    if meta['method'] != 'POST':
        return 405, None, None
    if frame.get('content_too_large'):
        return 413, None, None
    body = body_of(frame)
    if SECRET and not is_signed(meta['headers'], body):
        return 401, None, None
    return 202, 'hook.' + path.group(1), body


for line in sys.stdin:
    request = json.loads(line)
    if request['topic'] != 'http.request':
        continue
    status, topic, content = judge(request['meta'], request)
    if topic:
        kept = {key: value for key, value in request['meta']['headers'].items() if key.startswith('x-') or key == 'content-type'}
        print(json.dumps({'topic': topic, 'content_base64': base64.b64encode(content).decode(), 'meta': {'headers': kept}}))
    # Frames are stored in the order they are printed: who sees the answer finds the frame.
    print(json.dumps({'topic': 'http.response', 'ttl': 'ephemeral', 'content': f'{status}\n',
                      'meta': {'request_id': request['id'], 'status': status}}), flush=True)
