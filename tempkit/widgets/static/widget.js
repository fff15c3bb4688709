// The widget as Jupyter's front ends know it: one model, any number of views.

import { View } from '../page/view.js';
import { Recorder } from './recorder.js';

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

/** @param {() => void} onEnd called when the widget is gone */
export default (onEnd) => () => {
  let recorder;
  return {
    initialize({ model }) {
      recorder = new Recorder(model);
      return () => {
        recorder.leave();
        onEnd();
      };
    },
    render({ el }) {
      const root = skeleton();
      const find = (name) => root.querySelector(`.tempkit-${name}`);
      el.replaceChildren(root);
      const { show } = new View(root, find, () => recorder.press());
      const see = (seen) => recorder.see(show, seen.at(-1).isIntersecting);
      const watching = new IntersectionObserver(see);
      watching.observe(root);
      recorder.join(show);
      return () => {
        watching.disconnect();
        recorder.part(show);
      };
    },
  };
};

function skeleton() {
  const root = document.createElement('div');
  root.className = 'tempkit-microphone';
  root.innerHTML = SKELETON;
  root.setAttribute('role', 'group');
  root.setAttribute('aria-label', 'Microphone');
  // Or the notebook takes the keys that press the button for its own commands.
  root.dataset.lmSuppressShortcuts = 'true';
  return root;
}
