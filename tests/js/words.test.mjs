import assert from 'node:assert/strict';
import test from 'node:test';

import { advice, buttonWord, countdown, progress, service, stateWord } from '../../public/page/words.js';

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
  assert.equal(words(40, Infinity), 'Next try in 30 s.');
});

test('who may stop now is told what that leaves without text', () => {
  const words = (unheard) => countdown({ state: 'waiting', unheard, line: null }, 10);
  assert.match(words(UNHEARD), /^The last 1\.5 .+ have no text yet; “Stop now” ends/);
  assert.match(words(''), /^“Stop now” ends/);
});

test('what has not begun, what has failed and what is finished are three things', () => {
  const outcome = { sentences: 6, seconds: 23.04 };
  const words = (state, of) => [stateWord(state, of), buttonWord(state, of)];
  assert.deepEqual(words('idle', null), ['Ready', 'Start']);
  assert.deepEqual(words('failed', null), ['Could not start', 'Start']);
  assert.deepEqual(words('failed', outcome), ['Stopped by a problem', 'Start again']);
  assert.deepEqual(words('idle', outcome), ['Finished: 6 sentences, 23 s', 'Start again']);
  assert.equal(stateWord('idle', { sentences: 1, seconds: 125 }), 'Finished: 1 sentence, 2:05');
  assert.equal(stateWord('idle', { sentences: 0, seconds: 3 }), 'Finished: no sentences, 3 s');
  assert.deepEqual(words('live', outcome), ['Listening', 'Stop']);
  assert.equal(stateWord('live', outcome, true), 'Listening to the file');
});

test('after a file one is not told to do what would open the microphone', () => {
  const text = 'It failed. Wait a moment, then try again.';
  assert.equal(advice(text, true), 'It failed. Wait a moment, then try the file again.');
  assert.equal(advice('Try again.', true), 'Try the file again.');
  assert.equal(advice(text, false), text);
});

test('how far a file is, and whom one talks to', () => {
  assert.equal(progress(5.04, 23.4), '0:05 of 0:23');
  assert.equal(service(true, 'stays on this computer'), 'Sandbox, stays on this computer');
  assert.equal(service(false, ''), 'AssemblyAI, billed');
});
