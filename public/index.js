// The page: its buttons, and what each of them starts.

import { AudioFile, fetched } from './audio-file.js';
import { asText, asWebVTT } from './export.js';
import { isLoopback, tokens } from './link.js';
import { Microphone } from './microphone.js';
import * as panel from './panel.js';
import { Run } from './run.js';
import * as view from './view.js';

const WORKLET = new URL('./audio-processor.js', import.meta.url);
const SAMPLE = new URL('./sample.wav', import.meta.url);
const EXPIRED = 3008;
const RENEWED = 'The session comes to its longest duration and is renewed.';
const LOST = 'The connection was lost. What is said meanwhile is kept, and sent when it is back.';

let run; // the present transcription, or the last one
let finals = []; // its turns that are over

function start(sourceFor, { isFile }) {
  const dial = tokens(panel.showGrant);
  const source = sourceFor({
    chunk: (chunk) => run.take(chunk),
    level: view.showLevel,
    notice: view.showNotice,
    progress: view.showProgress,
  });
  run = new Run(source, () => dial().then(named), {
    state: view.showState,
    frame: panel.showFrame,
    begin: showBegin,
    turn: showTurn,
    lost: showLoss,
    restored: (seconds) => view.showNotice(seconds > 0 ? lostWords(seconds) : ''),
  });
  finals = [];
  view.clear(isFile);
  run.toTheEnd();
}

const startFile = (load, name) => start((on) => new AudioFile(load, name, on), { isFile: true });

function showBegin(begin, sampleRate) {
  panel.showBegin(begin, sampleRate);
  showDevices(); // permission is given: now they have names
}

function showTurn(transcript, lag) {
  if (transcript.finals.length !== finals.length) panel.showLag(lag);
  finals = transcript.finals;
  view.showTranscript(transcript);
}

function showLoss({ code, message }, pause) {
  view.showNotice(code === EXPIRED ? RENEWED : LOST);
  panel.showEvent(`${code ?? 'no token'}: ${message} Again in ${pause.toFixed(2)} s.`);
}

const lostWords = (seconds) =>
  `The line was down for so long that ${seconds.toFixed(1)} seconds of sound could not be kept.`;

function named(grant) {
  panel.spend(grant);
  const { host } = new URL(grant.websocket_url);
  const isHere = isLoopback(grant.websocket_url);
  const where = isHere ? 'on this computer' : 'on the computer of the notebook';
  view.showService(
    isHere || grant.service === 'sandbox'
      ? `Sandbox: recognised ${where} (${host})`
      : `AssemblyAI: recognised by the real service (${host})`,
  );
  return grant;
}

async function showDevices() {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  // Before the permission they have neither names nor ids; "default" is there twice.
  const named = devices.filter(({ kind, deviceId, label }) => {
    return kind === 'audioinput' && label && deviceId !== 'default';
  });
  view.showDevices(named);
}

function save(text, name, type) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(asText(finals));
    view.showNotice('Copied.');
  } catch {
    view.showNotice('The browser does not allow to copy here. Save it as text instead.');
  }
}

const isOver = () => !run || run.state === 'idle' || run.state === 'failed';

view.onPress('button', () => {
  if (!isOver()) run.stop();
  else start((on) => new Microphone(WORKLET, on, view.chosenDevice()), { isFile: false });
});
view.onPress('sample', () => startFile(fetched(SAMPLE), 'The sample'));
view.onFile((file) => startFile(() => file.arrayBuffer(), file.name));
view.onPress('copy', copy);
view.onPress('text', () => save(asText(finals), 'transcript.txt', 'text/plain'));
view.onPress('webvtt', () => save(asWebVTT(finals), 'transcript.vtt', 'text/vtt'));
view.onPress('newest', view.showNewest);

navigator.mediaDevices?.addEventListener('devicechange', showDevices);
showDevices();

// An open session is paid for until it is terminated.
window.addEventListener('pagehide', () => run?.leave());
