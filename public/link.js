// The token, and one connection that it opens. Every wait settles.

import { Failure } from './retry.js';

const TOKEN_SECONDS = 10;
const MARGIN_SECONDS = 10; // a token with less life than that is not tried any more
// What the server of this page says when asking again cannot help.
const FOR_GOOD = ['not_configured', 'unexpected_answer'];

const NO_ANSWER = 'The server of this page does not answer. See whether it is still running.';
const ODD_ANSWER = 'The server of this page answered without a token. Reload the page, sign in again.';
const FORBIDDEN = 'This page may not connect to the address of the service.';

/**
 * A temporary token, and the address that takes it.
 *
 * @returns {Promise<{ token: string, websocket_url: string, expires: number }>} `expires` on the
 *   clock of performance.now()
 */
export async function requestToken() {
  const asked = performance.now();
  const options = { cache: 'no-store', signal: AbortSignal.timeout(TOKEN_SECONDS * 1000) };
  // Relative, so that the page works under a path prefix too.
  const response = await fetch('token', options).catch(() => null);
  if (!response) throw new Failure(NO_ANSWER, { isUnreachable: true });
  const answer = await response.json().catch(() => ({}));
  const life = (answer.expires_in_seconds ?? 60) * 1000;
  if (answer.token && answer.websocket_url) {
    return { ...answer, websocket_url: socketAddress(answer.websocket_url), expires: asked + life };
  }
  // What the service answered to the server of this page, where it did, says more.
  const status = FOR_GOOD.includes(answer.code) ? 400 : (answer.status ?? response.status);
  throw new Failure(answer.hint ? `No token: ${answer.hint}` : ODD_ANSWER, { status });
}

/** Behind a proxy the address is a path on this page's host. */
function socketAddress(place) {
  return new URL(place, globalThis.location?.href).href.replace(/^http/, 'ws');
}

/**
 * A function that gets a token, another one each time: each token opens one session.
 *
 * The first is asked for at once, while the microphone starts; it is let go when it has grown old
 * behind the permission prompt.
 *
 * @param {(grant: object) => void} [onGrant] gets each of them when it comes
 * @param {() => Promise<object>} [ask] gets one from elsewhere than the server of the page
 */
export function tokens(onGrant = () => {}, ask = requestToken) {
  const request = async () => {
    const grant = await ask();
    onGrant(grant);
    return grant;
  };
  let early = request();
  early.catch(() => {}); // whoever takes it is told
  return async () => {
    const asked = early;
    early = null;
    const grant = await asked;
    return grant && isFresh(grant) ? grant : request();
  };
}

const isFresh = ({ expires }) => expires - performance.now() > MARGIN_SECONDS * 1000;

/** Whether an address leads to this computer, as a sandbox's does. */
export function isLoopback(url) {
  const { hostname } = new URL(url);
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/** One connection, for one token. */
export class Link {
  #socket;
  #settle;

  /** Resolves with the code and the reason once the connection is closed, by whomever. */
  closed = new Promise((resolve) => (this.#settle = resolve));

  /**
   * @param {object} grant a `token` and its `websocket_url`, as from requestToken; `parameters` for
   *   the session, and `open`, which makes the socket for an address, if need be
   * @param {number} sampleRate of the audio, in Hz
   * @param {(message: object) => void} onMessage
   */
  constructor({ token, websocket_url: url, parameters, open }, sampleRate, onMessage) {
    const query = new URLSearchParams({
      speech_model: 'universal-streaming-english',
      format_turns: true,
      ...parameters,
      sample_rate: sampleRate,
      encoding: 'pcm_s16le',
      token,
    });
    this.#socket = connect(`${url}?${query}`, open);
    this.#socket.onmessage = ({ data }) => this.#receive(data, onMessage);
    this.#socket.onclose = ({ code, reason }) => this.#settle({ code, reason });
    // A close with 1006 follows, except when the page's own policy forbade the address.
    this.#socket.onerror = () => this.#settle({ code: 1006, reason: '' });
  }

  /** Whether it can be sent on. */
  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** @param {Int16Array | string} data */
  send(data) {
    if (this.isOpen) this.#socket.send(data);
  }

  /** Closes it; `closed` does not wait for the other side. */
  close() {
    this.#socket.close();
    this.#settle({ code: 1006, reason: '' });
  }

  #receive(data, onMessage) {
    const message = parsed(data);
    if (message) onMessage(message);
    // Always fatal; the close that follows says less, and may not come.
    if (message?.error) this.#settle({ code: message.error_code, reason: message.error });
  }
}

function connect(address, open = (url) => new WebSocket(url)) {
  try {
    return open(address);
  } catch {
    // The browser's own error would show the address, and with it the token.
    throw new Failure(FORBIDDEN);
  }
}

/** The object in a message, null when it is none: the session goes on without it. */
function parsed(data) {
  try {
    const message = JSON.parse(data);
    return typeof message === 'object' ? message : null;
  } catch {
    return null;
  }
}
