// What a close code asks for, as protocol/close_codes.py has it, and why a session ended in plain
// words: what happened, and what to do about it.

const AGAIN = 'Try again in a new session.';
const LATER = 'Wait a moment, then try again.';
const NETWORK = 'Check the network, then try again.';
const RELOAD = 'Reload the page; it may be out of date.';
const NOT_ACCEPTED = 'The service did not accept what this page sent.';
const ON_THE_WAY = 'A server between this page and the service closed the connection.';

/** The close code of a session that reached its longest duration. */
export const EXPIRED = 3008;

const CODES = new Map([
  [1000, ['back off', 'The service ended the session before all text had arrived.', AGAIN]],
  [1001, ['back off', 'The service is shutting down, as it does when it restarts.', AGAIN]],
  [1002, ['end', NOT_ACCEPTED, RELOAD]],
  [1003, ['end', NOT_ACCEPTED, RELOAD]],
  [1005, ['back off', ON_THE_WAY, AGAIN]],
  [1006, ['back off', 'The connection was lost.', NETWORK]],
  [1007, ['end', NOT_ACCEPTED, RELOAD]],
  [1008, [
    'end',
    'The service refused the session.',
    'Try again with a fresh token; if that does not help, check the API key and its account.',
  ]],
  [1009, ['end', NOT_ACCEPTED, RELOAD]],
  [1010, ['end', NOT_ACCEPTED, RELOAD]],
  [1011, ['back off', 'The service failed.', LATER]],
  [1012, ['back off', 'The service is restarting.', AGAIN]],
  [1013, ['back off', 'The service is busy.', LATER]],
  [1014, ['back off', ON_THE_WAY, AGAIN]],
  [3005, ['back off', 'The service failed in the middle of the session.', AGAIN]],
  [3006, ['end', NOT_ACCEPTED, RELOAD]],
  [3007, [
    'end',
    'The service did not accept the length or the pace of the audio.',
    'Close whatever keeps this computer busy, then try again.',
  ]],
  [EXPIRED, ['renew', 'The session reached its maximum duration.', AGAIN]],
  [3009, ['crowded', 'Too many sessions are open.', 'Close some or wait a minute, then try again.']],
]);

// A browser is not told why a connection could not be opened: the code is 1006 for every cause.
const NEVER_BEGUN = [
  'The service could not be reached.',
  'The token, the network or the clock of this computer may be wrong; try again.',
];

/** What to do about a session that was closed with a code: see `Then` in protocol/close_codes.py. */
export function thenFor(code) {
  const isPrivate = code >= 4000 && code <= 4999; // proxies and balancers close with these
  return CODES.get(code)?.[0] ?? (isPrivate ? 'back off' : 'back off twice');
}

/**
 * A sentence on what happened to a session and one on what to do. The text of the service's last Error
 * message, where there was one, says more than the code.
 */
export function explainClose(code, { hasBegun = true, error } = {}) {
  const unknown = ['', `The session ended unexpectedly (code ${code}).`, AGAIN];
  const neverBegun = code === 1006 && !hasBegun;
  const [what, advice] = neverBegun ? NEVER_BEGUN : (CODES.get(code) ?? unknown).slice(1);
  if (!error) return [what, advice];
  return [`The service says: ${error}${/[.!?]$/.test(error) ? '' : '.'}`, advice];
}
