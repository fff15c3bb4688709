// The microphone: permission, which one, its sound in chunks, and what is said of it. The one owner of
// the tracks.

import { after, every } from '../session/clock.js';
import { Failure, NO_SERVER } from '../session/failure.js';
import { rms, SAMPLE_RATE } from './chunks.js';
import { Flow } from './flow.js';
import { checkAllowed, refusal, SAYS } from './refusals.js';

const WORKLET = new URL('./worklet.js', import.meta.url);
const FLUSH_SECONDS = 1;
const LOOK_MILLISECONDS = 500;

/** Captures from `open()` until `finish()` or `release()`; use it once. */
export class Microphone {
  #on;
  #wish;
  #deviceId; // of the one that is used
  #stream = null;
  #context = null;
  #node = null;
  #source = null;
  #changes = Promise.resolve(); // one after another
  #flow = new Flow();
  #endLooks = () => {};
  #said = '';
  #isReleased = false;
  #flushed = () => {};
  #lose;

  /** Resolves with a Failure when the microphone goes away and no other can go on. */
  ended = new Promise((resolve) => (this.#lose = resolve));

  /**
   * @param {object} on what is called: chunk(samples) with an Int16Array of 100 ms, the last one may be
   *   shorter; level(rms) of a chunk, 0 to 1; notice(text) of what is odd about the sound, '' when it is
   *   not any more; device(deviceId, text) with what has happened, if that was not asked for
   * @param {object} [wish] for a microphone: its `deviceId`, '' for the default one, and its `label`
   */
  constructor(on, wish = { deviceId: '' }) {
    this.#on = on;
    this.#wish = wish;
  }

  /** Asks for the microphone and starts to capture; gives the sample rate in Hz. */
  open() {
    const opened = this.#open();
    this.#changes = opened.catch(() => {});
    return opened;
  }

  /** Goes on with another microphone, at the same sample rate; with the present one if that fails. */
  choose(deviceId) {
    this.#inTurn(async () => {
      if (deviceId === this.#deviceId) return;
      await this.#changeTo(deviceId, '').catch((error) => {
        this.#tell(`${refusal(error).message} Still listening to ${this.#name}.`);
      });
    });
  }

  /** Hands out what has not filled a chunk yet, then lets go of the microphone. */
  async finish() {
    if (this.#node) {
      await new Promise((resolve) => {
        this.#flushed = resolve;
        after(FLUSH_SECONDS * 1000, resolve);
        this.#node.port.postMessage('flush');
      });
    }
    this.release();
  }

  /** Lets go of the microphone at once. */
  release() {
    this.#isReleased = true;
    this.#endLooks();
    if (this.#stream) letGo(this.#stream);
    this.#close();
    this.#on.level(0);
    this.#say('');
  }

  async #open() {
    const { deviceId, label } = this.#wish;
    try {
      this.#deviceId = deviceId;
      this.#stream = await this.#ask(deviceId).catch(instead('OverconstrainedError', () => {
        this.#deviceId = '';
        return this.#ask('');
      }));
      // Firefox does not resample a microphone: take the device's own rate.
      const atItsOwnRate = instead('NotSupportedError', () => this.#start({}));
      await this.#start({ sampleRate: SAMPLE_RATE }).catch(atItsOwnRate);
    } catch (error) {
      this.release();
      throw refusal(error);
    }
    this.#endLooks = every(LOOK_MILLISECONDS, () => this.#look());
    const isOther = this.#deviceId !== deviceId;
    this.#tell(isOther ? `${label} is not connected. ${this.#instead}` : '');
    return this.#context.sampleRate;
  }

  async #ask(deviceId) {
    checkAllowed();
    // The page plays nothing, so there is no echo to cancel.
    const audio = { channelCount: 1, echoCancellation: false };
    if (deviceId) audio.deviceId = { exact: deviceId };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    if (this.#isReleased) letGo(stream); // the permission came after Stop
    this.#check();
    return stream;
  }

  async #start(options) {
    this.#close();
    const context = new AudioContext(options);
    this.#context = context;
    await context.audioWorklet.addModule(WORKLET).catch(() => {
      throw new Failure(NO_SERVER);
    });
    this.#check();
    this.#node = new AudioWorkletNode(context, 'audio-processor', {
      numberOfOutputs: 0, // nothing goes to the speakers
      channelCount: 1,
      channelCountMode: 'explicit',
    });
    this.#node.port.onmessage = ({ data }) => this.#receive(data);
    this.#listenTo(this.#stream);
    context.onstatechange = () => {
      this.#flow.wait();
      this.#judge();
    };
    this.#judge();
  }

  #listenTo(stream) {
    const source = this.#context.createMediaStreamSource(stream);
    this.#source?.disconnect();
    source.connect(this.#node);
    this.#source = source;
    const track = trackOf(stream);
    track.onended = () => this.#replace(stream);
    track.onmute = () => this.#judge();
    track.onunmute = () => this.#judge();
  }

  // What is on its way from a context that is built anew still counts.
  #close() {
    this.#flushed();
    this.#node = null;
    this.#source = null;
    if (!this.#context) return;
    this.#context.onstatechange = null;
    this.#context.close().catch(() => {}); // it is closed already
  }

  #receive(chunk) {
    if (this.#isReleased) return;
    if (chunk === 'flushed') return this.#flushed();
    const level = rms(chunk);
    this.#flow.hear(level);
    this.#judge();
    this.#on.level(level);
    this.#on.chunk(chunk);
  }

  // The context, and with it the sample rate that the session declared, stays.
  async #changeTo(deviceId, loss) {
    const stream = await this.#ask(deviceId);
    try {
      this.#listenTo(stream);
    } catch (error) {
      letGo(stream);
      throw error;
    }
    letGo(this.#stream);
    this.#stream = stream;
    this.#deviceId = deviceId;
    this.#flow = new Flow();
    this.#tell(loss && `${loss} ${this.#instead}`);
  }

  // By the default one.
  #replace(gone) {
    const loss = `${this.#name} was disconnected or taken away.`;
    this.#inTurn(async () => {
      if (this.#stream !== gone) return;
      await this.#changeTo('', loss).catch((error) => {
        this.#lose(new Failure(`${loss} ${refusal(error).message}`));
      });
    });
  }

  // After a call a phone's context may say that it runs, and bring nothing any more.
  #restart() {
    this.#flow.restart();
    const { sampleRate } = this.#context; // what the session declared
    this.#inTurn(() => this.#start({ sampleRate }).catch(() => {})); // the next looks see it
  }

  #check() {
    if (this.#isReleased) throw new Failure('The microphone was released.');
  }

  #inTurn(step) {
    this.#changes = this.#changes.then(() => (this.#isReleased ? null : step()));
  }

  #look() {
    this.#flow.pass();
    if (this.#flow.isStill) this.#on.level(0);
    this.#judge();
  }

  #judge() {
    if (this.#isReleased) return;
    this.#flow.see(this.#context.state, trackOf(this.#stream).muted);
    // Not while a call interrupts it: on a phone that leaves a context which says that it runs, and
    // brings nothing any more.
    if (this.#context.state === 'suspended') this.#context.resume().catch(() => {});
    if (this.#flow.isDead) this.#restart();
    this.#say(SAYS[this.#flow.state](this.#name));
  }

  /** Says what holds until it does not any more. */
  #say(text) {
    if (text === this.#said) return;
    this.#said = text;
    this.#on.notice(text);
  }

  #tell(text) {
    if (!this.#isReleased) this.#on.device(this.#deviceId, text);
  }

  get #name() {
    return trackOf(this.#stream).label || 'The microphone';
  }

  get #instead() {
    return `Listening to ${this.#name} now.`;
  }
}

const trackOf = (stream) => stream.getAudioTracks()[0];

/** What a step does in place of one that fails with an error of that name. */
const instead = (name, step) => (error) => {
  if (error.name === name) return step();
  throw error;
};

const letGo = (stream) => stream.getTracks().forEach((track) => track.stop());
