// The transcripts of this tab: nothing that was said is thrown away unasked.

const KEY = 'tempkit.transcript';
const FIELDS = ['text', 'words', 'start', 'end', 'language']; // what a reload keeps of a turn
const NOTHING = Object.freeze({ finals: [], partial: '', isSafe: true });

/** The newest transcript and the one before it; one of them is shown. */
export class Kept {
  #storage;
  #all; // the newest first
  #at = 0; // the one that is shown
  #isNew = false; // the next words begin another one

  /** @param {() => Storage} storage of the tab, for a reload; it may throw, where it is forbidden */
  constructor(storage) {
    this.#storage = storage;
    const finals = this.#try((kept) => JSON.parse(kept.getItem(KEY)));
    this.#all = [finals ? { ...NOTHING, finals, isSafe: false } : NOTHING];
  }

  /** What is to be seen: `finals` and `partial`, as a Transcript has them. */
  get shown() {
    return this.#all[this.#at];
  }

  get isFormerShown() {
    return this.#at > 0;
  }

  /** Whether it is left over while others are waited for. */
  get isLeftOver() {
    return this.#isNew && !this.isFormerShown;
  }

  get hasFormer() {
    return this.#all.length > 1;
  }

  /** Whether there is text that was neither copied nor saved. */
  get isAtRisk() {
    return this.#all.some(({ isSafe }) => !isSafe);
  }

  /** Another session: what there is stays until that has words. */
  begin() {
    this.#isNew = true;
    this.#at = 0;
  }

  /** The session's Transcript says more; gives whether a turn has come to its end. */
  take({ finals, partial, settled }) {
    if (this.#isNew) {
      if (finals.length === 0 && !partial) return false;
      const others = this.#all.filter((each) => each.finals.length > 0);
      this.#all = [NOTHING, ...others].slice(0, 2);
      this.#isNew = false;
    }
    const { finals: known, isSafe } = this.#all[0];
    const isSame = known.length === finals.length && finals.every((turn, n) => turn === known[n]);
    this.#all[0] = { finals, partial, settled, isSafe: isSafe && isSame };
    return finals.length !== known.length;
  }

  /** The shown one was copied or saved. */
  keep() {
    this.#all[this.#at] = { ...this.shown, isSafe: true };
  }

  swap() {
    this.#at = 1 - this.#at;
  }

  forget() {
    this.#all.splice(this.#at, 1);
    this.#all[0] ??= NOTHING;
    this.#at = 0;
    this.store();
  }

  /** Keeps the text for a reload of the tab. */
  store() {
    const { finals } = this.#all[0];
    this.#try((storage) => {
      if (finals.length > 0) storage.setItem(KEY, JSON.stringify(finals, FIELDS));
      else storage.removeItem(KEY);
    });
  }

  #try(step) {
    try {
      return step(this.#storage());
    } catch {
      return null; // forbidden, full, or not ours
    }
  }
}
