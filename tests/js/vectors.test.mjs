// The rules that Python and the page share, as tables: tests/test_vectors.py reads them, too.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { Backlog } from '../../public/session/backlog.js';
import { explainClose } from '../../public/session/close-codes.js';
import { pauseBefore } from '../../public/session/retry.js';
import { Session } from '../../public/session/session.js';
import { requestToken } from '../../public/session/token.js';
import { Watch } from '../../public/session/watch.js';

const SAMPLES = 16; // in a millisecond
const WALL_AHEAD = 5e8;

const vectors = (name) =>
  JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url)));

/** Samples that say where they are, none of them zero; ms. */
const sound = (start, end) =>
  Int16Array.from({ length: (end - start) * SAMPLES }, (_, n) => ((start * SAMPLES + n) % 30_000) + 1);

function taken(backlog, now) {
  const pieces = [];
  for (;;) {
    const at = backlog.sent;
    const piece = backlog.take(now);
    if (piece === null) return pieces;
    if (typeof piece === 'string') {
      pieces.push(piece);
      continue;
    }
    const expected = new Int16Array(piece.length);
    expected.set(sound(at / SAMPLES, backlog.sent / SAMPLES));
    assert.deepEqual(piece, expected);
    pieces.push([at / SAMPLES, piece.length / SAMPLES]);
  }
}

/** A message of the service from the short form in the tables. */
function message(short) {
  if (typeof short === 'string') return { type: short, id: 's', expires_at: 1 };
  const [kind, order, ...rows] = short;
  const isFinal = kind !== 'partial';
  return {
    type: 'Turn',
    turn_order: order,
    turn_is_formatted: kind === 'formatted',
    end_of_turn: isFinal,
    transcript: isFinal ? rows.map(([text]) => text).join(' ') : '',
    words: rows.map(([text, start, end]) => ({ text, start, end, word_is_final: isFinal })),
  };
}

for (const { name, attempt, luck, failure, pause } of vectors('retry')) {
  test(`when a lost session is opened again: ${name}`, () => {
    assert.equal(pauseBefore(attempt, failure, luck), pause);
  });
}

for (const { name, answer, pause } of vectors('token-answers')) {
  test(`what a failed token says about asking again: ${name}`, async () => {
    globalThis.fetch = async () => Response.json({ ...answer, hint: 'h' }, { status: 500 });
    const failure = await requestToken().catch((error) => error);
    assert.equal(pauseBefore(0, failure, 0.5), pause);
  });
}

test('each close code has a sentence of its own that says what to do', () => {
  const codes = vectors('close-codes');
  const sentences = codes.map((code) => explainClose(code));
  assert.equal(new Set(sentences).size, codes.length);
  for (const sentence of sentences) {
    assert.match(sentence, /^[A-Z].+\. .*(Press|press|Reload).*\.$/);
    assert.doesNotMatch(sentence, /\d/); // the sentence for a code that nobody knows names it
  }
});

for (const { name, ends, steps, now, asleep, is_between_turns, cause } of vectors('watch')) {
  test(`when a connection is taken for lost: ${name}`, () => {
    const watch = new Watch(0, ends, WALL_AHEAD);
    for (const [step, ...values] of steps) {
      if (step === 'hear') watch.hear(...values);
      else watch.send(new Int16Array(160).fill(values[0] === 'loud' ? 9000 : 30), values[1]);
    }
    const found = watch.cause(now, now + WALL_AHEAD + asleep, is_between_turns);
    assert.deepEqual(found && [found.code, found.reason], cause);
  });
}

for (const { name, asked, cause } of vectors('ending')) {
  test(`how long the last words are waited for: ${name}`, () => {
    const watch = new Watch(0, 10_800, WALL_AHEAD);
    const found = asked.map(([now, ahead]) => watch.causeAtEnd(now, ahead)).at(-1);
    assert.deepEqual(found && [found.code, found.reason], cause);
  });
}

for (const { name, limit_seconds, rate, steps, ...end } of vectors('backlog')) {
  test(`what is kept and carried again: ${name}`, () => {
    const backlog = new Backlog(16000, limit_seconds, rate);
    let offered = 0;
    const does = {
      offer: (milliseconds) => backlog.offer(sound(offered, (offered += milliseconds))),
      command: (text) => backlog.command(text),
      connect: (now) => backlog.connect(now),
      release: (milliseconds) => backlog.release(milliseconds),
      release_silence: (seconds) => backlog.releaseSilence(seconds),
      own_time: (milliseconds, own) => assert.equal(backlog.ownTime(milliseconds), own),
      send: (now) => taken(backlog, now),
      take: (now, pieces) => assert.deepEqual(taken(backlog, now), pieces),
    };
    for (const [step, ...values] of steps) does[step](...values);
    const found = {
      kept: [backlog.start / SAMPLES, backlog.end / SAMPLES],
      sent: backlog.sent / SAMPLES,
      lost: backlog.lost / SAMPLES,
      is_sent: backlog.isSent,
    };
    assert.deepEqual(found, end);
  });
}

for (const { name, steps, finals, partial, words, kept, lost } of vectors('session')) {
  test(`what a session makes of its connections: ${name}`, () => {
    const session = new Session(16000);
    const { backlog, transcript } = session;
    const does = {
      connect: (now) => session.connected(now),
      offer: (milliseconds) => backlog.offer(new Int16Array(milliseconds * SAMPLES)),
      send: (now) => {
        while (backlog.take(now) !== null);
      },
      receive: (short, expected) => {
        const found = session.receive(message(short));
        assert.equal(found && (found.turn_order ?? found.type), expected);
      },
      closed: (code, expected) => assert.equal(session.closed(code)?.code ?? null, expected),
      end_audio: () => session.endAudio(),
      pass_time: (now) => session.passTime(now),
    };
    for (const [step, ...values] of steps) does[step](...values);
    const found = transcript.finals;
    assert.deepEqual(found.map(({ text }) => text), finals);
    assert.equal(transcript.partial, partial);
    const all = found.flatMap((turn) => turn.words);
    assert.deepEqual(all.map(({ text, start, end }) => [text, start, end]), words);
    assert.deepEqual([backlog.start / SAMPLES, backlog.end / SAMPLES], kept);
    assert.equal(backlog.lost / SAMPLES, lost);
  });
}
