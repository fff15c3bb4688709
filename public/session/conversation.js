// A session kept going over one link after another: the rules of streaming/conversation.py.

import { TERMINATE } from './backlog.js';
import { after, clockTime, every, steady, wall } from './clock.js';
import { Failure } from './failure.js';
import { Link } from './link.js';
import { isBlown, pauseBefore, pauseBeforeOpening, POLICY } from './retry.js';
import { Session } from './session.js';
import { Watch } from './watch.js';

const BEGIN_SECONDS = 10; // Begin was seen to take longer than a second
const SHORTEST_SECONDS = 30; // no session is opened for less than 60
const LONGEST_SECONDS = 10_800;
const TICK_MILLISECONDS = 50; // as long as the smallest piece sounds
const USED = 'already been used'; // in the service's words, of a token

const NO_BEGIN = 'The service did not begin the session in time.';
const NO_END = 'The service did not confirm the end; the last words may be missing.';
const TOO_MANY = 'The session was reopened again and again, which did not help.';
const LATE = { isUnreachable: true, mayPass: true, what: NO_BEGIN };

/** Seconds that the machine was asleep, from any moment; a clock that somebody sets looks the same. */
const asleep = () => wall() - steady();

/** Audio in, turns out, whatever happens to the links. */
export class Conversation {
  #sampleRate;
  #dial;
  #on;
  #session;
  #link = null;
  #watch = null; // of the link, from its Begin until it is let go
  #cancelWait = () => {}; // for the Begin, the next look or the next try
  #end = () => {}; // of the link, with its Failure or with null when all is said; of a pause, too
  #sessions = 0; // that have begun
  #attempt = 0;
  #lostAt = null; // steady seconds, until there is progress again
  #progress;
  #mayAsk = true; // whether a link without any message may be replaced; again when words come
  #isClosed = false;
  #origin = 0; // steady seconds at which the session's clock began, as far as one can tell

  /**
   * @param {(sampleRate: number) => Promise<object>} dial gets a fresh token, as requestToken does
   * @param {object} on what is called: begin(message) for each link; turn(transcript, lag, message),
   *   in seconds since the turn's last word and on the session's clock; lost(failure, pause, left) in
   *   seconds until it is tried again and given up, Infinity while the first link is opened;
   *   restored(lostSeconds); frame(direction, what) for each message, "in" or "out", if wanted
   */
  constructor(sampleRate, dial, on) {
    this.#sampleRate = sampleRate;
    this.#dial = dial;
    this.#on = on;
    this.#session = new Session(sampleRate);
    this.#progress = this.#session.progress;
  }

  /** More audio, as an Int16Array, whether there is a link or not. */
  offer(chunk) {
    this.#session.backlog.offer(chunk);
    this.#origin = steady() - this.#seconds;
    this.#look();
  }

  /** Asks for the last words: no more audio comes. */
  endAudio() {
    this.#session.backlog.hasEnded = true;
    this.#look();
  }

  /** Connects, and goes on until the service has said everything. Throws a Failure. */
  async run() {
    while (!this.#isClosed) {
      let failure = await this.#carry();
      // A network that sends twice has used up the token.
      if (failure?.reason?.includes(USED)) failure = await this.#carry();
      if (!failure || this.#isClosed) return;
      await this.#pause(failure);
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

  /** What came of it so far; null before it has begun. */
  get outcome() {
    const { finals } = this.#session.transcript;
    return this.#sessions === 0 ? null : { sentences: finals.length, seconds: this.#seconds };
  }

  /** Ends the session without waiting for anything. */
  close() {
    this.#isClosed = true;
    if (this.#link?.isOpen) this.#send(TERMINATE);
    this.#end(null);
    this.#release();
  }

  get #seconds() {
    return this.#session.backlog.end / this.#sampleRate;
  }

  /** One link from its opening to its end; the Failure that it ended with, null if all is said. */
  async #carry() {
    try {
      const grant = await this.#dial(this.#sampleRate);
      if (this.#isClosed) return null;
      this.#session.connected(steady());
      // A link that was let go may still have something to say, on a clock that is no longer ours.
      const link = new Link(grant, this.#sampleRate, (message) => {
        if (link === this.#link) this.#receive(message);
      });
      this.#link = link;
      const late = () => this.#end(new Failure(`${NO_BEGIN} Try again.`, LATE));
      this.#cancelWait = after(BEGIN_SECONDS * 1000, late);
      const ended = new Promise((resolve) => (this.#end = resolve));
      const closed = link.closed.then(({ failure, code, reason }) => {
        return failure ?? this.#session.closed(code, reason);
      });
      return await Promise.race([ended, closed]);
    } catch (failure) {
      return failure;
    } finally {
      this.#release();
    }
  }

  #release() {
    this.#cancelWait();
    this.#watch = null;
    this.#link?.close();
    this.#link = null;
  }

  /** Waits before the next try; throws a Failure when that cannot help any more. */
  async #pause(why) {
    const isOpening = this.#sessions === 0;
    const rule = isOpening ? pauseBeforeOpening : pauseBefore;
    const pause = rule(this.#attempt, why, Math.random());
    if (!isOpening) this.#lostAt ??= steady();
    const left = isOpening ? Infinity : this.#lostAt + POLICY.giveUpAfterSeconds - steady();
    if (pause === null || pause > left) throw this.#givenUp(why);
    if (isBlown(this.#sessions, this.#seconds)) {
      throw this.#givenUp(new Failure(`${TOO_MANY} ${why.message}`, why));
    }
    this.#on.lost(why, pause, left);
    this.#attempt += 1;
    await new Promise((resolve) => {
      this.#end = resolve;
      this.#cancelWait = after(pause * 1000, resolve);
    });
  }

  #givenUp(why) {
    if (this.#sessions === 0 || !this.unheard) return why;
    return new Failure(`${why.message} ${this.unheard} have no text.`, why);
  }

  /** Sends what is due, and sees whether the link is still worth keeping. */
  #look() {
    if (!this.#watch) return;
    const { backlog, transcript } = this.#session;
    const now = steady();
    for (let piece = backlog.take(now); piece !== null; piece = backlog.take(now)) {
      this.#send(piece);
      if (piece !== TERMINATE) this.#watch.send(now);
    }
    this.#session.passTime(now);
    if (backlog.isTerminating) {
      this.#watch.terminate(now, backlog.carriedSeconds - (now - this.#watch.began));
    }
    const cause = this.#watch.look(now, asleep(), !transcript.partial);
    if (!cause) return;
    if (cause.isQuestion) this.#mayAsk = false;
    const what = backlog.isTerminating ? NO_END : `The connection was replaced: ${cause.reason}.`;
    this.#end(new Failure(what, cause));
  }

  #send(data) {
    this.#link.send(data);
    this.#on.frame?.('out', data);
  }

  #receive(message) {
    this.#on.frame?.('in', message);
    try {
      const own = this.#session.receive(message);
      if (message.type === 'Begin') this.#begin(message);
      this.#watch?.hear(steady(), this.#session.takenMs);
      this.#noteProgress();
      if (own?.type === 'Turn') this.#tell(own);
      if (message.type === 'Termination') this.#end(null);
    } catch (failure) {
      this.#end(failure);
    }
  }

  #begin(message) {
    const now = steady();
    const left = message.expires_at - wall();
    // Or the two machines disagree about the time.
    const lasts = left >= SHORTEST_SECONDS ? left : LONGEST_SECONDS;
    this.#watch = new Watch(now, now + lasts, asleep(), this.#mayAsk);
    if (this.#sessions === 0) this.#attempt = 0; // to open it was another matter
    this.#sessions += 1;
    this.#on.begin(message);
    if (this.#sessions > 1) this.#on.restored(this.#session.backlog.lostSeconds);
    this.#cancelWait();
    this.#cancelWait = every(TICK_MILLISECONDS, () => this.#look());
    this.#look();
  }

  #noteProgress() {
    const { progress } = this.#session;
    if (progress === this.#progress) return;
    this.#progress = progress;
    this.#attempt = 0;
    this.#lostAt = null;
    this.#mayAsk = true;
  }

  #tell(turn) {
    const lag = steady() - this.#origin - (turn.words.at(-1)?.end ?? 0) / 1000;
    this.#on.turn(this.#session.transcript, lag, turn);
  }
}
