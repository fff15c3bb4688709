// What the widget does, whatever number of views show it: one recording at a time.

import { gap, loss, withoutText } from '../page/words.js';
import { OVER, Run } from '../session/run.js';
import { after } from '../session/timers.js';
import { Transcript } from '../session/transcript.js';
import { Microphone } from '../sound/microphone.js';
import { beacon } from './beacon.js';
import { Kernel, newId, NO_ANSWER } from './kernel.js';
import { Route } from './route.js';

const RESTARTED = 'The kernel was restarted, the recording is over. Run the cell of this widget again.';
const WEBVIEW =
  'VS Code gives notebooks no microphone. Run TokenServer().start() in a cell and open the page that ' +
  'it prints in a browser.';

const HEARING = ['connecting', 'live', 'reconnecting']; // the microphone is open

/** The recording of one widget. */
export class Recorder {
  #kernel;
  #route;
  #views = new Set();
  #hidden = new Set(); // those of them that cannot be seen
  #beacon = null;
  #run = null;
  #clip = { isOver: true }; // what the kernel plays in place of the microphone
  #id = '';
  #cancelCap = () => {};
  #onPageHide = () => this.leave();

  /** What the views show. */
  shown = {
    outcome: null,
    state: 'idle',
    error: '',
    notices: {},
    service: { isSandbox: false, place: '' },
    level: 0,
    transcript: { finals: [], partial: '' },
  };

  /** @param {object} model of the widget */
  constructor(model) {
    this.#kernel = new Kernel(model, (message) => this.#hear(message));
    this.#route = new Route(this.#kernel, (service) => this.#show({ service }));
    // A restart from the menu leaves the view where it is, and the microphone open.
    model.on('comm_live_update', () => this.leave(RESTARTED));
    if (isWebview()) this.#show({ state: 'blocked', error: WEBVIEW });
  }

  /** The widget is gone. */
  close() {
    this.leave();
  }

  /** @param {(change: object) => void} show gets what has changed of `shown` */
  join(show) {
    this.#views.add(show);
    show(this.shown);
  }

  /** A view can be seen, or no more. */
  see(show, isSeen) {
    if (isSeen) this.#hidden.delete(show);
    else this.#hidden.add(show);
    this.#drawBeacon();
  }

  /** A view is gone; with the last of them goes the recording. */
  part(show) {
    this.#views.delete(show);
    this.#hidden.delete(show);
    if (this.#views.size === 0) this.leave();
  }

  /** The button was pressed. */
  press() {
    if (this.shown.state === 'blocked') return;
    if (!this.#clip.isOver) this.#kernel.tell({ kind: 'stop' });
    else if (this.#isOver) this.#start();
    else if (this.shown.state === 'waiting') this.#giveUp();
    else this.#run.stop();
  }

  /** Lets go of the microphone and the session at once. */
  leave(notice = '') {
    if (!this.#clip.isOver) this.#follow(this.#clip.run, { state: 'idle', error: notice });
    if (this.#isOver) return;
    this.#run.leave();
    if (notice) this.#note('page', notice);
  }

  get #isOver() {
    return this.#run?.isOver ?? true;
  }

  #start() {
    const id = newId();
    const seconds = this.#kernel.get('_max_seconds');
    this.#id = id;
    for (const matter of ['line', 'sound', 'device', 'page']) this.#note(matter, '');
    this.#kernel.tell({ kind: 'start', run: id });
    const source = new Microphone({
      chunk: (chunk) => run.take(chunk),
      level: (level) => this.#show({ level }),
      notice: (text) => this.#note('sound', text),
      device: (_, text) => this.#note('device', text),
    });
    const run = new Run(source, this.#route.dial(), {
      state: (state, failure) => this.#change(id, state, failure),
      begin: () => this.#note('line', ''),
      turn: (transcript, _, turn) => this.#take(id, transcript, turn),
      lost: (failure) => this.#note('line', loss(failure)),
      restored: (lost) => this.#note('line', gap(lost)),
    });
    this.#run = run;
    window.addEventListener('pagehide', this.#onPageHide);
    this.#cancelCap = after(seconds * 1000, () => this.#stop(capped(seconds)));
    run.toTheEnd();
  }

  #stop(notice) {
    if (this.#isOver) return;
    this.#run.stop();
    this.#note('page', notice);
  }

  #giveUp() {
    const { unheard } = this.#run;
    this.#run.giveUp();
    this.#note('line', withoutText(unheard));
  }

  #change(id, state, failure) {
    if (id !== this.#id) return;
    const error = failure?.message ?? '';
    if (state === 'failed') this.#note('line', ''); // the failure says more
    this.#show({ outcome: this.#run.outcome, state, error });
    this.#drawBeacon();
    if (this.#isOver) {
      this.#cancelCap();
      window.removeEventListener('pagehide', this.#onPageHide);
    }
    this.#kernel.tell({ kind: 'state', run: id, state, error });
  }

  #take(id, transcript, turn) {
    this.#show({ transcript });
    if (turn.end_of_turn && !this.#kernel.tell({ kind: 'turn', run: id, turn })) this.leave(NO_ANSWER);
  }

  #drawBeacon() {
    const isSeen = [...this.#views].some((show) => !this.#hidden.has(show));
    const isNeeded = HEARING.includes(this.shown.state) && this.#views.size > 0 && !isSeen;
    if (isNeeded) this.#beacon ??= beacon(() => this.press());
    else this.#beacon = this.#beacon?.remove() ?? null;
  }

  #hear({ kind, run, message, ...played }) {
    if (kind === 'stop' && run === this.#id) this.#stop(message);
    if (kind === 'played') this.#follow(run, played);
  }

  /** The kernel plays a clip: its words, and how it goes. */
  #follow(run, { state, error, turn }) {
    if (run !== this.#clip.run) this.#clip = { run, transcript: new Transcript() };
    this.#clip.isOver = OVER.includes(state);
    const { transcript } = this.#clip;
    if (turn) transcript.add(turn);
    const { finals } = transcript;
    const outcome = { sentences: finals.length, seconds: (finals.at(-1)?.words.at(-1)?.end ?? 0) / 1000 };
    const shown = this.#clip.isOver && isWebview() ? 'blocked' : state;
    this.#show({ outcome, state: shown, error, transcript });
  }

  /** Each matter has one notice at a time, '' for none. */
  #note(matter, text) {
    this.#show({ notices: { ...this.shown.notices, [matter]: text } });
  }

  #show(change) {
    Object.assign(this.shown, change);
    for (const show of this.#views) show(change);
  }
}

const isWebview = () =>
  location.protocol.startsWith('vscode-') || location.hostname.endsWith('.vscode-cdn.net');

const capped = (seconds) =>
  `Stopped after ${seconds} seconds, the max_seconds of this widget. Press Start to go on.`;
