// How the sound flows: judged by what comes, not by what the browser says of itself. Looks come twice
// a second, and one that is late counts once: what came in the meantime may still wait behind it.

const SILENT_LEVEL = 1e-4; // -80 dB: a quiet room is louder, a dead microphone is not
const SILENT_LOOKS = 6;
const DEAD_LOOKS = 5; // two seconds at least
const LONGEST_PATIENCE = 40; // looks: some headsets take long to begin

/** What is known of one microphone. */
export class Flow {
  #still = 0; // looks since a chunk came, or the context began something else
  #silent = 0; // looks since a chunk was loud enough
  #patience = DEAD_LOOKS; // before it is started anew, twice as long each time

  /**
   * flows or silent: chunks come; interrupted or muted: the system says why none is of use;
   * suspended: the browser wants a person to do something; dead: it says that all is well.
   */
  state = 'flows';

  /** A chunk came, with this root mean square, 0 to 1. */
  hear(level) {
    this.#still = 0;
    this.#patience = DEAD_LOOKS;
    if (level > SILENT_LEVEL) this.#silent = 0;
    if (!this.#isExplained) this.state = this.#silent < SILENT_LOOKS ? 'flows' : 'silent';
  }

  /** Half a second has passed. */
  pass() {
    this.#still += 1;
    this.#silent += 1;
  }

  /** What the audio context and the track say of themselves. */
  see(context, isMuted) {
    if (context === 'interrupted') this.state = 'interrupted';
    else if (isMuted) this.state = 'muted';
    else if (this.#isExplained) {
      // What hindered it is over, and nothing is known yet.
      this.#still = 0;
      this.#silent = 0;
      this.state = 'flows';
    } else if (this.#still >= DEAD_LOOKS) this.state = context === 'suspended' ? 'suspended' : 'dead';
  }

  /** No chunk has come since the last look but one. */
  get isStill() {
    return this.#still > 1;
  }

  get isDead() {
    return this.state === 'dead' && this.#still >= this.#patience;
  }

  /** The context is in another state: what is waited for is waited for from now on. */
  wait() {
    this.#still = 0;
  }

  /** The microphone is started anew. */
  restart() {
    this.#still = 0;
    this.#patience = Math.min(2 * this.#patience, LONGEST_PATIENCE);
  }

  get #isExplained() {
    return this.state === 'interrupted' || this.state === 'muted';
  }
}
