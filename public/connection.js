// One connection of a session: what is due goes out, what comes in is taken in, until it ends.

import { Link } from './link.js';
import { Failure } from './retry.js';
import { Watch } from './watch.js';

const BEGIN_SECONDS = 10; // Begin was seen to take longer than a second
const SHORTEST_SECONDS = 30; // no session is opened for less than 60
const LONGEST_SECONDS = 10_800;
const TICK_MILLISECONDS = 50; // as long as the smallest piece sounds

const NO_BEGIN = 'The service did not begin the session in time.';
const NO_END = 'The service did not confirm the end; the last words may be missing.';
const LATE = { isUnreachable: true, what: NO_BEGIN };
const TERMINATE = '{"type":"Terminate"}';

/** Seconds of a clock that never goes back. */
export const steady = () => performance.now() / 1000;
const wall = () => Date.now() / 1000;

/** Carries a session until it ends or is lost; use it once. */
export class Connection {
  #session;
  #sampleRate;
  #on;
  #link;
  #watch = null;
  #began = 0;
  #ticking;
  #settle = {};
  #begun = new Promise((resolve) => (this.#settle.begun = resolve));

  /** Resolves with null when the session has ended, with a Failure when the connection is lost. */
  ended = new Promise((resolve) => (this.#settle.ended = resolve));

  /**
   * @param {import('./session.js').Session} session
   * @param {object} grant from requestToken
   * @param {number} sampleRate in Hz
   * @param {object} on
   * @param {(own: object) => void} on.message a message, on the session's clock
   * @param {(direction: 'in' | 'out', what: object | string | Int16Array) => void} on.frame
   */
  constructor(session, grant, sampleRate, on) {
    this.#session = session;
    this.#sampleRate = sampleRate;
    this.#on = on;
    session.connected(steady());
    this.#link = new Link(grant, sampleRate, (message) => this.#receive(message));
    this.#link.closed.then(({ code, reason }) => this.#settle.ended(session.closed(code, reason)));
  }

  /** Waits for Begin; throws a Failure. */
  async begin() {
    const late = setTimeout(
      () => this.#settle.ended(new Failure(`${NO_BEGIN} Press Start to try again.`, LATE)),
      BEGIN_SECONDS * 1000,
    );
    const failure = await Promise.race([this.#begun, this.ended]);
    clearTimeout(late);
    if (failure) {
      this.release();
      throw failure;
    }
    // While a page is hidden its timers are slow, but the audio goes on: who offers it looks, too.
    this.#ticking = setInterval(() => this.look(), TICK_MILLISECONDS);
    this.look();
  }

  /** Sends what is due, and sees whether the connection is still worth keeping. */
  look() {
    if (!this.#watch) return;
    const now = steady();
    this.#sendDue(now);
    this.#session.passTime(now);
    const cause = this.#cause(now);
    if (cause) this.#settle.ended(cause);
  }

  /** Ends the session without waiting for anything. */
  close() {
    if (this.#link.isOpen) this.#send(TERMINATE);
    this.#settle.ended(null);
    this.release();
  }

  /** Lets go of the socket. */
  release() {
    clearInterval(this.#ticking);
    this.#watch = null;
    this.#link.close();
  }

  #receive(message) {
    this.#on.frame('in', message);
    const own = this.#session.receive(message);
    if (message.type === 'Begin') this.#begin(message);
    this.#watch?.hear(steady());
    if (own) this.#on.message(own);
    if (message.type === 'Termination') this.#settle.ended(null);
  }

  #begin({ expires_at: expiresAt }) {
    this.#began = steady();
    const left = expiresAt - wall();
    // Or the two machines disagree about the time.
    const lasts = left >= SHORTEST_SECONDS ? left : LONGEST_SECONDS;
    this.#watch = new Watch(this.#began, this.#began + lasts, wall() - this.#began);
    this.#settle.begun();
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
    if (!this.#session.isTerminating) {
      const cause = this.#watch.cause(now, wall(), !this.#session.transcript.partial);
      return cause && new Failure(`The connection was replaced: ${cause.reason}.`, cause);
    }
    const ahead = this.#session.backlog.carriedSeconds - (now - this.#began);
    const cause = this.#watch.causeAtEnd(now, ahead);
    return cause && new Failure(NO_END, cause);
  }
}
