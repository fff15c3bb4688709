import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { Microphone } from '../../public/sound/microphone.js';
import { settle } from './doubles.mjs';

const SENTENCES = {
  call: /^A call or another app is using the microphone/,
  restart: /^No sound is coming from the browser/,
  click: /^The browser is holding the sound back. Click/,
  silent: /^Your microphone is silent: Phone\./,
  muted: /^Phone is muted/,
};

/** The sound system of a phone, as iOS has it; the test is the person with the phone. */
class Phone {
  contexts = [];
  isInCall = false;
  isLoud = true;
  needsClick = false;
  isMuted = false;

  /** The one that is in use. */
  get context() {
    return this.contexts.at(-1);
  }

  call() {
    this.isInCall = true;
    this.context.become('interrupted');
  }

  /** @param {'running' | 'suspended' | 'standing'} how the context comes out of the call */
  hangUp(how) {
    this.isInCall = false;
    this.context.stands = how === 'standing';
    this.context.become(how === 'standing' ? 'running' : how);
  }

  /** 100 ms of sound, for whom it reaches. */
  sound() {
    const chunk = new Int16Array(1600).fill(this.isLoud ? 3000 : 0);
    for (const context of this.contexts) {
      if (context.state === 'running' && !context.stands) context.node?.port.onmessage?.({ data: chunk });
    }
  }
}

let phone;
let chunks;
let said;
let stillSince; // when the last chunk came

class PhoneContext {
  state = 'suspended';
  stands = false;
  node = null;
  audioWorklet = { addModule: async () => {} };

  constructor({ sampleRate = 48_000 }) {
    this.sampleRate = sampleRate;
    phone.contexts.push(this);
  }

  become(state) {
    this.state = state;
    this.onstatechange?.();
  }

  createMediaStreamSource() {
    return { connect: (node) => (this.node = node), disconnect: () => {} };
  }

  async resume() {
    assert.notEqual(this.state, 'interrupted', 'this is what a context never recovers from');
    if (phone.needsClick) throw new DOMException('no', 'NotAllowedError');
    this.become('running');
  }

  async close() {
    this.state = 'closed';
  }
}

const track = {
  label: 'Phone',
  stop: () => {},
  get muted() {
    return phone.isMuted;
  },
};
const stream = { getTracks: () => [track], getAudioTracks: () => [track] };

beforeEach(() => {
  phone = new Phone();
  chunks = 0;
  said = '';
  globalThis.AudioContext = PhoneContext;
  globalThis.AudioWorkletNode = class {
    port = {};
  };
  globalThis.window = { isSecureContext: true };
  globalThis.document = {};
  Object.defineProperty(globalThis, 'navigator', {
    value: { mediaDevices: { getUserMedia: async () => stream } },
    configurable: true,
  });
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
});

afterEach(() => mock.timers.reset());

/** What is said has to be so, at each moment. */
function check() {
  const seconds = (Date.now() - stillSince) / 1000;
  const name = Object.keys(SENTENCES).find((each) => SENTENCES[each].test(said)) ?? said;
  const isTrue = {
    '': true,
    call: phone.isInCall,
    muted: phone.isMuted,
    restart: seconds > 1 && !phone.isInCall,
    click: seconds > 1 && !phone.isInCall,
    silent: !phone.isLoud && seconds < 1,
  };
  assert.ok(isTrue[name], `said after ${seconds} s: ${said}`);
  return name;
}

async function pass(seconds) {
  for (let step = 0; step < seconds * 10; step += 1) {
    phone.sound();
    mock.timers.tick(100);
    await settle();
    check();
  }
  return check();
}

async function opened() {
  const microphone = new Microphone({
    chunk: () => {
      chunks += 1;
      stillSince = Date.now();
    },
    level: () => {},
    device: () => {},
    notice: (text) => {
      said = text;
      check();
    },
  });
  stillSince = Date.now();
  const rate = await microphone.open();
  assert.equal(await pass(1), '');
  assert.equal(chunks, 10);
  return { microphone, rate };
}

test('a call is named while it lasts, and nothing is tried; then it goes on by itself', async () => {
  await opened();
  phone.call();
  assert.equal(check(), 'call');
  assert.equal(await pass(60), 'call');
  assert.equal(phone.contexts.length, 1);
  phone.hangUp('running');
  assert.equal(check(), '');
  assert.equal(await pass(5), '');
  assert.equal(chunks, 60);
});

test('a context that a call leaves suspended is woken at once', async () => {
  await opened();
  phone.call();
  await pass(10);
  phone.hangUp('suspended');
  assert.equal(phone.context.state, 'running');
  assert.equal(await pass(1), '');
  assert.equal(chunks, 20);
});

test('a context that says it runs and brings nothing for 2 s is built anew, at its rate', async () => {
  const { rate } = await opened();
  phone.call();
  await pass(10);
  phone.hangUp('standing');
  assert.equal(await pass(1.9), '');
  assert.equal(phone.contexts.length, 1);
  await pass(0.7);
  assert.deepEqual(phone.contexts.map(({ state }) => state), ['closed', 'running']);
  assert.equal(phone.context.sampleRate, rate);
  assert.equal(await pass(1), '');
  assert.ok(chunks > 20);
});

test('a context that will not be woken asks for a click, and is heard after it', async () => {
  await opened();
  phone.needsClick = true;
  phone.context.become('suspended');
  assert.equal(await pass(3), 'click');
  phone.needsClick = false;
  assert.equal(await pass(1), '');
  assert.equal(phone.contexts.length, 1);
});

test('as long as building anew does not help it is said, and done again', async () => {
  await opened();
  const standing = class extends PhoneContext {
    stands = true;
  };
  globalThis.AudioContext = standing;
  phone.context.stands = true;
  assert.equal(await pass(20), 'restart');
  assert.equal(phone.contexts.length, 4);
  globalThis.AudioContext = PhoneContext;
  assert.equal(await pass(20), '');
  assert.equal(phone.contexts.filter(({ state }) => state !== 'closed').length, 1);
});

test('a worklet that cannot be loaded for the moment is loaded later', async () => {
  await opened();
  globalThis.AudioContext = class extends PhoneContext {
    audioWorklet = { addModule: () => Promise.reject(new Error('offline')) };
  };
  phone.context.stands = true;
  assert.equal(await pass(5), 'restart');
  globalThis.AudioContext = PhoneContext;
  assert.equal(await pass(5), '');
});

test('a call in the middle of building anew is named, and waited for', async () => {
  await opened();
  phone.context.stands = true;
  await pass(2.5);
  phone.call();
  assert.equal(await pass(5), 'call');
  const built = phone.contexts.length;
  phone.hangUp('running');
  assert.equal(await pass(1), '');
  assert.equal(phone.contexts.length, built);
});

test('a silent room, a mute and a call are three things', async () => {
  await opened();
  phone.isLoud = false;
  assert.equal(await pass(4), 'silent');
  phone.isMuted = true;
  track.onmute();
  assert.equal(check(), 'muted');
  phone.call();
  assert.equal(await pass(5), 'call');
  phone.hangUp('running');
  assert.equal(await pass(1), 'muted');
  phone.isMuted = false;
  track.onunmute();
  assert.equal(check(), '');
  assert.equal(await pass(4), 'silent');
  phone.isLoud = true;
  assert.equal(await pass(1), '');
});

test('a page that stood still blames nobody for the chunks that wait', async () => {
  await opened();
  mock.timers.tick(60_000);
  assert.equal(said, '');
  assert.equal(await pass(1), '');
  assert.equal(phone.contexts.length, 1);
});

test('a microphone that was let go says and builds nothing any more', async () => {
  const { microphone } = await opened();
  phone.context.stands = true;
  await pass(1);
  microphone.release();
  assert.equal(await pass(10), '');
  assert.deepEqual(phone.contexts.map(({ state }) => state), ['closed']);
});
