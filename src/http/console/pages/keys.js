// API keys: list, create, revoke.

import { call } from "/console/api.js";
import { Confirm } from "/console/dialog.js";
import { Component, html } from "/console/html.js";
import { CreateKey } from "/console/pages/create_key.js";
import { Act, Command, Failure, Loading, OwnerNote, StateBadge, Table, Title } from "/console/parts.js";
import { polling } from "/console/poll.js";
import { refreshStatus } from "/console/status.js";
import { T, When, number } from "/console/text.js";

const EVERY_MS = 10_000;

/**
 * @typedef {{ id: string, name: string, grants: string[], servers: string[], tools: string[], models: string[], requests_per_minute: number | null,
 *   tokens_per_minute: number | null, created_ms: number, revoked_ms: number | null }} Key
 * @typedef {{ keys: Key[] | null, failure: Error | null, revokes: Key | null, creates: boolean }} State
 * @extends {Component<{}, State>}
 */
export class Keys extends Component {
  /** @type {State} */
  state = { keys: null, failure: null, revokes: null, creates: false };

  poll = polling(this, EVERY_MS, () => call("keys_list"));

  componentDidMount() {
    this.poll.start();
  }

  componentWillUnmount() {
    this.poll.stop();
  }

  revoke = async () => {
    const { id, name } = /** @type {Key} */ (this.state.revokes);
    await call("keys_revoke", { id });
    this.poll.now();
    await refreshStatus(`The key ${name || id} is revoked.`);
  };

  render() {
    const { keys, failure, revokes, creates } = this.state;
    return html`
      <header class="bar">
        <${Title}>Keys<//>
        <div class="actions"><${Act} look="primary" owner="owner-keys" onClick=${() => this.setState({ creates: true })}>Create a key…<//></div>
      </header>
      <p class="lead">API keys made at run time. Those of the configuration file are not listed here.</p>
      <${OwnerNote} id="owner-keys" />
      <${Failure} of=${failure} />
      ${keys === null ? !failure && html`<${Loading} />` : keys.length === 0 ? html`<${None} />` : this.list(keys)}
      ${creates && html`<${CreateKey} onMade=${() => this.poll.now()} onClose=${() => this.setState({ creates: false })} />`}
      ${
        revokes &&
        html`<${Confirm} title="Revoke this key?" act="Revoke" danger run=${this.revoke} onClose=${() => this.setState({ revokes: null })}>
          <p>Whoever uses <strong><${T} of=${revokes.name || revokes.id} /></strong> is refused at once. A revoked key does not come back.</p>
        <//>`
      }
    `;
  }

  /** @param {Key[]} keys */
  list(keys) {
    return html`<${Table} label="Keys">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Id</th>
          <th scope="col">State</th>
          <th scope="col">Grants</th>
          <th scope="col">Narrowed to</th>
          <th scope="col">Created</th>
          <th scope="col"><span class="unseen">Actions</span></th>
        </tr>
      </thead>
      <tbody>
        ${keys.map(
          (key) => html`<tr key=${key.id}>
            <th scope="row">${key.name ? html`<${T} of=${key.name} />` : html`<span class="quiet">no name</span>`}</th>
            <td><code><${T} of=${key.id} /></code></td>
            <td><${StateBadge} of=${key.revoked_ms == null ? "active" : "revoked"} /></td>
            <td>${key.grants.join(", ")}</td>
            <td class="long"><${Narrowed} of=${key} /></td>
            <td><${When} ms=${key.created_ms} brief /></td>
            <td class="actions">
              ${
                key.revoked_ms == null &&
                html`<${Act} look="small" owner="owner-keys" label=${`Revoke ${key.name || key.id}`} onClick=${() => this.setState({ revokes: key })}>Revoke<//>`
              }
            </td>
          </tr>`,
        )}
      </tbody>
    <//>`;
  }
}

const None = () => html`<div class="empty">
  <p>No key was made yet. On this machine callers need none; beyond it each needs its own. Make one here, or from a terminal:</p>
  <${Command} text="portolan key create --name ci --grant models" what="the command that makes a key" />
</div>`;

/** @param {{ of: Key }} props */
function Narrowed({ of: key }) {
  const rates = [key.requests_per_minute && `${number(key.requests_per_minute)} requests/min`, key.tokens_per_minute && `${number(key.tokens_per_minute)} tokens/min`];
  /** @type {[string, string[]][]} */
  const all = [["servers", key.servers], ["tools", key.tools], ["models", key.models]];
  const lists = all.filter(([, globs]) => globs.length > 0);
  const words = [...lists.map(([what, globs]) => `${what} ${globs.join(", ")}`), ...rates.filter(Boolean)];
  return words.length === 0 ? html`<span class="quiet">nothing</span>` : html`<${T} of=${words.join("; ")} />`;
}
