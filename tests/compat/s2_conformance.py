#!/usr/bin/env python3
"""The conformance cases of s2_public.py against a daemon of ours.

    s2_conformance.py [--weird PROGRAM] [-k PART] [--disk] [--quick]

On a store in memory, or with --disk on one in a directory. Needs the packages h2 and zstandard, which it installs into the cache.
"""

import os
import subprocess
import sys

import s2_rig as rig


def main():
    parser = rig.options(__doc__)
    parser.add_argument('--disk', action='store_true')
    parser.add_argument('--quick', action='store_true', help='without the slow cases')
    given = parser.parse_args()
    rig.in_python_with('s2 conformance', ['h2', 'zstandard'], 'import h2, zstandard')
    with rig.Folder() as folder:
        daemon = rig.Daemon(given.weird, folder, *([] if given.disk else ['--memory']))
        try:
            probe = [sys.executable, '-u', os.path.join(rig.HERE, 's2_public.py'), '-k', given.k]
            status = subprocess.run(probe + ([] if given.quick else ['--slow']), stdin=subprocess.DEVNULL, check=False, timeout=500,
                                    env={**os.environ, 'S2_ENDPOINT': daemon.address}).returncode
            ended = daemon.stop()
            print('%s s2 conformance: the daemon ends in order' % ('not ok' if ended else 'ok'))
            return status or ended
        finally:
            daemon.kill()


if __name__ == '__main__':
    sys.exit(main())
