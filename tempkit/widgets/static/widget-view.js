// The widget's elements: what is shown, never what is done.

import { drawLevel, drawState, drawTranscript, isAtEnd } from '../page/draw.js';

const SKELETON = `
  <div class="tempkit-row">
    <button type="button" class="tempkit-button"></button>
    <div class="tempkit-status">
      <p class="tempkit-state" aria-live="polite"></p>
      <div class="tempkit-level" role="meter" aria-label="Sound level" aria-valuemin="0"
        aria-valuemax="100" aria-valuenow="0"></div>
    </div>
  </div>
  <p class="tempkit-error" role="alert"></p>
  <p class="tempkit-notice" role="status"></p>
  <div class="tempkit-text" role="region" aria-label="Transcript" tabindex="0">
    <div class="tempkit-finals" role="log"></div>
    <p class="tempkit-partial"></p>
    <p class="tempkit-hint">Press Start and speak. The words appear here, and in Python.</p>
  </div>
  <p class="tempkit-service"></p>`;

/** One view of the widget. */
export class View {
  #root;
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
    state: (state) => {
      this.#root.dataset.state = state;
      drawState(this.#find, state);
    },
    error: (text) => (this.#find('error').textContent = text),
    notice: (text) => (this.#find('notice').textContent = text),
    service: (text) => (this.#find('service').textContent = text),
    level: (level) => drawLevel(this.#find, level),
    transcript: (transcript) => {
      const box = this.#find('text');
      const isFollowing = isAtEnd(box);
      drawTranscript(this.#find, transcript);
      if (isFollowing) box.scrollTop = box.scrollHeight;
    },
  };

  #find = (name) => this.#root.querySelector(`.tempkit-${name}`);
}
