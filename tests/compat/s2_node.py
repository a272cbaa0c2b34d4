#!/usr/bin/env python3
"""The TypeScript SDK of S2 (@s2-dev/streamstore 0.27 or newer) against a daemon of ours, over both of its transports.

    s2_node.py [--weird PROGRAM] [-k PART]

npm installs the SDK into the cache; the program itself is s2_node.mjs. It says `again` on its standard output when the daemon is to be
killed and started again, and is told `done`.
"""

import os
import subprocess
import sys
import threading

import s2_rig as rig

LIMIT = 300


def play(daemon, place, given):
    """The program with what it asks for; its status."""
    program = subprocess.Popen(['node', os.path.join(rig.HERE, 's2_node.mjs')], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, 'S2_URL': daemon.url, 'S2_SDK': place, 'ONLY': given.k, 'STORE': daemon.store,
                                    'WEIR': os.path.join(os.path.dirname(given.weird), 'weir'), 'WEIR_NO_AUTOSTART': '1'})
    limit = threading.Timer(LIMIT, program.kill)
    limit.start()
    try:
        for line in program.stdout:
            if line == 'again\n':
                daemon.again()
                program.stdin.write('done\n')
                program.stdin.flush()
            else:
                print(line, end='', flush=True)
        return program.wait()
    finally:
        limit.cancel()
        program.kill()
        program.wait()


def main():
    given = rig.options(__doc__).parse_args()
    try:
        place = rig.node_with('@s2-dev/streamstore', '0.27.0')
    except rig.Skip as reason:
        rig.skip_all('s2 typescript sdk', reason)
    report = rig.Report('s2 typescript')
    with rig.Folder() as folder:
        daemon = rig.Daemon(given.weird, folder)
        try:
            report.case('the program ends in order', lambda: rig.same(play(daemon, place, given), 0, 'status'))
            report.case('the daemon ends in order', lambda: rig.same(daemon.stop(), 0, 'status'))
        finally:
            daemon.kill()
    return report.status()


if __name__ == '__main__':
    sys.exit(main())
