// The kernel behind the widget: it grants tokens, hears what was said, and carries the sound where
// the browser itself cannot reach the service. Messages only, both ways: nothing is stored.

import { Failure } from '../session/failure.js';
import { after, every } from '../session/timers.js';

const ANSWER_SECONDS = 10;
const ALIVE_SECONDS = 10; // the kernel takes a page for gone after 30 without a word

export const NO_ANSWER =
  'The kernel does not answer. Wait for the cell that is running, or run the cell of this widget ' +
  'again; then press Start.';

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 3;

/** One end of the widget's comm. */
export class Kernel {
  #model;
  #questions = new Map();
  #sockets = new Map();

  /**
   * @param {object} model of the widget
   * @param {(message: object) => void} onMessage what the kernel says of its own accord
   */
  constructor(model, onMessage) {
    this.#model = model;
    model.on('msg:custom', (message) => {
      const take = this.#questions.get(message.id) ?? this.#sockets.get(message.id);
      if (take) take(message);
      else if (!message.id) onMessage(message);
    });
  }

  /** What a trait of the widget holds. */
  get(name) {
    return this.#model.get(name);
  }

  /**
   * @param {object} message with a `kind`
   * @param {ArrayBuffer[]} [buffers]
   * @returns {boolean} false when there is nobody to be told any more
   */
  tell(message, buffers) {
    try {
      this.#model.send(message, undefined, buffers);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * A temporary token with the address that takes it, as requestToken gives it.
   *
   * @returns {Promise<object>}
   */
  async token() {
    const asked = performance.now();
    const answer = await this.#ask({ kind: 'token', id: newId() });
    return { ...answer, expires: asked + answer.expires_in_seconds * 1000 };
  }

  /**
   * A session's socket that the kernel has opened, with a token of its own.
   *
   * @param {number} sampleRate in Hz
   * @returns {Promise<KernelSocket>}
   */
  async socket(sampleRate) {
    const id = newId();
    const socket = new KernelSocket(this, id, () => this.#sockets.delete(id));
    this.#sockets.set(id, (message) => socket.receive(message));
    try {
      await this.#ask({ kind: 'open', id, sample_rate: sampleRate });
    } catch (failure) {
      socket.close();
      throw failure;
    }
    return socket.open();
  }

  async #ask(question) {
    const { id } = question;
    let cancel;
    const late = new Promise((resolve) => (cancel = after(ANSWER_SECONDS * 1000, resolve)));
    const answered = new Promise((resolve) => {
      this.#questions.set(id, (answer) => {
        this.#questions.delete(id); // what comes next is for the socket of the same name
        resolve(answer);
      });
    });
    const answer = this.tell(question) && (await Promise.race([answered, late]));
    cancel();
    this.#questions.delete(id);
    if (!answer) throw new Failure(NO_ANSWER, { isUnreachable: true });
    if (answer.kind !== 'refused') return answer;
    throw new Failure(`No token: ${answer.message}`, { status: answer.status });
  }
}

/** What a WebSocket is to link.js, by way of the kernel. */
class KernelSocket {
  #kernel;
  #id;
  #onGone;
  #early = []; // what came before anybody listened
  #end = null;
  #onClose = () => {};
  #endAlive = () => {};

  readyState = CONNECTING;

  constructor(kernel, id, onGone) {
    this.#kernel = kernel;
    this.#id = id;
    this.#onGone = onGone;
  }

  set onmessage(listener) {
    this.#tell = listener;
    this.#early.splice(0).forEach(listener);
  }

  set onclose(listener) {
    this.#onClose = listener;
    if (this.#end) listener(this.#end);
  }

  #tell = (event) => this.#early.push(event);

  /** @param {Int16Array | string} data */
  send(data) {
    const id = this.#id;
    if (typeof data === 'string') this.#pass({ kind: 'text', id, text: data });
    else this.#pass({ kind: 'audio', id }, [data.slice().buffer]);
  }

  close() {
    if (this.readyState === CLOSED) return;
    this.#kernel.tell({ kind: 'close', id: this.#id });
    this.#finish(1006, '');
  }

  /** @param {object} message of the kernel about this socket */
  receive({ kind, text, code, reason }) {
    if (kind === 'message') this.#tell({ data: text });
    if (kind === 'closed') this.#finish(code, reason);
  }

  /** The kernel has opened it. */
  open() {
    if (this.readyState !== CONNECTING) return this;
    this.readyState = OPEN;
    // A call may keep the sound away for longer, and the last words may take their time.
    this.#endAlive = every(ALIVE_SECONDS * 1000, () => this.#pass({ kind: 'alive', id: this.#id }));
    return this;
  }

  #pass(message, buffers) {
    if (!this.#kernel.tell(message, buffers)) this.#finish(1006, '');
  }

  #finish(code, reason) {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this.#endAlive();
    this.#end = { code, reason };
    this.#onGone();
    this.#onClose(this.#end);
  }
}

/** Other pages may show the same widget: a name that only this one uses. */
export const newId = () => Math.random().toString(36).slice(2);
