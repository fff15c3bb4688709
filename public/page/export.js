// The transcript as a file: plain text, SubRip and WebVTT by the rules of streaming/captions.py.

import { cueTime } from '../session/clock.js';

const LINE = 42; // characters, and a caption has two lines
const PAUSE = 1000; // ms of silence in a caption
const LONGEST = 7000; // ms of a caption
const SHORTEST = 500;
const GUESSED = 300; // ms of a word whose times the service does not tell
const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

/** @param {object[]} turns the finals of a Transcript */
export const asText = (turns) => turns.map(({ text }) => `${text}\n`).join('');

export function asSubRip(turns) {
  // SubRip has no way to write these signs, and players look for tags.
  const parts = cues(turns).map((cue) => written(cue, ',', /[<{]/g, '$&\u2060'));
  return parts.map((part, index) => `${index + 1}\n${part}`).join('\n');
}

export function asWebVTT(turns) {
  const parts = cues(turns).map((cue) => written(cue, '.', /[&<>]/g, (sign) => ENTITIES[sign]));
  return ['WEBVTT\n', ...parts].join('\n');
}

const written = ({ start, end, lines }, point, signs, instead) =>
  `${cueTime(start, point)} --> ${cueTime(end, point)}\n${lines.join('\n').replace(signs, instead)}\n`;

/** The captions: none lasts less than half a second, and none begins before the last ends. */
function cues(turns) {
  let at = 0;
  return turns.flatMap((turn, index) =>
    inCues(pieces(turn, at, turns.slice(index + 1))).map((cue) => {
      const start = Math.max(cue.start, at);
      at = Math.max(Math.min(cue.end, start + LONGEST), start + SHORTEST);
      return { start, end: at, lines: cue.lines };
    }),
  );
}

/** A turn in captions: a new one at a pause, after seven seconds, and after two full lines. */
function inCues(words) {
  const made = [];
  for (const { space, text, start, end } of words) {
    const cue = made.at(-1);
    const lines = cue && start - cue.end < PAUSE && end - cue.start <= LONGEST ? cue.lines : [];
    const longer = `${lines.at(-1)}${space}${text}`;
    if (lines.length > 0 && [...longer].length <= LINE) lines[lines.length - 1] = longer;
    else if (lines.length === 1) lines.push(text);
    else made.push({ start, end, lines: [text] });
    made.at(-1).end = Math.max(made.at(-1).end, end);
  }
  return made;
}

/** The words of a turn; without times of its own it comes after what was said before it. */
function pieces(turn, at, later) {
  const told = timed(turn);
  const words = told.length > 0 ? told : guessed(turn.text, at, later);
  // Some languages are written without spaces.
  const space = words.map(({ text }) => text).join('') === turn.text ? '' : ' ';
  return words.flatMap(({ text, start, end }) => {
    const signs = [...text.trim().replace(/\s+/g, ' ')];
    const time = (place) => start + Math.floor(((end - start) * place) / signs.length);
    return Array.from({ length: Math.ceil(signs.length / LINE) }, (_, n) => {
      const part = signs.slice(n * LINE, (n + 1) * LINE);
      const begin = n * LINE;
      const times = { start: time(begin), end: time(begin + part.length) };
      return { space: n ? '' : space, text: part.join(''), ...times };
    });
  });
}

/** Its words, unless the service does not tell when they were said. */
function timed({ words }) {
  const told = words.filter(({ text }) => text.trim());
  return told.at(-1)?.end > 0 ? told : [];
}

function guessed(text, at, later) {
  const texts = text.split(/\s+/).filter(Boolean);
  const next = later.flatMap(timed)[0]?.start ?? Infinity;
  const until = Math.max(at, Math.min(at + GUESSED * texts.length, next));
  const time = (n) => at + Math.floor(((until - at) * n) / texts.length);
  return texts.map((word, n) => ({ text: word, start: time(n), end: time(n + 1) }));
}
