// What the page and the notebook's widget show alike.

import { Paper } from './paper.js';
import { OVER } from './run.js';
import { advice, buttonWord, progress, service, stateWord } from './words.js';

const FLOOR = -60; // dB: the empty end of the level meter

/** The elements of a page or a widget: what is shown, never what is done. */
export class View {
  #root;
  #find;
  #shown = {};

  /**
   * @param {HTMLElement} root has the state
   * @param {(name: string) => HTMLElement} find gets an element by its name
   * @param {(isAtEnd: boolean) => void} [onFollow] the newest words are in sight, or not any more
   */
  constructor(root, find, onButton, onFollow = () => {}) {
    this.#root = root;
    this.#find = find;
    this.paper = new Paper(find('finals'), find('partial'), onFollow);
    onPress(find('button'), onButton);
  }

  /** @param {object} change the new ones of what is named below */
  show = (change) => {
    Object.assign(this.#shown, change);
    for (const name of Object.keys(change)) this.#shows[name]?.(this.#shown);
  };

  #shows = {
    // `outcome` as a Conversation tells it, `isFile` when what is transcribed is one
    state: ({ state, outcome, isFile }) => {
      this.#root.dataset.state = state;
      this.#find('state').textContent = stateWord(state, outcome, isFile);
      this.#find('button').textContent = buttonWord(state, outcome);
      disable(this.#find('button'), state === 'finishing');
      if (OVER.includes(state)) this.paper.finish();
    },
    error: ({ error, isFile }) => (this.#find('error').textContent = advice(error, isFile)),
    notices: ({ notices }) => Object.entries(notices).forEach((notice) => this.#showNotice(...notice)),
    // whom one talks to
    service: ({ service: { isSandbox, place } }) => {
      this.#find('service').dataset.service = isSandbox ? 'sandbox' : 'assemblyai';
      this.#find('service').textContent = service(isSandbox, place);
    },
    // root mean square, 0 to 1
    level: ({ level }) => {
      const decibel = 20 * Math.log10(Math.max(level, 1e-6));
      fillBar(this.#find('level'), Math.max(0, Math.min(1, 1 - decibel / FLOOR)));
    },
    // how much of a file was sent, of how much, in seconds
    progress: ({ progress: [at, total] }) => {
      const bar = this.#find('progress');
      bar.hidden = false;
      fillBar(bar, at / Math.max(total, at, 1e-6));
      bar.setAttribute('aria-valuetext', progress(at, total));
      this.#find('time').textContent = progress(at, total);
    },
    transcript: ({ transcript }) => this.paper.draw(transcript),
  };

  // A line for each matter; what has not changed is not touched, or it would be read out again.
  #showNotice(matter, text) {
    const box = this.#find('notice');
    let line = [...box.children].find(({ dataset }) => dataset.matter === matter);
    if (!text) line?.remove();
    if (!text || line?.textContent === text) return;
    line ??= box.appendChild(document.createElement('p'));
    line.dataset.matter = matter;
    line.textContent = text;
  }
}

/** Not "disabled", which would throw the keyboard's focus away. */
export const disable = (button, isInert) => button.setAttribute('aria-disabled', String(isInert));

/** Has `listener` called when the button is pressed, once for each time that it is meant. */
export function onPress(button, listener) {
  // The second click of a double click, or a key that is held, would undo the first.
  button.addEventListener('keydown', (event) => event.repeat && event.preventDefault());
  button.addEventListener('click', ({ detail }) => {
    if (detail < 2 && button.getAttribute('aria-disabled') !== 'true') listener();
  });
}

function fillBar(bar, share) {
  bar.style.setProperty('--share', share.toFixed(3));
  bar.setAttribute('aria-valuenow', String(Math.round(share * 100)));
}
