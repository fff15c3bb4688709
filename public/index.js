// The page: its buttons, and what each of them starts.

import { isLoopback, tokens } from './link.js';
import { Microphone } from './microphone.js';
import { Run } from './run.js';
import * as view from './view.js';

const WORKLET = new URL('./audio-processor.js', import.meta.url);

const EXPIRED = 3008;
const RENEWED = 'The session comes to its longest duration and is renewed.';
const LOST = 'The connection was lost. What is said meanwhile is kept, and sent when it is back.';

let run; // the present transcription, or the last one

function start(sourceFor) {
  const dial = tokens();
  const source = sourceFor({
    chunk: (chunk) => run.take(chunk),
    level: view.showLevel,
    notice: view.showNotice,
  });
  run = new Run(source, () => dial().then(named), {
    state: view.showState,
    begin: () => {},
    turn: view.showTranscript,
    lost: ({ code }) => view.showNotice(code === EXPIRED ? RENEWED : LOST),
    restored: (seconds) => view.showNotice(seconds > 0 ? lostWords(seconds) : ''),
  });
  view.clear();
  run.toTheEnd();
}

const lostWords = (seconds) =>
  `The line was down for so long that ${seconds.toFixed(1)} seconds of sound could not be kept.`;

function named(grant) {
  const { host } = new URL(grant.websocket_url);
  view.showService(
    isLoopback(grant.websocket_url)
      ? `Sandbox: recognised on this computer (${host})`
      : `AssemblyAI: recognised by the real service (${host})`,
  );
  return grant;
}

const isOver = () => !run || run.state === 'idle' || run.state === 'failed';

view.onButton(() => {
  if (isOver()) start((on) => new Microphone(WORKLET, on));
  else if (run.state !== 'finishing') run.stop();
});

// An open session is paid for until it is terminated.
window.addEventListener('pagehide', () => run?.leave());
