// How long the page still waits, and what a second Stop would cost.

const LAST_TRY = 'This is the last try.';

/**
 * @param {object} of
 * @param {string} of.state of a Run
 * @param {string} of.unheard the beginning of a sentence, see Conversation
 * @param {{ next: number, end: number | null } | null} of.line while it is down: when it is tried
 *   again, and when it is given up, in steady seconds
 * @param {number} now steady seconds
 */
export function countdown({ state, unheard, line }, now) {
  return [line && triesOf(line, now), state === 'waiting' && choice(unheard)]
    .filter(Boolean)
    .join(' ');
}

function triesOf({ next, end }, now) {
  const soon = next > now ? `Next try in ${Math.ceil(next - now)} s` : 'Trying now';
  if (end === null) return `${soon}.`;
  return end > now ? `${soon}, giving up in ${Math.ceil(end - now)} s.` : LAST_TRY;
}

function choice(unheard) {
  return unheard
    ? `${unheard} have no text yet; “Stop now” ends without waiting for it.`
    : '“Stop now” ends without waiting for the service.';
}
