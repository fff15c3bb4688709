// The page: the button, and the way of the sound from the microphone to the words.

import { Backlog } from './backlog.js';
import { Microphone } from './microphone.js';
import { isLoopback, requestToken, Session } from './session.js';
import { Transcript } from './turns.js';
import * as view from './view.js';

const WORKLET = new URL('./audio-processor.js', import.meta.url);

let run; // the present transcription, or the last one

class Run {
  #backlog = new Backlog();
  #transcript = new Transcript();
  #session;
  #stopped = new Promise((resolve) => (this.stop = resolve));
  #microphone = new Microphone(WORKLET, {
    chunk: (chunk) => this.#backlog.push(chunk),
    level: view.showLevel,
    notice: view.showNotice,
  });

  async toTheEnd() {
    view.clear();
    view.showState('starting');
    try {
      // The token comes after the microphone: it would expire behind the permission prompt.
      const sampleRate = await Promise.race([this.#microphone.open(), this.#stopped]);
      if (sampleRate) await this.#transcribe(sampleRate);
      view.showState('idle');
    } catch (error) {
      view.showState('failed');
      view.showError(error.message);
    } finally {
      this.leave();
    }
  }

  /** Lets go of everything at once. */
  leave() {
    this.stop();
    this.#microphone.release();
    this.#session?.close();
  }

  async #transcribe(sampleRate) {
    view.showState('connecting');
    // The microphone runs from here on: what is said while connecting waits in the backlog.
    const captured = this.#untilCaptured();
    await this.#connect(sampleRate);
    if (view.currentState() === 'connecting') view.showState('listening');
    this.#backlog.flowTo((chunk) => this.#session.send(chunk));
    if (this.#backlog.dropped) view.showNotice(lostWords(this.#backlog.dropped));
    const loss = await Promise.race([captured, this.#session.closed]);
    await this.#session.finish();
    if (loss) throw loss;
  }

  async #untilCaptured() {
    const loss = await Promise.race([this.#stopped, this.#microphone.lost]);
    // After a failure there is nothing to finish.
    if (['connecting', 'listening'].includes(view.currentState())) view.showState('finishing');
    await this.#microphone.finish();
    return loss;
  }

  async #connect(sampleRate) {
    const grant = await requestToken();
    view.showService(describe(grant.websocket_url));
    this.#session = new Session(grant, sampleRate, (turn) => {
      this.#transcript.apply(turn);
      view.showTranscript(this.#transcript);
    });
    await this.#session.begin();
  }
}

const lostWords = (chunks) =>
  `Connecting took too long: the first ${(chunks / 10).toFixed(1)} seconds of sound were lost.`;

function describe(url) {
  const { host } = new URL(url);
  return isLoopback(url)
    ? `Sandbox: recognised on this computer (${host})`
    : `AssemblyAI: recognised by the real service (${host})`;
}

view.onButton(() => {
  const state = view.currentState();
  if (state === 'finishing') return;
  if (state !== 'idle' && state !== 'failed') {
    run.stop();
    return;
  }
  run = new Run();
  run.toTheEnd();
});

// An open session is paid for until it is terminated.
window.addEventListener('pagehide', () => run?.leave());
