// One definition that is not what it was: each place that differs, old and new side by side.

import { changes, isObject, words } from "/console/diff.js";
import { html } from "/console/html.js";
import { Badge } from "/console/parts.js";
import { T, Words } from "/console/text.js";

/** From what matters most to what matters least. */
const WEIGHTS = ["steering", "breaking", "minor", "patch"];

/** @param {{ class: string, breaking: boolean, name: string }} a @param {{ class: string, breaking: boolean, name: string }} b */
export function byWeight(a, b) {
  const weight = (/** @type {{ class: string }} */ one) => WEIGHTS.indexOf(one.class);
  return weight(a) - weight(b) || Number(b.breaking) - Number(a.breaking) || a.name.localeCompare(b.name);
}

/** @type {Record<string, { mood: import("../parts.js").Mood, means: string }>} */
const CLASSES = {
  steering: { mood: "bad", means: "Words that sway a model, and that nobody has approved" },
  breaking: { mood: "warn", means: "Calls that worked may no longer work, or mean something else" },
  minor: { mood: "calm", means: "Calls that worked go on working" },
  patch: { mood: "calm", means: "Nothing a caller or a model notices" },
};

/** @param {{ of: string, many?: number }} props */
export function ClassBadge({ of, many }) {
  const { mood, means } = CLASSES[of] ?? { mood: "warn", means: "" };
  return html`<${Badge} mood=${mood} title=${means}>${many === undefined ? "" : `${many} `}<${T} of=${of} /><//>`;
}

/** Of text that both sides have, so much is shown around what differs. */
const AROUND = 240;

/** @param {{ of: import("./held.js").Difference }} props */
export function Change({ of: one }) {
  // Of what is new or gone, each member is told; but for its name, which stands above.
  const alone = one.approved === undefined ? "now" : one.live === undefined ? "old" : "";
  const whole = [one.approved, one.live].find((side) => side !== undefined);
  const nothing = isObject(whole) ? {} : undefined;
  const places = changes(one.approved ?? nothing, one.live ?? nothing).filter((place) => !(alone && place.path === "/name"));
  return html`<article class="change">
    <h3>
      <span class="quiet">${one.kind}</span> <${T} of=${one.name} />
      <${ClassBadge} of=${one.class} />
      ${one.breaking && one.class !== "breaking" && html`<${Badge} mood="warn" title="Calls that worked may no longer work">breaking<//>`}
    </h3>
    <ul class="reasons">
      ${one.changes.map(({ at, why }) => html`<li>${at === "" ? "it" : html`<code><${T} of=${at} /></code>`} <${Words} of=${why} /></li>`)}
    </ul>
    ${places.map((place) => html`<${Place} key=${place.path} of=${place} alone=${alone} />`)}
  </article>`;
}

/** @param {{ of: import("../diff.js").Change, alone: string }} props */
function Place({ of: { path, old, now }, alone }) {
  const texts = typeof old === "string" && typeof now === "string";
  const pieces = texts ? words(old, now) : [];
  const side = (/** @type {"old" | "now"} */ which, /** @type {unknown} */ value) =>
    html`<div class=${value === undefined ? "" : which}>
      <dt>${which === "old" ? "Approved" : "Now"}</dt>
      <dd>${texts ? html`<${Pieces} of=${pieces} side=${which} />` : html`<${Value} of=${value} />`}</dd>
    </div>`;
  return html`<div class="place">
    <h4 class="path">${path === "" ? "the whole text" : html`<${T} of=${path} />`}</h4>
    <dl class=${alone ? "sides alone" : "sides"}>
      ${alone !== "now" && side("old", old)} ${alone !== "old" && side("now", now)}
    </dl>
  </div>`;
}

/** @param {{ of: unknown }} props */
function Value({ of }) {
  if (of === undefined) return html`<span class="quiet">not there</span>`;
  return typeof of === "string" ? html`<${T} of=${of} />` : html`<code class="json"><${T} of=${JSON.stringify(of, null, 2)} /></code>`;
}

/** @param {{ of: import("../diff.js").Piece[], side: "old" | "now" }} props */
function Pieces({ of, side }) {
  return of
    .filter((piece) => piece.kind === "same" || piece.kind === side)
    .map((piece) => {
      if (piece.kind === "old") return html`<del><${T} of=${piece.text} /></del>`;
      if (piece.kind === "now") return html`<ins><${T} of=${piece.text} /></ins>`;
      return html`<${Same} text=${piece.text} first=${of[0] === piece} last=${of.at(-1) === piece} />`;
    });
}

/** Text that both sides have, without its middle where that is long. @param {{ text: string, first: boolean, last: boolean }} props */
function Same({ text, first, last }) {
  const [before, after] = [first ? 0 : AROUND, last ? 0 : AROUND];
  const left = text.length - before - after;
  if (left < AROUND) return html`<${T} of=${text} />`;
  return html`<${T} of=${text.slice(0, before)} /><span class="cut">… ${left} characters that are the same …</span><${T}
      of=${text.slice(text.length - after)}
    />`;
}
