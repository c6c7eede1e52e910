// Live calls: the tail of the journal, while somebody looks.

import { call } from "/console/api.js";
import { Component, html } from "/console/html.js";
import { Entry } from "/console/pages/entry.js";
import { Command, Failure, Loading, StateBadge, Table, Title } from "/console/parts.js";
import { polling } from "/console/poll.js";
import { T, count, day, moment, money, number } from "/console/text.js";

const EVERY_MS = 1_000;
/** So many entries are asked for at first, at once later, and kept. */
const [FIRST, AT_ONCE, KEPT] = [100, 500, 500];
/** What is on record as begun gets its end later; so long we look for it. */
const UNTIL_ENDED_MS = 120_000;

const KINDS = ["chat", "messages", "responses", "embeddings", "count_tokens", "tool", "control"];
const OUTCOMES = ["ok", "tool_error", "refused", "failed", "cancelled", "begun"];

/**
 * @typedef {{ id: number, at_ms: number, kind: string, principal: string, request: string | null, subject: string, target: string | null,
 *   outcome: string, detail: string | null, input_tokens: number | null, output_tokens: number | null, cached_tokens: number | null,
 *   cost_usd: number | null, ms: number }} Row
 * @typedef {{ kind: string, outcome: string, principal: string }} Wanted
 * @typedef {{ rows: Row[] | null, wanted: Wanted, paused: boolean, skipped: boolean, shown: Row | null, failure: Error | null, callers: string[] }} State
 * @extends {Component<{}, State>}
 */
export class Live extends Component {
  /** @type {State} */
  state = { rows: null, wanted: { kind: "", outcome: "", principal: "" }, paused: false, skipped: false, shown: null, failure: null, callers: [] };

  poll = polling(this, EVERY_MS, async () => {
    const { rows, wanted } = this.state;
    const filters = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== ""));
    const begun = rows?.filter((row) => row.outcome === "begun" && Date.now() - row.at_ms < UNTIL_ENDED_MS).at(-1);
    const after = begun ? begun.id - 1 : rows?.[0]?.id;
    const wish = after === undefined ? { limit: FIRST } : { limit: AT_ONCE, after };
    const { entries } = await call("journal_query", { ...filters, ...wish });
    this.took(entries, wanted, after);
    return null;
  });

  componentDidMount() {
    this.poll.start();
  }

  componentWillUnmount() {
    this.poll.stop();
  }

  /** @param {Row[]} entries the newest first @param {Wanted} wanted what was asked for @param {number | undefined} after those asked for */
  took(entries, wanted, after) {
    this.setState((/** @type {State} */ before) => {
      // Other filters were set while these were on their way.
      if (before.wanted !== wanted) return null;
      const known = before.rows ?? [];
      // Where the answer is full, it begins later than was asked for.
      const full = after !== undefined && entries.length === AT_ONCE;
      const until = full ? entries[AT_ONCE - 1].id - 1 : (after ?? 0);
      const skipped = full && known.length > 0 && until > known[0].id;
      // What was asked for again is as it was answered, and gone where it no longer fits the filters.
      const kept = skipped ? [] : known.filter((row) => row.id <= until);
      const rows = [...entries, ...kept].slice(0, KEPT);
      const callers = [...new Set([...before.callers, ...entries.map((row) => row.principal)])].sort().slice(0, 200);
      return { rows, callers, skipped: before.skipped || skipped };
    });
  }

  /** @param {Partial<Wanted>} change */
  want(change) {
    this.setState({ wanted: { ...this.state.wanted, ...change }, rows: null, skipped: false });
    // Filters count also while the tail stands still.
    setTimeout(() => (this.state.paused ? this.poll.ask() : this.poll.now()));
  }

  pause = () => {
    const paused = !this.state.paused;
    this.setState({ paused });
    if (paused) this.poll.stop();
    else this.poll.start();
  };

  render() {
    const { rows, paused, skipped, shown, failure } = this.state;
    return html`
      <header class="bar">
        <${Title}>Live calls<//>
        <div class="actions">
          <span class="quiet" role="status">${paused ? "Paused" : "Following"}${rows && rows.length > 0 ? html`<span aria-hidden="true"> · ${count(rows.length, "entry", "entries")}</span>` : ""}</span>
          <button type="button" onClick=${this.pause}>${paused ? "Go on" : "Pause"}</button>
        </div>
      </header>
      ${this.filters()}
      <${Failure} of=${failure} />
      ${skipped && html`<p class="notice warn">More came at once than is shown here. <code>portolan journal</code> has them all.</p>`}
      ${rows === null ? !failure && html`<${Loading} />` : rows.length === 0 ? this.none() : this.list(rows)}
      ${shown && html`<${Entry} of=${rows?.find((row) => row.id === shown.id) ?? shown} onClose=${() => this.setState({ shown: null })} />`}
    `;
  }

  filters() {
    const { wanted, callers } = this.state;
    const select = (/** @type {"kind" | "outcome"} */ name, /** @type {string} */ label, /** @type {string[]} */ words) =>
      html`<label>
        ${label}
        <select value=${wanted[name]} onChange=${(event) => this.want({ [name]: event.target.value })}>
          <option value="">all</option>
          ${words.map((word) => html`<option value=${word}>${word}</option>`)}
        </select>
      </label>`;
    return html`<form class="row filters" aria-label="Filters" onSubmit=${(event) => event.preventDefault()}>
      ${select("kind", "Kind", KINDS)} ${select("outcome", "Outcome", OUTCOMES)}
      <label>
        Caller
        <input list="callers" value=${wanted.principal} placeholder="all" autocomplete="off" spellcheck=${false} onChange=${(event) => this.want({ principal: event.target.value.trim() })} />
      </label>
      <datalist id="callers">${callers.map((caller) => html`<option value=${caller}></option>`)}</datalist>
    </form>`;
  }

  none() {
    const { kind, outcome, principal } = this.state.wanted;
    if (kind || outcome || principal) return html`<p class="empty">Nothing on record fits these filters.</p>`;
    const body = '{"model":"portolan/echo","messages":[{"role":"user","content":"ahoy"}]}';
    const curl = `curl ${location.origin}/v1/chat/completions \\\n  -H 'content-type: application/json' \\\n  -d '${body}'`;
    return html`<div class="empty"><p>Nothing is on record yet. A call shows up here within a second:</p><${Command} text=${curl} what="a first completion with curl" /></div>`;
  }

  /** @param {Row[]} rows */
  list(rows) {
    const open = (/** @type {Row} */ row) => () => {
      // Who selects words wants them copied, not the row opened.
      if (getSelection()?.isCollapsed !== false) this.setState({ shown: row });
    };
    return html`<${Table} label="Live calls" look="live">
      <thead>
        <tr>
          <th scope="col">At</th>
          <th scope="col">Kind</th>
          <th scope="col">About</th>
          <th scope="col">Outcome</th>
          <th scope="col">Caller</th>
          <th scope="col" class="num">Tokens</th>
          <th scope="col" class="num">Cost</th>
          <th scope="col" class="num">Took</th>
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) => html`<tr key=${row.id} class="opens" onClick=${open(row)}>
            <td>
              <button type="button" class="link" title=${day(row.at_ms)} aria-label=${`Details of the entry at ${moment(row.at_ms)}`} onClick=${(event) => (event.stopPropagation(), open(row)())}>
                ${moment(row.at_ms)}
              </button>
            </td>
            <td><${T} of=${row.kind} /></td>
            <td class="about"><${T} of=${row.subject} /></td>
            <td><${StateBadge} of=${row.outcome} /></td>
            <td><${T} of=${row.principal} /></td>
            <td class="num">${row.input_tokens == null ? "–" : `${number(row.input_tokens)} → ${number(row.output_tokens)}`}</td>
            <td class="num">${money(row.cost_usd)}</td>
            <td class="num">${number(row.ms)} ms</td>
          </tr>`,
        )}
      </tbody>
    <//>`;
  }
}
