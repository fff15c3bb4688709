// How the sound gets to the service: straight from the browser, or else through the kernel.

import { HERE, KERNEL } from '../page/words.js';
import { after } from '../session/clock.js';
import { isLoopback, tokens } from '../session/token.js';
import { KernelSocket } from './kernel.js';

const OPEN_SECONDS = 5; // a firewall may keep the browser waiting for much longer

/** The way that the next connection takes; what was found out holds for the ones after it. */
export class Route {
  #kernel;
  #onService;
  #isThroughKernel;
  #isReachable = false;

  /** @param {(whom: { isSandbox: boolean, place: string }) => void} onService whom one talks to */
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
