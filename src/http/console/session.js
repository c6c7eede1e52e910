// Who is logged in: starting, out, or in.

import { Problem, hasToken, logIn, logOut, whenEnded, whoAmI } from "/console/api.js";
import { store } from "/console/store.js";

/**
 * @typedef {{ is: "starting" }
 *   | { is: "out", why: "none" | "link" | "ended" | "left", detail?: string }
 *   | { is: "in", principal: string, owner: boolean }} State
 */

/** @type {ReturnType<typeof store<State>>} */
export const session = store({ is: "starting" });

const RETRY_MS = 2_000;

whenEnded((problem) => {
  if (session.get().is === "in") session.set({ is: "out", why: "ended", detail: problem.message });
});

/** The token of a one-time link. It leaves the address at once, and with it the history. */
function takeLink() {
  const token = /^#login=(.+)$/.exec(location.hash)?.[1];
  if (!token) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return token;
}

/** Logs in by the link in the address, or goes on with the session there is. */
export function begin() {
  // Where the console is open already, a new link changes the address and loads nothing.
  addEventListener("hashchange", () => {
    const link = takeLink();
    if (link !== null) enter(link);
  });
  const link = takeLink();
  if (link === null && !hasToken()) return session.set({ is: "out", why: "none" });
  return enter(link);
}

/** @param {string | null} link */
async function enter(link) {
  try {
    const { principal, owner } = link === null ? await whoAmI() : await logIn(link);
    session.set({ is: "in", principal, owner });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.code === "unreachable") {
      setTimeout(() => enter(link), RETRY_MS);
    } else if (link !== null && hasToken()) {
      // An old link is no reason to throw out who is logged in.
      await enter(null);
    } else {
      session.set({ is: "out", why: link === null ? "ended" : "link", detail: error.message });
    }
  }
}

/** Ends the session here, whatever the gateway says. */
export async function leave() {
  try {
    await logOut();
  } finally {
    session.set({ is: "out", why: "left" });
  }
}
