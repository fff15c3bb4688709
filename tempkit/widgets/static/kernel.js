// The kernel behind the widget: it grants tokens, hears what was said, and carries the sound where
// the browser itself cannot reach the service. Messages only, both ways: nothing is stored.

import { HERE, KERNEL } from '../page/words.js';
import { after, every } from '../session/clock.js';
import { Failure } from '../session/failure.js';
import { isLoopback, tokens } from '../session/token.js';

const OPEN_SECONDS = 5; // a firewall may keep the browser waiting for much longer
const ANSWER_SECONDS = 10;
const ALIVE_SECONDS = 10; // the kernel takes a page for gone after 30 without a word

export const NO_ANSWER =
  'The kernel does not answer. Wait for the running cell to end, or run the cell of this ' +
  'widget again; then press Start.';

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 3;

/** One end of the widget's comm. */
export class Kernel {
  #model;
  #listeners = new Map(); // by what a question or a socket is called

  /** @param {(message: object) => void} onMessage gets what the kernel says of its own accord */
  constructor(model, onMessage) {
    this.#model = model;
    model.on('msg:custom', (message) => {
      if (message.id) this.#listeners.get(message.id)?.(message);
      else onMessage(message);
    });
  }

  get(name) {
    return this.#model.get(name);
  }

  /** Sends a message with a `kind`; false when there is nobody to be told any more. */
  tell(message, buffers) {
    try {
      this.#model.send(message, undefined, buffers);
      return true;
    } catch {
      return false;
    }
  }

  /** Has `listener` called with what is said about an id; without one, nobody. */
  listen(id, listener) {
    if (listener) this.#listeners.set(id, listener);
    else this.#listeners.delete(id);
  }

  /** A temporary token with the address that takes it, as requestToken gives it. */
  async token() {
    const asked = performance.now();
    const id = newId();
    const answer = await new Promise((resolve) => {
      this.listen(id, resolve);
      after(ANSWER_SECONDS * 1000, resolve);
      if (!this.tell({ kind: 'token', id })) resolve();
    });
    this.listen(id);
    if (answer?.kind !== 'grant') throw refusal(answer);
    return { ...answer, expires: asked + answer.expires_in_seconds * 1000 };
  }
}

/** What a WebSocket is to link.js: the kernel opens one, with a token of its own. */
export class KernelSocket {
  #kernel;
  #id = newId();
  #cancel; // what waits for it to be opened, and then says that the page is there

  readyState = CONNECTING;

  constructor(kernel, sampleRate) {
    this.#kernel = kernel;
    this.#cancel = after(ANSWER_SECONDS * 1000, () => this.#finish({ failure: refusal() }));
    kernel.listen(this.#id, (message) => this.#receive(message));
    this.#tell({ kind: 'open', sample_rate: sampleRate });
  }

  send(data) {
    if (typeof data === 'string') this.#tell({ kind: 'text', text: data });
    else this.#tell({ kind: 'audio' }, [data.slice().buffer]);
  }

  close() {
    this.#finish({ code: 1006, reason: '' });
  }

  #receive({ kind, ...message }) {
    if (kind === 'opened') this.#open();
    if (kind === 'message') this.onmessage({ data: message.text });
    if (kind === 'closed') this.#finish(message);
    if (kind === 'refused') this.#finish({ failure: refusal(message) });
  }

  #open() {
    this.#cancel();
    this.readyState = OPEN;
    // A call may keep the sound away for longer, and the last words may take their time.
    this.#cancel = every(ALIVE_SECONDS * 1000, () => this.#tell({ kind: 'alive' }));
  }

  #tell(message, buffers) {
    const isTold = this.#kernel.tell({ ...message, id: this.#id }, buffers);
    if (!isTold) this.#finish({ failure: refusal() });
  }

  #finish(end) {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this.#cancel();
    this.#kernel.listen(this.#id);
    this.#tell({ kind: 'close' });
    queueMicrotask(() => this.onclose(end)); // once somebody listens
  }
}

/** The way that the next connection takes; what was found out holds for the ones after it. */
export class Route {
  #kernel;
  #onService;
  #isThroughKernel;
  #isReachable = false;

  /** @param {(whom: object) => void} onService whom one talks to, as a View shows it */
  constructor(kernel, onService) {
    this.#kernel = kernel;
    this.#onService = onService;
    // Trying would make the browser ask whether this page may look around the local network.
    const url = kernel.get('_service_url');
    this.#isThroughKernel = isLoopback(url) && !isLoopback(location.href);
    this.#tell(url);
  }

  /** A function that gets what opens a connection, for one recording. */
  dial() {
    const next = this.#isThroughKernel ? null : tokens(() => this.#kernel.token());
    let isTried = false;
    return async (sampleRate) => {
      // What was tried and never reached is not tried again.
      if (isTried && !this.#isReachable) this.#isThroughKernel = true;
      if (this.#isThroughKernel) return this.#throughKernel(sampleRate);
      const grant = await next();
      this.#tell(grant.websocket_url);
      const open = (address) => {
        isTried = true;
        return this.#direct(address);
      };
      return { ...grant, open };
    };
  }

  #throughKernel(sampleRate) {
    const url = this.#kernel.get('_service_url');
    this.#tell(url);
    return { token: '', websocket_url: url, open: () => new KernelSocket(this.#kernel, sampleRate) };
  }

  #tell(url) {
    const isSandbox = isLoopback(url);
    const here = isSandbox && !this.#kernel.get('_is_remote') ? HERE : '';
    this.#onService({ isSandbox, place: this.#isThroughKernel ? KERNEL : here });
  }

  #direct(address) {
    const socket = new WebSocket(address);
    socket.addEventListener('open', () => (this.#isReachable = true));
    after(OPEN_SECONDS * 1000, () => socket.readyState === WebSocket.OPEN || socket.close());
    return socket;
  }
}

/** Why there is no session; without an answer nobody knows. */
function refusal(answer) {
  if (!answer) return new Failure(NO_ANSWER, { isUnreachable: true });
  return new Failure(`No token: ${answer.message}`, { status: answer.status });
}

/** Other pages may show the same widget: a name that only this one uses. */
export const newId = () => Math.random().toString(36).slice(2);
