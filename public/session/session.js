// What the page knows of a session, whatever links carry it: the rules of streaming/session.py.
//
// The service has no resumable sessions and acknowledges nothing. So the audio behind the last
// settled turn is kept, and when a connection is lost a new one carries it again: its messages are
// moved onto the session's one clock, its turns numbered on, and what it repeats is dropped.

import { Backlog } from './backlog.js';
import { explainClose } from './close-codes.js';
import { Failure } from './failure.js';
import { Transcript } from './transcript.js';

const ENDED = 1000;
const ROUNDING_SECONDS = 1.1; // a Termination counts whole seconds

/** The client half of a session, without any I/O. `now` is steady seconds. */
export class Session {
  #error = null;
  #takenUntil = 0; // ms on the session's clock: audio that the service says it has
  #firstOrder = 0; // the session's number of the connection's turn 0
  #connectedAt = 0;
  #saidUntil = 0; // ms: where the last message's words end
  #heardAgain = 0; // ms: up to there a new connection repeats what was said

  transcript = new Transcript();
  begin = null;
  termination = null;
  takenMs = null; // audio of this connection by its last heartbeat

  constructor(sampleRate) {
    this.backlog = new Backlog(sampleRate);
  }

  /** Another one than before: more words, another turn settled, or more audio taken. */
  get progress() {
    return [this.#saidUntil, this.transcript.settled, this.#takenUntil].join();
  }

  /** A new connection is there: it carries everything that is kept. */
  connected(now) {
    this.#connectedAt = now;
    this.#error = null;
    this.begin = null;
    this.takenMs = null;
    this.#heardAgain = this.#saidUntil;
    this.#firstOrder = this.transcript.settled;
    this.backlog.connect(now);
  }

  /**
   * A message of the service, on the session's clock; null for one that repeats or is for us alone.
   * Throws a Failure for a Termination before everything was said.
   */
  receive(message) {
    if (message.type === 'Turn') return this.#receiveTurn(message);
    if (message.type === 'Heartbeat') return this.#beat(message.total_audio_received_ms);
    if (message.type === 'Termination') this.#endWith(message);
    if (message.type === 'Begin') this.begin = message;
    if (message.error) this.#error = message;
    return message;
  }

  /** Lets go of audio that stayed without words for long. */
  passTime(now) {
    if (!this.transcript.partial) this.backlog.releaseSilence(now - this.#connectedAt);
  }

  /** The Failure that the close of the connection means; null after the Termination, which ends it. */
  closed(code, reason = '') {
    // The close reason says nothing, the Error before it says it all.
    const error = this.#error?.error;
    if (!error && this.termination) return null;
    const cause = { code: this.#error?.error_code ?? code, reason: error ?? reason };
    const [what, advice] = explainClose(cause.code, { hasBegun: this.begin !== null, error });
    return new Failure(`${what} ${advice}`, { ...cause, what });
  }

  #beat(takenMs) {
    this.takenMs = takenMs;
    this.#takenUntil = Math.max(this.#takenUntil, this.backlog.ownTime(takenMs));
    return null;
  }

  #endWith(message) {
    const { carriedSeconds, isTerminating } = this.backlog;
    const { audio_duration_seconds: heard = Infinity } = message;
    const isShort = heard < carriedSeconds - ROUNDING_SECONDS;
    // "Finish the open turn, then Termination": one that nobody asked for may cross our Terminate.
    if (isShort || !isTerminating || this.transcript.partial) throw this.closed(ENDED);
    this.termination = message;
  }

  #receiveTurn(message) {
    const own = (milliseconds) => this.backlog.ownTime(milliseconds);
    const onOwnClock = (word) => ({ ...word, start: own(word.start), end: own(word.end) });
    const words = (message.words ?? []).map(onOwnClock);
    const turn = { ...message, turn_order: message.turn_order + this.#firstOrder, words };
    const end = words.at(-1)?.end ?? 0;
    const isOldNews = !turn.end_of_turn && end <= this.#heardAgain;
    if (isOldNews || !this.transcript.add(turn)) return null;
    this.#saidUntil = Math.max(this.#saidUntil, end);
    const settled = this.transcript.settle(turn);
    if (settled !== null) this.backlog.release(settled);
    return turn;
  }
}
