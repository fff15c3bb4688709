// The page: its buttons, and what each of them starts.

import { asSubRip, asText, asWebVTT } from './page/export.js';
import { Kept } from './page/kept.js';
import { Microphones } from './page/microphones.js';
import * as panel from './page/panel.js';
import { Run } from './page/run.js';
import { disable, onPress, View } from './page/view.js';
import { COPIED, formerWord, HERE, UNCOPIED } from './page/words.js';
import { askService, isLoopback, requestToken, tokens } from './session/token.js';
import { AudioFile, fetched } from './sound/file.js';
import { Microphone } from './sound/microphone.js';

const SAMPLE = new URL('./sample.wav', import.meta.url);
const TICK_MILLISECONDS = 250;
const BUSY = 'Press Stop before you open a file.';

const element = (id) => document.getElementById(id);
const microphones = new Microphones();
const kept = new Kept(() => sessionStorage);
const view = new View(document.body, element, press, (isAtEnd) => hide('newest', isAtEnd));
let run; // the present transcription, or the last one
let microphone; // the latest

const isBusy = () => Boolean(run) && !run.isOver;
const note = (text) => view.show({ notices: { page: text } });

function press() {
  if (isBusy()) run.press();
  else start((on) => (microphone = new Microphone(on, microphones.wish)), false);
}

function start(sourceFor, isFile) {
  const next = tokens(() => requestToken().then(panel.showGrant));
  const dial = async () => {
    const grant = await next();
    panel.spend(grant);
    showService(grant);
    return grant;
  };
  run = new Run(sourceFor, dial, {
    show,
    turn: showTurn,
    begin: showBegin,
    lost: panel.showLoss,
    frame: panel.showFrame,
  });
  kept.begin();
  showKept();
  element('progress').hidden = true;
  element('time').textContent = '';
  view.show({ isFile });
  run.toTheEnd();
}

const startFile = (load, name) => start((on) => new AudioFile(load, name, on), true);

const startSample = () => startFile(fetched(SAMPLE), 'The sample');

function startFirst([file, ...others]) {
  if (!file) return;
  if (isBusy()) return note(BUSY);
  startFile(() => file.arrayBuffer(), file.name);
  if (others.length > 0) note(`One file at a time: this is ${file.name}.`);
}

/** What a run shows. */
function show({ device, ...change }) {
  view.show(change);
  if (device !== undefined) useDevice(device);
  if (!change.state) return;
  for (const id of ['sample', 'pick', 'forget']) disable(element(id), isBusy());
  showCountdown();
  if (isBusy()) return;
  kept.store();
  useDevice(null);
}

function showCountdown() {
  const text = run?.countdown ?? '';
  if (element('countdown').textContent !== text) element('countdown').textContent = text;
}

function showTurn(transcript, lag) {
  if (kept.take(transcript)) panel.showLag(lag);
  showKept();
}

function showBegin(begin, sampleRate) {
  panel.showBegin(begin, sampleRate);
  findDevices(); // permission is given: now they have names
}

function showKept() {
  view.show({ transcript: kept.shown });
  hide('tools', kept.shown.finals.length === 0);
  element('transcript').classList.toggle('left-over', kept.isLeftOver);
  element('former').hidden = !kept.hasFormer;
  element('former').textContent = formerWord(kept.isFormerShown);
}

// The keyboard's focus goes on to the words: nobody is thrown back to the top of the page.
function hide(id, isHidden) {
  if (isHidden && element(id).contains(document.activeElement)) element('transcript').focus();
  element(id).hidden = isHidden;
}

function showService({ service, websocket_url: url, is_here: isHere }) {
  const isSandbox = isLoopback(url) || service === 'sandbox';
  const elsewhere = isLoopback(location.href) ? '' : `on ${location.hostname}`;
  view.show({ service: { isSandbox, place: isSandbox ? (isHere ? HERE : elsewhere) : '' } });
}

function useDevice(deviceId) {
  microphones.used = deviceId;
  showDevices();
}

async function findDevices() {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const back = microphones.list(devices);
  if (back) microphone?.choose(back.deviceId);
  showDevices();
}

function showDevices() {
  const list = element('device');
  const made = microphones.options.map(({ deviceId, label }) => new Option(label, deviceId));
  const asText = (all) => Array.from(all, ({ value, text }) => [value, text]).join('\n');
  if (asText(list.options) !== asText(made)) list.replaceChildren(...made); // it may be open
  list.value = microphones.shown;
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
    note(COPIED);
  } catch {
    note(UNCOPIED);
  }
}

const PRESSES = {
  sample: startSample,
  pick: () => element('file').click(),
  copy,
  text: () => save(asText, 'transcript.txt', 'text/plain'),
  subrip: () => save(asSubRip, 'transcript.srt', 'application/x-subrip'),
  webvtt: () => save(asWebVTT, 'transcript.vtt', 'text/vtt'),
  forget: () => {
    kept.forget();
    showKept();
  },
  former: () => {
    kept.swap();
    showKept();
  },
  newest: () => view.paper.showNewest(),
};
for (const [id, listener] of Object.entries(PRESSES)) onPress(element(id), listener);

element('device').addEventListener('change', ({ target }) => {
  microphones.pick(target.value);
  microphone?.choose(target.value);
});
element('file').addEventListener('change', ({ target }) => {
  const files = [...target.files];
  target.value = ''; // or the same file could not be picked again
  startFirst(files);
});
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  startFirst([...event.dataTransfer.files]);
});
navigator.mediaDevices?.addEventListener('devicechange', findDevices);
setInterval(showCountdown, TICK_MILLISECONDS);

showKept();
findDevices();
askService().then((told) => told && showService(told));

// A notebook's frame may ask for it. Not a tab, which any page can open: sessions cost money.
if (location.hash === '#sample' && window.parent !== window) startSample();

window.addEventListener('beforeunload', (event) => {
  if (isBusy() || kept.isAtRisk) event.preventDefault();
});

window.addEventListener('pagehide', () => kept.store());
