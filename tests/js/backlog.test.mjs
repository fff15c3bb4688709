import assert from 'node:assert/strict';
import test from 'node:test';

import { Backlog } from '../../public/backlog.js';

test('what waits goes first, then what comes, in order', () => {
  const backlog = new Backlog();
  const sent = [];
  [1, 2, 3].forEach((chunk) => backlog.push(chunk));
  backlog.flowTo((chunk) => sent.push(chunk));
  backlog.push(4);
  assert.deepEqual(sent, [1, 2, 3, 4]);
  assert.equal(backlog.dropped, 0);
});

test('thirty seconds fit; what goes beyond is dropped from the front and counted', () => {
  const backlog = new Backlog();
  const sent = [];
  for (let chunk = 0; chunk < 310; chunk += 1) backlog.push(chunk);
  backlog.flowTo((chunk) => sent.push(chunk));
  assert.equal(backlog.dropped, 10);
  assert.equal(sent.length, 300);
  assert.equal(sent[0], 10);
});
