// The sound of a stream as chunks: an audio context, and the worklet in it.

import { Failure, NO_SERVER } from '../session/failure.js';
import { after } from '../session/timers.js';

const WORKLET = new URL('./worklet.js', import.meta.url);
const FLUSH_SECONDS = 1;

/** From `start()` until `close()`; use it once. */
export class Capture {
  #context;
  #on;
  #node = null;
  #source = null;
  #flushed = () => {};

  /**
   * @param {AudioContextOptions} options
   * @param {object} on
   * @param {(chunk: Int16Array) => void} on.chunk 100 ms of sound, the last one may be shorter
   * @param {() => void} on.state the context says something else of itself
   */
  constructor(options, on) {
    this.#context = new AudioContext(options);
    this.#on = on;
  }

  get sampleRate() {
    return this.#context.sampleRate;
  }

  /** What the context says of itself, which need not be so. */
  get state() {
    return this.#context.state;
  }

  /** @param {MediaStream} stream to listen to */
  async start(stream) {
    await this.#context.audioWorklet.addModule(WORKLET).catch(() => {
      throw new Failure(NO_SERVER);
    });
    if (this.state === 'closed') return;
    this.#node = new AudioWorkletNode(this.#context, 'audio-processor', {
      numberOfOutputs: 0, // nothing goes to the speakers
      channelCount: 1,
      channelCountMode: 'explicit',
    });
    this.#node.port.onmessage = ({ data }) => {
      if (data === 'flushed') this.#flushed();
      else this.#on.chunk(data);
    };
    this.listenTo(stream);
    this.#context.onstatechange = () => this.#on.state();
    this.wake();
  }

  /** @param {MediaStream} stream to listen to from now on */
  listenTo(stream) {
    const source = this.#context.createMediaStreamSource(stream);
    this.#source?.disconnect();
    source.connect(this.#node);
    this.#source = source;
  }

  /**
   * Goes on after a pause. Not while a call interrupts it: on a phone that leaves a context which says
   * that it runs, and brings nothing any more.
   */
  wake() {
    if (this.state === 'suspended') this.#context.resume().catch(() => {});
  }

  /** Hands out what has not filled a chunk yet. */
  async flush() {
    if (!this.#node) return;
    const flushed = new Promise((resolve) => (this.#flushed = resolve));
    this.#node.port.postMessage('flush');
    const late = new Promise((resolve) => after(FLUSH_SECONDS * 1000, resolve));
    await Promise.race([flushed, late]);
  }

  /** Hands out nothing any more. */
  close() {
    this.#flushed();
    if (this.#node) this.#node.port.onmessage = null;
    this.#context.onstatechange = null;
    this.#context.close().catch(() => {}); // it is closed already
  }
}
