// The transcript as a file: text with times, and WebVTT.

import { cueTime } from '../session/clock.js';

const LONGEST_CUE = 80; // characters: two lines of captions

/** @param {object[]} turns the finals of a Transcript */
export const asText = (turns) => turns.map(({ text }) => `${text}\n`).join('');

/** @param {object[]} turns the finals of a Transcript */
export function asWebVTT(turns) {
  const cues = turns.flatMap(cuesOf).map(({ start, end, text }) => {
    return `${cueTime(start)} --> ${cueTime(end)}\n${escaped(text)}\n`;
  });
  return ['WEBVTT\n', ...cues].join('\n');
}

function cuesOf({ words }) {
  const cues = [];
  for (const word of words) {
    const cue = cues.at(-1);
    if (cue && cue.text.length + 1 + word.text.length <= LONGEST_CUE) {
      cue.text += ` ${word.text}`;
      cue.end = Math.max(word.end, cue.end);
    } else {
      cues.push({ text: word.text, start: word.start, end: Math.max(word.end, word.start + 1) });
    }
  }
  return cues;
}

// "-->" may not stand in a cue, nor anything that looks like a tag.
const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
const escaped = (text) => text.replace(/[&<>]/g, (character) => ENTITIES[character]);
