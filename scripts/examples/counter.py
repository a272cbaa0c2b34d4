#!/usr/bin/env python3
"""Counts frames `tick`: the sum of the numbers in their contents, 1 for an empty one.

    weir handler add counter scripts/examples/counter.py --topics tick --start resume --content
    weir append tick --no-content; weir append tick --content 41
    weir cas "$(weir last counter | jq -r .hash)"        # 42

The count lives in the log: each line printed is the newest `counter`, and the old one goes (ttl last:1). It is printed
together with the `ack' of its tick, and both are stored in one step. So no tick is lost or counted twice, whatever dies when.
"""

import json
import subprocess
import sys


def last_count():
    """The count as it stands in the log; `weir' is in our PATH and WEIR_ADDR says where the store is."""
    last = subprocess.run(['weir', 'last', 'counter'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if last.returncode != 0:
        return 0
    content = subprocess.run(['weir', 'cas', json.loads(last.stdout)['hash']], stdout=subprocess.PIPE, check=True)
    return int(content.stdout)


count = last_count()
for line in sys.stdin:
    frame = json.loads(line)
    if frame['topic'] != 'tick':
        continue  # xs.threshold: what was missed while we did not run has been counted
    try:
        count += int(frame['content'] or 1)
    except ValueError:
        print('not a number, counted as nothing:', frame['content'], file=sys.stderr, flush=True)
    print(json.dumps({'topic': 'counter', 'content': str(count), 'ttl': 'last:1', 'ack': frame['id']}), flush=True)
