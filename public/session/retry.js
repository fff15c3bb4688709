// When a lost session is opened again, and when it is not: the rules of streaming/retry.py.

const FIRST_PAUSE_SECONDS = 0.25;
const LONGEST_PAUSE_SECONDS = 8;
const CROWDED_PAUSE_SECONDS = 30; // a place was seen to be free again after 28 s

/** The close code of a session that reached its longest duration. */
export const EXPIRED = 3008;
const TOO_MANY = 3009;
const AFTER_A_PAUSE = [1001, 1006, 1011, 3005];
const TOO_MANY_REQUESTS = 429;

/** How a session goes on after its connection was lost. */
export const POLICY = Object.freeze({
  giveUpAfterSeconds: 60,
  replayRate: 2, // times the speed at which audio sounds
  bufferSeconds: 300, // of audio without a final text
  stallSeconds: 30, // of loud audio without any message
});

/**
 * Seconds to wait before connecting again, null when that cannot help.
 *
 * @param {number} attempt counts from 0
 * @param {{ code?: number, reason?: string, status?: number, isUnreachable?: boolean }} failure
 * @param {number} luck 0 to 1, spreads clients that were all cut off at once
 */
export function pauseBefore(attempt, { code, reason = '', status, isUnreachable }, luck) {
  const growing = Math.min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** attempt);
  const backoff = growing * (0.5 + luck / 2);
  const crowded = CROWDED_PAUSE_SECONDS * (1 + luck / 2);
  if (isUnreachable) return backoff;
  if (status !== undefined) {
    if (status === TOO_MANY_REQUESTS) return crowded;
    return status >= 500 ? backoff : null;
  }
  if (code === EXPIRED) return attempt === 0 ? 0 : backoff;
  if (code === TOO_MANY || reason.toLowerCase().includes('too many')) return crowded;
  return AFTER_A_PAUSE.includes(code) ? backoff : null;
}
