// The way in: a one-time link, which only someone with a key can make.

import { html } from "/console/html.js";
import { Banner } from "/console/banner.js";
import { Command } from "/console/parts.js";
import { Words } from "/console/text.js";

/** @type {Record<string, string>} */
const WHY = {
  link: "This link does not log you in.",
  ended: "Your session has ended.",
  left: "You are logged out.",
};

/** The gateway's words begin small and end without a stop, as they may stand in a sentence. @param {string} text */
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/\.$/, "");

/** @param {{ why: string, detail?: string }} props */
export function Login({ why, detail }) {
  document.title = "Log in · Portolan";
  return html`<main id="main" tabindex="-1" class="login">
    <${Banner} />
    <img src="/console/icon.svg" alt="" width="44" height="44" />
    <h1 tabindex="-1">Portolan console</h1>
    ${WHY[why] && html`<p class=${`notice ${why === "link" ? "bad" : "calm"}`} role="alert">${WHY[why]} ${detail && html`<${Words} of=${capital(detail)} />.`}</p>`}
    <p>To log in, run this on the machine where the gateway runs. It opens this page by a link that works once, and for a short time.</p>
    <${Command} text="portolan open" what="the command that logs you in" />
    <p class="quiet">From another machine: <code>portolan --url ${location.origin} open</code>, with a key that may administer in <code>PORTOLAN_KEY</code>.</p>
  </main>`;
}
