// The page: its buttons, and what each of them starts.

import { asSubRip, asText, asWebVTT } from './page/export.js';
import { Kept } from './page/kept.js';
import { Microphones } from './page/microphones.js';
import * as panel from './page/panel.js';
import * as view from './page/view.js';
import { COPIED, countdown, gap, HERE, loss, UNCOPIED, withoutText } from './page/words.js';
import { steady } from './session/clock.js';
import { EXPIRED } from './session/close-codes.js';
import { Run } from './session/run.js';
import { askService, isLoopback, tokens } from './session/token.js';
import { AudioFile, fetched } from './sound/file.js';
import { Microphone } from './sound/microphone.js';

const SAMPLE = new URL('./sample.wav', import.meta.url);
const TICK_MILLISECONDS = 250;
const BUSY = 'Press Stop before you open a file.';

const microphones = new Microphones();
let run; // the present transcription, or the last one
let microphone = null; // its source, unless that is a file
let line = null; // while it is down: when it is tried again and when it is given up
const kept = new Kept(() => sessionStorage);

function start(sourceFor, { isFile }) {
  const dial = tokens(panel.showGrant);
  const source = sourceFor({
    chunk: (chunk) => run.take(chunk),
    level: view.showLevel,
    device: useDevice,
    notice: (text) => view.showNotice('sound', text),
    progress: view.showProgress,
  });
  microphone = isFile ? null : source;
  run = new Run(source, () => dial().then(named), {
    state: showState,
    frame: panel.showFrame,
    begin: showBegin,
    turn: showTurn,
    lost: showLoss,
    restored: (seconds) => view.showNotice('line', gap(seconds)),
  });
  kept.begin();
  view.clear(isFile);
  showKept();
  run.toTheEnd();
}

const startFile = (load, name) => start((on) => new AudioFile(load, name, on), { isFile: true });

const startSample = () => startFile(fetched(SAMPLE), 'The sample');

function startFirst([file, ...others]) {
  if (run && !run.isOver) return view.showNotice('page', BUSY);
  startFile(() => file.arrayBuffer(), file.name);
  if (others.length > 0) view.showNotice('page', `One file at a time: this is ${file.name}.`);
}

function giveUp() {
  const { unheard } = run;
  run.giveUp();
  view.showNotice('line', withoutText(unheard));
}

function showState(state, failure) {
  if (run.isOver) line = null;
  if (run.isOver) kept.store();
  if (state === 'failed') view.showNotice('line', ''); // the failure says more
  if (run.isOver) useDevice(null);
  view.showState(state, failure, run.outcome);
  showCountdown();
}

function useDevice(deviceId, text) {
  microphones.used = deviceId;
  view.showDevices(microphones);
  if (text !== undefined) view.showNotice('device', text);
}

const showCountdown = () => {
  if (!run) return;
  const { state, unheard } = run;
  view.showCountdown(countdown({ state, unheard, line }, steady()));
};

function showBegin(begin, sampleRate) {
  line = null;
  view.showNotice('line', '');
  panel.showBegin(begin, sampleRate);
  showDevices(); // permission is given: now they have names
}

function showTurn(transcript, lag) {
  if (kept.take(transcript)) panel.showLag(lag);
  showKept();
}

function showKept() {
  view.showTranscript(kept.shown);
  view.showFormer(kept);
}

function showLoss(failure, pause, left) {
  const { code, message } = failure;
  const now = steady();
  // A renewal takes no time that is worth a word.
  line = code === EXPIRED ? null : { next: now + pause, end: left === null ? null : now + left };
  view.showNotice('line', loss(failure));
  showCountdown();
  panel.showEvent(`${code ?? 'no token'}: ${message} Again in ${pause.toFixed(2)} s.`);
}

function named(grant) {
  panel.spend(grant);
  showService(grant);
  return grant;
}

function showService({ service, websocket_url: url, is_here: isHere }) {
  const isSandbox = isLoopback(url) || service === 'sandbox';
  const elsewhere = isLoopback(location.href) ? '' : `on ${location.hostname}`;
  view.showService({ isSandbox, place: isSandbox ? (isHere ? HERE : elsewhere) : '' });
}

async function showDevices() {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const back = microphones.list(devices);
  if (back) microphone?.choose(back.deviceId);
  view.showDevices(microphones);
}

function save(asFile, name, type) {
  const text = asFile(kept.shown.finals);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  kept.keep();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(asText(kept.shown.finals));
    kept.keep();
    view.showNotice('page', COPIED);
  } catch {
    view.showNotice('page', UNCOPIED);
  }
}

view.onPress('button', () => {
  if (run?.state === 'waiting') giveUp();
  else if (run && !run.isOver) run.stop();
  else start((on) => new Microphone(on, microphones.wish), { isFile: false });
});
view.onPress('sample', startSample);
view.onFile(startFirst);
view.onDevice((deviceId) => {
  microphones.pick(deviceId);
  microphone?.choose(deviceId);
});
view.onPress('copy', copy);
view.onPress('text', () => save(asText, 'transcript.txt', 'text/plain'));
view.onPress('subrip', () => save(asSubRip, 'transcript.srt', 'application/x-subrip'));
view.onPress('webvtt', () => save(asWebVTT, 'transcript.vtt', 'text/vtt'));
view.onPress('former', () => {
  kept.swap();
  showKept();
});
view.onPress('forget', () => {
  kept.forget();
  showKept();
});
view.onPress('newest', view.showNewest);

navigator.mediaDevices?.addEventListener('devicechange', showDevices);
showDevices();
askService().then((told) => told && showService(told));
showKept();
setInterval(showCountdown, TICK_MILLISECONDS);

// A notebook's frame may ask for it. Not a tab, which any page can open: sessions cost money.
if (location.hash === '#sample' && window.parent !== window) startSample();

window.addEventListener('beforeunload', (event) => {
  if ((run && !run.isOver) || kept.isAtRisk) event.preventDefault();
});

// An open session is paid for until it is terminated.
window.addEventListener('pagehide', () => {
  run?.leave();
  kept.store();
});
