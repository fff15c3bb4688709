// The clocks of a session, its timers, and its times as people and captions write them.

/** Seconds of a clock that never goes back. */
export const steady = () => performance.now() / 1000;

/** Seconds of the clock on the wall, which a sleeping machine does not stop. */
export const wall = () => Date.now() / 1000;

/** Milliseconds as people write them: 1:05, and 1:00:05 after an hour. */
export function clockTime(milliseconds) {
  const [hours, minutes, seconds] = parts(milliseconds);
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** Milliseconds as captions write them: 00:01:05.000, or with a comma. */
export function cueTime(milliseconds, point) {
  const [hours, minutes, seconds, rest] = parts(milliseconds);
  return `${two(hours)}:${two(minutes)}:${two(seconds)}${point}${String(rest).padStart(3, '0')}`;
}

const two = (number) => String(number).padStart(2, '0');

function parts(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const rest = Math.floor(milliseconds % 1000);
  return [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60, rest];
}

// Timers are on time in a hidden page, too. There a browser lets the page's own ring once a minute at
// worst, but not those of a worker. Both are set and the first one counts: where a policy forbids
// workers, the page's own is left.

const SCRIPT = new URL('./alarm.js', import.meta.url);

const waiting = new Map(); // id: what is called
let latest = 0;
let worker = null; // while anything waits

/** Calls once, so many milliseconds from now; gives what cancels that. */
export function after(milliseconds, call) {
  const id = (latest += 1);
  const own = setTimeout(ring, milliseconds, id);
  const cancel = () => {
    clearTimeout(own);
    waiting.delete(id);
    queueMicrotask(rest);
  };
  waiting.set(id, () => {
    cancel();
    call();
  });
  worker ??= started();
  worker?.postMessage({ id, milliseconds });
  return cancel;
}

/** Calls again and again; gives what ends that. */
export function every(milliseconds, call) {
  let cancel;
  const next = () => {
    cancel = after(milliseconds, () => {
      next(); // first, so that the call may end it
      call();
    });
  };
  next();
  return () => cancel();
}

const ring = (id) => waiting.get(id)?.();

function rest() {
  if (waiting.size > 0) return;
  worker?.terminate();
  worker = null;
}

function started() {
  try {
    const one = new Worker(SCRIPT);
    one.onmessage = ({ data }) => ring(data);
    return one;
  } catch {
    return null; // as in a browser that knows no workers
  }
}
