// Makes a key, and shows its secret once: it lives in the dialog's state and goes with it.

import { call } from "/console/api.js";
import { Dialog } from "/console/dialog.js";
import { Component, html } from "/console/html.js";
import { Copy, Failure } from "/console/parts.js";

/** What each grant opens. @type {[string, string][]} */
const GRANTS = [
  ["models", "completions and embeddings"],
  ["mcp", "MCP servers and their tools"],
  ["registry", "the registry of servers and releases"],
  ["admin", "administration, but what is for the owner alone"],
];

/** @param {FormDataEntryValue | null} text */
const globs = (text) => String(text ?? "").split(/[\s,]+/).filter(Boolean);
/** @param {FormDataEntryValue | null} text */
const rate = (text) => (text ? Number(text) : undefined);

/**
 * @typedef {{ made: { id: string, key: string } | null, busy: boolean, failure: Error | null }} State
 * @extends {Component<{ onMade: () => void, onClose: () => void }, State>}
 */
export class CreateKey extends Component {
  /** @type {State} */
  state = { made: null, busy: false, failure: null };

  /** @param {SubmitEvent} event */
  create = async (event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const key = {
      name: String(form.get("name") ?? ""),
      grants: form.getAll("grants"),
      servers: globs(form.get("servers")),
      tools: globs(form.get("tools")),
      models: globs(form.get("models")),
      requests_per_minute: rate(form.get("requests")),
      tokens_per_minute: rate(form.get("tokens")),
    };
    this.setState({ busy: true, failure: null });
    try {
      this.setState({ made: await call("keys_create", key), busy: false });
      this.props.onMade();
    } catch (failure) {
      this.setState({ busy: false, failure });
    }
  };

  render() {
    const { made } = this.state;
    return html`<${Dialog} title=${made ? "The key is made" : "Create a key"} onClose=${this.props.onClose}>${made ? this.secret(made) : this.form()}<//>`;
  }

  /** @param {{ id: string, key: string }} made */
  secret({ id, key }) {
    return html`<p role="status">Copy it now: it is shown this once, and the gateway keeps only its hash.</p>
      <div class="command">
        <input class="secret" readonly aria-label=${`The secret of the key ${id}`} value=${key} ref=${focus} autocomplete="off" />
        <${Copy} text=${key} what="the key" />
      </div>
      <footer><button type="button" class="primary" onClick=${this.props.onClose}>Done</button></footer>`;
  }

  form() {
    const { busy, failure } = this.state;
    return html`<form onSubmit=${this.create}>
      <label>Name <input name="name" autofocus maxlength="100" autocomplete="off" placeholder="who or what will use it" /></label>
      <fieldset>
        <legend>Grants</legend>
        ${GRANTS.map(
          ([name, means]) => html`<label class="check"><input type="checkbox" name="grants" value=${name} defaultChecked=${name === "models"} /> <span>${name}</span> <span class="quiet">${means}</span></label>`,
        )}
      </fieldset>
      <details class="fold">
        <summary>Narrow it</summary>
        <p class="quiet">Names or globs, with commas between them. Empty means all.</p>
        <label>Servers <input name="servers" autocomplete="off" placeholder="github, wiki-*" /></label>
        <label>Tools <input name="tools" autocomplete="off" placeholder="github__get_*" /></label>
        <label>Models <input name="models" autocomplete="off" placeholder="assistant, openai/*" /></label>
        <div class="row">
          <label>Requests a minute <input name="requests" type="number" min="1" max="1000000000" inputmode="numeric" /></label>
          <label>Tokens a minute <input name="tokens" type="number" min="1" max="1000000000000" inputmode="numeric" /></label>
        </div>
      </details>
      <${Failure} of=${failure} />
      <footer>
        <button type="button" onClick=${this.props.onClose}>Cancel</button>
        <button type="submit" class="primary" disabled=${busy}>${busy ? "Working…" : "Create"}</button>
      </footer>
    </form>`;
  }
}

/** Selects the secret, once it is there. @param {HTMLInputElement | null} input */
function focus(input) {
  input?.focus();
  input?.select();
}
