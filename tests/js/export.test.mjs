import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { asSubRip, asText, asWebVTT } from '../../public/page/export.js';
import { clockTime } from '../../public/session/clock.js';

const HOUR = 3_600_000;
const CAPTIONS = JSON.parse(readFileSync(new URL('../vectors/captions.json', import.meta.url)));

const turn = ([text, words]) => ({
  text,
  words: words.map(([word, start, end]) => ({ text: word, start, end })),
});

test('times are written as people write them', () => {
  assert.deepEqual([0, 65_999, HOUR + 65_000].map(clockTime), ['0:00', '1:05', '1:01:05']);
});

test('a turn is a line of text', () => {
  const turns = [turn(['Hello there.', []]), turn(['Bye.', []])];
  assert.equal(asText(turns), 'Hello there.\nBye.\n');
});

for (const { name, turns, srt, vtt } of CAPTIONS) {
  test(`captions: ${name}`, () => {
    assert.equal(asSubRip(turns.map(turn)), srt);
    assert.equal(asWebVTT(turns.map(turn)), vtt);
  });
}
