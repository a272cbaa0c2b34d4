#!/usr/bin/env python3
"""The s2 command line (s2-cli 0.43.4) against a daemon of ours.

    s2_cli.py [--weird PROGRAM] [--s2 PROGRAM] [-k PART]

s2 is taken from --s2, $S2, or where scripts/dev/peers installs it; where there is none, one skip says so.
"""

import json
import os
import re
import subprocess
import sys
import threading

import s2_rig as rig
from s2_rig import Fault, claim, same

LIMIT = 60.0


def find_s2(given):
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    for place in (given, os.environ.get('S2'), os.path.join(cache, 'weir-peers', 's2-cli-0.43.4', 'bin', 's2')):
        if place and os.access(place, os.X_OK):
            return place
    return None


class Cli:
    def __init__(self, program, daemon, folder):
        self.program = program
        self.daemon = daemon
        self.folder = folder

    def env(self, **more):
        return {'PATH': os.environ['PATH'], 'HOME': self.folder, 'S2_ACCOUNT_ENDPOINT': self.daemon.url, 'NO_COLOR': '1',
                'S2_BASIN_ENDPOINT': self.daemon.url, 'S2_ACCESS_TOKEN': 'any', **more}

    def run(self, *args, stdin=b'', status=0, **more):
        """Its output and what it said beside."""
        done = subprocess.run([self.program, *args], input=stdin, capture_output=True, timeout=LIMIT, check=False, env=self.env(**more))
        same(done.returncode, status, 'status of s2 %s (%s)' % (' '.join(args), done.stderr.decode(errors='replace')[-300:]))
        return done.stdout.decode(), done.stderr.decode(errors='replace')

    def out(self, *args, **more):
        return self.run(*args, **more)[0]

    def records(self, uri, *args):
        return [json.loads(line) for line in self.out('read', uri, '--format', 'json', *args).splitlines()]

    def start(self, *args):
        return subprocess.Popen([self.program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                env=self.env(), bufsize=0)


def control(cli):
    cli.run('create-basin', 'cli-control', '--create-stream-on-append', '--retention-policy', '2h')
    cli.run('create-basin', 'cli-control', status=1)
    for name in ('b', 'a', 'dir/c'):
        cli.run('create-stream', 's2://cli-control/' + name)
    same([line.split()[0] for line in cli.out('list-streams', 'cli-control').splitlines()],
         ['s2://cli-control/' + name for name in ('a', 'b', 'dir/c')], 'streams')
    claim('cli-control' in cli.out('list-basins'), 'not listed')
    claim('2h' in cli.out('get-stream-config', 's2://cli-control/a'), 'retention of the basin')
    cli.run('reconfigure-stream', 's2://cli-control/a', '--retention-policy', '3h')
    claim('3h' in cli.out('get-stream-config', 's2://cli-control/a'), 'retention after reconfigure')
    cli.run('reconfigure-basin', 'cli-control', '--create-stream-on-read', 'true')
    cli.run('delete-stream', 's2://cli-control/b')
    same(len(cli.out('list-streams', 'cli-control').splitlines()), 2, 'streams')
    cli.run('delete-basin', 'cli-control')


def append_and_read(cli):
    cli.run('create-basin', 'cli-append')
    cli.run('create-stream', 's2://cli-append/s')
    lines = ['line %d' % n for n in range(5000)]
    cli.run('append', 's2://cli-append/s', stdin='\n'.join(lines).encode() + b'\n')
    same(cli.out('read', 's2://cli-append/s', '-s', '0', '-n', '5000').splitlines(), lines, 'text')
    found = cli.records('s2://cli-append/s', '-s', '4990', '-n', '100')
    same([r['seq_num'] for r in found], list(range(4990, 5000)), 'to the tail, as it is bounded')
    same(cli.out('check-tail', 's2://cli-append/s').split()[0], '5000', 'tail')
    same(cli.out('read', 's2://cli-append/s', '--tail-offset', '2', '-n', '2').splitlines(), lines[-2:], 'tail offset')
    record = {'headers': [['YQ==', '/w==']], 'body': 'AAEC'}
    cli.run('append', 's2://cli-append/s', '--format', 'json-base64', stdin=json.dumps(record).encode() + b'\n')
    found = json.loads(cli.out('read', 's2://cli-append/s', '-s', '5000', '-n', '1', '--format', 'json-base64'))
    same({key: found[key] for key in record}, record, 'base64')


def conditions(cli):
    cli.run('create-basin', 'cli-conditions')
    uri = 's2://cli-conditions/s'
    cli.run('create-stream', uri)
    cli.run('append', uri, stdin=b'a\nb\nc\n')
    cli.run('fence', uri, 'mine')
    said = cli.run('append', uri, '-f', 'other', stdin=b'x\n', status=1)[1]
    claim('mine' in said, 'said %r', said[:200])
    cli.run('append', uri, '-f', 'mine', '-m', '4', stdin=b'd\n')
    cli.run('append', uri, '-f', 'mine', '-m', '4', stdin=b'd\n', status=1)
    cli.run('trim', uri, '2')
    same([r['seq_num'] for r in cli.records(uri, '-s', '0', '-n', '100')], [2, 3, 4, 5], 'kept')


def tail_follows(cli):
    cli.run('create-basin', 'cli-follow')
    uri = 's2://cli-follow/s'
    cli.run('create-stream', uri)
    cli.run('append', uri, stdin=b'1\n2\n3\n')
    same(cli.out('tail', uri, '-n', '2').split(), ['2', '3'], 'tail')
    follower = cli.start('tail', uri, '-n', '1', '-f')
    late = threading.Timer(LIMIT, follower.kill)
    late.start()
    try:
        same(follower.stdout.readline(), b'3\n', 'the last')
        writer = cli.start('append', uri)
        for n in (b'4\n', b'5\n'):
            writer.stdin.write(n)
            same(follower.stdout.readline(), n, 'live')
        writer.stdin.close()
        same(writer.wait(LIMIT), 0, 'status of the writer')
    finally:
        late.cancel()
        follower.kill()
        follower.wait()


def compression(cli):
    cli.run('create-basin', 'cli-packed')
    for kind in ('gzip', 'zstd'):
        uri = 's2://cli-packed/' + kind
        cli.run('create-stream', uri, S2_COMPRESSION=kind)
        body = 'compressible ' * 2000
        cli.run('append', uri, stdin=body.encode() + b'\n', S2_COMPRESSION=kind)
        same(cli.out('read', uri, '-s', '0', '-n', '1', S2_COMPRESSION=kind), body + '\n', kind)


def encryption(cli):
    cli.run('create-basin', 'cli-secret', '--stream-cipher', 'aes-256-gcm')
    uri, key = 's2://cli-secret/s', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
    cli.run('create-stream', uri)
    cli.run('append', uri, '-k', key, stdin=b'hidden\n')
    same(cli.out('read', uri, '-s', '0', '-n', '1', '-k', key), 'hidden\n', 'with the key')
    cli.run('read', uri, '-s', '0', '-n', '1', status=1)


def apply(cli):
    spec = os.path.join(cli.folder, 'spec.json')
    with open(spec, 'w', encoding='utf-8') as file:
        config = {'create_stream_on_read': True, 'default_stream_config': {'retention_policy': '1day'}}
        json.dump({'basins': [{'name': 'cli-applied', 'config': config,
                               'streams': [{'name': 'events', 'config': {'retention_policy': '7days'}}, {'name': 'others'}]}]}, file)
    claim('created' in cli.run('apply', '-f', spec)[1], 'first')
    said = cli.run('apply', '-f', spec)[1]
    claim('unchanged' in said and 'created' not in said, 'again: %r', said)
    claim('7days' in cli.out('get-stream-config', 's2://cli-applied/events'), 'config')


def tokens(cli):
    cli.run('create-basin', 'cli-tokens')
    cli.run('create-stream', 's2://cli-tokens/s')
    cli.run('append', 's2://cli-tokens/s', stdin=b'x\n')
    secret = cli.out('issue-access-token', 'cli-reader', '--basins-exact', 'cli-tokens', '--streams-prefix', '',
                     '--ops', 'read,check_tail').strip()
    claim('cli-reader' in cli.out('list-access-tokens'), 'not listed')
    same(cli.out('read', 's2://cli-tokens/s', '-s', '0', '-n', '1', S2_ACCESS_TOKEN=secret), 'x\n', 'in scope')
    cli.run('append', 's2://cli-tokens/s', stdin=b'y\n', status=1, S2_ACCESS_TOKEN=secret)
    cli.run('revoke-access-token', 'cli-reader')
    cli.run('read', 's2://cli-tokens/s', '-s', '0', '-n', '1', status=1, S2_ACCESS_TOKEN=secret)


def bench(cli):
    """It checks a chain of hashes over what it wrote, while it follows and once more from the beginning."""
    cli.run('create-basin', 'cli-bench')
    said = cli.run('bench', 'cli-bench', '-b', '1024', '-t', '20', '-d', '2s', '-w', '0s')[1]
    figures = dict(re.findall(r'(Write|Read|Catchup): ([0-9.]+) MiB/s', said))
    same(sorted(figures), ['Catchup', 'Read', 'Write'], 'figures')


def killed(cli):
    """An append goes on through a kill of the daemon, and so does a reader."""
    cli.run('create-basin', 'cli-killed')
    uri = 's2://cli-killed/s'
    cli.run('create-stream', uri)
    follower = cli.start('read', uri, '-s', '0', '--clamp')
    writer = cli.start('append', uri)
    late = threading.Timer(LIMIT, follower.kill)
    late.start()
    try:
        for n in range(200):
            writer.stdin.write(b'%d\n' % n)
            if n == 100:
                cli.daemon.again()
        writer.stdin.close()
        seen = []
        while not seen or seen[-1] != 199:
            line = follower.stdout.readline()
            if not line:
                raise Fault('the follower ended after %d' % len(seen))
            seen.append(int(line))
        same(writer.wait(LIMIT), 0, 'status of the writer')
        same(list(dict.fromkeys(seen)), list(range(200)), 'records')
    finally:
        late.cancel()
        for process in (follower, writer):
            process.kill()
            process.wait()


def both_ways(cli):
    uri = 's2://%s/cli.ways' % rig.ROOT_BASIN
    cli.run('create-stream', uri)
    cli.run('append', uri, stdin=b'from s2\n')
    frames = cli.daemon.frames('cli.ways')
    same([cli.daemon.content(f) for f in frames], [b'from s2'], 'frames')
    cli.daemon.weir('append', 'cli.ways', '--meta', '{"a":"b"}', stdin=b'from weir')
    found = cli.records(uri, '-s', '1', '-n', '1')
    same((found[0]['headers'], found[0]['body']), ([['a', 'b']], 'from weir'), 'record')


CASES = [control, append_and_read, conditions, tail_follows, compression, encryption, apply, tokens, bench, killed, both_ways]


def main():
    parser = rig.options(__doc__)
    parser.add_argument('--s2')
    given = parser.parse_args()
    program = find_s2(given.s2)
    if not program:
        rig.skip_all('s2 command line', 'no s2 here; scripts/dev/peers installs it')
    report = rig.Report('s2 cli')
    with rig.Folder() as folder:
        daemon = rig.Daemon(given.weird, folder)
        try:
            cli = Cli(program, daemon, folder)
            for case in CASES:
                if given.k in case.__name__:
                    report.case(case.__name__.replace('_', ' '), case, cli)
            report.case('the daemon ends in order', lambda: same(daemon.stop(), 0, 'status'))
        finally:
            daemon.kill()
    return report.status()


if __name__ == '__main__':
    sys.exit(main())
