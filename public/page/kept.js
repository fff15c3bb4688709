// The transcripts of this tab: nothing that was said is thrown away unasked.

const KEY = 'tempkit.transcript';
const FIELDS = ['text', 'words', 'start', 'end', 'language']; // what a reload keeps of a turn
const NOTHING = Object.freeze({ finals: [], partial: '', isSafe: true });

/** The newest transcript and the one before it; one of them is shown. */
export class Kept {
  #storage;
  #newest;
  #former = NOTHING;
  #isNew = false; // the next words begin another one

  isFormerShown = false;

  /** @param {() => Storage} storage of the tab, for a reload; it may throw, where it is forbidden */
  constructor(storage) {
    this.#storage = storage;
    this.#newest = this.#restored();
  }

  /** What is to be seen: `finals` and `partial`, as a Transcript has them. */
  get shown() {
    return this.isFormerShown ? this.#former : this.#newest;
  }

  /** Whether it is left over while others are waited for. */
  get isLeftOver() {
    return this.#isNew && !this.isFormerShown;
  }

  get hasFormer() {
    return this.#former !== NOTHING;
  }

  /** Whether there is text that was neither copied nor saved. */
  get isAtRisk() {
    return !(this.#newest.isSafe && this.#former.isSafe);
  }

  /** Another session: what there is stays until that has words. */
  begin() {
    this.#isNew = true;
    this.isFormerShown = false;
  }

  /**
   * @param {import('../session/transcript.js').Transcript} transcript of the session
   * @returns {boolean} whether a turn has come to its end
   */
  take({ finals, partial, settled }) {
    if (this.#isNew) {
      if (finals.length === 0 && !partial) return false;
      if (this.#newest.finals.length > 0) this.#former = this.#newest;
      this.#newest = NOTHING;
      this.#isNew = false;
    }
    const { finals: known, isSafe } = this.#newest;
    const isSame = known.length === finals.length && finals.every((turn, n) => turn === known[n]);
    this.#newest = { finals, partial, settled, isSafe: isSafe && isSame };
    return finals.length !== known.length;
  }

  /** The shown one was copied or saved. */
  keep() {
    if (this.isFormerShown) this.#former = { ...this.#former, isSafe: true };
    else this.#newest = { ...this.#newest, isSafe: true };
  }

  /** Shows the other one. */
  swap() {
    this.isFormerShown = !this.isFormerShown;
  }

  /** Forgets the shown one. */
  forget() {
    if (!this.isFormerShown) this.#newest = this.#former;
    this.#former = NOTHING;
    this.isFormerShown = false;
    this.store();
  }

  /** Keeps the text for a reload of the tab. */
  store() {
    const { finals } = this.#newest;
    this.#try((storage) => {
      if (finals.length > 0) storage.setItem(KEY, JSON.stringify(finals, FIELDS));
      else storage.removeItem(KEY);
    });
  }

  #restored() {
    const finals = this.#try((storage) => JSON.parse(storage.getItem(KEY)));
    return finals ? { finals, partial: '', isSafe: false } : NOTHING;
  }

  #try(step) {
    try {
      return step(this.#storage());
    } catch {
      return null; // forbidden, full, or not ours
    }
  }
}
