import assert from 'node:assert/strict';
import test from 'node:test';

import { Transcript } from '../../public/session/transcript.js';

/** A Turn message; a word that is not final yet is written with a "?" behind it. */
function turn(order, transcript, { end = false, words = '' } = {}) {
  const split = words.split(' ').filter(Boolean);
  return {
    type: 'Turn',
    turn_order: order,
    end_of_turn: end,
    transcript,
    words: split.map((word) => ({
      text: word.replace('?', ''),
      word_is_final: !word.endsWith('?'),
    })),
  };
}

function after(...messages) {
  const transcript = new Transcript();
  messages.forEach((message) => transcript.add(message));
  return { finals: transcript.finals.map(({ text }) => text), partial: transcript.partial };
}

test('a partial shows its transcript and the words that are not final', () => {
  const { finals, partial } = after(turn(0, 'please book', { words: 'please book ta?' }));
  assert.deepEqual(finals, []);
  assert.equal(partial, 'please book ta');
});

test('a partial whose words are all final shows each of them once', () => {
  const { partial } = after(turn(0, 'please book', { words: 'please book' }));
  assert.equal(partial, 'please book');
});

test('a partial with no final word yet shows the words', () => {
  assert.equal(after(turn(0, '', { words: 'plea?' })).partial, 'plea');
});

test('a partial that has the unfinished words in its transcript does not show them twice', () => {
  const { partial } = after(turn(3, 'Could you move', { words: 'Could? you? move?' }));
  assert.equal(partial, 'Could you move');
});

test('a partial replaces the one before it', () => {
  const { partial } = after(turn(0, 'Could you mood'), turn(0, 'Could you move it'));
  assert.equal(partial, 'Could you move it');
});

test('a plain final replaces the partial, and the formatted one replaces the plain one', () => {
  const { finals, partial } = after(
    turn(0, 'please book', { words: 'please book ta?' }),
    turn(0, 'please book table nine', { end: true }),
    turn(0, 'Please book table nine.', { end: true }),
  );
  assert.deepEqual(finals, ['Please book table nine.']);
  assert.equal(partial, '');
});

test('an empty final of its own turn is ignored', () => {
  const { finals } = after(turn(0, 'Hello.', { end: true }), turn(1, '', { end: true }));
  assert.deepEqual(finals, ['Hello.']);
});

test('an empty final takes the partial of its turn away', () => {
  const { finals, partial } = after(turn(0, 'mm'), turn(0, '', { end: true }));
  assert.deepEqual(finals, []);
  assert.equal(partial, '');
});

test('an empty final leaves what its turn has said for good', () => {
  const { finals } = after(turn(0, 'Hello.', { end: true }), turn(0, '', { end: true }));
  assert.deepEqual(finals, ['Hello.']);
});

test('finals stand in the order of their turns', () => {
  const { finals, partial } = after(
    turn(1, 'Second.', { end: true }),
    turn(0, 'First.', { end: true }),
    turn(2, 'third'),
  );
  assert.deepEqual(finals, ['First.', 'Second.']);
  assert.equal(partial, 'third');
});
