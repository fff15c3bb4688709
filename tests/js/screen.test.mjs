import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { keepScreenOn } from '../../public/page/run.js';

let locks; // those that were given
let isRefused;

function navigatorIs(value) {
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
}

beforeEach(() => {
  locks = [];
  isRefused = false;
  globalThis.document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  navigatorIs({
    wakeLock: {
      async request(type) {
        assert.equal(type, 'screen');
        if (isRefused) throw new DOMException('no', 'NotAllowedError');
        const lock = { released: false, release: async () => (lock.released = true) };
        locks.push(lock);
        return lock;
      },
    },
  });
});

afterEach(() => {
  delete globalThis.document;
  delete globalThis.navigator;
});

const settle = () => new Promise(setImmediate);

async function becomes(visibilityState) {
  document.visibilityState = visibilityState;
  if (visibilityState === 'hidden') locks.forEach((lock) => (lock.released = true));
  document.dispatchEvent(new Event('visibilitychange'));
  await settle();
}

const held = () => locks.filter(({ released }) => !released).length;

test('the screen is kept on once, and let go', async () => {
  const letGo = keepScreenOn();
  await settle();
  await becomes('visible');
  assert.deepEqual([locks.length, held()], [1, 1]);
  letGo();
  await settle();
  assert.equal(held(), 0);
});

test('a page that was hidden keeps the screen on again', async () => {
  const letGo = keepScreenOn();
  await becomes('hidden');
  assert.equal(locks.length, 1);
  await becomes('visible');
  assert.deepEqual([locks.length, held()], [2, 1]);
  letGo();
  await becomes('visible');
  assert.deepEqual([locks.length, held()], [2, 0]);
});

test('what comes after it was let go is let go, too', async () => {
  keepScreenOn()();
  await settle();
  assert.deepEqual([locks.length, held()], [1, 0]);
});

test('a refusal is nothing, and asked again when the page is seen again', async () => {
  isRefused = true;
  const letGo = keepScreenOn();
  await settle();
  isRefused = false;
  await becomes('visible');
  assert.equal(held(), 1);
  letGo();
});

test('a browser without wake locks is none the worse', () => {
  navigatorIs({});
  keepScreenOn()();
});
