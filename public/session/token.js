// A temporary token: asked for, kept until a session wants it, never used twice.

import { after } from './clock.js';
import { Failure, NO_SERVER } from './failure.js';

const TOKEN_SECONDS = 10;
const MARGIN_SECONDS = 10; // a token with less life than that is not tried any more
// What the server of this page says when asking again cannot help.
const FOR_GOOD = ['not_configured', 'unexpected_answer'];

const ODD_ANSWER = 'The server of this page answered without a token. Reload the page and sign in again.';

/** A temporary `token`, the `websocket_url` that takes it, and when it `expires` by performance.now(). */
export async function requestToken() {
  const asked = performance.now();
  const late = new AbortController();
  const cancel = after(TOKEN_SECONDS * 1000, () => late.abort());
  const options = { cache: 'no-store', signal: late.signal };
  // Relative, so that the page works under a path prefix too.
  const response = await fetch('token', options).catch(() => null);
  const answer = await response?.json().catch(() => ({}));
  cancel();
  if (!response) throw new Failure(NO_SERVER, { isUnreachable: true });
  const life = (answer.expires_in_seconds ?? 60) * 1000;
  if (answer.token && answer.websocket_url) {
    return { ...answer, websocket_url: socketAddress(answer.websocket_url), expires: asked + life };
  }
  // What the service answered to the server of this page, where it did, says more.
  const status = FOR_GOOD.includes(answer.code) ? 400 : (answer.status ?? response.status);
  throw new Failure(answer.hint ? `No token: ${answer.hint}` : ODD_ANSWER, { status });
}

/** Whom a session would talk to, in the words of a token's answer; null where nobody says. */
export async function askService() {
  const response = await fetch('service', { cache: 'no-store' }).catch(() => null);
  const answer = response?.ok ? await response.json().catch(() => null) : null;
  return answer && { ...answer, websocket_url: socketAddress(answer.websocket_url) };
}

/** A sandbox's address is relative: its socket is on the server of this page. */
function socketAddress(place) {
  return new URL(place, globalThis.location?.href).href.replace(/^http/, 'ws');
}

/**
 * A function that gets another token each time. The first is asked for at once, while the microphone
 * starts; it is let go when it has grown old behind the permission prompt.
 */
export function tokens(ask = requestToken) {
  let early = ask();
  early.catch(() => {}); // whoever takes it is told
  return async () => {
    const asked = early;
    early = null;
    const grant = await asked;
    const left = grant ? grant.expires - performance.now() : 0;
    return left > MARGIN_SECONDS * 1000 ? grant : ask();
  };
}

/** Whether an address leads to this computer, as a sandbox's does. */
export function isLoopback(url) {
  const { hostname } = new URL(url);
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}
