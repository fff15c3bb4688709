// The screen of a phone: when it locks, the page stands still in the middle of a dictation.

/** Keeps the screen on where the browser lets it, a refusal changes nothing; gives what lets it go. */
export function keepScreenOn() {
  if (!globalThis.navigator?.wakeLock) return () => {};
  let lock = ask();
  // The browser takes it back when the page is hidden.
  const again = () => {
    if (document.visibilityState !== 'visible') return;
    lock = lock.then((held) => (held?.released === false ? held : ask()));
  };
  document.addEventListener('visibilitychange', again);
  return () => {
    document.removeEventListener('visibilitychange', again);
    lock.then((held) => held?.release());
  };
}

const ask = () => navigator.wakeLock.request('screen').catch(() => null);
