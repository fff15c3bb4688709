// Keeps what is spoken before the session can take it.

// 30 s in chunks of 100 ms: more than the time-outs of the token and of Begin together.
const LONGEST = 300;

/** A queue of chunks that turns into a straight line once there is somewhere for them to go. */
export class Backlog {
  #waiting = [];
  #sink = null;

  /** How many chunks did not fit. */
  dropped = 0;

  /** Passes a chunk on, or keeps it; when there are too many the oldest goes. */
  push(chunk) {
    if (this.#sink) {
      this.#sink(chunk);
      return;
    }
    this.#waiting.push(chunk);
    if (this.#waiting.length <= LONGEST) return;
    this.#waiting.shift();
    this.dropped += 1;
  }

  /** @param {(chunk: Int16Array) => void} sink gets all that waits, in order, then what comes */
  flowTo(sink) {
    this.#waiting.splice(0).forEach(sink);
    this.#sink = sink;
  }
}
