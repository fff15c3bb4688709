// The words as one reads them, and reads them out.

import { clockTime } from '../session/clock.js';

const NEAR = 40; // pixels from the end count as the end
const LAST_FORM_MILLISECONDS = 1000; // a plain final waits so long for the formatted one

/** A turn enters the log in its last form: a screen reader reads out all that comes in. */
export class Paper {
  #finals;
  #partial;
  #box;
  #isFollowing = true; // the newest words, until the reader scrolls away
  #onFollow;
  #drawLate = null; // while a turn waits for its last form
  #timer;

  /** @param {(isAtEnd: boolean) => void} onFollow the newest words are in sight, or not any more */
  constructor(finals, partial, onFollow) {
    this.#finals = finals;
    this.#partial = partial;
    this.#box = finals.parentElement; // which scrolls
    this.#onFollow = onFollow;
    this.#box.addEventListener('scroll', () => {
      this.#isFollowing = isAtEnd(this.#box);
      onFollow(this.#isFollowing);
    });
    // A notice takes its place from the words.
    new ResizeObserver(() => this.#follow()).observe(this.#box);
  }

  /** What a Transcript says. */
  draw({ finals, partial, settled = Infinity }) {
    clearTimeout(this.#timer);
    const { length } = this.#finals.children;
    const isWaiting = ({ order }, index) => order >= settled && index >= length;
    const waiting = finals.filter(isWaiting);
    const texts = waiting.map(({ text }) => text);
    this.#set(finals.slice(0, finals.length - waiting.length), [...texts, partial]);
    this.#drawLate = waiting.length > 0 ? () => this.#set(finals, [partial]) : null;
    if (this.#drawLate) this.#timer = setTimeout(() => this.finish(), LAST_FORM_MILLISECONDS);
    this.#follow();
  }

  /** Nothing comes any more. */
  finish() {
    clearTimeout(this.#timer);
    this.#drawLate?.();
    this.#drawLate = null;
  }

  /** Scrolls to the end, and follows what comes until the reader scrolls away. */
  showNewest() {
    this.#isFollowing = true;
    this.#follow();
  }

  #follow() {
    if (this.#isFollowing) this.#box.scrollTop = this.#box.scrollHeight;
    this.#onFollow(this.#isFollowing || isAtEnd(this.#box));
  }

  // Only what changed is touched, so that selected text stays selected.
  #set(finals, moving) {
    const log = this.#finals;
    while (log.children.length > finals.length) log.lastChild.remove();
    finals.forEach((turn, index) => {
      if (index < log.children.length) fill(log.children[index], turn);
      else log.append(fill(paragraph(), turn));
    });
    this.#partial.textContent = moving.filter(Boolean).join(' ');
  }
}

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
