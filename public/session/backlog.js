// The audio that the service may have to hear again, and the clock it is counted on: the rules of
// streaming/backlog.py. Positions are samples of the whole session, whatever connections carry it.

import { POLICY } from './retry.js';

/** The last thing to be sent: the service answers with the last words. */
export const TERMINATE = '{"type":"Terminate"}';

const SMALLEST_MILLISECONDS = 50; // the service takes 50 to 1000 ms in one message
const LARGEST_MILLISECONDS = 100;
const COVERED_SECONDS = 60; // so long after it sounded, audio without a word is taken for heard

/** What was offered, from the end of the last settled turn on. */
export class Backlog {
  #sampleRate;
  #rate;
  #smallest;
  #largest;
  #ring; // of samples: the one at a position is at its remainder
  #replay = null; // since when, from where
  #clock = [[0, 0]]; // samples on the connection, position: where the two part
  #carried = 0; // samples on the present connection
  #risked = 0; // samples that were sent and let go before the service had heard them

  lost = 0; // samples that no connection carried, or that could not be sent again
  start = 0; // position of the first sample that is kept
  sent = 0; // up to where the present connection carried it
  end = 0; // position after the last sample
  hasEnded = false; // no more audio comes
  isTerminating = false; // the present connection carried all there is, and the Terminate behind it

  constructor(sampleRate, limitSeconds = POLICY.bufferSeconds, rate = POLICY.replayRate) {
    const size = (milliseconds) => Math.ceil((sampleRate * milliseconds) / 1000);
    this.#sampleRate = sampleRate;
    this.#rate = rate;
    this.#ring = new Int16Array(limitSeconds * sampleRate);
    this.#smallest = size(SMALLEST_MILLISECONDS);
    this.#largest = size(LARGEST_MILLISECONDS);
  }

  /** Seconds that are kept. */
  get seconds() {
    return (this.end - this.start) / this.#sampleRate;
  }

  get lostSeconds() {
    return this.lost / this.#sampleRate;
  }

  get carriedSeconds() {
    return this.#carried / this.#sampleRate;
  }

  /** More audio, as an Int16Array; what is over the limit pushes the oldest out. */
  offer(samples) {
    this.#forget(this.end + samples.length - this.#ring.length);
    for (const sample of samples) this.#ring[this.end++ % this.#ring.length] = sample;
  }

  /** The next 50 to 100 ms, or Terminate, to send now; null when nothing is due. */
  take(now) {
    const waiting = this.end - this.sent;
    if (this.isTerminating) return null;
    if (this.hasEnded && waiting === 0) {
      this.isTerminating = true;
      return TERMINATE;
    }
    let size = Math.min(waiting, this.#largest);
    if (!this.hasEnded && size < this.#smallest) {
      this.#replay = null; // all that waited is sent
      return null;
    }
    if (this.due(now) > now) return null;
    const rest = waiting - size;
    // Or the last piece would be too short to be lawful.
    if (this.hasEnded && rest > 0 && rest < this.#smallest) size -= this.#smallest - rest;
    return this.#carry(size);
  }

  /** When the next piece may be sent: replayed audio keeps its rate, other goes at once. */
  due(now) {
    if (!this.#replay) return now;
    const [since, place] = this.#replay;
    return since + (this.sent - place) / this.#sampleRate / this.#rate;
  }

  /** A new connection carries everything that is kept, from its beginning. */
  connect(now) {
    this.lost += this.#risked;
    this.#risked = 0;
    this.sent = this.start;
    this.isTerminating = false;
    this.#carried = 0;
    this.#clock = [[0, this.start]];
    this.#replay = this.end > this.start ? [now, this.start] : null;
  }

  /** A time of the present connection, ms, on the session's clock. */
  ownTime(milliseconds) {
    const [carried, position] = this.#parted(this.#position(milliseconds));
    return milliseconds + Math.round(((position - carried) / this.#sampleRate) * 1000);
  }

  /** The service has heard everything up to a time of the session's clock, ms. */
  release(milliseconds) {
    this.#risked = 0;
    this.start = Math.max(this.start, Math.min(this.#position(milliseconds), this.sent));
  }

  /** No turn is open: what sounded long ago without a word will bring none any more. */
  releaseSilence(connectedSeconds) {
    const heard = Math.ceil(Math.max(0, connectedSeconds - COVERED_SECONDS) * this.#sampleRate);
    if (heard === 0 || this.#carried === 0) return;
    const [carried, position] = this.#parted(heard);
    this.start = Math.max(this.start, Math.min(position + heard - carried, this.sent));
  }

  #position(milliseconds) {
    return Math.floor((milliseconds * this.#sampleRate) / 1000);
  }

  #parted(at) {
    return this.#clock.findLast(([carried]) => carried <= at);
  }

  #carry(size) {
    const piece = new Int16Array(Math.max(size, this.#smallest));
    for (let at = 0; at < size; at += 1) piece[at] = this.#ring[this.sent++ % this.#ring.length];
    this.#carried += piece.length;
    // Silence that is on the connection alone: the clocks part here.
    if (piece.length > size) this.#clock.push([this.#carried, this.sent]);
    return piece;
  }

  // What the limit pushes out is lost if it was never sent, at risk until it is heard.
  #forget(position) {
    if (position <= this.start) return;
    if (position > this.sent) {
      this.lost += position - this.sent;
      this.#clock.push([this.#carried, position]);
    }
    this.#risked += Math.max(0, Math.min(this.sent, position) - this.start);
    this.sent = Math.max(this.sent, position);
    this.start = position;
  }
}
