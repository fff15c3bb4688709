import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Conversation } from '../../public/session/conversation.js';
import { settle, Socket } from './doubles.mjs';

const BEGIN = { type: 'Begin', id: '1', expires_at: 1e10 };
const TERMINATE = '{"type":"Terminate"}';
const CHUNK = new Int16Array(1600);

let told;

beforeEach(() => {
  globalThis.WebSocket = Socket;
  Socket.all = [];
  told = [];
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  // The steady clock goes with the timers.
  mock.method(performance, 'now', () => Date.now());
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

async function pass(seconds) {
  for (let tick = 0; tick < seconds * 10; tick += 1) {
    mock.timers.tick(100);
    await settle();
  }
}

function started(dial = async () => ({ token: 't', websocket_url: 'ws://h' })) {
  const conversation = new Conversation(16000, dial, {
    begin: () => told.push('begin'),
    turn: (transcript) => told.push(transcript.finals.map(({ text }) => text).join(' ')),
    lost: (failure) => told.push(failure.code ?? failure.message),
    restored: (seconds) => told.push(`restored ${seconds}`),
  });
  return { conversation, end: conversation.run() };
}

async function begun() {
  const { conversation, end } = started();
  await settle();
  Socket.all[0].say(BEGIN);
  await settle();
  return { conversation, end, socket: Socket.all[0] };
}

const final = (text, end) => ({
  type: 'Turn',
  turn_order: 0,
  end_of_turn: true,
  turn_is_formatted: true,
  transcript: text,
  words: [{ text, start: 0, end, word_is_final: true }],
});

test('the end waits for the last turn and the Termination', async () => {
  const { conversation, end, socket } = await begun();
  conversation.offer(CHUNK);
  conversation.endAudio();
  assert.deepEqual(socket.sent.map((data) => data.length), [1600, TERMINATE.length]);
  assert.equal(socket.readyState, Socket.OPEN);
  socket.say(final('Bye.', 90));
  socket.say({ type: 'Termination' });
  await end;
  assert.deepEqual(told, ['begin', 'Bye.']);
  assert.notEqual(socket.readyState, Socket.OPEN);
});

test('after a cut a fresh token opens a connection that carries what has no text yet', async () => {
  const dialled = [];
  const { conversation, end } = started(async () => {
    dialled.push(1);
    return { token: `t${dialled.length}`, websocket_url: 'ws://h' };
  });
  await settle();
  Socket.all[0].say(BEGIN);
  await settle();
  for (let chunk = 0; chunk < 5; chunk += 1) conversation.offer(CHUNK);
  Socket.all[0].say(final('Hello.', 300));
  Socket.all[0].onclose({ code: 1006, reason: '' });
  await pass(1);
  assert.equal(dialled.length, 2);
  Socket.all[1].say(BEGIN);
  await pass(1);
  assert.equal(Socket.all[1].sent.length, 2); // 300 of 500 ms have their text
  conversation.endAudio();
  Socket.all[1].say(final('There.', 100));
  Socket.all[1].say({ type: 'Termination' });
  await end;
  assert.deepEqual(told, ['begin', 'Hello.', 1006, 'begin', 'restored 0', 'Hello. There.']);
});

test('a service that stays away is given up after a minute, with what was lost', async () => {
  const { conversation, end, socket } = await begun();
  end.catch(() => {});
  for (let chunk = 0; chunk < 25; chunk += 1) conversation.offer(CHUNK);
  socket.say(final('Hello.', 1000));
  socket.onclose({ code: 1001, reason: '' });
  for (let second = 0; second < 61; second += 1) {
    await pass(1);
    Socket.all.slice(1).forEach((other) => other.onclose({ code: 1006, reason: '' }));
  }
  await assert.rejects(end, /could not be reached.+The last 1\.5 seconds of sound, from 0:01 on/);
  assert.ok(Socket.all.length > 8);
});

test('a service that begins each session and fails at once is given up after a minute', async () => {
  const { conversation, end, socket } = await begun();
  let isOver = false;
  end.catch(() => (isOver = true));
  conversation.offer(CHUNK);
  const fail = (one) => one.say({ type: 'Error', error_code: 3005, error: 'Session Cancelled' });
  fail(socket);
  let seconds = 0;
  for (; !isOver && seconds < 100; seconds += 1) {
    await pass(1);
    Socket.all.at(-1).say(BEGIN);
    await settle();
    fail(Socket.all.at(-1));
  }
  await assert.rejects(end, /Session Cancelled.+ have no text/);
  assert.ok(seconds > 50 && seconds < 70, `${seconds} s`);
  assert.ok(Socket.all.length < 20, `${Socket.all.length} connections`);
});

test('what trying again cannot help ends the session at once', async () => {
  const { end, socket } = await begun();
  socket.say({ type: 'Error', error_code: 3006, error: 'Invalid JSON' });
  await assert.rejects(end, /The service says: Invalid JSON/);
  assert.equal(Socket.all.length, 1);
});

test('a connection that never begins is tried three times', async () => {
  const { end } = started();
  end.catch(() => {});
  for (let attempt = 0; attempt < 4; attempt += 1) {
    await settle();
    Socket.all.at(-1).onclose({ code: 1006, reason: '' });
    await pass(1);
  }
  await assert.rejects(end, /token.+network.+clock/);
  assert.equal(Socket.all.length, 3);
});

test('a service that opens the connection and says nothing is given up', async () => {
  const { end } = started();
  end.catch(() => {});
  await pass(33);
  await assert.rejects(end, /did not begin/);
  assert.equal(Socket.all.length, 3);
});

test('a token that the network has used up is replaced once', async () => {
  const used = { type: 'Error', error_code: 1008, error: 'This token has already been used' };
  const { end } = started();
  end.catch(() => {});
  await settle();
  Socket.all[0].say(used);
  await settle();
  assert.equal(Socket.all.length, 2);
  Socket.all[1].say(used);
  await assert.rejects(end, /already been used/);
  assert.equal(Socket.all.length, 2);
});

test('a Termination that nobody asked for, and a plain close, are lost lines', async () => {
  const { conversation, end, socket } = await begun();
  conversation.offer(CHUNK);
  socket.say({ type: 'Termination', audio_duration_seconds: 0 });
  await pass(1);
  Socket.all[1].say(BEGIN);
  await settle();
  Socket.all[1].onclose({ code: 1000, reason: '' });
  await pass(1);
  Socket.all[2].say(BEGIN);
  conversation.endAudio();
  await pass(1);
  assert.deepEqual(Socket.all[2].sent.map((data) => data.length), [1600, TERMINATE.length]);
  Socket.all[2].say({ type: 'Termination', audio_duration_seconds: 0 });
  await end;
  assert.deepEqual(told, ['begin', 1000, 'begin', 'restored 0', 1000, 'begin', 'restored 0']);
});

test('a service that begins each session and says nothing more is given up', async () => {
  const { conversation, end } = await begun();
  end.catch(() => {});
  conversation.offer(CHUNK);
  conversation.endAudio();
  for (let seconds = 0; seconds < 180; seconds += 1) {
    await pass(1);
    const latest = Socket.all.at(-1);
    if (latest.sent.length === 0) latest.say(BEGIN);
  }
  await assert.rejects(end, /last words may be missing.*0\.1 seconds of sound.*have no text/);
  assert.equal(Socket.all.length, 3);
});

test('a connection without any message is replaced once, and again after words', async () => {
  const { conversation, socket } = await begun();
  conversation.offer(CHUNK);
  await pass(31);
  assert.notEqual(socket.readyState, Socket.OPEN);
  Socket.all[1].say(BEGIN);
  conversation.offer(CHUNK);
  await pass(120);
  assert.equal(Socket.all.length, 2);
  Socket.all[1].say(final('Hi.', 90));
  Socket.all[1].onclose({ code: 1006, reason: '' });
  await pass(1);
  Socket.all[2].say(BEGIN);
  conversation.offer(CHUNK);
  await pass(32);
  assert.equal(Socket.all.length, 4);
  conversation.close();
});

test('a Termination that does not come is asked for again on a new connection', async () => {
  const { conversation, end, socket } = await begun();
  conversation.offer(CHUNK);
  conversation.endAudio();
  await pass(31);
  assert.notEqual(socket.readyState, Socket.OPEN);
  Socket.all[1].say(BEGIN);
  await pass(1);
  assert.equal(Socket.all[1].sent.at(-1), TERMINATE);
  Socket.all[1].say({ type: 'Termination' });
  await end;
});

test('a machine that was asleep gets a new connection when no heartbeat comes any more', async () => {
  const { conversation, socket } = await begun();
  socket.say({ type: 'Heartbeat', total_audio_received_ms: 0 });
  let slept = 0;
  performance.now.mock.mockImplementation(() => Date.now() - slept);
  slept = 60_000;
  mock.timers.tick(60_000);
  await settle();
  socket.say({ type: 'Heartbeat', total_audio_received_ms: 0 });
  await pass(10);
  assert.equal(socket.readyState, Socket.OPEN);
  slept += 60_000;
  mock.timers.tick(60_000);
  await pass(5);
  assert.equal(socket.readyState, Socket.OPEN);
  await pass(2);
  assert.notEqual(socket.readyState, Socket.OPEN);
  conversation.close();
  assert.deepEqual(told, ['begin', 1006]);
});

test('what was closed while it was connecting again says no more', async () => {
  const { conversation, end, socket } = await begun();
  socket.onclose({ code: 1006, reason: '' });
  await pass(1);
  assert.equal(Socket.all.length, 2);
  conversation.close();
  await end;
  assert.deepEqual(told, ['begin', 1006]);
});

test('to close is to terminate, and nothing is tried any more', async () => {
  const { conversation, end, socket } = await begun();
  conversation.close();
  await end;
  assert.deepEqual(socket.sent, [TERMINATE]);
  await pass(5);
  assert.equal(Socket.all.length, 1);
});
