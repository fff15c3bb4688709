import assert from 'node:assert/strict';
import test from 'node:test';

import { explainClose } from '../../public/close-codes.js';

const KNOWN = [1000, 1001, 1006, 1008, 1011, 3005, 3006, 3007, 3008, 3009];

test('every documented code has its own sentence and says what to do', () => {
  const sentences = KNOWN.map((code) => explainClose(code));
  assert.equal(new Set(sentences).size, KNOWN.length);
  for (const sentence of sentences) assert.match(sentence, /^[A-Z].+\. .*(Press|press|Reload).*\.$/);
});

test('a connection that never opened names token, network and clock', () => {
  assert.match(explainClose(1006, { hasBegun: false }), /token.+network.+clock/);
  assert.doesNotMatch(explainClose(1006, { hasBegun: true }), /clock/);
});

test('the text of the Error message comes before the words for the code', () => {
  const error = 'Unauthorized Connection: Signature has expired';
  const sentence = explainClose(1008, { hasBegun: false, error });
  assert.match(sentence, /^The service says: .+Signature has expired\. Press Start/);
});

test('an unknown code is named', () => {
  assert.match(explainClose(4242), /4242/);
});
