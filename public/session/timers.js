// Timers that are on time in a hidden page, too. There a browser lets the page's own ring once a
// minute at worst, but not those of a worker. Both are set and the first one counts: where a policy
// forbids workers, the page's own is left.

const SCRIPT = new URL('./alarm.js', import.meta.url);
const NOBODY = { postMessage() {}, terminate() {} };

const waiting = new Map(); // id: what cancels the page's own timer, and what is called
let latest = 0;
let worker = null; // while anything waits

/** Calls once, so many milliseconds from now; gives what cancels that. */
export function after(milliseconds, call) {
  const id = (latest += 1);
  const own = setTimeout(() => ring(id), milliseconds);
  waiting.set(id, { own, call });
  worker ??= started();
  worker.postMessage({ id, milliseconds });
  return () => void take(id);
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

const ring = (id) => take(id)?.call();

function take(id) {
  const timer = waiting.get(id);
  if (!timer) return null; // it has rung, or was cancelled
  clearTimeout(timer.own);
  waiting.delete(id);
  queueMicrotask(rest);
  return timer;
}

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
    return NOBODY; // as in a browser that knows no workers
  }
}
