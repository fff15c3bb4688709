// The page's elements: what is shown, never what is done.

const STATES = {
  idle: 'Ready',
  starting: 'Waiting for the microphone…',
  connecting: 'Connecting… you can speak already',
  live: 'Listening',
  reconnecting: 'The line is down, connecting again… you can go on speaking',
  finishing: 'Finishing… waiting for the last words',
  failed: 'Stopped by a problem',
};
const FLOOR = -60; // dB: the empty end of the level meter

const element = (id) => document.getElementById(id);

/**
 * @param {keyof STATES} name the one word that says what the page is doing
 * @param {Error} [failure] what went wrong
 */
export function showState(name, failure) {
  document.body.dataset.state = name;
  element('state').textContent = STATES[name];
  element('button').textContent = name === 'idle' || name === 'failed' ? 'Start' : 'Stop';
  // Not "disabled", which would throw the keyboard's focus away.
  element('button').setAttribute('aria-disabled', String(name === 'finishing'));
  showError(failure?.message ?? '');
}

function showError(text) {
  element('error').textContent = text;
}

/** @param {string} text what is odd about the sound, '' for nothing */
export function showNotice(text) {
  element('notice').textContent = text;
}

/** @param {string} text who recognises the speech */
export function showService(text) {
  element('service').textContent = text;
}

/** @param {() => void} listener called when the button is pressed */
export function onButton(listener) {
  element('button').addEventListener('click', listener);
}

/** Makes room for a new transcription. */
export function clear() {
  showError('');
  showNotice('');
  showTranscript({ finals: [], partial: '' });
}

/** @param {number} level root mean square, 0 to 1 */
export function showLevel(level) {
  const decibel = 20 * Math.log10(Math.max(level, 1e-6));
  const share = Math.max(0, Math.min(1, 1 - decibel / FLOOR));
  element('level').style.setProperty('--level', share.toFixed(3));
  element('level').setAttribute('aria-valuenow', String(Math.round(share * 100)));
}

/** @param {import('./turns.js').Transcript} transcript */
export function showTranscript({ finals, partial }) {
  const box = element('transcript');
  const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  showFinals(finals);
  element('partial').textContent = partial;
  if (isAtEnd) box.scrollTop = box.scrollHeight;
}

// Only what changed is touched, so that selected text stays selected.
function showFinals(finals) {
  const box = element('finals');
  while (box.children.length > finals.length) box.lastChild.remove();
  while (box.children.length < finals.length) box.append(document.createElement('p'));
  finals.forEach(({ text }, index) => {
    const paragraph = box.children[index];
    if (paragraph.textContent !== text) paragraph.textContent = text;
  });
}
