// A session kept going over one connection after another: the rules of tempkit/conversation.py.

import { Connection, steady } from './connection.js';
import { clockTime } from './export.js';
import { Failure, pauseBefore, POLICY } from './retry.js';
import { Session } from './session.js';

const OPENINGS = 3; // how often the first connection is tried when it breaks before Begin
const STEADY_SECONDS = 10; // a connection that lasted so long was one
const NO_PROGRESS = ['Begin', 'Warning', 'Error']; // messages of a connection that may be going

/** Audio in, turns out, whatever happens to the connections. */
export class Conversation {
  #sampleRate;
  #dial;
  #on;
  #session;
  #connection = null;
  #attempt = 0;
  #lostAt = null; // steady seconds, until there is progress again
  #wake = () => {};
  #isClosed = false;
  #origin = 0; // steady seconds at which the session's clock began, as far as one can tell

  /**
   * @param {number} sampleRate of the audio, in Hz
   * @param {(sampleRate: number) => Promise<object>} dial gets a fresh token, as requestToken does
   * @param {object} on
   * @param {(transcript: object, lag: number, turn: object) => void} on.turn `lag` is in seconds,
   *   from the end of the turn's last word; `turn` is the message itself, on the session's clock
   * @param {(begin: object) => void} on.begin for each connection
   * @param {(failure: Failure, pause: number, left: number | null) => void} on.lost it is tried again
   *   in `pause` seconds, and given up in `left`; null while the first connection is opened
   * @param {(lostSeconds: number) => void} on.restored
   * @param {(direction: 'in' | 'out', what: object | string | Int16Array) => void} [on.frame]
   */
  constructor(sampleRate, dial, on) {
    this.#sampleRate = sampleRate;
    this.#dial = dial;
    this.#on = { frame: () => {}, ...on };
    this.#session = new Session(sampleRate);
  }

  /** @param {Int16Array} chunk more audio, whether there is a connection or not */
  offer(chunk) {
    const { backlog } = this.#session;
    backlog.offer(chunk);
    this.#origin = steady() - backlog.end / this.#sampleRate;
    this.#connection?.look();
  }

  /** Asks for the last words: no more audio comes. */
  endAudio() {
    this.#session.endAudio();
    this.#connection?.look();
  }

  /** Connects, and goes on until the service has said everything. Throws a Failure. */
  async run() {
    await this.#open();
    while (!this.#isClosed) {
      const began = steady();
      const cut = await this.#connection.ended;
      this.#connection.release();
      if (!cut) return;
      if (steady() - began > STEADY_SECONDS) this.#lostAt = null;
      await this.#recover(cut);
    }
  }

  /** The sound that has no final text, as the beginning of a sentence; '' for none. */
  get unheard() {
    const { backlog } = this.#session;
    const seconds = backlog.seconds + backlog.lostSeconds;
    if (seconds < 0.1) return '';
    const from = clockTime((backlog.start / this.#sampleRate) * 1000);
    return `The last ${seconds.toFixed(1)} seconds of sound, from ${from} on,`;
  }

  /** Ends the session without waiting for anything. */
  close() {
    this.#isClosed = true;
    this.#connection?.close();
    this.#wake();
  }

  async #open() {
    for (let attempt = 0; !this.#isClosed; attempt += 1) {
      try {
        await this.#connect();
        return;
      } catch (failure) {
        const pause = failure.code ? pauseBefore(attempt, failure, Math.random()) : null;
        if (pause === null || attempt + 1 === OPENINGS) throw failure;
        this.#on.lost(failure, pause, null);
        await this.#sleep(pause);
      }
    }
  }

  async #connect() {
    const grant = await this.#dial(this.#sampleRate);
    if (this.#isClosed) return;
    this.#connection = new Connection(this.#session, grant, this.#sampleRate, {
      message: (own) => this.#receive(own),
      frame: this.#on.frame,
    });
    await this.#connection.begin();
  }

  #receive(own) {
    if (own.type === 'Begin') this.#on.begin(own);
    if (NO_PROGRESS.includes(own.type)) return;
    this.#attempt = 0;
    this.#lostAt = null;
    if (own.type !== 'Turn') return;
    const lag = steady() - this.#origin - (own.words.at(-1)?.end ?? 0) / 1000;
    this.#on.turn(this.#session.transcript, lag, own);
  }

  async #recover(cut) {
    this.#lostAt ??= steady();
    let why = cut;
    while (!this.#isClosed) {
      const pause = pauseBefore(this.#attempt, why, Math.random());
      const left = this.#lostAt + POLICY.giveUpAfterSeconds - steady();
      if (pause === null || pause > left) throw this.#givenUp(why);
      this.#on.lost(why, pause, left);
      this.#attempt += 1;
      await this.#sleep(pause);
      try {
        await this.#connect();
        if (this.#isClosed) return;
        this.#on.restored(this.#session.backlog.lostSeconds);
        return;
      } catch (failure) {
        why = failure;
      }
    }
  }

  #givenUp(why) {
    return this.unheard ? new Failure(`${why.message} ${this.unheard} have no text.`, why) : why;
  }

  #sleep(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
