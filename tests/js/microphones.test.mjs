import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { Microphones } from '../../public/page/microphones.js';

const device = (deviceId, label) => ({ kind: 'audioinput', deviceId, label });
const LAPTOP = device('1', 'Laptop');
const HEADSET = device('2', 'Headset');
const UNNAMED = device('', ''); // before the permission

let kept;

beforeEach(() => {
  kept = new Map();
  globalThis.localStorage = {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
  };
});

afterEach(() => delete globalThis.localStorage);

/** Both are there, and the headset is wished for. */
function chosen() {
  const microphones = new Microphones();
  microphones.list([LAPTOP, HEADSET]);
  microphones.pick('2');
  return microphones;
}

const shown = ({ options, shown: id }) => options.find(({ deviceId }) => deviceId === id).label;

test('a list without the chosen one shows it as not connected, and the next one has it back', () => {
  const microphones = chosen();
  assert.equal(microphones.list([LAPTOP]), null);
  assert.equal(shown(microphones), 'Headset (not connected)');
  assert.equal(microphones.wish.deviceId, '2');
  assert.equal(microphones.list([LAPTOP, HEADSET]).deviceId, '2');
  assert.equal(shown(microphones), 'Headset');
  assert.equal(microphones.list([LAPTOP, HEADSET]), null); // it was there all the time
});

test('one that comes back under another id is known by its name, if only one has it', () => {
  const microphones = chosen();
  microphones.list([LAPTOP]);
  assert.equal(microphones.list([LAPTOP, device('7', 'Headset'), device('8', 'Headset')]), null);
  assert.equal(microphones.list([LAPTOP, device('9', 'Headset')]).deviceId, '9');
  assert.equal(microphones.wish.deviceId, '9');
});

test('the wish outlives the page; before there are names nobody says that it is away', () => {
  chosen();
  const again = new Microphones();
  again.list([UNNAMED]);
  assert.equal(shown(again), 'Headset');
  assert.deepEqual(again.wish, { deviceId: '2', label: 'Headset' });
  again.list([LAPTOP]);
  assert.equal(shown(again), 'Headset (not connected)');
});

test('while one is open the list shows that one, whatever is wished for', () => {
  const microphones = chosen();
  microphones.used = '1';
  assert.equal(shown(microphones), 'Laptop');
  microphones.used = '';
  assert.equal(shown(microphones), 'Default');
  microphones.used = null;
  assert.equal(shown(microphones), 'Headset');
});

test('who picks the default one has no other wish any more', () => {
  const microphones = chosen();
  microphones.list([LAPTOP]);
  microphones.pick('2'); // as not connected
  assert.equal(microphones.wish.label, 'Headset');
  microphones.pick('');
  microphones.list([LAPTOP, HEADSET]);
  assert.equal(shown(microphones), 'Default');
  assert.equal(new Microphones().wish.deviceId, '');
});

test('where the browser keeps nothing, the wish lasts as long as the page', () => {
  for (const storage of [undefined, { getItem: () => 'no JSON', setItem: () => assert.fail() }]) {
    globalThis.localStorage = storage;
    const microphones = chosen();
    microphones.list([LAPTOP]);
    assert.equal(microphones.wish.label, 'Headset');
  }
});
