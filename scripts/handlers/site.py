#!/usr/bin/env python3
"""A site of files, served through frames.

    weir serve ./store --http :8080
    weir append ./store xs.actor.site.create \
        --meta '{"topics":"http.request","env":{"SITE_ROOT":"/srv/www"}}' <scripts/handlers/site.py

The frame's content is this program, so the store keeps the version that runs; append it again to replace it. To end it:
`weir append ./store xs.actor.site.term --no-content`.

SITE_ROOT   the folder. Nothing outside of it is served, neither by `..` nor by symbolic links, and no name that begins with a dot.
SITE_SKIP   paths that begin with this are left to other handlers; /api/ by default.

Requests come as JSON lines on standard input, answers are JSON lines on standard output. A file too long for a line is
appended as a frame of its own: its content then is streamed from the store at the client's speed.
"""

import base64
import json
import mimetypes
import os
import subprocess
import sys
import urllib.parse

ROOT = os.path.realpath(os.environ.get('SITE_ROOT', '.'))
SKIP = os.environ.get('SITE_SKIP', '/api/')
LINE_MAX = 512 * 1024  # of a file that travels in a line; lines may have a MiB, and base64 takes a third more


def meta_of(request, status, headers):
    return {'request_id': request['id'], 'status': status, 'headers': headers}


def answer(request, status, headers, content=b''):
    line = {'topic': 'http.response', 'ttl': 'ephemeral', 'meta': meta_of(request, status, headers),
            'content_base64': base64.b64encode(content).decode()}
    print(json.dumps(line), flush=True)


def answer_text(request, status, text, **headers):
    answer(request, status, dict({'content-type': 'text/plain; charset=utf-8'}, **headers), text.encode() + b'\n')


def answer_file(request, path, size, headers):
    if size <= LINE_MAX or request['meta']['method'] == 'HEAD':
        with open(path, 'rb') as file:
            answer(request, 200, headers, file.read(LINE_MAX))
        return
    with open(path, 'rb') as file:
        subprocess.run(['weir', 'append', 'http.response', '--ttl', 'ephemeral', '--meta',
                        json.dumps(meta_of(request, 200, headers))], stdin=file, stdout=subprocess.DEVNULL, check=True)


def find(path):
    """The file that a path of a request names, or None. A folder is its index.html."""
    names = [urllib.parse.unquote(part) for part in path.split('/') if part not in ('', '.')]
    if any(name.startswith('.') or '/' in name or '\0' in name for name in names):
        return None
    found = os.path.realpath(os.path.join(ROOT, *names))
    if os.path.isdir(found):
        found = os.path.realpath(os.path.join(found, 'index.html'))
    inside = os.path.commonpath([ROOT, found]) == ROOT
    return found if inside and os.path.isfile(found) else None


def serve(request):
    meta = request['meta']
    if meta['method'] not in ('GET', 'HEAD'):
        answer_text(request, 405, 'only GET and HEAD', allow='GET, HEAD')
        return
    path = find(meta['path'])
    if path is None:
        answer_text(request, 404, 'there is no such file')
        return
    # A folder's relative links work only behind a slash.
    if os.path.basename(path) == 'index.html' and not meta['path'].endswith(('/', '/index.html')):
        answer(request, 301, {'location': './' + meta['path'].rsplit('/', 1)[1] + '/'})
        return
    status = os.stat(path)
    tag = '"%x-%x"' % (status.st_mtime_ns, status.st_size)
    kind = mimetypes.guess_type(path)[0] or 'application/octet-stream'
    if kind.startswith('text/'):
        kind += '; charset=utf-8'
    headers = {'content-type': kind, 'etag': tag, 'x-content-type-options': 'nosniff'}
    if meta['headers'].get('if-none-match') == tag:
        answer(request, 304, {'etag': tag})
    else:
        answer_file(request, path, status.st_size, headers)


for line in sys.stdin:
    frame = json.loads(line)
    if frame['topic'] != 'http.request' or frame['meta']['path'].startswith(SKIP):
        continue
    try:
        serve(frame)
    except Exception as fault:  # one request's fault is not the next one's
        print('site: %s: %s' % (frame['meta']['path'], fault), file=sys.stderr)
        answer_text(frame, 500, 'this file cannot be read')
