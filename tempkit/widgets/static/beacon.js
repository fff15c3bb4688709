// A recording that nobody sees, as its output is collapsed or scrolled away: a button in the corner of
// the page says so and stops it. To stop by itself would cost the words of who reads another cell.

import { OUT_OF_SIGHT } from '../page/words.js';

/** @param {() => void} onPress stops the recording */
export function beacon(onPress) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'tempkit-beacon';
  button.textContent = OUT_OF_SIGHT;
  button.addEventListener('click', onPress);
  document.body.append(button);
  return button;
}
