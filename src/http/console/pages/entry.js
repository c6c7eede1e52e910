// One entry of the journal, whole.

import { Dialog } from "/console/dialog.js";
import { html } from "/console/html.js";
import { StateBadge } from "/console/parts.js";
import { T, When, money, number } from "/console/text.js";

/** @param {{ of: import("./live.js").Row, onClose: () => void }} props */
export function Entry({ of: row, onClose }) {
  const fact = (/** @type {string} */ name, /** @type {unknown} */ value) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  const text = (/** @type {string} */ name, /** @type {string | null} */ value) => value != null && value !== "" && fact(name, html`<${T} of=${value} />`);
  const tokens = (/** @type {string} */ name, /** @type {number | null} */ value) => value != null && fact(name, number(value));
  return html`<${Dialog} title=${`Entry ${row.id}`} wide onClose=${onClose}>
    <dl class="facts">
      ${fact("At", html`<${When} ms=${row.at_ms} />`)} ${text("Kind", row.kind)} ${text("About", row.subject)} ${text("Answered by", row.target)}
      ${fact("Outcome", html`<${StateBadge} of=${row.outcome} />`)} ${text("Detail", row.detail)} ${text("Caller", row.principal)} ${text("Request", row.request)}
      ${tokens("Input tokens", row.input_tokens)} ${tokens("of them cached", row.cached_tokens)} ${tokens("Output tokens", row.output_tokens)}
      ${row.cost_usd != null && fact("Cost", money(row.cost_usd))} ${fact("Took", `${number(row.ms)} ms`)}
    </dl>
    <footer><button type="button" autofocus onClick=${onClose}>Close</button></footer>
  <//>`;
}
