// Does with the page's session what Python's was seen to do, and compares each answer.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { Session } from '../../public/session/session.js';

const wordsOf = (turn) => turn.words.map(({ text, start, end }) => [text, start, end]);

function said(message) {
  if (message === null) return null;
  return message.type === 'Turn' ? [message.turn_order, wordsOf(message)] : message.type;
}

function replay({ steps, ...end }) {
  const session = new Session(16000);
  const { backlog, transcript } = session;
  const does = {
    offer: (length) => backlog.offer(new Int16Array(length)),
    take: (now) => {
      const piece = backlog.take(now);
      return piece instanceof Int16Array ? piece.length : JSON.parse(piece);
    },
    connected: (now) => session.connected(now),
    receive: (text) => said(session.receive(JSON.parse(text))),
    pass_time: (now) => session.passTime(now),
    end_audio: () => void (backlog.hasEnded = true),
  };
  steps.forEach(([step, given, expected], index) => {
    assert.deepEqual(does[step](given) ?? null, expected, `step ${index}: ${step}`);
  });
  const words = transcript.finals.flatMap(wordsOf);
  assert.deepEqual({ words, kept: [backlog.start, backlog.end], lost: backlog.lost }, end);
}

JSON.parse(readFileSync(0)).forEach(replay);
