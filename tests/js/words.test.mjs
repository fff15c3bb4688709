import assert from 'node:assert/strict';
import test from 'node:test';

import { countdown } from '../../public/page/words.js';

const UNHEARD = 'The last 1.5 seconds of sound, from 0:01 on,';

test('while all is well nothing is counted', () => {
  assert.equal(countdown({ state: 'live', unheard: UNHEARD, line: null }, 10), '');
  assert.equal(countdown({ state: 'finishing', unheard: UNHEARD, line: null }, 10), '');
});

test('a line that is down says when it is tried, and how long', () => {
  const words = (next, end) =>
    countdown({ state: 'reconnecting', unheard: UNHEARD, line: { next, end } }, 10);
  assert.equal(words(12.1, 59.5), 'Next try in 3 s, giving up in 50 s.');
  assert.equal(words(10, 59.5), 'Trying now, giving up in 50 s.');
  assert.equal(words(9, 10), 'This is the last try.');
  assert.equal(words(40, null), 'Next try in 30 s.');
});

test('who may stop now is told what that leaves without text', () => {
  const words = (unheard) => countdown({ state: 'waiting', unheard, line: null }, 10);
  assert.match(words(UNHEARD), /^The last 1\.5 .+ have no text yet; “Stop now” ends/);
  assert.match(words(''), /^“Stop now” ends/);
});
