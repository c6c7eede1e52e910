// Talks to the gateway.
//
// A session has two halves: a cookie, which no script sees, and a token, which the page sends in a header. The token is kept
// for this origin alone, so that a second tab is logged in too; without the cookie it opens nothing.

import { store } from "/console/store.js";

/** Whether the gateway answered when it was last asked. */
export const reachable = store(true);

/** Why something was refused or failed, in the gateway's own words. */
export class Problem extends Error {
  /**
   * @param {number} status of HTTP; 0 where there was no answer
   * @param {string} code for machines
   * @param {string} detail for people
   */
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** How long an answer may take: a server that is started to be looked at is slow. */
const PATIENCE_MS = 90_000;

const KEPT = "portolan.session";

let token = kept();
/** @type {(problem: Problem) => void} */
let onEnd = () => {};

/** @param {(problem: Problem) => void} then what to do when the gateway no longer knows us */
export function whenEnded(then) {
  onEnd = then;
}

/** The token that any tab of this origin was last given. */
function kept() {
  try {
    return localStorage.getItem(KEPT) ?? "";
  } catch {
    return ""; // Storage may be forbidden; then each tab logs in by itself.
  }
}

/** @param {string} next */
function keep(next) {
  token = next;
  try {
    if (next) localStorage.setItem(KEPT, next);
    else localStorage.removeItem(KEPT);
  } catch {
    // As above.
  }
}

/** Whether there is anything to show the gateway. */
export const hasToken = () => token !== "";

/** The session is over, here or by what another tab did. @param {Problem} problem */
function end(problem) {
  keep("");
  onEnd(problem);
}

addEventListener("storage", (event) => {
  if (event.key !== KEPT || token === "") return;
  if (event.newValue) token = event.newValue;
  else end(new Problem(401, "left", "You logged out in another tab."));
});

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
async function send(method, path, body) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token) headers["x-portolan-csrf"] = token;
  let answer, text;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const sent = body === undefined ? undefined : JSON.stringify(body);
    answer = await fetch(path, { method, headers, body: sent, signal, credentials: "same-origin", cache: "no-store" });
    text = await answer.text();
  } catch (error) {
    if (error instanceof DOMException && error.name === "TimeoutError") {
      throw new Problem(0, "no_answer", `The gateway did not answer within ${PATIENCE_MS / 1000} s. Look at its log, then try again.`);
    }
    reachable.set(false);
    throw new Problem(0, "unreachable", "The gateway is not reachable. Check that it runs, then try again.");
  }
  reachable.set(true);
  const said = parsed(text);
  if (answer.ok) return said;
  const detail = said?.detail ?? `The gateway answered with the status ${answer.status}.`;
  throw new Problem(answer.status, String(said?.code ?? "failed"), String(detail));
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Asks, and once more where another tab has logged in anew meanwhile.
 *
 * @param {() => Promise<any>} ask
 * @param {(problem: Problem) => void} over what to do when the session is over
 * @returns {Promise<any>}
 */
async function asked(ask, over) {
  const shown = token;
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    const now = kept() || token;
    if (now && now !== shown) {
      token = now;
      return asked(ask, over);
    }
    over(error);
    throw error;
  }
}

/**
 * Calls a control tool.
 *
 * @param {string} tool
 * @param {object} [args]
 * @returns {Promise<any>}
 */
export function call(tool, args = {}) {
  return asked(() => send("POST", `/api/v1/${tool}`, args), end);
}

/**
 * @typedef {{ principal: string, owner: boolean, csrf: string | null }} Session
 */

/** @returns {Promise<Session>} */
export function whoAmI() {
  return asked(
    () => send("GET", "/console/session"),
    () => keep(""),
  );
}

/**
 * Trades the token of a one-time link for a session.
 *
 * @param {string} link
 * @returns {Promise<Session>}
 */
export async function logIn(link) {
  const session = await send("POST", "/console/login", { link });
  keep(session.csrf ?? "");
  return session;
}

export async function logOut() {
  const shown = token;
  try {
    await send("POST", "/console/logout");
  } finally {
    // Another tab may have logged in anew.
    if (token === shown) keep("");
  }
}
