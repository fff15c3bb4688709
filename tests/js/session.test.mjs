import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { isLoopback, requestToken, Session } from '../../public/session.js';

/** A socket without a network: what was sent is kept, what comes in is said by the test. */
class Socket {
  static OPEN = 1;
  static last;
  readyState = Socket.OPEN;
  sent = [];

  constructor(address) {
    if (address.startsWith('bad')) throw new SyntaxError(address);
    this.address = new URL(address);
    Socket.last = this;
  }

  send(data) {
    this.sent.push(data);
  }

  close() {
    this.readyState = 2;
  }

  say(message) {
    this.onmessage({ data: JSON.stringify(message) });
  }
}

const GRANT = { token: 'se/cret', websocket_url: 'ws://127.0.0.1:9/v3/ws' };
const TERMINATE = '{"type":"Terminate"}';
const ignore = () => {};

beforeEach(() => {
  globalThis.WebSocket = Socket;
  mock.timers.reset();
});

async function begun(onTurn = ignore) {
  const session = new Session(GRANT, 16000, onTurn);
  const socket = Socket.last;
  socket.say({ type: 'Begin', id: '1', expires_at: 1 });
  await session.begin();
  return { session, socket };
}

test('the address says what the service has to know', () => {
  new Session(GRANT, 44100, ignore);
  assert.deepEqual(Object.fromEntries(Socket.last.address.searchParams), {
    speech_model: 'universal-streaming-english',
    sample_rate: '44100',
    encoding: 'pcm_s16le',
    format_turns: 'true',
    token: 'se/cret',
  });
});

test('turns are passed on, unknown messages are not', async () => {
  const turns = [];
  const { socket } = await begun((turn) => turns.push(turn.transcript));
  socket.say({ type: 'Turn', transcript: 'hello' });
  socket.say({ type: 'Heartbeat' });
  assert.deepEqual(turns, ['hello']);
});

test('a short tail is padded to 50 ms before it is sent', async () => {
  const { session, socket } = await begun();
  session.send(new Int16Array(1600));
  session.send(new Int16Array(7));
  assert.deepEqual(socket.sent.map((chunk) => chunk.length), [1600, 800]);
});

test('the end waits for Termination, with the last turn before it', async () => {
  const turns = [];
  const { session, socket } = await begun((turn) => turns.push(turn.transcript));
  const finished = session.finish();
  assert.deepEqual(socket.sent, [TERMINATE]);
  assert.equal(socket.readyState, Socket.OPEN);
  socket.say({ type: 'Turn', transcript: 'bye' });
  socket.say({ type: 'Termination' });
  await finished;
  assert.deepEqual(turns, ['bye']);
  assert.notEqual(socket.readyState, Socket.OPEN);
});

test('a socket that closes before Begin is a failure', async () => {
  const session = new Session(GRANT, 16000, ignore);
  Socket.last.onclose({ code: 1006 });
  await assert.rejects(session.begin(), /token.+network.+clock/);
});

test('an Error before Begin is told in its own words, whatever the close says', async () => {
  const session = new Session(GRANT, 16000, ignore);
  Socket.last.say({ type: 'Error', error_code: 1008, error: 'Signature has expired' });
  Socket.last.onclose({ code: 1006 });
  await assert.rejects(session.begin(), /Signature has expired/);
});

test('a service that never begins is given up', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  const begin = new Session(GRANT, 16000, ignore).begin();
  mock.timers.tick(10_000);
  await assert.rejects(begin, /did not begin/);
});

test('a service that never confirms the end is given up', async () => {
  const { session, socket } = await begun();
  mock.timers.enable({ apis: ['setTimeout'] });
  const finished = session.finish();
  mock.timers.tick(10_000);
  await assert.rejects(finished, /last words may be missing/);
  assert.notEqual(socket.readyState, Socket.OPEN);
});

test('a session that was cut off cannot end well', async () => {
  const { session, socket } = await begun();
  socket.onclose({ code: 1006 });
  await session.closed;
  await assert.rejects(session.finish(), /connection was lost/);
});

test('an address that cannot be opened does not show the token', () => {
  const grant = { ...GRANT, websocket_url: 'bad' };
  assert.throws(
    () => new Session(grant, 16000, ignore),
    ({ message }) => /may not connect/.test(message) && !message.includes('cret'),
  );
});

test('a refused token request shows the hint of the server', async () => {
  const body = { error: 'Failed to generate token', code: 'not_configured', hint: 'put in a key' };
  globalThis.fetch = async () => new Response(JSON.stringify(body), { status: 500 });
  await assert.rejects(requestToken(), /No token: put in a key/);
});

test('a login page instead of a token is told apart from no answer at all', async () => {
  globalThis.fetch = async () => new Response('<html>');
  await assert.rejects(requestToken(), /without a token/);
  globalThis.fetch = async () => Promise.reject(new TypeError('network'));
  await assert.rejects(requestToken(), /does not answer/);
});

test('a loopback address is a sandbox, anything else is not', () => {
  const local = ['ws://127.0.0.1:8001/v3/ws', 'ws://localhost/v3/ws', 'ws://[::1]:9/v3/ws'];
  const remote = ['wss://streaming.assemblyai.com/v3/ws', 'ws://127.0.0.1.example.com/v3/ws'];
  assert.deepEqual(local.map(isLoopback), [true, true, true]);
  assert.deepEqual(remote.map(isLoopback), [false, false]);
});
