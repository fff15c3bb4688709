// What went wrong, in words for people.

export const NO_SERVER =
  'The server of this page does not answer. Start it again in a terminal: tempkit';

/**
 * Why there is no session, or no sound. The fields of `cause` say whether trying again may help: the
 * close `code` of the service and its `reason`, the `status` of an answer without a token,
 * `isUnreachable` for none at all, `mayPass` although there was one a moment ago. `what` is the
 * message without what to do about it.
 */
export class Failure extends Error {
  constructor(message, cause) {
    super(message);
    Object.assign(this, { what: message, ...cause });
  }
}
