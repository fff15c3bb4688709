// The microphone: permission, audio context, worklet. The one owner of the tracks.

import { rms } from './pcm.js';

const SAMPLE_RATE = 16000; // Hz: what the service's models hear
const SILENT_SECONDS = 3;
const SILENT_LEVEL = 1e-4; // -80 dB: a quiet room is louder, a dead microphone is not
const FLUSH_SECONDS = 1;

const CAUSES = {
  insecure:
    'Browsers give the microphone to secure pages only. Open this page by https:// or by ' +
    'http://localhost.',
  policy:
    'The page that frames this one does not share the microphone. Open this page in a tab of its own.',
  server: 'The server of this page does not answer. See whether it is still running.',
  NotAllowedError:
    'The microphone was denied. Allow it for this page in the browser (and for the browser in the ' +
    'system settings), then press Start again.',
  framed:
    'The microphone was denied: the page or the editor that shows this one may not share it. Open it ' +
    'in a browser, in a tab of its own.',
  NotFoundError: 'There is no microphone. Connect one, then press Start again.',
  OverconstrainedError: 'That microphone is gone. Choose another one, then press Start again.',
  NotReadableError:
    'The microphone is busy or does not answer. Close other programs that use it, then press Start again.',
};

/** There is no sound to be had; the message is for people. */
export class MicrophoneError extends Error {}

/** Captures from `open()` until `finish()` or `release()`; use it once. */
export class Microphone {
  #on;
  #workletUrl;
  #deviceId;
  #stream = null;
  #context = null;
  #node = null;
  #watch;
  #soundAt = 0;
  #said = '';
  #isReleased = false;
  #settle = {};
  #flushed = new Promise((resolve) => (this.#settle.flushed = resolve));

  /** Resolves with a MicrophoneError when the microphone goes away by itself. */
  ended = new Promise((resolve) => (this.#settle.ended = resolve));

  /**
   * @param {string | URL} workletUrl the address of audio-processor.js
   * @param {object} on
   * @param {(chunk: Int16Array) => void} on.chunk 100 ms of sound, the last one may be shorter
   * @param {(level: number) => void} on.level root mean square of a chunk, 0 to 1
   * @param {(text: string) => void} on.notice what is odd about the sound; '' when it is not any more
   * @param {string} [deviceId] of the microphone, '' for the default one
   */
  constructor(workletUrl, on, deviceId = '') {
    this.#workletUrl = workletUrl;
    this.#deviceId = deviceId;
    this.#on = on;
  }

  /**
   * Asks for the microphone and starts to capture.
   *
   * @returns {Promise<number>} the sample rate in Hz
   */
  async open() {
    try {
      await this.#openStream();
      await this.#capture();
    } catch (error) {
      this.release();
      throw named(error);
    }
    this.#watchSilence();
    return this.#context.sampleRate;
  }

  /** Hands out what has not filled a chunk yet, then lets go of the microphone. */
  async finish() {
    this.#node?.port.postMessage('flush');
    const timeOut = new Promise((resolve) => setTimeout(resolve, FLUSH_SECONDS * 1000));
    if (this.#node) await Promise.race([this.#flushed, timeOut]);
    this.release();
  }

  /** Lets go of the microphone at once. */
  release() {
    this.#isReleased = true;
    this.#settle.flushed();
    clearInterval(this.#watch);
    if (this.#node) this.#node.port.onmessage = null;
    this.#stream?.getTracks().forEach((track) => track.stop());
    if (this.#context && this.#context.state !== 'closed') this.#context.close();
    this.#on.level(0);
    this.#say('');
  }

  async #openStream() {
    if (!window.isSecureContext || !navigator.mediaDevices) throw new MicrophoneError(CAUSES.insecure);
    // Only Chromium can tell a frame's policy from a person's refusal.
    const policy = document.permissionsPolicy ?? document.featurePolicy;
    if (policy?.allowsFeature('microphone') === false) throw new MicrophoneError(CAUSES.policy);
    // The page plays nothing, so there is no echo to cancel.
    const audio = { channelCount: 1, echoCancellation: false };
    if (this.#deviceId) audio.deviceId = { exact: this.#deviceId };
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio });
    // The permission may come after Stop.
    if (this.#isReleased) throw new MicrophoneError('The microphone was released.');
    this.#follow(this.#stream.getAudioTracks()[0]);
  }

  async #capture() {
    try {
      await this.#connect(new AudioContext({ sampleRate: SAMPLE_RATE }));
    } catch (error) {
      if (error.name !== 'NotSupportedError') throw error;
      // Firefox does not resample a microphone: take the device's own rate.
      await this.#context?.close();
      await this.#connect(new AudioContext());
    }
  }

  async #connect(context) {
    this.#context = context;
    const source = context.createMediaStreamSource(this.#stream);
    await context.audioWorklet.addModule(this.#workletUrl).catch(() => {
      throw new MicrophoneError(CAUSES.server);
    });
    if (this.#isReleased) throw new MicrophoneError('The microphone was released.');
    this.#node = new AudioWorkletNode(context, 'audio-processor', {
      numberOfOutputs: 0, // nothing goes to the speakers
      channelCount: 1,
      channelCountMode: 'explicit',
    });
    this.#node.port.onmessage = ({ data }) => this.#receive(data);
    source.connect(this.#node);
    context.resume().catch(() => {}); // closed in the meantime
  }

  #receive(data) {
    if (data === 'flushed') {
      this.#settle.flushed();
      return;
    }
    const level = rms(data);
    if (level > SILENT_LEVEL) this.#hear();
    this.#on.level(level);
    this.#on.chunk(data);
  }

  #follow(track) {
    track.onended = () =>
      this.#settle.ended(new MicrophoneError('The microphone was disconnected or taken away.'));
    track.onmute = () => this.#say(`${nameOf(track)} is muted by the system or the browser.`);
    track.onunmute = () => this.#hear();
  }

  // By the clock and not by chunks: an audio context that stands still sends none.
  #watchSilence() {
    this.#soundAt = performance.now();
    this.#watch = setInterval(() => {
      const [track] = this.#stream.getAudioTracks();
      const isSilent = performance.now() - this.#soundAt >= SILENT_SECONDS * 1000;
      if (!isSilent || track.muted) return;
      this.#say(`Your microphone is silent: ${nameOf(track)}. Is it switched on, and the right one?`);
    }, 500);
  }

  #hear() {
    this.#soundAt = performance.now();
    this.#say('');
  }

  #say(text) {
    if (text === this.#said) return;
    this.#said = text;
    this.#on.notice(text);
  }
}

const nameOf = (track) => track.label || 'The microphone';

function named(error) {
  if (error instanceof MicrophoneError) return error;
  // Only Chromium tells a frame's policy; for a person who says no, a tab of its own is right, too.
  const isFramed = error.name === 'NotAllowedError' && window.parent !== window;
  if (isFramed) return new MicrophoneError(CAUSES.framed);
  return new MicrophoneError(CAUSES[error.name] ?? `The microphone cannot be used: ${error.message}`);
}
