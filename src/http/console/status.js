// The gateway's state, which every page shows something of; and what was just done, said once.

import { Problem, call } from "/console/api.js";
import { Poll } from "/console/poll.js";
import { store } from "/console/store.js";

/**
 * @typedef {{ version: string, uptime_s: number, servers: number, providers: string[], held: string[], blocked: string[],
 *   problems: { error: string, server?: string, provider?: string, target?: string, configuration?: string }[] } | null} Status
 */

/** @type {ReturnType<typeof store<Status>>} */
export const status = store(null);
/** Said to whoever looks or listens. */
export const said = store("");
/** Why the state is not known, where it is not for the gateway being gone. */
export const unknown = store(/** @type {Problem | null} */ (null));

const EVERY_MS = 4_000;

let asks = 0;

async function ask() {
  // Only the newest answer counts: an older one may be from before what was just done.
  const own = ++asks;
  try {
    const now = await call("status_show");
    if (own !== asks) return;
    status.set(now);
    unknown.set(null);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (own === asks && error.code !== "unreachable" && error.status !== 401) unknown.set(error);
  }
}

/** Nobody is there to see it any more; an answer that is on its way is for nobody. */
export function forgetStatus() {
  asks++;
  status.set(null);
}

export const statusPoll = new Poll(ask, EVERY_MS);

/** Looks again after something was done, and says what. @param {string} done */
export async function refreshStatus(done) {
  // Emptied first, so that the same words are said again.
  said.set("");
  setTimeout(() => said.set(done));
  await ask();
}
