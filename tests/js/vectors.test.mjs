// The rules that Python and the page share, as tables: tests/test_vectors.py reads them, too.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { Backlog, TERMINATE } from '../../public/session/backlog.js';
import { explainClose, thenFor } from '../../public/session/close-codes.js';
import { isReadable, parsed } from '../../public/session/link.js';
import { pauseBefore, pauseBeforeOpening } from '../../public/session/retry.js';
import { Session } from '../../public/session/session.js';
import { requestToken } from '../../public/session/token.js';
import { Watch } from '../../public/session/watch.js';

const SAMPLES = 16; // in a millisecond

const vectors = (name) =>
  JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url))).filter(
    ({ only = 'page' }) => only === 'page',
  );

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
      pieces.push(piece === TERMINATE ? 'end' : piece);
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
  if (kind === 'Termination') return { type: kind, audio_duration_seconds: order };
  if (kind === 'Heartbeat') return { type: kind, total_audio_received_ms: order };
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

for (const { name, attempt, luck, failure, pause } of vectors('opening')) {
  test(`when the first connection is tried again: ${name}`, () => {
    assert.equal(pauseBeforeOpening(attempt, failure, luck), pause);
  });
}

test('what each close code asks for, and a sentence that says what to do', () => {
  for (const { code, then } of vectors('close-codes')) {
    assert.equal(thenFor(code), then, `code ${code}`);
    const said = explainClose(code).join(' ');
    assert.match(said, /^[A-Z].+\. .*(try again|Try again|Reload).*\.$/);
    // A code that nobody knows is named.
    const isNamed = then === 'back off twice' || code >= 4000;
    assert.equal(/\d/.test(said), isNamed, `code ${code}`);
  }
});

for (const { name, ends, steps, cause } of vectors('watch')) {
  test(`when a connection is taken for lost: ${name}`, () => {
    const watch = new Watch(0, ends);
    let [now, slept, isBetweenTurns, found] = [0, 0, true, null];
    const does = {
      asleep: (seconds) => (slept = seconds),
      'in a turn': () => (isBetweenTurns = false),
      send: () => watch.send(now),
      hear: (taken) => watch.hear(now, taken),
      terminate: (ahead) => watch.terminate(now, ahead),
      jump: (to) => {
        now = to;
        const seen = watch.look(now, slept, isBetweenTurns);
        found ??= seen && [now, seen.code, seen.reason];
      },
      look: (until) => {
        while (now < until) does.jump(now + 0.25);
      },
      beats: (until, taken) => {
        for (let at = Math.floor(now / 5) * 5 + 5; at <= until; at += 5) {
          does.look(at);
          if (taken === undefined) watch.send(at);
          watch.hear(at, taken ?? at * 1000);
        }
      },
    };
    for (const [step, ...values] of steps) does[step](...values);
    assert.deepEqual(found, cause);
  });
}

for (const { name, limit_seconds, rate, steps, ...end } of vectors('backlog')) {
  test(`what is kept and carried again: ${name}`, () => {
    const backlog = new Backlog(16000, limit_seconds, rate);
    let offered = 0;
    const does = {
      offer: (milliseconds) => backlog.offer(sound(offered, (offered += milliseconds))),
      command: () => (backlog.hasEnded = true),
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
      is_sent: backlog.sent === backlog.end && backlog.isTerminating === backlog.hasEnded,
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
        let found;
        try {
          found = session.receive(message(short));
        } catch ({ code }) {
          assert.deepEqual({ closed: code }, expected);
          return;
        }
        assert.equal(found && (found.turn_order ?? found.type), expected);
      },
      odd: (text) => {
        const read = parsed(text);
        // Of a Warning without its fields the page shows nothing; its session goes on.
        if (isReadable(read)) assert.equal(session.receive(read).type, 'Warning');
      },
      closed: (code, expected) => assert.equal(session.closed(code)?.code ?? null, expected),
      end_audio: () => (backlog.hasEnded = true),
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
