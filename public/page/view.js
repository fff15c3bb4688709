// The page's elements: what is shown, never what is done.

import { OVER } from '../session/run.js';
import { drawBar, drawLevel, drawNotices, drawService, drawState, isAtEnd, Paper } from './draw.js';
import { advice, formerWord, progress } from './words.js';

const element = (id) => document.getElementById(id);
const paper = new Paper(element);
const notices = {};
let isFollowing = true; // the newest words, until the reader scrolls away
let isFile = false; // what is transcribed

/**
 * @param {string} name the one word that says what the page is doing
 * @param {Error} [failure] what went wrong
 * @param {object | null} outcome of the session, see Run
 */
export function showState(name, failure, outcome) {
  const isOver = OVER.includes(name);
  document.body.dataset.state = name;
  drawState(element, name, outcome, isFile);
  for (const id of ['sample', 'pick', 'forget']) element(id).setAttribute('aria-disabled', String(!isOver));
  element('error').textContent = advice(failure?.message ?? '', isFile);
  if (isOver) paper.finish();
}

/**
 * @param {'line' | 'sound' | 'device' | 'page'} matter each has one notice at a time
 * @param {string} text what is worth knowing, '' for nothing
 */
export function showNotice(matter, text) {
  notices[matter] = text;
  drawNotices(element, notices);
}

/** @param {string} text '' for nothing */
export function showCountdown(text) {
  if (element('countdown').textContent !== text) element('countdown').textContent = text;
}

/** @param {{ isSandbox: boolean, place: string }} whom one talks to */
export const showService = (whom) => drawService(element, whom);

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

/** @param {(deviceId: string) => void} listener called with the microphone that was picked */
export const onDevice = (listener) =>
  element('device').addEventListener('change', ({ target }) => listener(target.value));

/** @param {import('./microphones.js').Microphones} microphones */
export function showDevices({ options, shown }) {
  const list = element('device');
  const made = options.map(({ deviceId, label }) => new Option(label, deviceId));
  const asText = (all) => Array.from(all, ({ value, text }) => [value, text]).join('\n');
  if (asText(list.options) !== asText(made)) list.replaceChildren(...made); // it may be open
  list.value = shown;
}

/** Makes room for a new transcription, of a file or of the microphone. */
export function clear(ofFile) {
  isFile = ofFile;
  element('progress').hidden = true;
  element('time').textContent = '';
  for (const matter of Object.keys(notices)) showNotice(matter, '');
}

/** @param {number} level root mean square, 0 to 1 */
export const showLevel = (level) => drawLevel(element, level);

/** How much of a file was sent, in seconds. */
export function showProgress(at, total) {
  element('progress').hidden = false;
  drawBar(element('progress'), at / Math.max(total, at, 1e-6));
  element('progress').setAttribute('aria-valuetext', progress(at, total));
  element('time').textContent = progress(at, total);
}

/** @param {import('../session/transcript.js').Transcript} transcript */
export function showTranscript(transcript) {
  paper.draw(transcript);
  hide('tools', transcript.finals.length === 0);
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
  hide('newest', isFollowing || isAtEnd(box));
}

// The keyboard's focus goes on to the words: nobody is thrown back to the top of the page.
function hide(id, isHidden) {
  if (isHidden && element(id).contains(document.activeElement)) element('transcript').focus();
  element(id).hidden = isHidden;
}

element('transcript').addEventListener('scroll', () => {
  isFollowing = isAtEnd(element('transcript'));
  hide('newest', isFollowing);
});

// A notice takes its place from the words.
new ResizeObserver(follow).observe(element('transcript'));
