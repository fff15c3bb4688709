// The link to the service: one WebSocket, which carries one session or a part of one.

import { Failure } from './failure.js';

const FORBIDDEN = 'This page may not connect to the address of the service.';
const ABNORMAL = 1006;

/** Opened with one token; every wait settles. */
export class Link {
  #socket;
  #settle;
  #odd = new Set(); // kinds of messages that were left out

  /** Resolves once it is closed, by whomever: with the code and the reason, or with a `failure`. */
  closed = new Promise((resolve) => (this.#settle = resolve));

  /**
   * @param {object} grant a `token` and its `websocket_url`, as from requestToken; `parameters` for
   *   the session, and `open`, which makes the socket for an address, if need be
   * @param {(message: object) => void} onMessage gets each that can be read
   */
  constructor({ token, websocket_url: url, parameters, open = dial }, sampleRate, onMessage) {
    const query = new URLSearchParams({
      speech_model: 'universal-streaming-english',
      format_turns: true,
      session_heartbeat: true,
      ...parameters,
      sample_rate: sampleRate,
      encoding: 'pcm_s16le',
      token,
    });
    try {
      this.#socket = open(`${url}?${query}`);
    } catch {
      // The browser's own error would show the address, and with it the token.
      throw new Failure(FORBIDDEN, { code: ABNORMAL });
    }
    this.#socket.onmessage = ({ data }) => this.#receive(data, onMessage);
    this.#socket.onclose = this.#settle;
    // A close with 1006 follows, except when the page's own policy forbade the address.
    this.#socket.onerror = () => this.#settle({ code: ABNORMAL, reason: '' });
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(data) {
    if (this.isOpen) this.#socket.send(data);
  }

  /** Closes it; `closed` does not wait for the other side. */
  close() {
    this.#socket.close();
    this.#settle({ code: ABNORMAL, reason: '' });
  }

  #receive(data, onMessage) {
    const message = parsed(data);
    if (!isReadable(message)) return this.#leaveOut(message?.type);
    onMessage(message);
    // Always fatal; the close that follows says less, and may not come.
    if (message.error) this.#settle({ code: message.error_code, reason: message.error });
  }

  #leaveOut(kind = 'none') {
    if (!this.#odd.has(kind)) console.warn(`Ignored a message from the service, of type ${kind}.`);
    this.#odd.add(kind);
  }
}

const dial = (address) => new WebSocket(address);

/** The value in a message, null when it is not JSON. */
export function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

/** Whether a message has what its type promises; the session goes on without one that has not. */
export function isReadable(message) {
  if (message === null || typeof message !== 'object' || Array.isArray(message)) return false;
  const { type, words, total_audio_received_ms: taken } = message;
  if (type === 'Turn') return Array.isArray(words) && words.every((word) => word?.end >= 0);
  return type !== 'Heartbeat' || Number.isFinite(taken);
}
