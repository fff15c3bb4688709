// What has been said, turn by turn: the rules of streaming/transcript.py.

/** The turns of a session by turn_order; each message replaces what its turn said before. */
export class Transcript {
  #turns = new Map();

  settled = 0; // the first turn that may still change

  /** Takes in a Turn message; false when it says less than what is there. */
  add(message) {
    const { turn_order: order, end_of_turn: isFinal, words = [] } = message;
    const isFormatted = Boolean(message.turn_is_formatted);
    const before = this.#turns.get(order);
    const text = isFinal ? message.transcript : partialText(message);
    // After Terminate the service sends an empty final; one may also take back a partial.
    if (!text) {
      if (!before?.isFinal) this.#turns.delete(order);
      return !before?.isFinal;
    }
    if (before?.isFinal) {
      if (!isFinal || (before.isFormatted && !isFormatted)) return false;
      if (before.text === text && before.isFormatted === isFormatted) return false;
    }
    const { language_code: language } = message;
    this.#turns.set(order, { order, text, isFinal, isFormatted, words, language });
    return true;
  }

  /**
   * Up to when, in ms, all is said for good; null when this message settles nothing. A turn is settled
   * by its formatted final, which link.js asks for, or by a later turn.
   */
  settle(message) {
    const isLastForm = message.end_of_turn && message.turn_is_formatted;
    const settled = message.turn_order + (isLastForm ? 1 : 0);
    if (settled <= this.settled) return null;
    const turns = this.#inOrder().filter(({ order }) => order >= this.settled && order < settled);
    this.settled = settled;
    const ends = turns.flatMap(({ words }) => words.map((word) => word.end));
    return ends.length > 0 ? Math.max(...ends) : null;
  }

  /** Turns that are over, in the order they were spoken. */
  get finals() {
    return this.#inOrder().filter((turn) => turn.isFinal);
  }

  /** What is being said, as far as it is known; it may still change. */
  get partial() {
    const live = this.#inOrder().filter((turn) => !turn.isFinal);
    return live.map((turn) => turn.text).join(' ');
  }

  #inOrder() {
    return [...this.#turns.values()].sort((a, b) => a.order - b.order);
  }
}

// Some models leave the words that are not final out of the transcript; others have every word in it,
// none of them final.
function partialText({ transcript, words = [] }) {
  const lastFinal = words.findLastIndex((word) => word.word_is_final);
  if (lastFinal === -1 && transcript) return transcript;
  const moving = words.slice(lastFinal + 1).map((word) => word.text);
  return [transcript, ...moving].filter(Boolean).join(' ');
}
