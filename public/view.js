// The page's elements: what is shown, never what is done.

import { clockTime, startOf } from './export.js';

const STATES = {
  idle: 'Ready',
  starting: 'Waiting for the microphone…',
  connecting: 'Connecting… you can speak already',
  live: 'Listening',
  reconnecting: 'The line is down, connecting again… you can go on speaking',
  finishing: 'Finishing… waiting for the last words',
  waiting: 'Still waiting for the last words…',
  failed: 'Stopped by a problem',
};
const OF_A_FILE = {
  starting: 'Opening the file…',
  connecting: 'Connecting…',
  live: 'Playing the file to the service',
  reconnecting: 'The line is down, connecting again… the file goes on',
};
const BUTTON = { idle: 'Start', failed: 'Start', waiting: 'Stop now' };
const OVER = ['idle', 'failed'];
const FLOOR = -60; // dB: the empty end of the level meter
const NEAR = 40; // pixels from the end count as the end

const element = (id) => document.getElementById(id);
const notices = new Map();
let isFollowing = true; // the newest words, until the reader scrolls away
let words = STATES;

/**
 * @param {keyof STATES} name the one word that says what the page is doing
 * @param {Error} [failure] what went wrong
 */
export function showState(name, failure) {
  const isOver = OVER.includes(name);
  document.body.dataset.state = name;
  element('state').textContent = words[name];
  element('button').textContent = BUTTON[name] ?? 'Stop';
  // Not "disabled", which would throw the keyboard's focus away.
  element('button').setAttribute('aria-disabled', String(name === 'finishing'));
  for (const id of ['sample', 'pick']) element(id).setAttribute('aria-disabled', String(!isOver));
  element('error').textContent = failure?.message ?? '';
}

/**
 * @param {'line' | 'sound' | 'page'} about each has one notice at a time
 * @param {string} text what is worth knowing, '' for nothing
 */
export function showNotice(about, text) {
  notices.set(about, text);
  element('notice').textContent = [...notices.values()].filter(Boolean).join(' ');
}

/** @param {string} text how long something takes, '' for nothing */
export function showCountdown(text) {
  if (element('countdown').textContent !== text) element('countdown').textContent = text;
}

/** @param {string} text who recognises the speech */
export function showService(text) {
  element('service').textContent = text;
}

/**
 * @param {string} id of a button
 * @param {() => void} listener called when the button is pressed
 */
export function onPress(id, listener) {
  const button = element(id);
  // The second click of a double click, or a key that is held, would undo the first.
  button.addEventListener('keydown', (event) => event.repeat && event.preventDefault());
  button.addEventListener('click', ({ detail }) => {
    if (detail < 2 && button.getAttribute('aria-disabled') !== 'true') listener();
  });
}

/** @param {(files: File[]) => void} listener called with what was picked or dropped */
export function onFile(listener) {
  const input = element('file');
  onPress('pick', () => input.click());
  input.addEventListener('change', () => {
    const files = [...input.files];
    input.value = ''; // or the same file could not be picked again
    if (files.length > 0) listener(files);
  });
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    const files = [...event.dataTransfer.files];
    if (files.length > 0) listener(files);
  });
}

/** The id of the chosen microphone, '' for the default one. */
export const chosenDevice = () => element('device').value;

/** @param {(deviceId: string) => void} listener called with the microphone that was picked */
export const onDevice = (listener) =>
  element('device').addEventListener('change', () => listener(chosenDevice()));

/** @param {string} deviceId the microphone that is used */
export function chooseDevice(deviceId) {
  element('device').value = deviceId;
}

/** @param {{ deviceId: string, label: string }[]} devices those that the browser names */
export function showDevices(devices) {
  const chosen = chosenDevice();
  const options = devices.map(({ deviceId, label }) => new Option(label, deviceId));
  element('device').replaceChildren(new Option('Default', ''), ...options);
  if (devices.some(({ deviceId }) => deviceId === chosen)) element('device').value = chosen;
}

/** Makes room for a new transcription, of a file or of the microphone. */
export function clear(isFile) {
  words = isFile ? { ...STATES, ...OF_A_FILE } : STATES;
  element('progress').hidden = !isFile;
  showProgress(0);
  for (const about of [...notices.keys()]) showNotice(about, '');
  showTranscript({ finals: [], partial: '' });
}

/** @param {number} level root mean square, 0 to 1 */
export function showLevel(level) {
  const decibel = 20 * Math.log10(Math.max(level, 1e-6));
  const share = Math.max(0, Math.min(1, 1 - decibel / FLOOR));
  element('level').style.setProperty('--level', share.toFixed(3));
  element('level').setAttribute('aria-valuenow', String(Math.round(share * 100)));
}

/** @param {number} share of a file that was sent, 0 to 1 */
export function showProgress(share) {
  element('progress').value = share;
}

/** @param {import('./turns.js').Transcript} transcript */
export function showTranscript({ finals, partial }) {
  showFinals(finals);
  element('partial').textContent = partial;
  element('tools').hidden = finals.length === 0;
  follow();
}

/** Scrolls to the end, and follows what comes until the reader scrolls away. */
export function showNewest() {
  isFollowing = true;
  follow();
}

function follow() {
  const box = element('transcript');
  if (isFollowing) box.scrollTop = box.scrollHeight;
  element('newest').hidden = isFollowing || isAtEnd();
}

element('transcript').addEventListener('scroll', () => {
  isFollowing = isAtEnd();
  if (isFollowing) element('newest').hidden = true;
});

// A notice takes its place from the words.
new ResizeObserver(follow).observe(element('transcript'));

function isAtEnd() {
  const box = element('transcript');
  return box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
}

// Only what changed is touched, so that selected text stays selected.
function showFinals(finals) {
  const box = element('finals');
  while (box.children.length > finals.length) box.lastChild.remove();
  while (box.children.length < finals.length) box.append(paragraph());
  finals.forEach((turn, index) => {
    const [time, text] = box.children[index].children;
    if (text.textContent !== turn.text) text.textContent = turn.text;
    const start = clockTime(startOf(turn));
    if (time.textContent === start) return;
    time.textContent = start;
    time.dateTime = `PT${startOf(turn) / 1000}S`;
  });
}

function paragraph() {
  const made = document.createElement('p');
  const text = document.createElement('span');
  text.className = 'text';
  made.append(document.createElement('time'), text);
  return made;
}
