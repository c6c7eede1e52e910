// What differs between two definitions: which members, and within texts which words.

/**
 * @typedef {{ path: string, old: unknown, now: unknown }} Change `undefined` where there was none
 * @typedef {{ kind: "same" | "old" | "now", text: string }} Piece
 */

/** @param {unknown} value @returns {value is Record<string, unknown>} */
export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** @param {unknown} a @param {unknown} b */
const same = (a, b) => canonical(a) === canonical(b);

/** The same text for the same value, however its members are ordered. @param {unknown} value @returns {string} */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? "";
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join()}}`;
}

/**
 * All places where two values differ, as JSON pointers.
 *
 * @param {unknown} old
 * @param {unknown} now
 * @param {string} [path]
 * @returns {Change[]}
 */
export function changes(old, now, path = "") {
  if (!isObject(old) || !isObject(now)) return same(old, now) ? [] : [{ path, old, now }];
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  return names.flatMap((name) => {
    const below = `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const [before, after] = [old, now].map((value) => (Object.hasOwn(value, name) ? value[name] : undefined));
    return before === undefined || after === undefined ? [{ path: below, old: before, now: after }] : changes(before, after, below);
  });
}

/** Most words compared on each side; beyond that, only what both begin and end with is found. */
const MOST = 600;

/**
 * Two texts as pieces that both have, or one of them.
 *
 * @param {string} old
 * @param {string} now
 * @returns {Piece[]}
 */
export function words(old, now) {
  const [a, b] = [old, now].map((text) => text.match(/[\p{L}\p{N}]+|\s+|[^\p{L}\p{N}\s]/gu) ?? []);
  let begin = 0;
  while (begin < a.length && begin < b.length && a[begin] === b[begin]) begin += 1;
  let end = 0;
  while (end < a.length - begin && end < b.length - begin && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const [left, right] = [a.slice(begin, a.length - end), b.slice(begin, b.length - end)];
  /** @type {Piece[]} */
  const pieces = [];
  add(pieces, "same", a.slice(0, begin).join(""));
  if (left.length > MOST || right.length > MOST) {
    add(pieces, "old", left.join(""));
    add(pieces, "now", right.join(""));
  } else {
    middle(left, right, pieces);
  }
  add(pieces, "same", a.slice(a.length - end).join(""));
  return pieces;
}

/** By the longest common subsequence. @param {string[]} a @param {string[]} b @param {Piece[]} pieces */
function middle(a, b, pieces) {
  const longest = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i][j] = a[i] === b[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      add(pieces, "same", a[i]);
      [i, j] = [i + 1, j + 1];
    } else if (j >= b.length || (i < a.length && longest[i + 1][j] >= longest[i][j + 1])) {
      add(pieces, "old", a[i]);
      i += 1;
    } else {
      add(pieces, "now", b[j]);
      j += 1;
    }
  }
}

/** @param {Piece[]} pieces @param {Piece["kind"]} kind @param {string} text */
function add(pieces, kind, text) {
  if (text === "") return;
  const last = pieces.at(-1);
  if (last?.kind === kind) last.text += text;
  else pieces.push({ kind, text });
}
