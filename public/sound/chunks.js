// 16-bit PCM without a browser: clamping, exact chunks, level. The worklet and node both import it.

export const SAMPLE_RATE = 16000; // Hz: what the service's models hear
const CHUNKS_PER_SECOND = 10; // 100 ms each

/** A sample of -1..1 as a 16-bit integer; what is louder is clamped, never wrapped. */
export const toInt16 = (sample) =>
  Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));

/**
 * Cuts a stream of float samples into chunks of 100 ms, no sample lost or doubled. Where that is no
 * whole number of samples (1102.5 at 11025 Hz) lengths alternate, so that the chunks never drift from
 * the clock. Each chunk owns its buffer and may be transferred.
 */
export class Chunker {
  #sampleRate;
  #emit;
  #samples; // room for the longest chunk
  #filled = 0;
  #count = 0; // of chunks, with the present one
  #length; // of the present one

  constructor(sampleRate, emit) {
    this.#sampleRate = sampleRate;
    this.#emit = emit;
    this.#samples = new Int16Array(Math.ceil(sampleRate / CHUNKS_PER_SECOND));
    this.#begin();
  }

  push(samples) {
    for (const sample of samples) {
      this.#samples[this.#filled++] = toInt16(sample);
      if (this.#filled === this.#length) this.flush();
    }
  }

  /** Emits what has not filled a chunk yet. */
  flush() {
    if (this.#filled === 0) return;
    this.#emit(this.#samples.slice(0, this.#filled));
    this.#begin();
  }

  #begin() {
    const end = (count) => Math.floor((count * this.#sampleRate) / CHUNKS_PER_SECOND);
    this.#count += 1;
    this.#length = end(this.#count) - end(this.#count - 1);
    this.#filled = 0;
  }
}

/** The root mean square of a chunk, 0 to 1. */
export function rms(chunk) {
  const energy = chunk.reduce((sum, sample) => sum + sample * sample, 0);
  return Math.sqrt(energy / chunk.length) / 32768;
}
