#!/usr/bin/env python3
"""Messages larger than a record: what the S2 patterns package for TypeScript writes, `weir s2 read --messages` reads, and the reverse.

    s2_messages.py [--weird PROGRAM] [-k PART]

npm installs the package into the cache.
"""

import os
import subprocess
import sys

import s2_rig as rig

BASIN = 'messages-basin'
LIMIT = 60
LARGE = 2500000

WRITE = """
import { S2 } from "@s2-dev/streamstore";
import { serialization } from "@s2-dev/streamstore-patterns";
const [url, basin, name] = process.argv.slice(1);
const stream = new S2({ accessToken: "x", endpoints: { account: url, basin: url } }).basin(basin).stream(name);
const session = new serialization.SerializingAppendSession(await stream.appendSession(), (m) => new TextEncoder().encode(m),
	{ dedupeSeq: 0 });
for (const message of ["y".repeat(%d), "small", "ü"]) await session.submit(message);
process.exit(0);
""" % LARGE

READ = """
import { S2 } from "@s2-dev/streamstore";
import { serialization } from "@s2-dev/streamstore-patterns";
const [url, basin, name] = process.argv.slice(1);
const stream = new S2({ accessToken: "x", endpoints: { account: url, basin: url } }).basin(basin).stream(name);
const records = await stream.readSession({ start: { from: { seqNum: 0 } } }, { as: "bytes" });
const messages = new serialization.DeserializingReadSession(records, (b) => new TextDecoder().decode(b)).getReader();
let text = "";
for (let i = 0; i < 3; i++) text += (await messages.read()).value + "\\n";
process.stdout.write(text, () => process.exit(0));
"""

TEXT = b'y' * LARGE + b'\nsmall\n\xc3\xbc\n'


class Place:
    def __init__(self, daemon, node, given):
        self.daemon = daemon
        self.node = node
        self.program = os.path.join(os.path.dirname(given.weird), 'weir-s2')

    def ours(self, verb, *args, text=b''):
        done = subprocess.run([self.program, verb, '--endpoint', self.daemon.url, *args], input=text, capture_output=True,
                              timeout=LIMIT, check=False)
        rig.same(done.returncode, 0, 'status of weir s2 %s (%s)' % (verb, done.stderr.decode(errors='replace')[-200:]))
        return done.stdout

    def theirs(self, program, stream):
        done = subprocess.run(['node', '--input-type=module', '-e', program, self.daemon.url, BASIN, stream], cwd=self.node,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False)
        rig.same(done.returncode, 0, 'status of node (%s)' % done.stderr.decode(errors='replace')[-400:])
        return done.stdout


def written_there(place):
    place.theirs(WRITE, 'there')
    read = place.ours('read', 's2://%s/there' % BASIN, '-s', '0', '-n', '5', '--messages')
    rig.claim(read == TEXT, 'we read something else')


def written_here(place):
    place.ours('append', 's2://%s/here' % BASIN, '--messages', text=TEXT)
    rig.claim(place.theirs(READ, 'here') == TEXT, 'the package reads something else')


def main():
    given = rig.options(__doc__).parse_args()
    try:
        rig.node_with('@s2-dev/streamstore', '0.27.0')
        node = rig.node_with('@s2-dev/streamstore-patterns', '2.0.0')
    except rig.Skip as reason:
        rig.skip_all('s2 messages', reason)
    report = rig.Report('s2 messages')
    with rig.Folder() as folder:
        daemon = rig.Daemon(given.weird, folder)
        try:
            place = Place(daemon, node, given)
            place.ours('create-basin', BASIN, '--create-stream-on-append', '--create-stream-on-read')
            for name, case in (('written by the package', written_there), ('written by us', written_here)):
                if given.k in name:
                    report.case(name, case, place)
        finally:
            daemon.kill()
    return report.status()


if __name__ == '__main__':
    sys.exit(main())
