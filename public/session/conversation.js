// A session kept going over one link after another: the rules of streaming/conversation.py.

import { clockTime, steady, wall } from './clock.js';
import { Failure } from './failure.js';
import { Link } from './link.js';
import { pauseBefore, POLICY } from './retry.js';
import { Session, TERMINATE } from './session.js';
import { after, every } from './timers.js';
import { Watch } from './watch.js';

const BEGIN_SECONDS = 10; // Begin was seen to take longer than a second
const OPENINGS = 3; // how often the first link is tried when it breaks before Begin
const STEADY_SECONDS = 10; // a link that lasted so long was one
const SHORTEST_SECONDS = 30; // no session is opened for less than 60
const LONGEST_SECONDS = 10_800;
const TICK_MILLISECONDS = 50; // as long as the smallest piece sounds
const NO_PROGRESS = ['Begin', 'Warning', 'Error']; // messages of a link that may be going

const NO_BEGIN = 'The service did not begin the session in time.';
const NO_END = 'The service did not confirm the end; the last words may be missing.';
const LATE = { isUnreachable: true, what: NO_BEGIN };

/** Audio in, turns out, whatever happens to the links. */
export class Conversation {
  #sampleRate;
  #dial;
  #on;
  #session;
  #link = null;
  #watch = null; // of the link, from its Begin until it is let go
  #endTicking = () => {};
  #ended; // resolves with null when the session has ended, with a Failure when the link is lost
  #end = () => {};
  #begun = () => {};
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
   * @param {(begin: object) => void} on.begin for each link
   * @param {(failure: Failure, pause: number, left: number | null) => void} on.lost it is tried again
   *   in `pause` seconds, and given up in `left`; null while the first link is opened
   * @param {(lostSeconds: number) => void} on.restored
   * @param {(direction: 'in' | 'out', what: object | string | Int16Array) => void} [on.frame]
   */
  constructor(sampleRate, dial, on) {
    this.#sampleRate = sampleRate;
    this.#dial = dial;
    this.#on = { frame: () => {}, ...on };
    this.#session = new Session(sampleRate);
  }

  /** @param {Int16Array} chunk more audio, whether there is a link or not */
  offer(chunk) {
    const { backlog } = this.#session;
    backlog.offer(chunk);
    this.#origin = steady() - backlog.end / this.#sampleRate;
    this.#look();
  }

  /** Asks for the last words: no more audio comes. */
  endAudio() {
    this.#session.endAudio();
    this.#look();
  }

  /** Connects, and goes on until the service has said everything. Throws a Failure. */
  async run() {
    await this.#open();
    while (!this.#isClosed) {
      const began = steady();
      const cut = await this.#ended;
      this.#release();
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
    if (this.#link?.isOpen) this.#send(TERMINATE);
    this.#end(null);
    this.#release();
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
        if (!this.#isClosed) this.#on.restored(this.#session.backlog.lostSeconds);
        return;
      } catch (failure) {
        why = failure;
      }
    }
  }

  #givenUp(why) {
    return this.unheard ? new Failure(`${why.message} ${this.unheard} have no text.`, why) : why;
  }

  /** Opens a link and waits for Begin; throws a Failure. */
  async #connect() {
    const grant = await this.#dial(this.#sampleRate);
    if (this.#isClosed) return;
    this.#session.connected(steady());
    const end = new Promise((resolve) => (this.#end = resolve));
    const begun = new Promise((resolve) => (this.#begun = resolve));
    this.#link = new Link(grant, this.#sampleRate, (message) => this.#receive(message));
    const closed = this.#link.closed.then(({ code, reason }) => this.#session.closed(code, reason));
    this.#ended = Promise.race([end, closed]);
    const late = new Failure(`${NO_BEGIN} Press Start to try again.`, LATE);
    const cancel = after(BEGIN_SECONDS * 1000, () => this.#end(late));
    const failure = await Promise.race([begun, this.#ended]);
    cancel();
    if (failure) {
      this.#release();
      throw failure;
    }
    if (this.#isClosed) return;
    this.#endTicking = every(TICK_MILLISECONDS, () => this.#look());
    this.#look();
  }

  #release() {
    this.#endTicking();
    this.#watch = null;
    this.#link?.close();
  }

  /** Sends what is due, and sees whether the link is still worth keeping. */
  #look() {
    if (!this.#watch) return;
    const now = steady();
    this.#sendDue(now);
    this.#session.passTime(now);
    const cause = this.#cause(now);
    if (cause) this.#end(cause);
  }

  #sendDue(now) {
    for (;;) {
      const piece = this.#session.backlog.take(now);
      if (piece === null) return;
      this.#send(piece);
      if (typeof piece !== 'string') this.#watch.send(piece, piece.length / this.#sampleRate);
    }
  }

  #send(data) {
    this.#link.send(data);
    this.#on.frame('out', data);
  }

  #cause(now) {
    const { backlog, isTerminating, transcript } = this.#session;
    if (!isTerminating) {
      const cause = this.#watch.cause(now, wall(), !transcript.partial);
      return cause && new Failure(`The connection was replaced: ${cause.reason}.`, cause);
    }
    const ahead = backlog.carriedSeconds - (now - this.#watch.began);
    const cause = this.#watch.causeAtEnd(now, ahead);
    return cause && new Failure(NO_END, cause);
  }

  #receive(message) {
    this.#on.frame('in', message);
    const own = this.#session.receive(message);
    if (message.type === 'Begin') this.#begin(message);
    this.#watch?.hear(steady());
    if (own) this.#tell(own);
    if (message.type === 'Termination') this.#end(null);
  }

  #begin({ expires_at: expiresAt }) {
    const now = steady();
    const left = expiresAt - wall();
    // Or the two machines disagree about the time.
    const lasts = left >= SHORTEST_SECONDS ? left : LONGEST_SECONDS;
    this.#watch = new Watch(now, now + lasts, wall() - now);
    this.#begun();
  }

  #tell(own) {
    if (own.type === 'Begin') this.#on.begin(own);
    if (NO_PROGRESS.includes(own.type)) return;
    this.#attempt = 0;
    this.#lostAt = null;
    if (own.type !== 'Turn') return;
    const lag = steady() - this.#origin - (own.words.at(-1)?.end ?? 0) / 1000;
    this.#on.turn(this.#session.transcript, lag, own);
  }

  #sleep(seconds) {
    return new Promise((resolve) => {
      const cancel = after(seconds * 1000, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
