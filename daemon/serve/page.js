'use strict';

const ROWS = 1000;      // kept on the page
const WAITING = 1000;   // kept while it is paused
const list = document.getElementById('frames');
const state = document.getElementById('state');
const empty = document.getElementById('empty');
const filter = document.getElementById('filter');
const pause = document.getElementById('pause');
let paused = false;
let waiting = [];
let passedBy = 0;       // frames that did not fit into waiting

// Every text of a frame is set as text, never as markup.
function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function matches(topic) {
  const want = filter.value.trim();
  if (want === '' || want === '*') return true;
  return want.split(',').map(one => one.trim()).some(one =>
    one.endsWith('.*') ? topic.startsWith(one.slice(0, -1)) : one !== '' && topic === one);
}

function readable(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    const shown = Array.from(bytes.subarray(0, 512), b => b.toString(16).padStart(2, '0'));
    return shown.join(' ') + (bytes.length > 512 ? ' ...' : '');
  }
}

async function showContent(hash, button, into) {
  button.disabled = true;
  try {
    const answer = await fetch('/_weir/cas/' + encodeURIComponent(hash));
    if (!answer.ok) throw new Error(answer.status === 404 ? 'the content is gone' : 'not served any more');
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const size = Number(answer.headers.get('weir-size'));
    into.textContent = readable(bytes) + (size > bytes.length ? `\n... ${size} bytes in all` : '');
    button.remove();
  } catch (error) {
    into.textContent = String(error.message);
    button.disabled = false;
  }
  into.hidden = false;
}

function row(frame) {
  const made = element('li');
  const head = element('div', 'head');
  const time = element('time', 'time', new Date(frame.timestamp).toLocaleTimeString());
  time.dateTime = frame.timestamp;
  head.append(time, element('span', 'topic', frame.topic), element('span', 'id', frame.id));
  if (frame.ttl && frame.ttl !== 'forever') head.append(element('span', 'ttl', frame.ttl));
  made.append(head);
  if (frame.meta !== null) made.append(element('pre', 'meta', JSON.stringify(frame.meta, null, 1)));
  if (frame.hash) {
    const button = element('button', '', 'Content');
    const content = element('pre', 'content');
    button.type = 'button';
    content.hidden = true;
    button.addEventListener('click', () => showContent(frame.hash, button, content));
    made.append(button, content);
  }
  made.dataset.topic = frame.topic;
  made.hidden = !matches(frame.topic);
  return made;
}

function show(frame) {
  empty.hidden = true;
  list.prepend(row(frame));
  while (list.childElementCount > ROWS) list.lastElementChild.remove();
}

function tell() {
  pause.textContent = paused ? `Go on (${waiting.length + passedBy})` : 'Pause';
  pause.setAttribute('aria-pressed', String(paused));
}

function take(frame) {
  if (!paused) return show(frame);
  waiting.push(frame);
  if (waiting.length > WAITING) {
    waiting.shift();
    passedBy++;
  }
  tell();
}

pause.addEventListener('click', () => {
  paused = !paused;
  if (!paused) {
    waiting.forEach(show);
    waiting = [];
    passedBy = 0;
  }
  tell();
});

filter.addEventListener('input', () => {
  for (const one of list.children) one.hidden = !matches(one.dataset.topic);
});

const events = new EventSource('/_weir/events');
events.addEventListener('message', event => take(JSON.parse(event.data)));
events.addEventListener('live', () => {
  state.textContent = 'live';
  state.className = 'live';
});
events.addEventListener('lost', event => { state.textContent = `live; ${event.data} passed unseen`; });
events.addEventListener('error', () => {
  const over = events.readyState === EventSource.CLOSED;
  state.textContent = over ? 'ended: somebody answers requests here now, or the daemon stopped' : 'connecting again';
  state.className = '';
});
