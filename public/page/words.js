// What is said to people, in the page and in the notebook's widget alike.

import { clockTime } from '../session/clock.js';
import { EXPIRED } from '../session/close-codes.js';

const RENEWED = 'The session has reached its maximum duration and is renewed.';
const KEPT = 'The sound is kept and sent when the connection is back.';
const LAST_TRY = 'This is the last try.';

export const COPIED = 'Copied.';
export const UNCOPIED = 'The browser does not allow copying here. Save it as text instead.';

/** On the button that stops a recording of which no view can be seen. */
export const OUT_OF_SIGHT = '● Still listening. Stop';

/** What the button says that shows the other one of two transcripts. */
export const formerWord = (isShown) =>
  isShown ? 'Back to the newest transcript' : 'Show the previous transcript';

const STATES = {
  idle: 'Ready',
  starting: 'Waiting for the microphone…',
  connecting: 'Connecting… you can start speaking',
  live: 'Listening',
  reconnecting: 'Connection lost, reconnecting… you can go on speaking',
  finishing: 'Finishing… waiting for the last words',
  waiting: 'Still waiting for the last words…',
  failed: 'Stopped by a problem',
};

// Where it is otherwise for a file.
const STATES_OF_A_FILE = {
  starting: 'Opening the file…',
  connecting: 'Connecting…',
  live: 'Listening to the file',
  reconnecting: 'Connection lost, reconnecting… the file goes on',
};

/** What a Run is doing; `outcome` is that of its session, null when none began. */
export function stateWord(state, outcome, isFile) {
  if (state === 'failed' && !outcome) return 'Could not start';
  if (state === 'idle' && outcome) return finished(outcome);
  return (isFile && STATES_OF_A_FILE[state]) || STATES[state];
}

function finished({ sentences, seconds }) {
  const count = `${sentences || 'no'} sentence${sentences === 1 ? '' : 's'}`;
  const length = seconds < 60 ? `${Math.round(seconds)} s` : clockTime(seconds * 1000);
  return `Finished: ${count}, ${length}`;
}

export function buttonWord(state, outcome) {
  if (state === 'waiting') return 'Stop now';
  if (!['idle', 'failed'].includes(state)) return 'Stop';
  return outcome ? 'Start again' : 'Start';
}

/** What to do after a failure: with a file, Start would open the microphone. */
export const advice = (text, isFile) =>
  isFile ? text.replace(/(try) again/gi, '$1 the file again') : text;

export const progress = (at, total) => `${clockTime(at * 1000)} of ${clockTime(total * 1000)}`;

/** A microphone in the list that is not there at the moment. */
export const away = (label) => `${label} (not connected)`;

export const withoutText = (unheard) => (unheard ? `${unheard} have no text.` : '');

/** @param {import('../session/failure.js').Failure} failure after which it is tried again */
export const loss = ({ code, what }) => (code === EXPIRED ? RENEWED : `${what} ${KEPT}`);

export const gap = (seconds) =>
  seconds > 0
    ? `The connection was lost for so long that ${seconds.toFixed(1)} seconds of sound are lost.`
    : '';

/** Where a sandbox is: said only of what is certain, as behind a forwarded port it looks as if here. */
export const HERE = 'stays on this computer';
export const KERNEL = 'through the kernel';

/** Whom one talks to; `place` is where that is, or by which way, '' for nothing to say. */
export const service = (isSandbox, place) =>
  [isSandbox ? 'Sandbox' : 'AssemblyAI, billed', place].filter(Boolean).join(', ');

/**
 * How long one still waits, and what a second Stop would cost. In steady seconds a `line` that is down
 * is tried again at `next` and given up at `end`.
 */
export function countdown({ state, unheard, line }, now) {
  return [line && triesOf(line, now), state === 'waiting' && choice(unheard)]
    .filter(Boolean)
    .join(' ');
}

function triesOf({ next, end }, now) {
  const soon = next > now ? `Next try in ${Math.ceil(next - now)} s` : 'Trying now';
  if (end === Infinity) return `${soon}.`;
  return end > now ? `${soon}, giving up in ${Math.ceil(end - now)} s.` : LAST_TRY;
}

function choice(unheard) {
  return unheard
    ? `${unheard} have no text yet; “Stop now” ends without waiting for it.`
    : '“Stop now” ends without waiting for the service.';
}
