// What has been said, turn by turn, from the Turn messages of one session.

/** The turns of a session by turn_order; each message replaces what its turn said before. */
export class Transcript {
  #turns = new Map();

  /** @param {object} message a Turn message of the service */
  apply(message) {
    const { turn_order: order, end_of_turn: isFinal } = message;
    const text = isFinal ? message.transcript : partialText(message);
    // After Terminate the service sends an empty final; one may also take back a partial.
    if (text) this.#turns.set(order, { order, text, isFinal });
    else if (!this.#turns.get(order)?.isFinal) this.#turns.delete(order);
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

/**
 * The transcript and the words at its end that are not final.
 *
 * Some models leave those out of the transcript; others have every word in it, none of them final.
 */
function partialText({ transcript, words = [] }) {
  const lastFinal = words.findLastIndex((word) => word.word_is_final);
  if (lastFinal === -1 && transcript) return transcript;
  const moving = words.slice(lastFinal + 1).map((word) => word.text);
  return [transcript, ...moving].filter(Boolean).join(' ');
}
