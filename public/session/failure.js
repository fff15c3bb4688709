// What went wrong, in words for people.

export const NO_SERVER =
  'The server of this page does not answer. Start it again in its terminal: tempkit.';

/** Why there is no session, or no sound; the fields say whether trying again may help. */
export class Failure extends Error {
  /**
   * @param {string} message
   * @param {object} [cause]
   * @param {number} [cause.code] the code that the service closed the session with
   * @param {string} [cause.reason] what it said
   * @param {number} [cause.status] of the answer instead of a token
   * @param {boolean} [cause.isUnreachable] there was no answer at all
   * @param {boolean} [cause.mayPass] ... although there was one a moment ago
   * @param {string} [cause.what] what the message says, without what to do about it
   */
  constructor(message, cause) {
    super(message);
    Object.assign(this, { what: message, ...cause });
  }
}
