// A file instead of a microphone: decoded by the browser, handed out at the speed at which it sounds.

import { Chunker, rms } from './pcm.js';
import { Failure } from './retry.js';

const SAMPLE_RATE = 16000; // Hz: what the service's models hear; the browser resamples
const LOOK_MILLISECONDS = 50;

const NO_FILE = 'The server of this page does not answer. See whether it is still running.';

/** The sound of a file, from `open()` until `ended`, `finish()` or `release()`; use it once. */
export class AudioFile {
  #load;
  #on;
  #chunks = [];
  #given = 0;
  #began = 0;
  #pace;
  #isReleased = false;
  #settle;

  /** Resolves with nothing when all of it was handed out. */
  ended = new Promise((resolve) => (this.#settle = resolve));

  /**
   * @param {() => Promise<ArrayBuffer>} load the bytes of the file
   * @param {string} name for people
   * @param {object} on
   * @param {(chunk: Int16Array) => void} on.chunk 100 ms of sound, the last one may be shorter
   * @param {(level: number) => void} on.level root mean square of a chunk, 0 to 1
   * @param {(share: number) => void} on.progress 0 to 1
   */
  constructor(load, name, on) {
    this.#load = load;
    this.name = name;
    this.#on = on;
  }

  /**
   * Decodes the file and starts to hand it out.
   *
   * @returns {Promise<number>} the sample rate in Hz
   */
  async open() {
    const bytes = await this.#load();
    const sound = await this.#decode(bytes);
    const chunker = new Chunker(SAMPLE_RATE, (chunk) => this.#chunks.push(chunk));
    chunker.push(mixed(sound));
    chunker.flush();
    if (!this.#isReleased) this.#start();
    return SAMPLE_RATE;
  }

  /** Stops where it is; the rest is not handed out. */
  async finish() {
    this.release();
  }

  /** Stops at once. */
  release() {
    this.#isReleased = true;
    clearInterval(this.#pace);
    this.#on.level(0);
  }

  async #decode(bytes) {
    try {
      return await new OfflineAudioContext(1, 1, SAMPLE_RATE).decodeAudioData(bytes);
    } catch {
      throw new Failure(
        `${this.name} is no sound that this browser can decode. Try a WAV, MP3, OGG or MP4 file.`,
      );
    }
  }

  #start() {
    this.#began = performance.now();
    this.#pace = setInterval(() => this.#giveDue(), LOOK_MILLISECONDS);
  }

  // Deadlines come from one clock: a timer that is late does not slow the file down.
  #giveDue() {
    const due = Math.floor((performance.now() - this.#began) / 100);
    while (this.#given < Math.min(due, this.#chunks.length)) {
      const chunk = this.#chunks[this.#given];
      this.#given += 1;
      this.#on.level(rms(chunk));
      this.#on.chunk(chunk);
    }
    this.#on.progress(this.#given / Math.max(1, this.#chunks.length));
    if (this.#given < this.#chunks.length) return;
    clearInterval(this.#pace);
    this.#settle();
  }
}

/** A function that gets the bytes at an address of this page's server. */
export const fetched = (address) => async () => {
  const response = await fetch(address).catch(() => null);
  if (!response?.ok) throw new Failure(NO_FILE);
  return response.arrayBuffer();
};

/** All channels as one. */
function mixed(sound) {
  const samples = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
    sound.getChannelData(channel).forEach((sample, index) => {
      samples[index] += sample / sound.numberOfChannels;
    });
  }
  return samples;
}
