// What the page and the notebook's widget draw alike; `find` gets an element by its name.

import { clockTime } from '../session/clock.js';
import { buttonWord, service, stateWord } from './words.js';

const INERT = ['finishing', 'blocked']; // states in which a press of the button does nothing
const FLOOR = -60; // dB: the empty end of the level meter
const NEAR = 40; // pixels from the end count as the end
const LAST_FORM_MILLISECONDS = 1000; // a plain final waits so long for the formatted one

/**
 * @param {string} state the one word that says what is going on
 * @param {object | null} outcome of the session, see Run
 */
export function drawState(find, state, outcome, isFile = false) {
  find('state').textContent = stateWord(state, outcome, isFile);
  find('button').textContent = buttonWord(state, outcome);
  // Not "disabled", which would throw the keyboard's focus away.
  find('button').setAttribute('aria-disabled', String(INERT.includes(state)));
}

/** @param {{ isSandbox: boolean, place: string }} of whom one talks to */
export function drawService(find, { isSandbox, place }) {
  find('service').dataset.service = isSandbox ? 'sandbox' : 'assemblyai';
  find('service').textContent = service(isSandbox, place);
}

/** @param {number} level root mean square, 0 to 1 */
export function drawLevel(find, level) {
  const decibel = 20 * Math.log10(Math.max(level, 1e-6));
  drawBar(find('level'), Math.max(0, Math.min(1, 1 - decibel / FLOOR)));
}

/** @param {number} share of a bar that is full, 0 to 1 */
export function drawBar(bar, share) {
  bar.style.setProperty('--share', share.toFixed(3));
  bar.setAttribute('aria-valuenow', String(Math.round(share * 100)));
}

/**
 * A line for each matter; what has not changed is not touched, or it would be read out again.
 *
 * @param {Record<string, string>} notices by the matter, '' for nothing
 */
export function drawNotices(find, notices) {
  const box = find('notice');
  for (const [matter, text] of Object.entries(notices)) {
    let line = [...box.children].find(({ dataset }) => dataset.matter === matter);
    if (!text) line?.remove();
    if (!text || line?.textContent === text) continue;
    line ??= box.appendChild(document.createElement('p'));
    line.dataset.matter = matter;
    line.textContent = text;
  }
}

/** The words. A turn enters the log in its last form: a screen reader reads out all that comes in. */
export class Paper {
  #find;
  #drawLate = null; // while a turn waits for its last form
  #timer;

  constructor(find) {
    this.#find = find;
  }

  /** @param {import('../session/transcript.js').Transcript} transcript */
  draw({ finals, partial, settled = Infinity }) {
    clearTimeout(this.#timer);
    const { length } = this.#find('finals').children;
    const isWaiting = ({ order }, index) => order >= settled && index >= length;
    const waiting = finals.filter(isWaiting);
    this.#set(finals.slice(0, finals.length - waiting.length), [...texts(waiting), partial]);
    this.#drawLate = waiting.length > 0 ? () => this.#set(finals, [partial]) : null;
    if (this.#drawLate) this.#timer = setTimeout(() => this.finish(), LAST_FORM_MILLISECONDS);
  }

  /** Nothing comes any more. */
  finish() {
    clearTimeout(this.#timer);
    this.#drawLate?.();
    this.#drawLate = null;
  }

  // Only what changed is touched, so that selected text stays selected.
  #set(finals, moving) {
    const box = this.#find('finals');
    while (box.children.length > finals.length) box.lastChild.remove();
    finals.forEach((turn, index) => {
      if (index < box.children.length) fill(box.children[index], turn);
      else box.append(fill(paragraph(), turn));
    });
    this.#find('partial').textContent = moving.filter(Boolean).join(' ');
  }
}

const texts = (turns) => turns.map(({ text }) => text);

function paragraph() {
  const made = document.createElement('p');
  made.append(document.createElement('time'), document.createElement('span'));
  // Between two sentences it would be read out.
  made.firstChild.setAttribute('aria-hidden', 'true');
  made.lastChild.dir = 'auto';
  return made;
}

function fill(paragraph, { text, words, language = '' }) {
  const [time, span] = paragraph.children;
  if (span.textContent !== text) span.textContent = text;
  if (span.lang !== language) span.lang = language;
  const start = words[0]?.start ?? 0;
  if (time.textContent === clockTime(start)) return paragraph;
  time.textContent = clockTime(start);
  time.dateTime = `PT${start / 1000}S`;
  return paragraph;
}

/** Whether the end of a box can be seen, or nearly. */
export const isAtEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
