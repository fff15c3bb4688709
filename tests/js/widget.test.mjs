import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, mock, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { settle } from './doubles.mjs';

// In the browser the widget's modules stand beside the page's; here they get a folder together.
const folder = mkdtempSync(join(tmpdir(), 'tempkit-'));
const copy = (place, name) =>
  cpSync(new URL(`../../${place}`, import.meta.url), join(folder, name), { recursive: true });
for (const name of ['page', 'session', 'sound']) copy(`public/${name}`, name);
copy('tempkit/widgets/static', 'widget');
writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
after(() => rmSync(folder, { recursive: true }));
const load = (name) => import(pathToFileURL(join(folder, name)));
const { Kernel, KernelSocket, Route } = await load('widget/kernel.js');
const { Link } = await load('session/link.js');
const { Recorder } = await load('widget/recorder.js');

const SERVICE = 'ws://127.0.0.1:9/v3/ws';

/** A widget's model without Jupyter: what is sent is kept, the kernel's answers are said. */
class Model {
  sent = [];
  isGone = false;
  traits = { _service_url: SERVICE };

  get(name) {
    return this.traits[name];
  }

  on(name, listener) {
    if (name === 'msg:custom') this.hear = listener;
  }

  send(message, _, buffers) {
    if (this.isGone) throw new Error('Cannot send');
    this.sent.push({ ...message, buffers });
  }

  answer(message) {
    this.hear({ id: this.sent.at(-1).id, ...message });
  }
}

/** A socket that does what the test says. */
class Socket extends EventTarget {
  static OPEN = 1;
  static CLOSED = 3;
  static all = [];
  readyState = 0;

  constructor(address) {
    super();
    if (Socket.isForbidden) throw new DOMException('no', 'SecurityError');
    this.address = address;
    Socket.all.push(this);
  }

  close() {
    this.fail();
  }

  fail() {
    this.readyState = 3;
    this.dispatchEvent(new Event('error'));
    this.onerror?.();
  }

  succeed() {
    this.readyState = 1;
    this.dispatchEvent(new Event('open'));
  }
}

let model;
let told;

beforeEach(() => {
  model = new Model();
  told = [];
  Socket.all = [];
  Socket.isForbidden = false;
  globalThis.WebSocket = Socket;
  globalThis.location = { href: 'http://localhost:8888/lab' };
  mock.timers.enable({ apis: ['setTimeout'] });
});

afterEach(() => mock.timers.reset());

const kernel = () => new Kernel(model, (message) => told.push(message));
const grant = (extra) =>
  ({ kind: 'grant', token: 't', expires_in_seconds: 60, websocket_url: SERVICE, ...extra });

/** A link by way of the kernel, which has opened it. */
function opened(rate = 16000) {
  const heard = [];
  let socket;
  const open = () => (socket = new KernelSocket(kernel(), rate));
  const link = new Link({ token: '', websocket_url: SERVICE, open }, rate, ({ type }) => heard.push(type));
  const { id } = model.sent.at(-1);
  model.answer({ kind: 'opened' });
  return { link, socket, id, heard };
}

test('a token is asked for by message, and its life counted from the question', async () => {
  const asked = kernel().token();
  assert.equal(model.sent[0].kind, 'token');
  model.hear({ kind: 'grant', id: 'of another page', token: 'x' });
  model.answer(grant());
  const got = await asked;
  assert.equal(got.token, 't');
  assert.ok(Math.abs(got.expires - performance.now() - 60_000) < 5000);
});

test('a kernel that does not answer is given ten seconds', async () => {
  const asked = kernel().token();
  const failed = assert.rejects(asked, { isUnreachable: true, message: /does not answer/ });
  mock.timers.tick(10_000);
  await failed;
});

test('a kernel that is gone is noticed at once', async () => {
  model.isGone = true;
  await assert.rejects(kernel().token(), { isUnreachable: true });
});

test('a refusal is told in its own words, with what it stands for', async () => {
  const asked = kernel().token();
  model.answer({ kind: 'refused', message: 'check the API key', status: 401 });
  await assert.rejects(asked, { message: 'No token: check the API key', status: 401 });
});

test('what the kernel says of its own accord is passed on', () => {
  kernel();
  model.hear({ kind: 'stop', run: 'a' });
  assert.deepEqual(told, [{ kind: 'stop', run: 'a' }]);
});

test('a socket through the kernel is a socket to a link', async () => {
  const { link, id, heard } = opened(48_000);
  assert.ok(link.isOpen);
  model.hear({ kind: 'message', id, text: '{"type":"Begin"}' });
  link.send(new Int16Array([1, 2]));
  link.send('{"type":"Terminate"}');
  model.hear({ kind: 'message', id, text: '{"type":"Termination"}' });
  model.hear({ kind: 'closed', id, code: 1000, reason: 'Session Ended' });
  const { code, reason } = await link.closed;
  assert.deepEqual([code, reason, link.isOpen], [1000, 'Session Ended', false]);
  assert.deepEqual(heard, ['Begin', 'Termination']);
  const [open, audio, text] = model.sent;
  assert.deepEqual([open.kind, open.sample_rate], ['open', 48_000]);
  assert.deepEqual([...new Int16Array(audio.buffers[0])], [1, 2]);
  assert.deepEqual([audio.id, text.id, text.text], [id, id, '{"type":"Terminate"}']);
});

test('a piece of a larger buffer is sent alone, and the kernel is told once that it is over', () => {
  const { socket } = opened();
  socket.send(new Int16Array(10).subarray(2, 4));
  assert.equal(model.sent.at(-1).buffers[0].byteLength, 4);
  socket.close();
  socket.close();
  assert.deepEqual(model.sent.slice(2).map(({ kind }) => kind), ['close']);
});

test('a kernel that goes while it carries sound ends the connection', async () => {
  const { link } = opened();
  model.isGone = true;
  link.send(new Int16Array(2));
  assert.ok((await link.closed).failure.isUnreachable);
});

test('a page that has no sound to send says that it is there, until the socket is closed', () => {
  const { socket, id } = opened();
  mock.timers.tick(10_000);
  mock.timers.tick(10_000);
  assert.deepEqual(model.sent.slice(1).map(({ kind, id }) => [kind, id]), [['alive', id], ['alive', id]]);
  socket.close();
  mock.timers.tick(10_000);
  assert.deepEqual(model.sent.slice(3).map(({ kind }) => kind), ['close']);
});

for (const [name, act, expected] of [
  ['that opens too late is closed', () => mock.timers.tick(10_000), { isUnreachable: true }],
  ['into a kernel that is gone fails at once', () => {}, { isUnreachable: true }],
  [
    'that the service refuses says why',
    () => model.answer({ kind: 'refused', message: 'spent', status: 401 }),
    { status: 401, message: 'No token: spent' },
  ],
]) {
  test(`a tunnel ${name}`, async () => {
    model.isGone = name.includes('gone');
    const open = () => new KernelSocket(kernel(), 16000);
    const { closed } = new Link({ websocket_url: SERVICE, open }, 16000, () => {});
    act();
    await assert.rejects(closed.then(({ failure }) => Promise.reject(failure)), expected);
    if (name.includes('late')) assert.deepEqual(model.sent.map(({ kind }) => kind), ['open', 'close']);
  });
}

/** The next connection of a route, as link.js makes it. */
async function dialled(dial) {
  const dialling = dial(16000);
  await settle();
  if (model.sent.at(-1)?.kind === 'token') model.answer(grant());
  const link = new Link(await dialling, 16000, () => {});
  return { kind: model.sent.at(-1).kind, link };
}

const routed = () => new Route(kernel(), (service) => told.push(service));

test('a service that the browser reaches is spoken to directly, and again after a cut', async () => {
  const route = routed();
  const dial = route.dial();
  const first = await dialled(dial);
  Socket.all[0].succeed();
  Socket.all[0].fail();
  const second = await dialled(dial);
  assert.deepEqual([first.kind, second.kind], ['token', 'token']);
  assert.match(Socket.all[0].address, /token=t$/);
  assert.deepEqual(told[0], { isSandbox: true, place: 'stays on this computer' });
});

test('where a forwarded port may lead is not said', () => {
  model.traits._is_remote = true;
  routed();
  assert.deepEqual(told[0], { isSandbox: true, place: '' });
});

for (const [name, fail] of Object.entries({
  'does not let in': () => Socket.all[0].fail(),
  'keeps waiting': () => mock.timers.tick(5000),
})) {
  test(`a service that ${name} the browser is reached through the kernel`, async () => {
    const route = routed();
    const dial = route.dial();
    const { link } = await dialled(dial);
    fail();
    assert.equal((await link.closed).code, 1006);
    assert.equal((await dialled(dial)).kind, 'open');
    assert.equal(told.at(-1).place, 'through the kernel');
    assert.equal((await dialled(route.dial())).kind, 'open');
  });
}

test('an address that the browser forbids is reached through the kernel', async () => {
  Socket.isForbidden = true;
  const dial = routed().dial();
  await assert.rejects(dialled(dial), { code: 1006 }); // which is tried again
  assert.equal((await dialled(dial)).kind, 'open');
});

test('nothing is learnt from a connection that is given up', async () => {
  const route = routed();
  const { link } = await dialled(route.dial());
  link.close();
  assert.equal((await dialled(route.dial())).kind, 'token');
});

test('on a remote notebook a sandbox is not looked for on the computer of the browser', async () => {
  globalThis.location = { href: 'https://hub.example/user/ada/lab' };
  const { kind } = await dialled(routed().dial());
  assert.equal(kind, 'open');
  assert.deepEqual(Socket.all, []);
  model.traits._service_url = 'wss://streaming.example.com/v3/ws';
  assert.equal((await dialled(routed().dial())).kind, 'token');
});

test('parameters of the kernel go into the address, the rate is that of the microphone', async () => {
  const dialling = routed().dial()(44_100);
  await settle();
  model.answer(grant({ parameters: { speech_model: 'u3-rt-pro', sample_rate: '16000' } }));
  new Link(await dialling, 44_100, () => {});
  const query = new URL(Socket.all[0].address).searchParams;
  assert.deepEqual([query.get('speech_model'), query.get('sample_rate')], ['u3-rt-pro', '44100']);
});

test('a clip that the kernel plays is shown like a recording, and the button stops it', () => {
  globalThis.location = { href: 'http://localhost:8888/lab', protocol: 'http:', hostname: 'localhost' };
  globalThis.window = new EventTarget();
  const recorder = new Recorder(model);
  recorder.join(() => {});
  const words = [{ text: 'Hello.', start: 0, end: 900 }];
  const turn = { turn_order: 0, end_of_turn: true, turn_is_formatted: true, transcript: 'Hello.', words };
  model.hear({ kind: 'played', run: 'clip 1', state: 'live', error: '', turn });
  assert.equal(recorder.shown.state, 'live');
  assert.equal(recorder.shown.transcript.finals[0].text, 'Hello.');
  recorder.press();
  assert.equal(model.sent.at(-1).kind, 'stop');
  model.hear({ kind: 'played', run: 'clip 1', state: 'idle', error: '', turn: null });
  assert.deepEqual(recorder.shown.outcome, { sentences: 1, seconds: 0.9 });
  model.hear({ kind: 'played', run: 'clip 2', state: 'live', error: '', turn: null });
  assert.deepEqual(recorder.shown.transcript.finals, []);
  recorder.leave('The kernel was restarted.');
  assert.equal(recorder.shown.state, 'idle');
  assert.match(recorder.shown.error, /restarted/);
});
