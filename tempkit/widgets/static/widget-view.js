// The widget's elements: what is shown, never what is done.

import { clockTime, startOf } from './export.js';

const STATES = {
  idle: 'Ready',
  starting: 'Waiting for the microphone…',
  connecting: 'Recording… connecting, you can speak already',
  live: 'Recording',
  reconnecting: 'Recording… the line is down, you can go on speaking',
  finishing: 'Finishing… waiting for the last words',
  waiting: 'Still waiting for the last words…',
  failed: 'Stopped by a problem',
  blocked: 'No microphone here',
};
const BUTTON = { idle: 'Start', failed: 'Start', blocked: 'Start', waiting: 'Stop now' };
const FLOOR = -60; // dB: the empty end of the level meter
const NEAR = 24; // pixels from the end count as the end

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

  /**
   * @param {HTMLElement} el where it goes
   * @param {() => void} onPress the button was pressed
   */
  constructor(el, onPress) {
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
  }

  /** @param {object} change of what a Recorder shows */
  show = (change) => {
    for (const [name, value] of Object.entries(change)) this.#shows[name](value);
  };

  #shows = {
    state: (state) => {
      this.#root.dataset.state = state;
      this.#find('state').textContent = STATES[state];
      this.#find('button').textContent = BUTTON[state] ?? 'Stop';
      // Not "disabled", which would throw the keyboard's focus away.
      const isDisabled = state === 'finishing' || state === 'blocked';
      this.#find('button').setAttribute('aria-disabled', String(isDisabled));
    },
    error: (text) => (this.#find('error').textContent = text),
    notice: (text) => (this.#find('notice').textContent = text),
    service: (text) => (this.#find('service').textContent = text),
    level: (level) => {
      const decibel = 20 * Math.log10(Math.max(level, 1e-6));
      const share = Math.max(0, Math.min(1, 1 - decibel / FLOOR));
      this.#find('level').style.setProperty('--level', share.toFixed(3));
      this.#find('level').setAttribute('aria-valuenow', String(Math.round(share * 100)));
    },
    transcript: ({ finals, partial }) => {
      const box = this.#find('text');
      const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
      this.#showFinals(finals);
      this.#find('partial').textContent = partial;
      if (isAtEnd) box.scrollTop = box.scrollHeight;
    },
  };

  // Only what changed is touched, so that selected text stays selected.
  #showFinals(finals) {
    const box = this.#find('finals');
    while (box.children.length > finals.length) box.lastChild.remove();
    while (box.children.length < finals.length) box.append(paragraph());
    finals.forEach((turn, index) => {
      const [time, text] = box.children[index].children;
      if (text.textContent !== turn.text) text.textContent = turn.text;
      time.textContent = clockTime(startOf(turn));
    });
  }

  #find(name) {
    return this.#root.querySelector(`.tempkit-${name}`);
  }
}

function paragraph() {
  const made = document.createElement('p');
  made.append(document.createElement('time'), document.createElement('span'));
  return made;
}
