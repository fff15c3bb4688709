// A file instead of a microphone: decoded by the browser, handed out at the speed at which it sounds.

import { every, steady } from '../session/clock.js';
import { Failure, NO_SERVER } from '../session/failure.js';
import { rms, SAMPLE_RATE, toInt16 } from './chunks.js';

const CHUNK = SAMPLE_RATE / 10; // samples: 100 ms
const LOOK_MILLISECONDS = 50;
const LONGEST_STEP_SECONDS = 2; // of a file at once, however long the page stood still

const UNREADABLE = 'cannot be read: it is gone, or too large for this browser. Try a shorter file.';
const NO_SOUND = 'is not audio that this browser can decode. Try a WAV, MP3, OGG or MP4 file.';

/** The sound of a file, from `open()` until `ended`, `finish()` or `release()`; use it once. */
export class AudioFile {
  #load;
  #name;
  #on;
  #sound;
  #given = 0; // samples
  #played = 0; // seconds
  #lookedAt = 0;
  #endPace = () => {};
  #isReleased = false;
  #settle;

  /** Resolves with nothing when all of it was handed out. */
  ended = new Promise((resolve) => (this.#settle = resolve));

  /**
   * @param {() => Promise<ArrayBuffer>} load the bytes of the file
   * @param {object} on chunk and level as those of a Microphone; progress(at, total) in seconds
   */
  constructor(load, name, on) {
    this.#load = load;
    this.#name = name;
    this.#on = on;
  }

  /** Decodes the file and starts to hand it out; gives the sample rate in Hz. */
  async open() {
    const bytes = await this.#load().catch((error) => {
      throw error instanceof Failure ? error : new Failure(`${this.#name} ${UNREADABLE}`);
    });
    const decoder = new OfflineAudioContext(1, 1, SAMPLE_RATE);
    this.#sound = await decoder.decodeAudioData(bytes).catch(() => {
      throw new Failure(`${this.#name} ${NO_SOUND}`);
    });
    this.#lookedAt = steady();
    if (!this.#isReleased) this.#endPace = every(LOOK_MILLISECONDS, () => this.#giveDue());
    return SAMPLE_RATE;
  }

  /** Stops where it is; the rest is not handed out. */
  finish() {
    this.release();
  }

  release() {
    this.#isReleased = true;
    this.#endPace();
    this.#on.level(0);
  }

  // By the clock: a timer that is late does not slow the file down. But while the page or the
  // machine stands still, so does the file: a minute at once is more than the service can hear.
  #giveDue() {
    const { length } = this.#sound;
    const now = steady();
    this.#played += Math.min(now - this.#lookedAt, LONGEST_STEP_SECONDS);
    this.#lookedAt = now;
    const due = Math.floor(this.#played * 10) * CHUNK;
    while (this.#given < Math.min(due, length)) {
      const chunk = mixed(this.#sound, this.#given, Math.min(this.#given + CHUNK, length));
      this.#given += chunk.length;
      this.#on.level(rms(chunk));
      this.#on.chunk(chunk);
    }
    this.#on.progress(this.#given / SAMPLE_RATE, length / SAMPLE_RATE);
    if (this.#given < length) return;
    this.#endPace();
    this.#settle();
  }
}

/** A function that gets the bytes at an address of this page's server. */
export const fetched = (address) => async () => {
  const response = await fetch(address).catch(() => null);
  if (!response?.ok) throw new Failure(NO_SERVER);
  return response.arrayBuffer();
};

/** All channels as one, from one sample to another: an hour at once would stop the page. */
function mixed(sound, start, end) {
  const count = sound.numberOfChannels;
  const channels = Array.from({ length: count }, (_, n) => sound.getChannelData(n));
  const level = (index) => channels.reduce((sum, samples) => sum + samples[index], 0) / count;
  return Int16Array.from({ length: end - start }, (_, n) => toInt16(level(start + n)));
}
