// Why a session ended, and what to do about it, in plain words.

const AGAIN = 'Press Start to open a new session.';

const CODES = new Map([
  [1000, ['The service ended the session.', AGAIN]],
  [1001, ['The service is going away, as it does when it restarts.', AGAIN]],
  [1006, ['The connection was lost.', 'Check the network, then press Start again.']],
  [1008, [
    'The service refused the session.',
    'Press Start to try with a fresh token; if that does not help, check the API key and its account.',
  ]],
  [1011, ['The service failed.', 'Wait a moment, then press Start again.']],
  [3005, ['The service failed in the middle of the session.', AGAIN]],
  [3006, ['The service did not accept what this page sent.', 'Reload the page; it may be out of date.']],
  [3007, [
    'The service did not accept the length or the pace of the audio.',
    'Close what keeps this computer busy, then press Start again.',
  ]],
  [3008, ['The session reached its longest duration.', AGAIN]],
  [3009, ['Too many sessions are open.', 'Close some or wait a minute, then press Start again.']],
]);

// A browser is not told why a connection could not be opened: the code is 1006 for every cause.
const NEVER_BEGUN = [
  'The service could not be reached.',
  'The token, the network or the clock of this computer may be at fault; press Start to try again.',
];

/**
 * A sentence on what happened and one on what to do.
 *
 * @param {number} code the code that the socket was closed with
 * @param {{ hasBegun?: boolean, error?: string }} [session] `error` is the text of the service's
 *   last Error message; it says more than the code.
 */
export function explainClose(code, session) {
  return explanation(code, session).join(' ');
}

/** The first of the two. */
export const whatHappened = (code, session) => explanation(code, session)[0];

function explanation(code, { hasBegun = true, error } = {}) {
  const neverBegun = code === 1006 && !hasBegun;
  const unknown = [`The session ended unexpectedly (code ${code}).`, AGAIN];
  const [what, advice] = neverBegun ? NEVER_BEGUN : (CODES.get(code) ?? unknown);
  return [error ? asSentence(`The service says: ${error}`) : what, advice];
}

const asSentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);
