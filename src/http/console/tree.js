// JSON as a tree that folds.

import { html } from "/console/html.js";
import { T, count } from "/console/text.js";

/** How deep it is open at first. */
const OPEN = 2;
/** Deeper than this it is shown as JSON text: nobody unfolds that far, and a page must not break on what it is sent. */
const DEEPEST = 24;

/**
 * @param {{ value: unknown, name?: string, depth?: number }} props
 */
export function Tree({ value, name, depth = 0 }) {
  const label = name === undefined ? null : html`<span class="key"><${T} of=${name} /></span>`;
  if (value === null || typeof value !== "object" || depth > DEEPEST) {
    return html`<div class="leaf">${label}<span class=${`value ${typeof value}`}><${T} of=${JSON.stringify(value)} /></span></div>`;
  }
  const members = Object.entries(value);
  const many = Array.isArray(value) ? count(members.length, "item") : count(members.length, "member");
  if (members.length === 0) return html`<div class="leaf">${label}<span class="value">${Array.isArray(value) ? "[]" : "{}"}</span></div>`;
  return html`<details class="tree" open=${depth < OPEN}>
    <summary>${label}<span class="quiet">${many}</span></summary>
    ${members.map(([key, member]) => html`<${Tree} key=${key} name=${key} value=${member} depth=${depth + 1} />`)}
  </details>`;
}
