// One transcription, from the press of a button to the last word.

import { Conversation } from './conversation.js';
import { keepScreenOn } from './screen.js';
import { after } from './timers.js';

/** The states in which another one may be started. */
export const OVER = ['idle', 'failed'];

const PATIENCE_SECONDS = 2; // the last words mostly come sooner
const ENDED = { connecting: 'finishing', live: 'finishing', reconnecting: 'finishing' };

/** The way of the sound from a source to the words. Its state is one string. */
export class Run {
  #source;
  #dial;
  #on;
  #conversation;
  #hasBegun = false;
  #letScreenGo = null; // from the first time that it is live on

  state = 'starting';
  stopped = new Promise((resolve) => (this.stop = resolve));
  #givenUp = new Promise((resolve) => (this.giveUp = resolve));

  /**
   * @param {object} source open(), finish(), release(), and `ended`, which resolves with a Failure
   *   when the sound goes away, with nothing when it is over
   * @param {() => Promise<object>} dial gets a fresh token
   * @param {object} on what a Conversation tells, and `state` with every new one
   */
  constructor(source, dial, on) {
    this.#source = source;
    this.#dial = dial;
    this.#on = on;
  }

  get isOver() {
    return OVER.includes(this.state);
  }

  /** The sound that has no final text, as the beginning of a sentence; '' for none. */
  get unheard() {
    return this.#conversation?.unheard ?? '';
  }

  /** What came of the session so far; null before it has begun. */
  get outcome() {
    return this.#hasBegun ? this.#conversation.outcome : null;
  }

  /** @param {Int16Array} chunk what the source gives */
  take(chunk) {
    this.#conversation.offer(chunk);
  }

  /** Resolves when it is over; what went wrong, if anything, is told on the way. */
  async toTheEnd() {
    this.#show('starting');
    try {
      const sampleRate = await Promise.race([this.#source.open(), this.stopped]);
      if (sampleRate) await this.#transcribe(sampleRate);
      this.#show('idle');
    } catch (failure) {
      this.#show('failed', failure);
    } finally {
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
      begin: (begin) => {
        this.#hasBegun = true;
        this.#change({ connecting: 'live', reconnecting: 'live' });
        this.#on.begin(begin, sampleRate);
      },
      lost: (...loss) => {
        this.#change({ live: 'reconnecting' });
        this.#on.lost(...loss);
      },
    });
    let loss;
    this.#untilEnded().then((failure) => (loss = failure));
    await Promise.race([this.#conversation.run(), this.#givenUp]);
    if (loss) throw loss;
  }

  async #untilEnded() {
    const loss = await Promise.race([this.stopped, this.#source.ended]);
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
    if (state === 'live') this.#letScreenGo ??= keepScreenOn();
    if (this.isOver) this.#letScreenGo?.();
    this.#on.state(state, failure);
  }
}
