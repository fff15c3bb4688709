// When a lost session is opened again, and when it is not: the rules of streaming/retry.py.

import { thenFor } from './close-codes.js';

const FIRST_PAUSE_SECONDS = 0.25;
const LONGEST_PAUSE_SECONDS = 8;
const CROWDED_PAUSE_SECONDS = 30; // a place was seen to be free again after 28 s

const TOO_MANY_REQUESTS = 429;
const PASSING = [502, 503, 504]; // what a gateway answers while the service behind it restarts
const OPENINGS = 3; // how often the first connection is tried

// The last fuse: no fault of ours or of the service opens more sessions than these.
const MOST_SESSIONS = 20;
const MOST_SESSIONS_PER_MINUTE = 10; // of audio, on top

/** How a session goes on after its connection was lost. */
export const POLICY = Object.freeze({
  giveUpAfterSeconds: 60, // from the first loss that no progress followed
  replayRate: 2, // times the speed at which audio sounds
  bufferSeconds: 300, // of audio without a final text
  stallSeconds: 16, // without a heartbeat: three of them and a little
});

/**
 * Seconds to wait before connecting again, null when that cannot help. Attempts count from 0; luck,
 * from 0 to 1, spreads clients that were all cut off at once.
 */
export function pauseBefore(attempt, failure, luck) {
  const growing = Math.min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** attempt);
  const backoff = growing * (0.5 + luck / 2);
  switch (whatThen(failure)) {
    case 'back off':
      return backoff;
    case 'back off twice':
      return attempt < 2 ? backoff : null;
    case 'renew':
      return attempt === 0 ? 0 : backoff;
    case 'crowded':
      return CROWDED_PAUSE_SECONDS * (1 + luck / 2);
    default:
      return null;
  }
}

/** The same for the first connection: it waits for what passes by itself, and not for long. */
export function pauseBeforeOpening(attempt, failure, luck) {
  const mayPass = failure.code !== undefined || failure.mayPass || PASSING.includes(failure.status);
  return mayPass && attempt + 1 < OPENINGS ? pauseBefore(attempt, failure, luck) : null;
}

/** Whether so many sessions are too many for so much audio, whatever went wrong. */
export function isBlown(sessions, audioSeconds) {
  return sessions >= MOST_SESSIONS + (MOST_SESSIONS_PER_MINUTE * audioSeconds) / 60;
}

function whatThen({ code, reason = '', status, isUnreachable }) {
  if (isUnreachable) return 'back off';
  if (status === TOO_MANY_REQUESTS) return 'crowded';
  if (status !== undefined) return status >= 500 ? 'back off' : 'end';
  if (code === undefined) return 'end';
  return reason.toLowerCase().includes('too many') ? 'crowded' : thenFor(code);
}
