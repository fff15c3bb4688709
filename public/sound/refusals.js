// Why there is no microphone, or no sound of it, in words for people.

import { Failure } from '../session/failure.js';

const CAUSES = {
  insecure:
    'Browsers allow the microphone only on secure pages. Open this page with https:// or at ' +
    'http://localhost.',
  policy:
    'The page or editor around this page does not share the microphone. Open this page in its own ' +
    'tab.',
  NotAllowedError:
    'Microphone access was denied. Allow it for this page in the browser (and for the browser ' +
    'in the system settings), then press Start again.',
  framed:
    'Microphone access was denied: the page or editor around this page may not share it. ' +
    'Open this page in its own browser tab.',
  NotFoundError: 'There is no microphone. Connect one, then press Start again.',
  OverconstrainedError: 'That microphone is gone. Choose another one, then press Start again.',
  NotSupportedError:
    'This browser cannot switch to a microphone with another sample rate during a session. ' +
    'Start a new session with it.',
  NotReadableError:
    'The microphone is busy or not responding. Close other programs that use it, then press Start again.',
};

/** What is said of a Flow's state. */
export const SAYS = {
  flows: () => '',
  silent: (name) => `Your microphone is silent: ${name}. Is it on, and is it the right one?`,
  muted: (name) => `${name} is muted by the system or the browser.`,
  interrupted: () =>
    'A call or another app is using the microphone. Listening continues when it is free again.',
  suspended: () =>
    'The browser is holding the sound back. Click on this page; if that does not help, check that ' +
    'this computer has a sound device.',
  dead: () =>
    'No sound is coming from the browser, so the microphone is being restarted. If that does not ' +
    'help, press Stop, then Start.',
};

/** Throws a Failure where it makes no sense to ask for a microphone. */
export function checkAllowed() {
  if (!window.isSecureContext || !navigator.mediaDevices) throw new Failure(CAUSES.insecure);
  // Only Chromium can tell a frame's policy from a person's refusal.
  const policy = document.permissionsPolicy ?? document.featurePolicy;
  if (policy?.allowsFeature('microphone') === false) throw new Failure(CAUSES.policy);
}

/** @param {Error} error what the browser threw */
export function refusal(error) {
  if (error instanceof Failure) return error;
  // For a person who says no, a tab of its own is right, too.
  const isFramed = error.name === 'NotAllowedError' && window.parent !== window;
  if (isFramed) return new Failure(CAUSES.framed);
  return new Failure(CAUSES[error.name] ?? `The microphone cannot be used: ${error.message}`);
}
