// Timers that are on time in a hidden page, too. There a browser lets the page's own ring once a
// minute at worst, but not those of a worker. Both are set and the first one counts: where a policy
// forbids workers, the page's own is left.

const SCRIPT = new URL('./alarm.js', import.meta.url);
const NOBODY = { postMessage() {}, terminate() {} };

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
  worker.postMessage({ id, milliseconds });
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
    return NOBODY; // as in a browser that knows no workers
  }
}
