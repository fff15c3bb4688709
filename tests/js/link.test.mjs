import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { Link } from '../../public/session/link.js';
import { isLoopback, requestToken, tokens } from '../../public/session/token.js';
import { Socket } from './doubles.mjs';

const GRANT = { token: 'se/cret', websocket_url: 'ws://127.0.0.1:9/v3/ws' };
const ignore = () => {};

beforeEach(() => {
  globalThis.WebSocket = Socket;
  Socket.all = [];
});

test('the address says what the service has to know', () => {
  new Link(GRANT, 44100, ignore);
  assert.deepEqual(Object.fromEntries(Socket.all[0].address.searchParams), {
    speech_model: 'universal-streaming-english',
    sample_rate: '44100',
    encoding: 'pcm_s16le',
    format_turns: 'true',
    session_heartbeat: 'true',
    token: 'se/cret',
  });
});

test('messages are passed on; odd ones are not, are said once for each kind, and break nothing', (t) => {
  const said = t.mock.method(console, 'warn', ignore).mock;
  const messages = [];
  new Link(GRANT, 16000, (message) => messages.push(message.type));
  Socket.all[0].say({ type: 'Turn', words: [] });
  for (const data of ['no JSON', 'null', '[]', '5', new Blob(['{}'])]) Socket.all[0].onmessage({ data });
  for (const odd of [{ type: 'Heartbeat' }, { type: 'Turn' }, { type: 'Turn', words: [1] }]) {
    Socket.all[0].say(odd);
  }
  Socket.all[0].say({ type: 'SpeakerRevision' });
  Socket.all[0].say({ type: 'Heartbeat', total_audio_received_ms: 5000 });
  assert.deepEqual(messages, ['Turn', 'SpeakerRevision', 'Heartbeat']);
  assert.equal(said.callCount(), 3);
});

test('an Error ends the connection with its own code, whatever the close says', async () => {
  const link = new Link(GRANT, 16000, ignore);
  Socket.all[0].say({ type: 'Error', error_code: 1008, error: 'Signature has expired' });
  Socket.all[0].onclose({ code: 1006, reason: '' });
  assert.deepEqual(await link.closed, { code: 1008, reason: 'Signature has expired' });
});

test('nothing is sent on a connection that is not open', () => {
  const link = new Link(GRANT, 16000, ignore);
  link.send('a');
  link.close();
  link.send('b');
  assert.deepEqual(Socket.all[0].sent, ['a']);
});

test('an address that cannot be opened does not show the token', () => {
  const grant = { ...GRANT, websocket_url: 'bad' };
  assert.throws(
    () => new Link(grant, 16000, ignore),
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

test('behind a proxy the address of the socket is beside the page', async () => {
  const asked = async (href, websocket_url) => {
    globalThis.location = { href };
    globalThis.fetch = async () => Response.json({ token: 't', websocket_url });
    return (await requestToken()).websocket_url;
  };
  const page = 'https://hub.example/user/alice/proxy/8000/';
  const path = 'hub.example/user/alice/proxy/8000/v3/ws';
  assert.equal(await asked(page, 'v3/ws'), `wss://${path}`);
  assert.equal(await asked(page.replace('https', 'http'), 'v3/ws'), `ws://${path}`);
  assert.equal(await asked('http://localhost:8000/index.html', 'v3/ws'), 'ws://localhost:8000/v3/ws');
  assert.equal(await asked(page, 'wss://s.example/v3/ws'), 'wss://s.example/v3/ws');
  delete globalThis.location;
  assert.equal(await asked(undefined, 'ws://127.0.0.1:9/v3/ws'), 'ws://127.0.0.1:9/v3/ws');
});

test('a loopback address is a sandbox, anything else is not', () => {
  const local = ['ws://127.0.0.1:8001/v3/ws', 'ws://localhost/v3/ws', 'ws://[::1]:9/v3/ws'];
  const remote = ['wss://streaming.assemblyai.com/v3/ws', 'ws://127.0.0.1.example.com/v3/ws'];
  assert.deepEqual(local.map(isLoopback), [true, true, true]);
  assert.deepEqual(remote.map(isLoopback), [false, false]);
});

test('each token is used once, and one that has grown old is let go', async () => {
  let count = 0;
  const body = () => ({ token: `t${count++}`, websocket_url: 'ws://h', expires_in_seconds: 60 });
  globalThis.fetch = async () => Response.json(body());
  const dial = tokens();
  assert.equal((await dial()).token, 't0');
  assert.equal((await dial()).token, 't1');

  globalThis.fetch = async () => Response.json({ ...body(), expires_in_seconds: 5 });
  const late = tokens();
  assert.equal((await late()).token, 't3');
});

test('what asking again cannot help is told from a service in trouble', async () => {
  const answer = (status, code) => async () => Response.json({ code, hint: 'h' }, { status });
  const expected = [[500, 'not_configured', 400], [500, 'service_unreachable', 500], [429, 'rate', 429]];
  for (const [status, code, found] of expected) {
    globalThis.fetch = answer(status, code);
    await assert.rejects(requestToken(), { status: found });
  }
  globalThis.fetch = async () => Promise.reject(new TypeError('network'));
  await assert.rejects(requestToken(), { isUnreachable: true });
});

test('a server that does not answer is given ten seconds', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  globalThis.fetch = (_, { signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const failed = assert.rejects(requestToken(), { isUnreachable: true });
  mock.timers.tick(10_000);
  await failed;
  mock.timers.reset();
});
