// Words and numbers for people. What others wrote may hold characters that no eye sees; here they become visible.

import { html } from "/console/html.js";

// ANSI escapes; whatever controls, formats, is ignored, private or broken; but no line ends, and not what makes an emoji colourful.
const HIDDEN =
  /\x1b\[[0-?]*[ -/]*[@-~]|(?<!\p{Extended_Pictographic})\uFE0F|(?![\n\uFE0F])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Default_Ignorable_Code_Point}\u2028\u2029\u2800]/gu;

/** @type {Record<number, string>} */
const NAMES = {
  0x09: "tab",
  0x1b: "escape",
  0xad: "soft hyphen",
  0x200b: "zero-width space",
  0x200c: "zero-width non-joiner",
  0x200d: "zero-width joiner",
  0x200e: "left-to-right mark",
  0x200f: "right-to-left mark",
  0x202a: "left-to-right embedding",
  0x202b: "right-to-left embedding",
  0x202c: "end of embedding",
  0x202d: "left-to-right override",
  0x202e: "right-to-left override",
  0x2060: "word joiner",
  0x2066: "left-to-right isolate",
  0x2067: "right-to-left isolate",
  0x2068: "first strong isolate",
  0x2069: "end of isolate",
  0xfeff: "byte order mark",
};

/** @param {string} hidden */
function mark(hidden) {
  const code = hidden.codePointAt(0) ?? 0;
  const escape = `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  // Tag characters spell out ASCII that models read and people do not see.
  const tag = code > 0xe001f && code < 0xe007f;
  const letter = tag ? ` ${String.fromCodePoint(code - 0xe0000)}` : "";
  const rest = hidden.startsWith("\x1b[") ? ` ${hidden.slice(1)}` : letter;
  return { shown: `⟨${escape}${rest}⟩`, name: tag ? "tag character" : (NAMES[code] ?? "hidden character") };
}

/**
 * A text with its hidden characters as marks, in order.
 *
 * @param {string} text
 * @returns {(string | { shown: string, name: string })[]}
 */
export function visible(text) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(HIDDEN)) {
    if (found.index > from) parts.push(text.slice(from, found.index));
    parts.push(mark(found[0]));
    from = found.index + found[0].length;
  }
  if (from < text.length) parts.push(text.slice(from));
  return parts;
}

/**
 * Text of others: nothing but text, with nothing hidden in it.
 *
 * @param {{ of: unknown }} props
 */
export function T({ of }) {
  const parts = visible(String(of ?? "")).map((part) =>
    typeof part === "string" ? part : html`<span class="hidden-char" title=${part.name}>${part.shown}</span>`,
  );
  return html`<span class="theirs">${parts}</span>`;
}

/**
 * A sentence of ours or the gateway's, in which backticks set off what is to be typed.
 *
 * @param {{ of: string }} props
 */
export function Words({ of }) {
  return of.split(/`([^`]+)`/).map((part, place) => (place % 2 ? html`<code><${T} of=${part} /></code>` : part && html`<${T} of=${part} />`));
}

const NUMBER = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** @param {number | null | undefined} value */
export const number = (value) => (value == null ? "–" : NUMBER.format(value));
/** @param {number} value */
export const compact = (value) => COMPACT.format(value);

const CENTS = new Intl.NumberFormat("en", { style: "currency", currency: "USD" });
const FINE = new Intl.NumberFormat("en", { style: "currency", currency: "USD", minimumFractionDigits: 0, maximumSignificantDigits: 3 });

/** Small costs keep their digits: most answers cost less than a cent. @param {number | null | undefined} dollars */
export const money = (dollars) => (dollars == null ? "–" : (dollars < 1 ? FINE : CENTS).format(dollars));

/** @param {number} count @param {string} one @param {string} [many] */
export const count = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** @param {number} value @param {number} [width] */
const two = (value, width = 2) => String(value).padStart(width, "0");

/** @param {number} ms since the epoch */
export function day(ms) {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** @param {number} ms since the epoch @param {boolean} [exact] with milliseconds */
export function clock(ms, exact = false) {
  const at = new Date(ms);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return exact ? `${time}.${two(at.getMilliseconds(), 3)}` : time;
}

/**
 * When something was: the day and the time here, and in full for who points at it.
 *
 * @param {{ ms: number | null | undefined, brief?: boolean }} props
 */
export function When({ ms, brief = false }) {
  if (ms == null) return html`<span>–</span>`;
  const iso = new Date(ms).toISOString();
  return html`<time datetime=${iso} title=${iso}>${brief ? day(ms) : `${day(ms)} ${clock(ms)}`}</time>`;
}

/** The time of day, and the day where it is not today. @param {number} ms since the epoch */
export const moment = (ms) => (day(ms) === day(Date.now()) ? "" : `${day(ms).slice(5)} `) + clock(ms, true);

/** @param {number} seconds */
export function duration(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

/** Enough of a digest to tell it from others. @param {string | null | undefined} digest */
export const short = (digest) => (digest ? digest.replace(/^(sha256:)?(.{12}).*$/, "$1$2…") : "–");
