// The widget's elements: what is shown, never what is done.

import { drawLevel, drawNotices, drawService, drawState, isAtEnd, Paper } from '../page/draw.js';
import { OVER } from '../session/run.js';

const SKELETON = `
  <div class="tempkit-row">
    <button type="button" class="tempkit-button"></button>
    <div class="tempkit-status">
      <p class="tempkit-state" aria-live="polite"></p>
      <div class="tempkit-level tempkit-bar" role="meter" aria-label="Sound level" aria-valuenow="0"></div>
    </div>
  </div>
  <p class="tempkit-error" role="alert"></p>
  <div class="tempkit-notice" role="status" aria-atomic="false"></div>
  <div class="tempkit-text" role="region" aria-label="Transcript" tabindex="0">
    <div class="tempkit-finals" role="log" lang=""></div>
    <p class="tempkit-partial" lang="" dir="auto"></p>
    <p class="tempkit-hint">Press Start and speak. The words appear here, and in Python.</p>
  </div>
  <p class="tempkit-service"></p>`;

/** One view of the widget. */
export class View {
  #root;
  #outcome = null;
  #watching;

  /**
   * @param {HTMLElement} el where it goes
   * @param {() => void} onPress the button was pressed
   * @param {(isSeen: boolean) => void} onSeen it can be seen, or no more
   */
  constructor(el, onPress, onSeen) {
    this.#root = document.createElement('div');
    this.#root.className = 'tempkit-microphone';
    this.#root.innerHTML = SKELETON;
    this.#root.setAttribute('role', 'group');
    this.#root.setAttribute('aria-label', 'Microphone');
    // Or the notebook takes the keys that press the button for its own commands.
    this.#root.dataset.lmSuppressShortcuts = 'true';
    this.#find('button').addEventListener('click', () => {
      if (this.#find('button').getAttribute('aria-disabled') !== 'true') onPress();
    });
    el.replaceChildren(this.#root);
    this.#watching = new IntersectionObserver((seen) => onSeen(seen.at(-1).isIntersecting));
    this.#watching.observe(this.#root);
  }

  close() {
    this.#watching.disconnect();
  }

  /** @param {object} change of what a Recorder shows */
  show = (change) => {
    for (const [name, value] of Object.entries(change)) this.#shows[name](value);
  };

  #shows = {
    outcome: (outcome) => (this.#outcome = outcome),
    state: (state) => {
      this.#root.dataset.state = state;
      drawState(this.#find, state, this.#outcome);
      if (OVER.includes(state)) this.#paper.finish();
    },
    error: (text) => (this.#find('error').textContent = text),
    notices: (notices) => drawNotices(this.#find, notices),
    service: (whom) => drawService(this.#find, whom),
    level: (level) => drawLevel(this.#find, level),
    transcript: (transcript) => {
      const box = this.#find('text');
      const isFollowing = isAtEnd(box);
      this.#paper.draw(transcript);
      if (isFollowing) box.scrollTop = box.scrollHeight;
    },
  };

  #find = (name) => this.#root.querySelector(`.tempkit-${name}`);
  #paper = new Paper(this.#find);
}
