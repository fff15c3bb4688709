// What the page and the notebook's widget draw alike; `find` gets an element by its name.

import { clockTime } from '../session/clock.js';
import { buttonWord, STATES } from './words.js';

const INERT = ['finishing', 'blocked']; // states in which a press of the button does nothing
const FLOOR = -60; // dB: the empty end of the level meter
const NEAR = 40; // pixels from the end count as the end

/** @param {string} state the one word that says what is going on */
export function drawState(find, state, words = STATES) {
  find('state').textContent = words[state];
  find('button').textContent = buttonWord(state);
  // Not "disabled", which would throw the keyboard's focus away.
  find('button').setAttribute('aria-disabled', String(INERT.includes(state)));
}

/** @param {number} level root mean square, 0 to 1 */
export function drawLevel(find, level) {
  const decibel = 20 * Math.log10(Math.max(level, 1e-6));
  const share = Math.max(0, Math.min(1, 1 - decibel / FLOOR));
  find('level').style.setProperty('--level', share.toFixed(3));
  find('level').setAttribute('aria-valuenow', String(Math.round(share * 100)));
}

/**
 * Only what changed is touched, so that selected text stays selected.
 *
 * @param {import('../session/transcript.js').Transcript} transcript
 */
export function drawTranscript(find, { finals, partial }) {
  const box = find('finals');
  while (box.children.length > finals.length) box.lastChild.remove();
  while (box.children.length < finals.length) box.append(paragraph());
  finals.forEach((turn, index) => {
    const [time, text] = box.children[index].children;
    if (text.textContent !== turn.text) text.textContent = turn.text;
    const start = turn.words[0]?.start ?? 0;
    if (time.textContent === clockTime(start)) return;
    time.textContent = clockTime(start);
    time.dateTime = `PT${start / 1000}S`;
  });
  find('partial').textContent = partial;
}

function paragraph() {
  const made = document.createElement('p');
  made.append(document.createElement('time'), document.createElement('span'));
  return made;
}

/** Whether the end of a box can be seen, or nearly. */
export const isAtEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
