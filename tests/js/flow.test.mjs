import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Flow } from '../../public/sound/flow.js';

const LOUD = 0.1;
const QUIET = 0;

/** A flow that was looked at: each look says what the context is, and which chunks came before. */
function looked(flow, ...looks) {
  for (const { context = 'running', isMuted = false, levels = [] } of looks) {
    levels.forEach((level) => flow.hear(level));
    flow.pass();
    flow.see(context, isMuted);
  }
  return flow.state;
}

const times = (count, look) => Array.from({ length: count }, () => look);
const spoken = { levels: [LOUD, LOUD] };
const silent = { levels: [QUIET, QUIET] };
const still = { levels: [] };

test('as long as chunks come all is well, whatever the context says', () => {
  assert.equal(looked(new Flow(), ...times(10, spoken)), 'flows');
  assert.equal(looked(new Flow(), ...times(10, { ...spoken, context: 'suspended' })), 'flows');
});

test('chunks without a sound for three seconds are a silent microphone, until it is heard', () => {
  const flow = new Flow();
  assert.equal(looked(flow, spoken, ...times(5, silent)), 'flows');
  assert.equal(looked(flow, ...times(2, silent)), 'silent');
  flow.hear(LOUD);
  assert.equal(flow.state, 'flows');
});

test('no chunk for two seconds is no silence: the context is suspended, or dead', () => {
  for (const [context, state] of [
    ['running', 'dead'],
    ['closed', 'dead'],
    ['suspended', 'suspended'],
  ]) {
    const flow = new Flow();
    assert.equal(looked(flow, spoken, ...times(3, { ...still, context })), 'flows');
    assert.equal(looked(flow, { ...still, context }), state);
    assert.equal(flow.isDead, state === 'dead');
  }
});

test('what is started anew has twice the time of the last time, for slow headsets', () => {
  const flow = new Flow();
  for (const looks of [5, 10, 20, 40, 40]) {
    looked(flow, ...times(looks - 1, still));
    assert.equal(flow.isDead, false);
    assert.equal(looked(flow, still), 'dead');
    assert.equal(flow.isDead, true);
    flow.restart();
  }
  flow.hear(LOUD);
  looked(flow, ...times(5, still));
  assert.equal(flow.isDead, true);
});

test('a context that has only just begun to run is waited for from then on', () => {
  const flow = new Flow();
  looked(flow, spoken, ...times(20, { ...still, context: 'suspended' }));
  flow.wait();
  assert.equal(looked(flow, ...times(4, still)), 'suspended');
  assert.equal(looked(flow, still), 'dead');
});

for (const [state, seen] of Object.entries({
  interrupted: { context: 'interrupted' },
  muted: { isMuted: true },
})) {
  test(`while it is ${state} nothing else is said, and afterwards nothing before it is known`, () => {
    const flow = new Flow();
    assert.equal(looked(flow, ...times(20, { ...still, ...seen })), state);
    flow.hear(QUIET); // one that was on its way
    assert.equal(flow.state, state);
    assert.equal(looked(flow, still), 'flows');
    assert.equal(looked(flow, ...times(5, still)), 'dead');
  });
}

test('a call goes before a mute: a phone reports both', () => {
  assert.equal(looked(new Flow(), { context: 'interrupted', isMuted: true }), 'interrupted');
});
