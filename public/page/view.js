// The page's elements: what is shown, never what is done.

import { OVER } from '../session/run.js';
import { drawLevel, drawState, drawTranscript, isAtEnd } from './draw.js';
import { formerWord, STATES, STATES_OF_A_FILE } from './words.js';

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
  drawState(element, name, words);
  for (const id of ['sample', 'pick', 'forget']) element(id).setAttribute('aria-disabled', String(!isOver));
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

/**
 * @param {'service' | 'countdown'} id
 * @param {string} text '' for nothing
 */
export function showText(id, text) {
  if (element(id).textContent !== text) element(id).textContent = text;
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
  words = isFile ? STATES_OF_A_FILE : STATES;
  element('progress').hidden = !isFile;
  showProgress(0);
  for (const about of [...notices.keys()]) showNotice(about, '');
}

/** @param {number} level root mean square, 0 to 1 */
export const showLevel = (level) => drawLevel(element, level);

/** @param {number} share of a file that was sent, 0 to 1 */
export function showProgress(share) {
  element('progress').value = share;
}

/** @param {import('../session/transcript.js').Transcript} transcript */
export function showTranscript(transcript) {
  drawTranscript(element, transcript);
  element('tools').hidden = transcript.finals.length === 0;
  follow();
}

/** @param {import('./kept.js').Kept} kept offers the transcript before the newest one */
export function showFormer({ hasFormer, isFormerShown, isLeftOver }) {
  element('transcript').classList.toggle('left-over', isLeftOver);
  element('former').hidden = !hasFormer;
  element('former').textContent = formerWord(isFormerShown);
}

/** Scrolls to the end, and follows what comes until the reader scrolls away. */
export function showNewest() {
  isFollowing = true;
  follow();
}

function follow() {
  const box = element('transcript');
  if (isFollowing) box.scrollTop = box.scrollHeight;
  element('newest').hidden = isFollowing || isAtEnd(box);
}

element('transcript').addEventListener('scroll', () => {
  isFollowing = isAtEnd(element('transcript'));
  if (isFollowing) element('newest').hidden = true;
});

// A notice takes its place from the words.
new ResizeObserver(follow).observe(element('transcript'));
