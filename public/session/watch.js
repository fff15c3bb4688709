// When a connection that looks alive is taken for lost, or left before it ends: the rules of
// streaming/watch.py. A browser tells a page nothing of pings, so silence is the only sign.

import { EXPIRED, POLICY } from './retry.js';

const SLEEP_SECONDS = 5; // the wall clock ahead of the steady one by more: the machine was asleep
const LOUD = 1000; // of 32768: speech reaches it, a quiet room does not
const TERMINATE_SECONDS = 10; // how long the last words may take
const RENEWAL_SHARE = 0.1; // of a session's longest duration, before its end
const RENEWAL_SECONDS = 60; // at the most

const ABNORMAL = 1006;

/** What one connection was seen to do; `now` is steady seconds, `wall` Unix seconds. */
export class Watch {
  #ends;
  #wallAhead;
  #heardAt;
  #loudSeconds = 0;
  #terminatingSince = null;

  /**
   * @param {number} began steady seconds
   * @param {number} ends when the service will end the session, in steady seconds
   * @param {number} wallAhead Unix seconds minus steady seconds
   */
  constructor(began, ends, wallAhead) {
    this.began = began;
    this.#ends = ends;
    this.#wallAhead = wallAhead;
    this.#heardAt = began;
  }

  /** A message came in. */
  hear(now) {
    this.#heardAt = now;
    this.#loudSeconds = 0;
  }

  /** A piece of audio went out. */
  send(piece, seconds) {
    if (isLoud(piece)) this.#loudSeconds += seconds;
  }

  /**
   * Why the connection should be replaced now, null when it should not.
   *
   * @returns {{ code: number, reason: string } | null}
   */
  cause(now, wall, isBetweenTurns) {
    if (wall - now - this.#wallAhead > SLEEP_SECONDS) {
      return { code: ABNORMAL, reason: 'the machine was asleep' };
    }
    const { stallSeconds } = POLICY;
    if (Math.min(now - this.#heardAt, this.#loudSeconds) >= stallSeconds) {
      return { code: ABNORMAL, reason: `no message for ${stallSeconds} s of loud audio` };
    }
    const lead = Math.min(RENEWAL_SECONDS, RENEWAL_SHARE * (this.#ends - this.began));
    if (now < this.#ends - (isBetweenTurns ? lead : lead / 3)) return null;
    return { code: EXPIRED, reason: 'the session is near its longest duration' };
  }

  /**
   * Why to wait no longer for the Termination, null while there is time. Audio that was sent
   * `secondsAhead` of its time takes its own time to be heard.
   *
   * @returns {{ code: number, reason: string } | null}
   */
  causeAtEnd(now, secondsAhead) {
    this.#terminatingSince ??= now;
    if (now < this.#terminatingSince + TERMINATE_SECONDS + Math.max(0, secondsAhead)) return null;
    return { code: ABNORMAL, reason: `no Termination within ${TERMINATE_SECONDS} s` };
  }
}

/** Whether audio may be speech; looks at every 16th sample. */
function isLoud(piece) {
  for (let at = 0; at < piece.length; at += 16) if (Math.abs(piece[at]) > LOUD) return true;
  return false;
}
