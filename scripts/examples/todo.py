#!/usr/bin/env python3
"""An event-sourced to-do list: the events are the truth, the list is worked out from them.

    weir handler add todo scripts/examples/todo.py --topics 'todo.add,todo.done,todo.drop' --start first --content
    weir append todo.add --content 'buy milk'
    weir append todo.done --content 1
    weir cas "$(weir last todo.list | jq -r .hash)"

With `start first' the program is given the whole history each time it starts, and keeps nothing of its own: the first
list comes when xs.threshold says that history is through. Change how the list is made, add the handler again, and
the new list is made of all that ever happened.
"""

import json
import sys

todo = {}  # number -> text
done = set()
newest = 0
live = False


def show():
    text = ''.join(f"{n:3} [{'x' if n in done else ' '}] {todo[n]}\n" for n in sorted(todo))
    frame = {'topic': 'todo.list', 'content': text, 'ttl': 'last:1', 'meta': {'open': len(todo) - len(done)}}
    print(json.dumps(frame), flush=True)


def number_in(text):
    """The number of an entry that is there, else None."""
    n = int(text) if text.strip().isdigit() else 0
    return n if n in todo else None


def apply(topic, text):
    global newest
    if topic == 'todo.add':
        newest += 1
        todo[newest] = ' '.join(text.split()) or '(nothing)'
        return
    n = number_in(text)
    if n is None:
        print(f'{topic}: no entry {text!r}', file=sys.stderr, flush=True)
    elif topic == 'todo.done':
        done.add(n)
    else:
        del todo[n]
        done.discard(n)


for line in sys.stdin:
    frame = json.loads(line)
    if frame['topic'] == 'xs.threshold':
        live = True
    elif frame['topic'] in ('todo.add', 'todo.done', 'todo.drop'):
        apply(frame['topic'], frame.get('content') or '')
    if live:
        show()
