// The panel for developers: the token's life, the session, and every message, secrets masked.

import { clockTime } from '../session/clock.js';
import { isAtEnd } from './paper.js';

const LONGEST_LOG = 200; // entries
const LONGEST_ENTRY = 300; // characters

const element = (id) => document.getElementById(id);
const secrets = new Set();
let sound = null; // the entry that counts audio messages, while nothing else comes in between

/** Gives the token back that has just come. */
export function showGrant(grant) {
  secrets.add(grant.token);
  addEntry('in', `token for ${grant.websocket_url}`);
  const until = Date.now() + grant.expires - performance.now();
  element('token').textContent = `unused, expires at ${new Date(until).toLocaleTimeString()}`;
  return grant;
}

/** @param {object} grant the token with which a connection is opened now */
export function spend({ token, websocket_url: url }) {
  addEntry('out', `open ${url}?token=${token}`);
  element('token').textContent = 'spent: it has opened its one session';
}

export function showBegin({ id, expires_at: expiresAt }, sampleRate) {
  const until = new Date(expiresAt * 1000).toLocaleTimeString();
  element('session').textContent = `${id}, until ${until} at the latest`;
  element('rate').textContent = `${sampleRate} Hz`;
}

/** @param {number} seconds from the end of the last word to the turn with it */
export function showLag(seconds) {
  element('lag').textContent = `${Math.max(0, seconds).toFixed(2)} s after its last word`;
}

/** A message, as an object, a text or audio; `direction` is "in" or "out". */
export function showFrame(direction, what) {
  if (what instanceof Int16Array) {
    if (!sound) sound = { count: 0, samples: 0, item: addEntry('out', '') };
    sound.count += 1;
    sound.samples += what.length;
    sound.item.lastChild.textContent = `${sound.count} × audio, ${sound.samples} samples`;
    return;
  }
  // The words are in the transcript already, with more than fits here.
  addEntry(direction, typeof what === 'string' ? what : JSON.stringify({ ...what, words: undefined }));
}

/** A connection was lost, or none came to be; it is tried again after a pause, in seconds. */
export function showLoss({ code, message }, pause) {
  addEntry('in', `${code ?? 'no token'}: ${message} Again in ${pause.toFixed(2)} s.`);
}

function addEntry(direction, text) {
  sound = null;
  const log = element('log');
  const isFollowing = isAtEnd(log);
  const item = document.createElement('li');
  item.dataset.direction = direction;
  const time = document.createElement('time');
  time.textContent = clockTime(performance.now());
  item.append(time, direction === 'in' ? '← ' : '→ ', masked(text));
  log.append(item);
  while (log.children.length > LONGEST_LOG) log.firstChild.remove();
  if (isFollowing) log.scrollTop = log.scrollHeight;
  return item;
}

function masked(text) {
  const open = [...secrets].reduce((left, secret) => left.replaceAll(secret, '•••'), text);
  return open.length > LONGEST_ENTRY ? `${open.slice(0, LONGEST_ENTRY)}…` : open;
}
