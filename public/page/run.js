// One transcription, from the press of a button to the last word, and what is shown of it.

import { after, steady } from '../session/clock.js';
import { EXPIRED } from '../session/close-codes.js';
import { Conversation } from '../session/conversation.js';
import { countdown, gap, loss, withoutText } from './words.js';

/** The states in which another one may be started. */
export const OVER = ['idle', 'failed'];

const PATIENCE_SECONDS = 2; // the last words mostly come sooner
const ENDED = { connecting: 'finishing', live: 'finishing', reconnecting: 'finishing' };

/** The way of the sound from a source to the words. Its state is one string. */
export class Run {
  #source;
  #dial;
  #on;
  #conversation = null;
  #line = null; // while it is down: when it is tried again and when it is given up
  #givenUp = new Promise((resolve) => (this.giveUp = resolve));
  #stopped = new Promise((resolve) => (this.stop = resolve));

  state = 'starting';

  /**
   * @param {(on: object) => object} sourceFor makes what has open(), finish(), release(), and `ended`,
   *   which resolves with a Failure when the sound goes away, with nothing when it is over
   * @param {object} on `show` gets what a View shows, as it changes, and the `device` that is used;
   *   the others, and `dial`, are those of a Conversation
   */
  constructor(sourceFor, dial, on) {
    this.#dial = dial;
    this.#on = on;
    this.#source = sourceFor({
      chunk: (chunk) => this.#conversation.offer(chunk),
      level: (level) => on.show({ level }),
      progress: (...progress) => on.show({ progress }),
      notice: (text) => this.note('sound', text),
      device: (device, text) => on.show({ device, notices: { device: text } }),
    });
  }

  get isOver() {
    return OVER.includes(this.state);
  }

  /** How long one still waits, in words; '' for nothing. */
  get countdown() {
    const unheard = this.#conversation?.unheard ?? '';
    return countdown({ state: this.state, unheard, line: this.#line }, steady());
  }

  /** The button was pressed: to stop, or not to wait for the last words. */
  press() {
    if (this.state !== 'waiting') return this.stop();
    const { unheard } = this.#conversation;
    this.giveUp();
    this.note('line', withoutText(unheard));
  }

  /** Each matter, 'line', 'sound', 'device' or 'page', has one notice at a time; '' for none. */
  note(matter, text) {
    this.#on.show({ notices: { [matter]: text } });
  }

  /** Resolves when it is over; what went wrong, if anything, is shown on the way. */
  async toTheEnd() {
    this.#on.show({ notices: { line: '', sound: '', device: '', page: '' } });
    this.#show('starting');
    const leave = () => this.leave(); // an open session is paid for until it is terminated
    window.addEventListener('pagehide', leave);
    const letScreenGo = keepScreenOn();
    try {
      const sampleRate = await Promise.race([this.#source.open(), this.#stopped]);
      if (sampleRate) await this.#transcribe(sampleRate);
      this.#show('idle');
    } catch (failure) {
      this.note('line', ''); // the failure says more
      this.#show('failed', failure);
    } finally {
      window.removeEventListener('pagehide', leave);
      letScreenGo();
      this.leave();
    }
  }

  /** Lets go of everything at once. */
  leave() {
    this.stop();
    this.#source.release();
    this.#conversation?.close();
  }

  async #transcribe(sampleRate) {
    this.#show('connecting');
    // The sound flows from here on: what is said while connecting waits.
    this.#conversation = new Conversation(sampleRate, this.#dial, {
      ...this.#on,
      begin: (begin) => this.#begin(begin, sampleRate),
      lost: (...loss) => this.#lose(...loss),
      restored: (seconds) => this.note('line', gap(seconds)),
    });
    let loss;
    this.#untilEnded().then((failure) => (loss = failure));
    await Promise.race([this.#conversation.run(), this.#givenUp]);
    if (loss) throw loss;
  }

  #begin(begin, sampleRate) {
    this.#line = null;
    this.#change({ connecting: 'live', reconnecting: 'live' });
    this.note('line', '');
    this.#on.begin?.(begin, sampleRate);
  }

  #lose(failure, pause, left) {
    const now = steady();
    // A renewal takes no time that is worth a word.
    this.#line = failure.code === EXPIRED ? null : { next: now + pause, end: now + left };
    this.#change({ live: 'reconnecting' });
    this.note('line', loss(failure));
    this.#on.lost?.(failure, pause);
  }

  async #untilEnded() {
    const loss = await Promise.race([this.#stopped, this.#source.ended]);
    this.#change(ENDED);
    after(PATIENCE_SECONDS * 1000, () => this.#change({ finishing: 'waiting' }));
    await this.#source.finish();
    this.#conversation.endAudio();
    return loss;
  }

  /** Goes on from one state to another, unless something else has happened in the meantime. */
  #change(steps) {
    const next = steps[this.state];
    if (next) this.#show(next);
  }

  #show(state, failure) {
    this.state = state;
    if (this.isOver) this.#line = null;
    const outcome = this.#conversation?.outcome ?? null;
    this.#on.show({ state, outcome, error: failure?.message ?? '' });
  }
}

/**
 * Keeps the screen of a phone on where the browser lets it: when it locks, the page stands still in the
 * middle of a dictation. A refusal changes nothing. Gives what lets it go.
 */
export function keepScreenOn() {
  const ask = () => navigator.wakeLock?.request('screen').catch(() => null);
  let lock = Promise.resolve(ask());
  // The browser takes it back when the page is hidden.
  const again = () => {
    if (document.visibilityState !== 'visible') return;
    lock = lock.then((held) => (held?.released === false ? held : ask()));
  };
  document.addEventListener('visibilitychange', again);
  return () => {
    document.removeEventListener('visibilitychange', again);
    lock.then((held) => held?.release());
  };
}
