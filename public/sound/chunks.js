// 16-bit PCM without a browser: clamping, exact chunks, level. The worklet and node both import it.

export const SAMPLE_RATE = 16000; // Hz: what the service's models hear
const CHUNKS_PER_SECOND = 10; // 100 ms each

/** A sample of -1..1 as a 16-bit integer; what is louder is clamped, never wrapped. */
export const toInt16 = (sample) =>
  Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));

/**
 * Cuts a stream of float samples into chunks of 100 ms, no sample lost or doubled.
 *
 * Where 100 ms is no whole number of samples (1102.5 at 11025 Hz) lengths alternate, so that the
 * chunks never drift from the clock. Each chunk owns its buffer and may be transferred.
 */
export class Chunker {
  #sampleRate;
  #emit;
  #index = 0;
  #chunk;
  #filled = 0;

  constructor(sampleRate, emit) {
    this.#sampleRate = sampleRate;
    this.#emit = emit;
    this.#begin();
  }

  push(samples) {
    for (const sample of samples) {
      this.#chunk[this.#filled++] = toInt16(sample);
      if (this.#filled === this.#chunk.length) this.#next();
    }
  }

  /** Emits what has not filled a chunk yet. */
  flush() {
    if (this.#filled === 0) return;
    this.#chunk = this.#chunk.slice(0, this.#filled);
    this.#next();
  }

  #next() {
    this.#emit(this.#chunk);
    this.#index += 1;
    this.#begin();
  }

  #begin() {
    const boundary = (index) => Math.floor((index * this.#sampleRate) / CHUNKS_PER_SECOND);
    this.#chunk = new Int16Array(boundary(this.#index + 1) - boundary(this.#index));
    this.#filled = 0;
  }
}

/** The root mean square of a chunk, 0 to 1. */
export function rms(chunk) {
  const energy = chunk.reduce((sum, sample) => sum + sample * sample, 0);
  return Math.sqrt(energy / chunk.length) / 32768;
}
