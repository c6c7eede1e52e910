// Asks again and again: at most once a second, never twice at a time, and never for a page that nobody sees.

import { Problem } from "/console/api.js";

const SOONEST_MS = 1_000;

export class Poll {
  #timer = 0;
  #asking = false;
  #again = false;
  #on = false;
  #last = -SOONEST_MS;

  /**
   * @param {() => Promise<void>} ask must deal with its own failures
   * @param {number} every in milliseconds
   */
  constructor(ask, every) {
    this.ask = ask;
    this.every = Math.max(SOONEST_MS, every);
  }

  start() {
    if (this.#on) return;
    this.#on = true;
    document.addEventListener("visibilitychange", this.#seen);
    this.now();
  }

  stop() {
    this.#on = false;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#seen);
  }

  /** Asks without waiting for its turn; where an answer is still to come, right after it. */
  async now() {
    clearTimeout(this.#timer);
    if (!this.#on || document.hidden) return;
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    this.#again = false;
    this.#last = performance.now();
    try {
      await this.ask();
    } finally {
      this.#asking = false;
      clearTimeout(this.#timer);
      if (this.#on) this.#timer = setTimeout(() => this.now(), this.#again ? 0 : this.every);
    }
  }

  #seen = () => {
    clearTimeout(this.#timer);
    if (!document.hidden) this.#timer = setTimeout(() => this.now(), this.#last + SOONEST_MS - performance.now());
  };
}

/**
 * A poll that fills a component's state. What the gateway refuses is shown there; that it is gone, the banner says for all.
 *
 * @param {import("/console/vendor/preact.js").Component} component
 * @param {number} every
 * @param {() => Promise<object | null>} ask
 */
export function polling(component, every, ask) {
  return new Poll(async () => {
    try {
      component.setState({ ...(await ask()), failure: null });
    } catch (failure) {
      if (!(failure instanceof Problem)) throw failure;
      if (failure.code !== "unreachable") component.setState({ failure });
    }
  }, every);
}
