import assert from 'node:assert/strict';
import test from 'node:test';

import { explainClose } from '../../public/session/close-codes.js';

const said = (...of) => explainClose(...of).join(' ');

test('a connection that never opened names token, network and clock', () => {
  assert.match(said(1006, { hasBegun: false }), /token.+network.+clock/);
  assert.doesNotMatch(said(1006, { hasBegun: true }), /clock/);
});

test('the text of the Error message comes before the words for the code', () => {
  const error = 'Unauthorized Connection: Signature has expired';
  const sentence = said(1008, { hasBegun: false, error });
  assert.match(sentence, /^The service says: .+Signature has expired\. Try again/);
});

test('an unknown code is named', () => {
  assert.match(said(4242), /4242/);
});
