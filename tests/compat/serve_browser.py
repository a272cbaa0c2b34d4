#!/usr/bin/env python3
"""The live page in a real browser: headless Chromium, driven over its debugging pipe.

    serve_browser.py [--weird PROGRAM] [--weir PROGRAM] [--chromium PROGRAM] [--keep FOLDER]

Each claim is a line: ok NAME, not ok NAME, or skip NAME # why. Without Chromium one skip says so. Two screenshots, of a desk
and of a phone, are read back by tesseract where it is installed; --keep leaves them in a folder.
"""

import argparse
import base64
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DEADLINE = 20.0
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
counts = {'ok': 0, 'not ok': 0}


def find_browser(given):
    names = ('chromium', 'chromium-browser', 'google-chrome')
    for place in [given, os.environ.get('CHROMIUM')] + [shutil.which(n) for n in names]:
        if place and os.access(place, os.X_OK):
            return place
    return None


def until(what, look):
    end = time.monotonic() + DEADLINE
    while True:
        got = look()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError('not within %d s: %s' % (DEADLINE, what))
        time.sleep(0.02)


class Daemon:
    """weird with a public listener on a port that the system chose."""

    def __init__(self, programs, folder):
        self.weir = programs.weir
        self.store = os.path.join(folder, 's')
        self.log = os.path.join(folder, 'log')
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen([programs.weird, self.store, '--http', '127.0.0.1:0'], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        self.page = until('the live page is told', self._page)
        until('the daemon serves', lambda: 'serving=' in self._text())

    def _text(self):
        if self.process.poll() is not None:
            raise SystemExit('not ok the daemon did not start')
        with open(self.log, encoding='utf-8', errors='replace') as log:
            return log.read()

    def _page(self):
        found = re.search(r'^live page: (\S+)\n', self._text(), re.M)
        return found and found.group(1)

    def append(self, topic, content=b'', meta=None):
        args = [self.weir, 'append', self.store, topic] + (['--meta', json.dumps(meta)] if meta is not None else [])
        subprocess.run(args, input=content, stdout=subprocess.DEVNULL, check=True, timeout=DEADLINE)

    def stop(self):
        self.process.terminate()
        return self.process.wait(DEADLINE)


class Browser:
    """One headless browser with one page. Commands and events are JSON texts, each ended by a NUL, over two pipes."""

    def __init__(self, program, folder):
        to_read, self.to = os.pipe()
        self.back, back_write = os.pipe()
        args = ['--headless=new', '--remote-debugging-pipe', '--disable-gpu', '--no-first-run', '--disable-extensions',
                '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage',
                '--user-data-dir=' + os.path.join(folder, 'profile')]
        if os.geteuid() == 0:
            args.append('--no-sandbox')
        # The browser takes commands from descriptor 3 and answers on 4.
        shell = 'exec "$0" "$@" 3<&%d 4>&%d' % (to_read, back_write)
        self.process = subprocess.Popen(['sh', '-c', shell, program, *args, 'about:blank'], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(to_read, back_write),
                                        env=dict(os.environ, HOME=folder, TMPDIR=folder), start_new_session=True)
        os.close(to_read)
        os.close(back_write)
        self.number, self.pending, self.events, self.session = 0, b'', [], None
        targets = until('the browser has a page', self._pages)
        self.session = self.send('Target.attachToTarget', targetId=targets[0]['targetId'], flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.send(domain + '.enable')

    def _pages(self):
        return [t for t in self.send('Target.getTargets')['targetInfos'] if t['type'] == 'page']

    def _message(self, end):
        while b'\0' not in self.pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.back], [], [], left)[0]:
                raise AssertionError('the browser does not answer')
            piece = os.read(self.back, 1 << 20)
            if not piece:
                raise AssertionError('the browser ended')
            self.pending += piece
        text, self.pending = self.pending.split(b'\0', 1)
        return json.loads(text)

    def send(self, method, **params):
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': params}
        if self.session:
            message['sessionId'] = self.session
        os.write(self.to, json.dumps(message).encode() + b'\0')
        end = time.monotonic() + DEADLINE
        while True:
            answer = self._message(end)
            if answer.get('id') == self.number:
                if 'error' in answer:
                    raise AssertionError('%s: %s' % (method, answer['error']))
                return answer['result']
            if 'method' in answer:
                self.events.append(answer)

    def run(self, expression):
        result = self.send('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in result:
            raise AssertionError('%s: %s' % (expression, result['exceptionDetails']))
        return result['result'].get('value')

    def until(self, expression):
        """What is not there yet counts as no."""
        return until(expression, lambda: self.run('(() => { try { return %s } catch { return false } })()' % expression))

    def open(self, url):
        self.send('Page.navigate', url=url)

    def screenshot(self, path):
        with open(path, 'wb') as out:
            out.write(base64.b64decode(self.send('Page.captureScreenshot', format='png')['data']))

    def faults(self):
        bad = [e for e in self.events if e['method'] == 'Runtime.exceptionThrown'
               or (e['method'] == 'Log.entryAdded' and e['params']['entry']['level'] == 'error')]
        return [json.dumps(e['params'])[:300] for e in bad if 'favicon' not in json.dumps(e)]

    def asked(self):
        return {e['params']['request']['url'] for e in self.events if e['method'] == 'Network.requestWillBeSent'}

    def end(self):
        """All of its processes: those that it left write into its folder for a while."""
        self._signal(signal.SIGKILL)
        self.process.wait()
        until('the browser is gone', lambda: not self._signal(signal.SIGKILL))

    def _signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return False
        return True


def same(got, want, what):
    if got != want:
        raise AssertionError('%s: %r, not %r' % (what, got, want))


SHOWN = "[...document.querySelectorAll('#frames li:not([hidden]) .topic')].map(e => e.textContent)"


def opens(daemon, browser):
    """The one-time URL shows the page, and leaves no key in the address bar."""
    daemon.append('before.one', meta={'n': 1})
    browser.open(daemon.page)
    browser.until("document.title === 'weir: live' && document.getElementById('state').textContent === 'live'")
    same(browser.run('location.href'), daemon.page.split('?')[0], 'the address')
    same(browser.run(SHOWN), ['before.one', 'xs.start'], 'history, newest first')


def comes_live(daemon, browser):
    """A frame appears without a reload."""
    daemon.append('live.one', meta={'text': 'grün'})
    browser.until("document.querySelector('#frames li .topic').textContent === 'live.one'")
    same('grün' in browser.run("document.querySelector('#frames li pre.meta').textContent"), True, 'its meta')


def escapes(daemon, browser):
    """Markup in meta and content is text."""
    daemon.append('hostile', HOSTILE.encode(), meta={'x': HOSTILE})
    browser.until("document.querySelector('#frames li .topic').textContent === 'hostile'")
    browser.run("document.querySelector('#frames li button').click()")
    browser.until("!document.querySelector('#frames li pre.content').hidden")
    same(browser.run("document.querySelector('#frames li pre.content').textContent"), HOSTILE, 'the content')
    same(browser.run("document.querySelectorAll('#frames img, #frames script').length"), 0, 'elements made')
    same(browser.run('typeof window.hacked'), 'undefined', 'scripts run')


def shows_bytes(daemon, browser):
    """Content that is no text is shown as bytes, a long one by its beginning."""
    daemon.append('bytes', b'\xff\x00' * 50000)
    browser.until("document.querySelector('#frames li .topic').textContent === 'bytes'")
    browser.run("document.querySelector('#frames li button').click()")
    browser.until("!document.querySelector('#frames li pre.content').hidden")
    text = browser.run("document.querySelector('#frames li pre.content').textContent")
    same((text[:5], text[-23:]), ('ff 00', '... 100000 bytes in all'), 'the content')


def filters(daemon, browser):
    """The filter hides other topics, those that come as well."""
    def set_filter(text):
        browser.run("{ const f = document.getElementById('filter'); f.value = %s; f.dispatchEvent(new Event('input')); 1 }"
                    % json.dumps(text))
    set_filter('live.*, before.one')
    same(browser.run(SHOWN), ['live.one', 'before.one'], 'filtered')
    daemon.append('hidden.one')
    daemon.append('live.two')
    browser.until("document.querySelectorAll('#frames li:not([hidden])').length === 3")
    same(browser.run(SHOWN), ['live.two', 'live.one', 'before.one'], 'filtered live')
    set_filter('')
    same(browser.run(SHOWN)[:2], ['live.two', 'hidden.one'], 'unfiltered')


def pauses(daemon, browser):
    """Paused, nothing moves; then all that came is there."""
    rows = browser.run("document.querySelectorAll('#frames li').length")
    browser.run("document.getElementById('pause').click()")
    daemon.append('while.paused')
    browser.until("document.getElementById('pause').textContent === 'Go on (1)'")
    same(browser.run("document.querySelectorAll('#frames li').length"), rows, 'rows while paused')
    browser.run("document.getElementById('pause').click()")
    same(browser.run(SHOWN)[0], 'while.paused', 'after going on')


def stays_home(daemon, browser):
    """Nothing is asked of others, nothing is refused by the page's policy, no script fails."""
    home = daemon.page.split('?')[0]
    same([u for u in browser.asked() if not u.startswith((home, 'about:'))], [], 'other addresses')
    same(browser.faults(), [], 'faults')


def read_picture(path):
    done = subprocess.run(['tesseract', path, '-', '--psm', '11'], capture_output=True, text=True, timeout=60)
    return done.stdout if done.returncode == 0 else ''


def looks(daemon, browser, folder, name, width, height):
    """The picture holds the texts, and fits the screen's width."""
    browser.send('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=2, mobile=width < 500)
    daemon.append('picture', meta={'note': 'visible'})
    browser.until("document.querySelector('#frames li .topic').textContent === 'picture'")
    same(browser.run('document.documentElement.scrollWidth <= innerWidth'), True, 'fits in width')
    path = os.path.join(folder, name + '.png')
    browser.screenshot(path)
    same(os.path.getsize(path) > 5000, True, 'a picture')
    if not shutil.which('tesseract'):
        return 'tesseract is not installed, so the picture was not read'
    text = read_picture(path)
    for word in ('weir', 'Topic', 'picture', 'visible'):
        if word not in text:
            raise AssertionError('no %r in what is seen: %r' % (word, text[:400]))
    return None


def key_is_used_up(daemon, program):
    """Another browser gets nothing by the same URL."""
    with tempfile.TemporaryDirectory(prefix='weir-browser.') as folder:
        other = Browser(program, folder)
        try:
            other.open(daemon.page)
            until('an answer', lambda: other.run('location.href') != 'about:blank' or other.events)
            seen = until('the status', lambda: [e['params']['response']['status'] for e in other.events
                                                if e['method'] == 'Network.responseReceived'] or other.run('0'))
            same(seen[0], 503, 'status')
            same(other.run("document.getElementById('frames')"), None, 'the list')
        finally:
            other.end()


def ends_well(daemon, browser):
    """When the daemon stops, the page says so."""
    same(daemon.stop(), 0, 'the daemon')
    browser.until("document.getElementById('state').textContent !== 'live'")


def claim(name, check, *args):
    try:
        why = check(*args)
    except (AssertionError, OSError, subprocess.SubprocessError) as fault:
        counts['not ok'] += 1
        print('not ok %s # %s' % (name, str(fault).replace('\n', ' ')[:500]), flush=True)
        return
    counts['ok'] += 1
    print('ok ' + name, flush=True)
    if why:
        print('skip %s by its picture # %s' % (name, why), flush=True)


def claims(daemon, browser, program, folder):
    for name, check in (('the URL opens the page', opens), ('frames come live', comes_live), ('markup is text', escapes),
                        ('bytes are shown as bytes', shows_bytes), ('the filter', filters), ('pause', pauses)):
        claim(name, check, daemon, browser)
    claim('a desk', looks, daemon, browser, folder, 'desk', 1200, 800)
    claim('a phone', looks, daemon, browser, folder, 'phone', 375, 700)
    claim('nothing from elsewhere', stays_home, daemon, browser)
    claim('the key is used up', key_is_used_up, daemon, program)
    claim('the end', ends_well, daemon, browser)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    built = os.path.join(os.environ.get('BUILD', os.path.join(ROOT, 'build/release')))
    p.add_argument('--weird', default=os.path.join(built, 'weird'))
    p.add_argument('--weir', default=os.path.join(built, 'weir'))
    p.add_argument('--chromium')
    p.add_argument('--keep', help='a folder for the pictures')
    opts = p.parse_args()
    program = find_browser(opts.chromium)
    if not program:
        print('skip the live page in a browser # no chromium; Debian has it in chromium, or set CHROMIUM')
        return 0
    with tempfile.TemporaryDirectory(prefix='weir-browser.', ignore_cleanup_errors=True) as folder:
        daemon = Daemon(opts, folder)
        try:
            browser = Browser(program, folder)
            try:
                claims(daemon, browser, program, opts.keep or folder)
            finally:
                browser.end()
        finally:
            if daemon.process.poll() is None:
                daemon.stop()
    print('%d ok, %d not ok' % (counts['ok'], counts['not ok']))
    return 1 if counts['not ok'] else 0


if __name__ == '__main__':
    sys.exit(main())
