// Small parts that all pages use.

import { Component, createRef, html } from "/console/html.js";
import { session } from "/console/session.js";
import { T, Words } from "/console/text.js";

// A shape for each mood, so that no state is told by its colour alone.
const SHAPES = { good: "●", busy: "◐", warn: "▲", bad: "■", calm: "○" };

/**
 * @typedef {keyof typeof SHAPES} Mood
 * @param {{ mood: Mood, title?: string, children: unknown }} props
 */
export function Badge({ mood, title, children }) {
  return html`<span class="badge ${mood}" title=${title}><span class="shape" aria-hidden="true">${SHAPES[mood]}</span>${children}</span>`;
}

/** @type {Record<string, Mood>} */
const STATES = {
  ready: "good",
  served: "good",
  ok: "good",
  active: "good",
  idle: "calm",
  disabled: "calm",
  superseded: "calm",
  deprecated: "warn",
  ended: "calm",
  revoked: "calm",
  cancelled: "calm",
  connecting: "busy",
  begun: "busy",
  login_needed: "warn",
  held: "warn",
  tool_error: "warn",
  refused: "warn",
  blocked: "bad",
  failed: "bad",
  rejected: "bad",
};

/** A state in the gateway's word for it. @param {{ of: string }} props */
export const StateBadge = ({ of }) => html`<${Badge} mood=${STATES[of] ?? "calm"}><${T} of=${of.replaceAll("_", " ")} /><//>`;

/** What went wrong, said at once. @param {{ of: Error | null | undefined }} props */
export const Failure = ({ of }) => of && html`<p class="notice bad" role="alert"><${Words} of=${of.message} /></p>`;

export const Loading = () => html`<p class="quiet" role="status">Loading…</p>`;

export const OWNER_ONLY = "Only the owner may do this. Log in by a link that `portolan open` makes with the owner key.";

/** Said once where buttons are for the owner alone; they refer to it by its id. @param {{ id: string }} props */
export function OwnerNote({ id }) {
  const state = session.get();
  if (state.is === "in" && state.owner) return null;
  return html`<p class="quiet" id=${id}><${Words} of=${OWNER_ONLY} /></p>`;
}

/**
 * A button; disabled with the reason where it is for the owner and someone else looks.
 *
 * @param {{ onClick: (event: Event) => void, owner?: string, look?: string, label?: string, busy?: boolean, children: unknown }} props
 */
export function Act({ onClick, owner, look = "", label, busy = false, children }) {
  const state = session.get();
  const forbidden = owner !== undefined && !(state.is === "in" && state.owner);
  return html`<button
    type="button"
    class=${look}
    aria-label=${label}
    disabled=${forbidden || busy}
    title=${forbidden ? OWNER_ONLY.replaceAll("`", "") : undefined}
    aria-describedby=${forbidden ? owner : undefined}
    onClick=${onClick}
  >
    ${children}
  </button>`;
}

/** Puts a text on the clipboard, also where the page is not served securely. @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    // In a dialog nothing outside of it can be selected.
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/**
 * @typedef {{ said: string }} State
 * @extends {Component<{ text: string, what: string }, State>}
 */
export class Copy extends Component {
  /** @type {State} */
  state = { said: "" };

  copy = async () => {
    this.setState({ said: (await copied(this.props.text)) ? "Copied" : "Select it and copy it by hand" });
    setTimeout(() => this.setState({ said: "" }), 2_500);
  };

  render() {
    return html`<button type="button" class="small" aria-label="Copy ${this.props.what}" onClick=${this.copy}>
        ${this.state.said || "Copy"}</button
      ><span class="unseen" role="status">${this.state.said}</span>`;
  }
}

/** A command to run. @param {{ text: string, what: string }} props */
export function Command({ text, what }) {
  return html`<div class="command"><pre tabindex="0" aria-label=${what}><code>${text}</code></pre><${Copy} text=${text} what=${what} /></div>`;
}

/** A table that scrolls by itself where the page is narrow. @param {{ label: string, children: unknown, look?: string }} props */
export function Table({ label, children, look = "" }) {
  return html`<div class="scroll ${look}" role="group" aria-label=${label} tabindex="0"><table>${children}</table></div>`;
}

/** @extends {Component<{ children: unknown }>} */
export class Title extends Component {
  heading = createRef();

  componentDidMount() {
    document.title = `${this.heading.current.textContent} · Portolan`;
  }

  componentDidUpdate() {
    this.componentDidMount();
  }

  render() {
    return html`<h1 tabindex="-1" ref=${this.heading}>${this.props.children}</h1>`;
  }
}
