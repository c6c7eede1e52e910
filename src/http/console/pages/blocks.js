// The kill switch: what is blocked, lifting it, and blocking more.

import { Problem, call } from "/console/api.js";
import { Confirm } from "/console/dialog.js";
import { Component, html } from "/console/html.js";
import { Act, Failure, OwnerNote, Table } from "/console/parts.js";
import { refreshStatus } from "/console/status.js";
import { T, When } from "/console/text.js";

/** What can be blocked, and what to give for it. @type {[string, string, string][]} */
const TARGETS = [
  ["server", "Server", "its name, as in the list of servers"],
  ["tool", "Tool", "server__tool"],
  ["provider", "Provider", "its name"],
  ["model", "Model", "as callers name it, or provider/model"],
  ["key", "Key", "its id, as in the list of keys"],
  ["subject", "Subject", "name@issuer"],
  ["all", "Everything", ""],
];

/**
 * @typedef {{ target: string, by: string, at_ms: number, reason: string }} Block
 * @typedef {{ blocks: Block[], failure: Error | null, lifts: string, kind: string, name: string, reason: string, asks: boolean }} State
 * @extends {Component<{ of: string[] }, State>}
 */
export class Blocks extends Component {
  /** @type {State} */
  state = { blocks: [], failure: null, lifts: "", kind: "server", name: "", reason: "", asks: false };

  componentDidMount() {
    this.load();
  }

  /** @param {{ of: string[] }} before */
  componentDidUpdate(before) {
    if (before.of.join() !== this.props.of.join()) this.load();
  }

  async load() {
    try {
      this.setState({ blocks: (await call("access_blocks")).blocks, failure: null });
    } catch (failure) {
      if (!(failure instanceof Problem)) throw failure;
      this.setState({ failure });
    }
  }

  target() {
    const { kind, name } = this.state;
    return kind === "all" ? "all" : `${kind}:${name.trim()}`;
  }

  block = async () => {
    const target = this.target();
    const made = await call("access_block", { target, reason: this.state.reason });
    this.setState({ name: "", reason: "" });
    const unknown = made.known === false ? " Nothing of that name is there now; it is blocked should it come." : "";
    await refreshStatus(`${target} is blocked.${unknown}`);
  };

  lift = async () => {
    const target = this.state.lifts;
    await call("access_unblock", { target });
    await refreshStatus(`The block of ${target} is lifted.`);
  };

  render() {
    const { blocks, failure, lifts, asks } = this.state;
    return html`<section aria-labelledby="blocks">
      <h2 id="blocks">Blocks in force</h2>
      <${Failure} of=${failure} />
      ${blocks.length === 0 ? html`<p class="quiet">Nothing is blocked.</p>` : this.list()} ${this.form()}
      ${
        lifts &&
        html`<${Confirm} title="Lift this block?" act="Lift the block" run=${this.lift} onClose=${() => this.setState({ lifts: "" })}>
          <p><strong><${T} of=${lifts} /></strong> can be used again from now on.</p>
        <//>`
      }
      ${
        asks &&
        html`<${Confirm} title="Block this?" act="Block" danger run=${this.block} onClose=${() => this.setState({ asks: false })}>
          <p>
            What <strong><${T} of=${this.target()} /></strong> does now ends at once: calls, streams, loops. What comes is refused, until the block is lifted.
          </p>
        <//>`
      }
    </section>`;
  }

  list() {
    return html`<${Table} label="Blocks in force">
        <thead>
          <tr><th scope="col">Target</th><th scope="col">Reason</th><th scope="col">By</th><th scope="col">Since</th><th scope="col"><span class="unseen">Actions</span></th></tr>
        </thead>
        <tbody>
          ${this.state.blocks.map(
            (block) => html`<tr key=${block.target}>
              <th scope="row"><${T} of=${block.target} /></th>
              <td class="long"><${T} of=${block.reason || "–"} /></td>
              <td><${T} of=${block.by} /></td>
              <td><${When} ms=${block.at_ms} /></td>
              <td class="actions">
                <${Act} look="small" owner="owner-blocks" label=${`Lift the block of ${block.target}`} onClick=${() => this.setState({ lifts: block.target })}>Lift<//>
              </td>
            </tr>`,
          )}
        </tbody>
      <//>
      <${OwnerNote} id="owner-blocks" />`;
  }

  form() {
    const { kind, name, reason } = this.state;
    const hint = TARGETS.find(([value]) => value === kind)?.[2];
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.setState({ asks: true });
    };
    return html`<details class="fold">
      <summary>Block something</summary>
      <form class="row" onSubmit=${submit}>
        <label>
          What
          <select value=${kind} onChange=${(event) => this.setState({ kind: event.target.value })}>
            ${TARGETS.map(([value, words]) => html`<option value=${value}>${words}</option>`)}
          </select>
        </label>
        ${
          kind !== "all" &&
          html`<label class="grow">
            Which
            <input required maxlength="128" autocomplete="off" spellcheck=${false} placeholder=${hint} value=${name} onInput=${(event) => this.setState({ name: event.target.value })} />
          </label>`
        }
        <label class="grow">
          Why
          <input maxlength="500" autocomplete="off" placeholder="for whoever finds it blocked later" value=${reason} onInput=${(event) => this.setState({ reason: event.target.value })} />
        </label>
        <button type="submit" class="danger">Block…</button>
      </form>
    </details>`;
  }
}
