// How the sound gets to the service: straight from the browser, or else through the kernel.

import { HERE, KERNEL } from '../page/words.js';
import { after } from '../session/timers.js';
import { isLoopback, tokens } from '../session/token.js';

const OPEN_SECONDS = 5; // a firewall may keep the browser waiting for much longer

/** The way that the next connection takes; what was found out holds for the ones after it. */
export class Route {
  #kernel;
  #onService;
  #isThroughKernel;
  #isReachable = false;

  /**
   * @param {import('./kernel.js').Kernel} kernel
   * @param {(whom: { isSandbox: boolean, place: string }) => void} onService whom one talks to
   */
  constructor(kernel, onService) {
    this.#kernel = kernel;
    this.#onService = onService;
    // Trying would make the browser ask whether this page may look around the local network.
    const url = kernel.get('_service_url');
    this.#isThroughKernel = isLoopback(url) && !isLoopback(location.href);
    this.#tell(url, this.#isThroughKernel);
  }

  /** A function that gets what opens a connection, for one recording. */
  dial() {
    const next = this.#isThroughKernel ? null : tokens(() => {}, () => this.#kernel.token());
    return async (sampleRate) => {
      if (this.#isThroughKernel) return this.#throughKernel(sampleRate);
      const grant = await next();
      this.#tell(grant.websocket_url, false);
      return { ...grant, open: (address) => this.#direct(address) };
    };
  }

  async #throughKernel(sampleRate) {
    const url = this.#kernel.get('_service_url');
    this.#tell(url, true);
    const socket = await this.#kernel.socket(sampleRate);
    return { token: '', websocket_url: url, open: () => socket };
  }

  #tell(url, isThroughKernel) {
    const isSandbox = isLoopback(url);
    const here = isSandbox && !this.#kernel.get('_is_remote') ? HERE : '';
    this.#onService({ isSandbox, place: isThroughKernel ? KERNEL : here });
  }

  #direct(address) {
    let socket;
    try {
      socket = new WebSocket(address);
    } catch {
      // The browser forbids the address; its error would show the token.
      this.#isThroughKernel = true;
      return unopened();
    }
    const close = socket.close.bind(socket);
    const cancel = after(OPEN_SECONDS * 1000, close);
    const decide = (isReached) => {
      cancel();
      // What was never reached is not tried again: the next connection goes through the kernel.
      if (!isReached && !this.#isReachable) this.#isThroughKernel = true;
      this.#isReachable ||= isReached;
    };
    const open = () => decide(true);
    const fail = () => decide(false);
    socket.addEventListener('open', open);
    socket.addEventListener('error', fail);
    socket.close = () => {
      socket.removeEventListener('error', fail); // it is given up, and nothing is learnt from that
      cancel();
      close();
    };
    return socket;
  }
}

/** A socket that breaks at once. */
function unopened() {
  const socket = { readyState: WebSocket.CLOSED, close: () => {} };
  queueMicrotask(() => socket.onerror()); // once somebody listens
  return socket;
}
