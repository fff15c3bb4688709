// What the widget does, whatever number of views show it: one recording at a time.

import { OVER, Run } from '../page/run.js';
import { OUT_OF_SIGHT } from '../page/words.js';
import { after } from '../session/clock.js';
import { Transcript } from '../session/transcript.js';
import { Microphone } from '../sound/microphone.js';
import { Kernel, newId, NO_ANSWER, Route } from './kernel.js';

const RESTARTED = 'The kernel was restarted, so the recording is over. Run the cell of this widget again.';
const HEARING = ['connecting', 'live', 'reconnecting']; // the microphone is open

export class Recorder {
  #kernel;
  #route;
  #views = new Map(); // what shows something: whether it can be seen
  #beacon = null;
  #run = null;
  #clip = { isOver: true }; // what the kernel plays in place of the microphone
  #id = '';

  shown = {
    state: 'idle',
    outcome: null,
    error: '',
    notices: {},
    service: { isSandbox: false, place: '' },
    level: 0,
    transcript: { finals: [], partial: '' },
  };

  constructor(model) {
    this.#kernel = new Kernel(model, (message) => this.#hear(message));
    this.#route = new Route(this.#kernel, (service) => this.#show({ service }));
    // A restart from the menu leaves the view where it is, and the microphone open.
    model.on('comm_live_update', () => this.leave(RESTARTED));
  }

  /** @param {(change: object) => void} show gets what has changed of `shown` */
  join(show) {
    this.#views.set(show, true);
    show(this.shown);
  }

  /** A view can be seen, or no more. */
  see(show, isSeen) {
    this.#views.set(show, isSeen);
    this.#drawBeacon();
  }

  /** A view is gone; with the last of them goes the recording. */
  part(show) {
    this.#views.delete(show);
    if (this.#views.size === 0) this.leave();
  }

  press() {
    if (!this.#clip.isOver) this.#kernel.tell({ kind: 'stop' });
    else if (this.#isOver) this.#start();
    else this.#run.press();
  }

  /** Lets go of the microphone and the session at once. */
  leave(notice = '') {
    if (!this.#clip.isOver) this.#play(this.#clip.run, { state: 'idle', error: notice });
    if (this.#isOver) return;
    this.#run.leave();
    if (notice) this.#run.note('page', notice);
  }

  get #isOver() {
    return this.#run?.isOver ?? true;
  }

  #start() {
    const seconds = this.#kernel.get('_max_seconds');
    this.#id = newId();
    this.#kernel.tell({ kind: 'start', run: this.#id });
    this.#run = new Run((on) => new Microphone(on), this.#route.dial(), {
      show: (change) => this.#showRun(change),
      turn: (transcript, _, turn) => this.#take(transcript, turn),
    });
    const cancel = after(seconds * 1000, () => this.#stop(capped(seconds)));
    this.#run.toTheEnd().then(cancel);
  }

  #stop(notice) {
    if (this.#isOver) return;
    this.#run.stop();
    this.#run.note('page', notice);
  }

  #showRun(change) {
    this.#show(change);
    const { state, error } = change;
    if (state) this.#kernel.tell({ kind: 'state', run: this.#id, state, error });
  }

  #take(transcript, turn) {
    this.#show({ transcript });
    const message = { kind: 'turn', run: this.#id, turn };
    if (turn.end_of_turn && !this.#kernel.tell(message)) this.leave(NO_ANSWER);
  }

  #hear({ kind, run, message, ...played }) {
    if (kind === 'stop' && run === this.#id) this.#stop(message);
    if (kind === 'played') this.#play(run, played);
  }

  /** The kernel plays a clip: its words, and how it goes. */
  #play(run, { state, error, turn }) {
    if (run !== this.#clip.run) this.#clip = { run, transcript: new Transcript() };
    this.#clip.isOver = OVER.includes(state);
    const { transcript } = this.#clip;
    if (turn) transcript.add(turn);
    const { finals } = transcript;
    const outcome = { sentences: finals.length, seconds: (finals.at(-1)?.words.at(-1)?.end ?? 0) / 1000 };
    this.#show({ outcome, state, error, transcript });
  }

  #show(change) {
    const { notices } = this.shown;
    Object.assign(this.shown, change);
    if (change.notices) this.shown.notices = { ...notices, ...change.notices };
    for (const show of this.#views.keys()) show(change);
    if (change.state) this.#drawBeacon();
  }

  // A recording that nobody sees, as its output is collapsed or scrolled away: a button in the corner
  // of the page says so and stops it. To stop by itself would cost the words of who reads another cell.
  #drawBeacon() {
    const isUnseen = this.#views.size > 0 && ![...this.#views.values()].includes(true);
    const isNeeded = isUnseen && HEARING.includes(this.shown.state);
    if (isNeeded === Boolean(this.#beacon)) return;
    this.#beacon?.remove();
    this.#beacon = isNeeded ? beacon(() => this.press()) : null;
  }
}

function beacon(onPress) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'tempkit-beacon';
  button.textContent = OUT_OF_SIGHT;
  button.addEventListener('click', onPress);
  document.body.append(button);
  return button;
}

const capped = (seconds) =>
  `Stopped after ${seconds} seconds, this widget's max_seconds. Press Start to go on.`;
