import assert from 'node:assert/strict';
import test from 'node:test';

import { asText, asWebVTT } from '../../public/page/export.js';
import { clockTime } from '../../public/session/clock.js';

const HOUR = 3_600_000;

/** A turn whose words last 500 ms each. */
function turn(text, start = 0) {
  const at = (index) => start + index * 500;
  const words = text.split(' ').map((word, n) => ({ text: word, start: at(n), end: at(n + 1) }));
  return { text, words };
}

test('times are written as people write them', () => {
  assert.deepEqual([0, 65_999, HOUR + 65_000].map(clockTime), ['0:00', '1:05', '1:01:05']);
});

test('a turn is a line of text and a cue of WebVTT', () => {
  const turns = [turn('Hello there.', 1500), turn('Bye.', HOUR)];
  assert.equal(asText(turns), 'Hello there.\nBye.\n');
  assert.equal(
    asWebVTT(turns),
    'WEBVTT\n\n00:00:01.500 --> 00:00:02.500\nHello there.\n\n' +
      '01:00:00.000 --> 01:00:00.500\nBye.\n',
  );
});

test('a long turn is cut into cues of two lines, no word lost', () => {
  const text = Array.from({ length: 60 }, (_, n) => `word${n}`).join(' ');
  const cues = asWebVTT([turn(text)]).split('\n\n').slice(1).map((cue) => cue.trim().split('\n'));
  assert.ok(cues.length > 3);
  for (const [, line] of cues) assert.ok(line.length <= 80);
  assert.equal(cues.map(([, line]) => line).join(' '), text);
  const times = cues.flatMap(([time]) => time.split(' --> '));
  assert.deepEqual(times, [...times].sort());
});

test('what WebVTT would take for a tag or an arrow is written otherwise', () => {
  assert.match(asWebVTT([turn('a <b> --> c & d')]), /a &lt;b&gt; --&gt; c &amp; d/);
});

test('a turn without words has no time and is no cue', () => {
  assert.equal(asWebVTT([{ text: 'Hm.', words: [] }]), 'WEBVTT\n');
});
