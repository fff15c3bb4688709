// The clocks of a session, and its times as people and captions write them.

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
