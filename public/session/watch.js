// When a connection that looks alive is taken for lost, or left before it ends: the rules of
// streaming/watch.py. What Python learns from pongs, a page is not told: where no heartbeat ever
// comes, it may ask once, by opening the session anew.

import { EXPIRED } from './close-codes.js';
import { POLICY } from './retry.js';

const BEAT_SECONDS = 5; // between two heartbeats, about
const SLEEP_SECONDS = 5; // standing still for longer may have cost the connection
const LATE_SECONDS = 1; // a look that comes later than that after the last one comes late
const MUTE_SECONDS = 30; // without any message, where no heartbeat ever comes
const TERMINATE_SECONDS = 30; // how long the last words may take, on top of the audio still unheard
const LONGEST_END_SECONDS = 300; // the same while heartbeats go on
const RENEWAL_SHARE = 0.1; // of a session's longest duration, before its end
const RENEWAL_SECONDS = 60; // at the most

const ABNORMAL = 1006;

/** What one connection was seen to do; `now` is steady seconds. */
export class Watch {
  #ends;
  #mayAsk;
  #lookedAt;
  #heardAt; // the beginning counts as a message
  #takenMs = null; // what the last heartbeat said, if there was one
  #waitingSince = null; // for the service to take more audio
  #terminatingSince = null;
  #ahead = 0; // seconds of audio that were unheard then
  #asleep;
  #doubtedAt = null;

  /**
   * From `began` until the service `ends` the session. `asleep`: seconds that the machine was, from any
   * moment; `mayAsk`: whether a connection without any message may be replaced.
   */
  constructor(began, ends, asleep = 0, mayAsk = true) {
    this.began = began;
    this.#ends = ends;
    this.#mayAsk = mayAsk;
    this.#lookedAt = began;
    this.#heardAt = began;
    this.#asleep = asleep;
  }

  /** A message came in; by the last heartbeat, if any, the service has so much audio. */
  hear(now, takenMs = null) {
    this.#heardAt = now;
    this.#doubtedAt = null;
    if (takenMs === null || takenMs > (this.#takenMs ?? 0)) this.#waitingSince = null;
    this.#takenMs = takenMs;
  }

  /** Audio went out. */
  send(now) {
    this.#waitingSince ??= now;
  }

  /** Terminate is out; the service has so many seconds of audio to hear before it. */
  terminate(now, secondsAhead) {
    if (this.#terminatingSince !== null) return;
    this.#terminatingSince = now;
    this.#ahead = Math.max(0, secondsAhead);
  }

  /**
   * Why the connection should be replaced now, as `code` and `reason`, with `isQuestion` when it may
   * well be alive; null when it should not.
   */
  look(now, asleep, isBetweenTurns) {
    this.#passOver(now, asleep);
    if (this.#isMute(now)) return { ...lost(`no message for ${MUTE_SECONDS} s`), isQuestion: true };
    const cause = this.#takenMs === null ? null : this.#stalled(now);
    if (cause) return lost(cause);
    if (this.#terminatingSince !== null) return this.#overdue(now);
    const lead = Math.min(RENEWAL_SECONDS, RENEWAL_SHARE * (this.#ends - this.began));
    if (now < this.#ends - (isBetweenTurns ? lead : lead / 3)) return null;
    return { code: EXPIRED, reason: 'the session is near its maximum duration' };
  }

  #stalled(now) {
    const { stallSeconds } = POLICY;
    if (now - this.#heardAt >= stallSeconds) return `no heartbeat for ${stallSeconds} s`;
    if (hasPassed(stallSeconds, this.#waitingSince, now)) {
      return `the service took no audio for ${stallSeconds} s`;
    }
    const isDead = hasPassed(BEAT_SECONDS + LATE_SECONDS, this.#doubtedAt, now);
    return isDead ? 'no heartbeat since the machine woke up' : null;
  }

  #isMute(now) {
    const mayAsk = this.#mayAsk && this.#takenMs === null && this.#terminatingSince === null;
    return mayAsk && hasPassed(MUTE_SECONDS, this.#waitingSince, now);
  }

  #overdue(now) {
    const waited = now - this.#terminatingSince - this.#ahead;
    const isQuiet = now - this.#heardAt >= TERMINATE_SECONDS;
    if (waited < TERMINATE_SECONDS || (!isQuiet && waited < LONGEST_END_SECONDS)) return null;
    return lost(`no Termination within ${Math.round(waited)} s`);
  }

  // A look that comes late is no evidence: what it could not see is taken out.
  #passOver(now, asleep) {
    const unseen = Math.max(0, now - this.#lookedAt - LATE_SECONDS);
    if (unseen + asleep - this.#asleep > SLEEP_SECONDS) this.#doubtedAt = now;
    this.#lookedAt = now;
    this.#asleep = asleep;
    this.#heardAt += unseen;
    if (this.#waitingSince !== null) this.#waitingSince += unseen;
    if (this.#terminatingSince !== null) this.#terminatingSince += unseen;
  }
}

const hasPassed = (seconds, since, now) => since !== null && now - since >= seconds;

const lost = (reason) => ({ code: ABNORMAL, reason });
