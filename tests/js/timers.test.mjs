import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

import { after, every } from '../../public/session/clock.js';

/** A worker whose clock the test turns; the page's own timers stand still beside it. */
class Worker {
  static all = [];
  isOver = false;
  asked = [];

  constructor(address) {
    assert.match(address.pathname, /\/session\/alarm\.js$/);
    Worker.all.push(this);
  }

  postMessage({ id, milliseconds }) {
    this.asked.push({ id, milliseconds });
  }

  ring(at = 0) {
    this.onmessage({ data: this.asked.splice(at, 1)[0].id });
  }

  terminate() {
    this.isOver = true;
  }
}

let calls;
const call = () => calls.push('called');

beforeEach(() => {
  calls = [];
  Worker.all = [];
  mock.timers.enable({ apis: ['setTimeout'] });
});

afterEach(() => {
  delete globalThis.Worker;
  mock.timers.runAll();
  mock.timers.reset();
});

test('where there are no workers the page has its own timers', () => {
  after(100, call);
  const end = every(100, call);
  mock.timers.tick(100);
  assert.equal(calls.length, 2);
  mock.timers.tick(100);
  assert.equal(calls.length, 3);
  end();
  mock.timers.tick(1000);
  assert.equal(calls.length, 3);
});

test('the worker rings while the timers of the page stand still, and each call comes once', () => {
  globalThis.Worker = Worker;
  after(100, call);
  const [worker] = Worker.all;
  assert.deepEqual(worker.asked.map(({ milliseconds }) => milliseconds), [100]);
  worker.ring();
  assert.equal(calls.length, 1);
  mock.timers.tick(100);
  assert.equal(calls.length, 1);
});

test('a worker that never rings, as where a policy forbids it, keeps nobody waiting', () => {
  globalThis.Worker = Worker;
  after(100, call);
  mock.timers.tick(100);
  assert.equal(calls.length, 1);
});

test('what is repeated is repeated until it is ended, from within, too', () => {
  globalThis.Worker = Worker;
  const end = every(50, () => {
    call();
    if (calls.length === 3) end();
  });
  const [worker] = Worker.all;
  while (worker.asked.length > 0) worker.ring();
  assert.equal(calls.length, 3);
});

test('what was cancelled is not called, whoever rings', () => {
  globalThis.Worker = Worker;
  after(100, call)();
  Worker.all[0].ring();
  mock.timers.tick(100);
  assert.deepEqual(calls, []);
});

test('one worker serves all, as long as anything waits', async () => {
  globalThis.Worker = Worker;
  after(100, call);
  const end = every(50, call);
  Worker.all[0].ring();
  await Promise.resolve();
  assert.deepEqual(Worker.all.map(({ isOver }) => isOver), [false]);
  end();
  await Promise.resolve();
  assert.deepEqual(Worker.all.map(({ isOver }) => isOver), [true]);
  after(100, call)();
  assert.equal(Worker.all.length, 2);
});
