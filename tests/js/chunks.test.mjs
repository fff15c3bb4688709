import assert from 'node:assert/strict';
import test from 'node:test';

import { Chunker, rms, toInt16 } from '../../public/sound/chunks.js';

const QUANTUM = 128; // samples: what a browser hands to a worklet at a time

for (const sampleRate of [11025, 16000, 22050, 44100, 48000]) {
  test(`a minute at ${sampleRate} Hz leaves as it came, in chunks of 100 ms`, () => {
    const total = sampleRate * 60;
    const sampleAt = (index) => ((index * 7919) % 65536) - 32768;
    const lengths = [];
    let heard = 0;
    let wrong = 0;
    const chunker = new Chunker(sampleRate, (chunk) => {
      lengths.push(chunk.length);
      for (const sample of chunk) wrong += sample !== sampleAt(heard++);
    });
    for (let start = 0; start < total; start += QUANTUM) {
      const quantum = new Float32Array(Math.min(QUANTUM, total - start));
      for (let i = 0; i < quantum.length; i += 1) quantum[i] = sampleAt(start + i) / 32768;
      chunker.push(quantum);
    }

    assert.deepEqual([heard, wrong], [total, 0]);
    assert.equal(lengths.length, 600);
    const allowed = [Math.floor(sampleRate / 10), Math.ceil(sampleRate / 10)];
    assert.deepEqual(new Set(lengths), new Set(allowed));
  });
}

test('each chunk owns exactly its own buffer, so that it can be transferred and sent', () => {
  const chunks = [];
  const chunker = new Chunker(16000, (chunk) => chunks.push(chunk));
  chunker.push(new Float32Array(4000));
  chunker.flush();
  assert.deepEqual(chunks.map((chunk) => chunk.buffer.byteLength), [3200, 3200, 1600]);
  assert.equal(new Set(chunks.map((chunk) => chunk.buffer)).size, 3);
});

test('a flush with nothing left over emits nothing, and the next chunk is whole', () => {
  const lengths = [];
  const chunker = new Chunker(16000, (chunk) => lengths.push(chunk.length));
  chunker.flush();
  chunker.push(new Float32Array(1600));
  chunker.flush();
  assert.deepEqual(lengths, [1600]);
});

test('loud samples are clamped and do not wrap', () => {
  const samples = [-5, -1, -0.5, 0, 0.5, 1, 5, Infinity, -Infinity];
  const expected = [-32768, -32768, -16384, 0, 16384, 32767, 32767, 32767, -32768];
  assert.deepEqual(samples.map(toInt16), expected);
});

test('the level is the root mean square', () => {
  assert.equal(rms(new Int16Array(1600)), 0);
  assert.equal(rms(new Int16Array(1600).fill(-16384)), 0.5);
});
