// The microphone: permission, audio context, worklet. The one owner of the tracks.

import { Failure, NO_SERVER } from '../session/failure.js';
import { rms, SAMPLE_RATE } from './chunks.js';

const WORKLET = new URL('./worklet.js', import.meta.url);
const SILENT_SECONDS = 3;
const SILENT_LEVEL = 1e-4; // -80 dB: a quiet room is louder, a dead microphone is not
const FLUSH_SECONDS = 1;

const RELEASED = 'The microphone was released.';
const SILENT = 'Is it switched on, and the right one?';
const STANDS =
  'The browser does not pass the sound on. Click on this page; if that does not help, see whether ' +
  'this computer has a sound device.';

const CAUSES = {
  insecure:
    'Browsers give the microphone to secure pages only. Open this page by https:// or by ' +
    'http://localhost.',
  policy:
    'The page that frames this one does not share the microphone. Open this page in a tab of its own.',
  NotAllowedError:
    'The microphone was denied. Allow it for this page in the browser (and for the browser in the ' +
    'system settings), then press Start again.',
  framed:
    'The microphone was denied: the page or the editor that shows this one may not share it. Open it ' +
    'in a browser, in a tab of its own.',
  NotFoundError: 'There is no microphone. Connect one, then press Start again.',
  OverconstrainedError: 'That microphone is gone. Choose another one, then press Start again.',
  NotSupportedError:
    'This browser cannot change to a microphone with another sample rate in the middle of a session. ' +
    'Open a new session with it.',
  NotReadableError:
    'The microphone is busy or does not answer. Close other programs that use it, then press Start again.',
};

/** Captures from `open()` until `finish()` or `release()`; use it once. */
export class Microphone {
  #on;
  #deviceId;
  #stream = null;
  #context = null;
  #source = null;
  #node = null;
  #changes; // one after another
  #watch;
  #soundAt = 0;
  #said = '';
  #isReleased = false;
  #settle = {};
  #flushed = new Promise((resolve) => (this.#settle.flushed = resolve));

  /** Resolves with a Failure when the microphone goes away and no other can go on. */
  ended = new Promise((resolve) => (this.#settle.ended = resolve));

  /**
   * @param {object} on
   * @param {(chunk: Int16Array) => void} on.chunk 100 ms of sound, the last one may be shorter
   * @param {(level: number) => void} on.level root mean square of a chunk, 0 to 1
   * @param {(text: string) => void} on.notice what is odd about the sound; '' when it is not any more
   * @param {(deviceId: string) => void} [on.device] another microphone is used, or still this one
   * @param {string} [deviceId] of the microphone, '' for the default one
   */
  constructor(on, deviceId = '') {
    this.#deviceId = deviceId;
    this.#on = { device: () => {}, ...on };
    this.#changes = new Promise((resolve) => (this.#settle.opened = resolve));
  }

  /**
   * Asks for the microphone and starts to capture.
   *
   * @returns {Promise<number>} the sample rate in Hz
   */
  async open() {
    try {
      this.#stream = await this.#ask(this.#deviceId);
      await this.#capture();
    } catch (error) {
      this.release();
      throw named(error);
    }
    this.#watchSilence();
    this.#settle.opened();
    return this.#context.sampleRate;
  }

  /**
   * Goes on with another microphone, at the same sample rate; with the present one if that fails.
   *
   * @param {string} deviceId of the microphone, '' for the default one
   */
  choose(deviceId) {
    this.#changes = this.#changes.then(async () => {
      if (this.#isReleased || deviceId === this.#deviceId) return;
      try {
        await this.#changeTo(deviceId);
        this.#tell('');
      } catch (error) {
        if (this.#isReleased) return;
        this.#tell(`${named(error).message} Still listening to ${this.#name}.`);
      }
      this.#on.device(this.#deviceId);
    });
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
    this.#settle.opened();
    clearInterval(this.#watch);
    if (this.#node) this.#node.port.onmessage = null;
    if (this.#stream) letGo(this.#stream);
    this.#context?.close().catch(() => {}); // it is closed already
    this.#on.level(0);
    this.#say('');
  }

  async #ask(deviceId) {
    if (!window.isSecureContext || !navigator.mediaDevices) throw new Failure(CAUSES.insecure);
    // Only Chromium can tell a frame's policy from a person's refusal.
    const policy = document.permissionsPolicy ?? document.featurePolicy;
    if (policy?.allowsFeature('microphone') === false) throw new Failure(CAUSES.policy);
    // The page plays nothing, so there is no echo to cancel.
    const audio = { channelCount: 1, echoCancellation: false };
    if (deviceId) audio.deviceId = { exact: deviceId };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    if (!this.#isReleased) return stream;
    letGo(stream); // the permission came after Stop
    throw new Failure(RELEASED);
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
    this.#source = context.createMediaStreamSource(this.#stream);
    await context.audioWorklet.addModule(WORKLET).catch(() => {
      throw new Failure(NO_SERVER);
    });
    if (this.#isReleased) throw new Failure(RELEASED);
    this.#node = new AudioWorkletNode(context, 'audio-processor', {
      numberOfOutputs: 0, // nothing goes to the speakers
      channelCount: 1,
      channelCountMode: 'explicit',
    });
    this.#node.port.onmessage = ({ data }) => this.#receive(data);
    this.#source.connect(this.#node);
    this.#follow(this.#stream);
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

  // The context, and with it the sample rate that the session declared, stays.
  async #changeTo(deviceId) {
    const stream = await this.#ask(deviceId);
    try {
      if (this.#isReleased) throw new Failure(RELEASED);
      const source = this.#context.createMediaStreamSource(stream);
      this.#source.disconnect();
      source.connect(this.#node);
      this.#source = source;
    } catch (error) {
      letGo(stream);
      throw error;
    }
    letGo(this.#stream);
    this.#stream = stream;
    this.#deviceId = deviceId;
    this.#soundAt = performance.now();
    this.#follow(stream);
  }

  #follow(stream) {
    const [track] = stream.getAudioTracks();
    track.onended = () => this.#replace(stream);
    track.onmute = () => this.#say(`${this.#name} is muted by the system or the browser.`);
    track.onunmute = () => this.#hear();
  }

  // The microphone that went away is replaced by the default one.
  #replace(gone) {
    const loss = `${this.#name} was disconnected or taken away.`;
    this.#changes = this.#changes.then(async () => {
      if (this.#isReleased || this.#stream !== gone) return;
      try {
        await this.#changeTo('');
        this.#tell(`${loss} Listening to ${this.#name} now.`);
        this.#on.device('');
      } catch (error) {
        this.#settle.ended(new Failure(`${loss} ${named(error).message}`));
      }
    });
  }

  // By the clock and not by chunks: an audio context that stands still sends none.
  #watchSilence() {
    this.#soundAt = performance.now();
    this.#watch = setInterval(() => {
      const isSilent = performance.now() - this.#soundAt >= SILENT_SECONDS * 1000;
      if (!isSilent || this.#stream.getAudioTracks()[0].muted) return;
      const stands = this.#context.state !== 'running';
      if (stands) this.#context.resume().catch(() => {});
      this.#say(stands ? STANDS : `Your microphone is silent: ${this.#name}. ${SILENT}`);
    }, 500);
  }

  #hear() {
    this.#soundAt = performance.now();
    this.#say('');
  }

  get #name() {
    return this.#stream.getAudioTracks()[0].label || 'The microphone';
  }

  /** Says what holds until it does not any more. */
  #say(text) {
    if (text === this.#said) return;
    this.#said = text;
    this.#on.notice(text);
  }

  /** Says what has happened. */
  #tell(text) {
    this.#said = '';
    this.#on.notice(text);
  }
}

function letGo(stream) {
  for (const track of stream.getTracks()) {
    track.onended = null;
    track.onmute = null;
    track.onunmute = null;
    track.stop();
  }
}

function named(error) {
  if (error instanceof Failure) return error;
  // Only Chromium tells a frame's policy; for a person who says no, a tab of its own is right, too.
  const isFramed = error.name === 'NotAllowedError' && window.parent !== window;
  if (isFramed) return new Failure(CAUSES.framed);
  return new Failure(CAUSES[error.name] ?? `The microphone cannot be used: ${error.message}`);
}
