#!/usr/bin/env python3
"""A chat room for browsers: a page, POST /say, and GET /events as server-sent events.

    weir serve ./store --http 127.0.0.1:8080 &
    weir handler add chat scripts/examples/chat.py --topics http.request,http.disconnect,chat.message --content
    # open http://127.0.0.1:8080/ twice, and say something from here as well:
    weir append chat.message --meta '{"from":"shell"}' --content 'hello all'

A message is a frame `chat.message`, so the room's history is the log's. An answer with "more":true stays open: further
frames http.response of the same request go on with it, and http.disconnect tells when the browser has left.
"""

import json
import subprocess
import sys
import urllib.parse

HISTORY = 20
PAGE = '''<!doctype html><meta charset="utf-8"><title>chat</title>
<ul id="all"></ul><form id="say"><input name="from" value="me" size="8"> <input name="text" size="40" autofocus> <button>say</button></form>
<script>
new EventSource('events').onmessage = e => {
  const m = JSON.parse(e.data), li = document.createElement('li');
  li.textContent = m.from + ': ' + m.text; all.append(li); };
say.onsubmit = e => { e.preventDefault();
  fetch('say', {method: 'POST', body: new URLSearchParams(new FormData(say))}); say.text.value = ''; };
</script>'''

listeners = []  # ids of requests GET /events that are open


def frame(topic, content, meta, **more):
    print(json.dumps({'topic': topic, 'content': content, 'meta': meta, **more}), flush=True)


def respond(request_id, content, **meta):
    frame('http.response', content, {'request_id': request_id, **meta}, ttl='ephemeral')


def event(sender, text):
    return 'data: ' + json.dumps({'from': sender, 'text': text}) + '\n\n'


def tell_all(sender, text):
    for listener in listeners:
        respond(listener, event(sender, text), more=True)


def history():
    """What was said lately: `weir' is in our PATH and knows the store."""
    cat = subprocess.run(['weir', 'cat', '--topic', 'chat.message', '--last', str(HISTORY)], stdout=subprocess.PIPE, check=True)
    for line in cat.stdout.splitlines():
        said = json.loads(line)
        text = subprocess.run(['weir', 'cas', said['hash']], stdout=subprocess.PIPE, check=True).stdout if said['hash'] else b''
        yield (said['meta'] or {}).get('from', '?'), text.decode(errors='replace')


def say(request):
    form = dict(urllib.parse.parse_qsl(request.get('content') or ''))
    sender, text = form.get('from', '?')[:40], form.get('text', '')[:1000]
    if not text:
        respond(request['id'], 'say something\n', status=400)
        return
    # What we print is never given back to us, so we tell the others ourselves.
    frame('chat.message', text, {'from': sender})
    tell_all(sender, text)
    respond(request['id'], '', status=204)


def events(request):
    old = ''.join(event(*one) for one in history())
    respond(request['id'], old or ': welcome\n\n', headers={'content-type': 'text/event-stream', 'cache-control': 'no-store'}, more=True)
    listeners.append(request['id'])


def page(request):
    respond(request['id'], PAGE, headers={'content-type': 'text/html; charset=utf-8'})


ROUTES = {('GET', '/'): page, ('GET', '/events'): events, ('POST', '/say'): say}

for line in sys.stdin:
    given = json.loads(line)
    if given['topic'] == 'chat.message':
        tell_all((given['meta'] or {}).get('from', '?'), given.get('content') or '')
    elif given['topic'] == 'http.disconnect':
        gone = given['meta']['request_id']
        listeners = [one for one in listeners if one != gone]
    elif given['topic'] == 'http.request':
        route = ROUTES.get((given['meta']['method'], given['meta']['path']))
        if route:
            route(given)
        else:
            respond(given['id'], 'not found\n', status=404)
