// The transcript as a file: text with times, and WebVTT.

const LONGEST_CUE = 80; // characters: two lines of captions

/** Milliseconds as people write them: 1:05, and 1:00:05 after an hour. */
export function clockTime(milliseconds) {
  const [hours, minutes, seconds] = parts(milliseconds);
  const tail = String(seconds).padStart(2, '0');
  return hours ? `${hours}:${String(minutes).padStart(2, '0')}:${tail}` : `${minutes}:${tail}`;
}

/** When a turn began, ms. */
export const startOf = (turn) => turn.words[0]?.start ?? 0;

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

function cueTime(milliseconds) {
  const [hours, minutes, seconds, rest] = parts(milliseconds);
  const two = (number) => String(number).padStart(2, '0');
  return `${two(hours)}:${two(minutes)}:${two(seconds)}.${String(rest).padStart(3, '0')}`;
}

function parts(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const rest = Math.floor(milliseconds % 1000);
  return [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60, rest];
}
