// One session with the streaming service: token, socket, turns, end. Every wait settles.

import { explainClose } from './close-codes.js';
import { padded } from './pcm.js';

const TOKEN_SECONDS = 10;
const BEGIN_SECONDS = 10; // Begin was seen to take longer than a second
const TERMINATION_SECONDS = 8;

const NO_ANSWER = 'The server of this page does not answer. See whether it is still running.';
const ODD_ANSWER = 'The server of this page answered without a token. Reload the page, sign in again.';
const NO_BEGIN = 'The service did not begin the session in time. Press Start to try again.';
const NO_END = 'The service did not confirm the end; the last words may be missing.';

/** The session could not be opened or did not end well; the message is for people. */
export class SessionError extends Error {}

/**
 * A temporary token, and the address that takes it.
 *
 * @returns {Promise<{ token: string, websocket_url: string }>}
 */
export async function requestToken() {
  const options = { cache: 'no-store', signal: AbortSignal.timeout(TOKEN_SECONDS * 1000) };
  // Relative, so that the page works under a path prefix too.
  const response = await fetch('token', options).catch(() => null);
  if (!response) throw new SessionError(NO_ANSWER);
  const answer = await response.json().catch(() => ({}));
  if (answer.token && answer.websocket_url) return answer;
  throw new SessionError(answer.hint ? `No token: ${answer.hint}` : ODD_ANSWER);
}

/** Whether an address leads to this computer, as a sandbox's does. */
export function isLoopback(url) {
  const { hostname } = new URL(url);
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/** One connection, for one token. */
export class Session {
  #sampleRate;
  #onTurn;
  #socket;
  #hasBegun = false;
  #error;
  #settle = {};
  #begun = new Promise((resolve) => (this.#settle.begun = resolve));
  #terminated = new Promise((resolve) => (this.#settle.terminated = resolve));

  /** Resolves with a SessionError once the service has ended the session. */
  closed = new Promise((resolve) => (this.#settle.closed = resolve));

  /**
   * @param {{ token: string, websocket_url: string }} grant from requestToken
   * @param {number} sampleRate of the audio, in Hz
   * @param {(message: object) => void} onTurn gets every Turn message
   */
  constructor({ token, websocket_url: url }, sampleRate, onTurn) {
    this.#sampleRate = sampleRate;
    this.#onTurn = onTurn;
    const query = new URLSearchParams({
      speech_model: 'universal-streaming-english',
      sample_rate: sampleRate,
      encoding: 'pcm_s16le',
      format_turns: true,
      token,
    });
    this.#socket = connect(`${url}?${query}`);
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = ({ code }) => this.#end(code);
    // A close with 1006 follows, except when the page's own policy forbade the address.
    this.#socket.onerror = () => this.#end(1006);
  }

  /** Waits for Begin; audio may be sent from then on. */
  async begin() {
    const error = await within(BEGIN_SECONDS, [this.#begun, this.closed], NO_BEGIN);
    if (error) throw error;
  }

  /** @param {Int16Array} chunk at most a second; a short last one gets silence behind it */
  send(chunk) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(padded(chunk, this.#sampleRate));
  }

  /** Asks for the last turn, waits for it, and closes. */
  async finish() {
    this.#terminate();
    const error = await within(TERMINATION_SECONDS, [this.#terminated, this.closed], NO_END);
    this.#socket.close();
    if (error) throw error;
  }

  /** Ends the session without waiting for anything. */
  close() {
    this.#terminate();
    this.#settle.terminated();
    this.#socket.close();
  }

  #terminate() {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify({ type: 'Terminate' }));
  }

  #receive(data) {
    const message = JSON.parse(data);
    if (message.type === 'Begin') {
      this.#hasBegun = true;
      this.#settle.begun();
    }
    if (message.type === 'Turn') this.#onTurn(message);
    if (message.type === 'Termination') this.#settle.terminated();
    // Always fatal; the close that follows says less.
    if (message.error) {
      this.#error = message.error;
      this.#end(message.error_code);
    }
  }

  #end(code) {
    const session = { hasBegun: this.#hasBegun, error: this.#error };
    this.#settle.closed(new SessionError(explainClose(code, session)));
  }
}

function connect(address) {
  try {
    return new WebSocket(address);
  } catch {
    // The browser's own error would show the address, and with it the token.
    throw new SessionError('This page may not connect to the address of the service.');
  }
}

/** What the first of the promises resolves with; a SessionError when none does in time. */
function within(seconds, promises, message) {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(new SessionError(message)), seconds * 1000);
    Promise.race(promises).then((value) => {
      clearTimeout(late);
      resolve(value);
    });
  });
}
