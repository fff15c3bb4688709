import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { AudioFile } from '../../public/sound/file.js';

const RATE = 16000;

let given; // samples
let length; // of the file, in seconds

/** A decoder that finds silence in everything. */
globalThis.OfflineAudioContext = class {
  async decodeAudioData() {
    const samples = new Float32Array(length * RATE);
    return { length: samples.length, numberOfChannels: 1, getChannelData: () => samples };
  }
};

beforeEach(() => {
  given = 0;
  length = 10;
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  // The steady clock goes with the timers.
  mock.method(performance, 'now', () => Date.now());
});

afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

async function opened() {
  const file = new AudioFile(async () => new ArrayBuffer(0), 'a file', {
    chunk: (chunk) => (given += chunk.length),
    level: () => {},
    progress: () => {},
  });
  await file.open();
  return file;
}

function pass(seconds) {
  for (let tick = 0; tick < seconds * 20; tick += 1) mock.timers.tick(50);
}

test('a file is handed out at the speed at which it sounds, to its last sample', async () => {
  const file = await opened();
  pass(3);
  assert.equal(given / RATE, 3);
  mock.timers.tick(1000); // a timer that is late
  assert.equal(given / RATE, 4);
  pass(7);
  await file.ended;
  assert.equal(given / RATE, 10);
});

test('a file stands still while the page does: no minute comes at once', async () => {
  length = 100;
  const file = await opened();
  pass(1);
  mock.timers.tick(60_000);
  assert.equal(given / RATE, 3);
  pass(5);
  assert.equal(given / RATE, 8);
  file.release();
  pass(5);
  assert.equal(given / RATE, 8);
});
