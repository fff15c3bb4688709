// Which microphone: the wish for one is kept apart from the list of those that are there.

import { away } from './words.js';

const KEY = 'tempkit-microphone';
const DEFAULT = { deviceId: '', label: 'Default' };

/** The microphones of a browser. No list takes the wish for one of them away, and no reload. */
export class Microphones {
  #devices = []; // those that have names
  #isThere = false; // the one that is wished for
  wish = recalled();
  used = null; // the id of the one that is open

  /** Takes in all devices that the browser tells of; gives the one wished for, when it is back. */
  list(devices) {
    // Before the permission they have neither names nor ids; "default" is there twice.
    this.#devices = devices.filter(({ kind, deviceId, label }) => {
      return kind === 'audioinput' && label && deviceId !== 'default';
    });
    const found = this.#find(this.wish.deviceId) ?? this.#namesake();
    const isBack = found && !this.#isThere;
    this.#isThere = Boolean(found);
    if (found) this.#want(found);
    return isBack ? found : null;
  }

  /** A person has picked an option. */
  pick(deviceId) {
    if (deviceId !== this.wish.deviceId) this.#want(this.#find(deviceId) ?? DEFAULT);
    this.#isThere = Boolean(this.#find(deviceId));
  }

  /** What there is to pick from; the wish, too, when it is not connected. */
  get options() {
    const { wish } = this;
    const options = [DEFAULT, ...this.#devices].map(({ deviceId, label }) => ({ deviceId, label }));
    if (options.some(({ deviceId }) => deviceId === wish.deviceId)) return options;
    // Without names nobody knows whether it is there.
    return [...options, { ...wish, label: options[1] ? away(wish.label) : wish.label }];
  }

  /** The id of the option to show: what is really used, or else what is wished for. */
  get shown() {
    const { used, wish } = this;
    if (used === null || used === wish.deviceId) return wish.deviceId;
    return this.#find(used)?.deviceId ?? DEFAULT.deviceId;
  }

  #find(id) {
    return this.#devices.find(({ deviceId }) => deviceId === id);
  }

  // Browsers change the ids now and then.
  #namesake() {
    const found = this.#devices.filter(({ label }) => label === this.wish.label);
    return found.length === 1 ? found[0] : undefined;
  }

  #want({ deviceId, label }) {
    this.wish = { deviceId, label };
    try {
      localStorage.setItem(KEY, JSON.stringify(this.wish));
    } catch {
      // It is kept as long as the page is.
    }
  }
}

function recalled() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? DEFAULT;
  } catch {
    return DEFAULT; // the browser keeps nothing for this page
  }
}
