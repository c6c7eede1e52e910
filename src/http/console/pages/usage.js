// What the last 30 days took: tokens by day, and tokens and cost by model.

import { call } from "/console/api.js";
import { Bars, filled } from "/console/chart.js";
import { Component, html } from "/console/html.js";
import { Badge, Command, Failure, Loading, Table } from "/console/parts.js";
import { polling } from "/console/poll.js";
import { T, count, money, number } from "/console/text.js";

const EVERY_MS = 30_000;

/**
 * @typedef {import("../chart.js").Spent} Spent
 * @typedef {{ models: Spent[] | null, days: Spent[], failure: Error | null }} State
 * @extends {Component<{}, State>}
 */
export class Usage extends Component {
  /** @type {State} */
  state = { models: null, days: [], failure: null };

  poll = polling(this, EVERY_MS, async () => {
    const [byModel, byDay] = await Promise.all([call("usage_query", { by: "model" }), call("usage_query", { by: "day" })]);
    return { models: byModel.usage, days: filled(byDay.usage, byDay.since_ms, Date.now()) };
  });

  componentDidMount() {
    this.poll.start();
  }

  componentWillUnmount() {
    this.poll.stop();
  }

  render() {
    const { models, days, failure } = this.state;
    return html`<section aria-labelledby="usage">
      <h2 id="usage">Usage of the last 30 days</h2>
      ${models === null ? (failure ? html`<${Failure} of=${failure} />` : html`<${Loading} />`) : models.length === 0 ? html`<${None} />` : html`<${Bars} days=${days} /><${Models} of=${models} />`}
    </section>`;
  }
}

function None() {
  const body = '{"model":"portolan/echo","messages":[{"role":"user","content":"ahoy"}]}';
  const curl = `curl ${location.origin}/v1/chat/completions \\\n  -H 'content-type: application/json' \\\n  -d '${body}'`;
  return html`<p>No model has answered yet. This one needs no provider:</p>
    <${Command} text=${curl} what="a first completion with curl" />`;
}

/** @param {{ of: Spent[] }} props */
function Models({ of }) {
  return html`<${Table} label="Usage by model">
    <thead>
      <tr>
        <th scope="col">Model</th>
        <th scope="col" class="num">Answers</th>
        <th scope="col" class="num">Input tokens</th>
        <th scope="col" class="num">of them cached</th>
        <th scope="col" class="num">Output tokens</th>
        <th scope="col" class="num">Cost</th>
        <th scope="col">Not in the cost</th>
      </tr>
    </thead>
    <tbody>
      ${of.map(
        (spent) => html`<tr key=${spent.name}>
          <th scope="row"><${T} of=${spent.name} /></th>
          <td class="num">${number(spent.answers)}</td>
          <td class="num">${number(spent.input_tokens)}</td>
          <td class="num">${number(spent.cached_tokens)}</td>
          <td class="num">${number(spent.output_tokens)}</td>
          <td class="num">${money(spent.cost_usd)}</td>
          <td><${Missing} of=${spent} /></td>
        </tr>`,
      )}
    </tbody>
  <//>`;
}

/** @param {{ of: Spent }} props */
function Missing({ of: { unpriced, uncounted } }) {
  if (!unpriced && !uncounted) return html`<span class="quiet">–</span>`;
  return html`${unpriced > 0 && html`<${Badge} mood="warn" title="The model has no known price; its cost is left out">${count(unpriced, "answer")} unpriced<//> `}
  ${uncounted > 0 && html`<${Badge} mood="calm" title="The provider told no tokens">${count(uncounted, "answer")} uncounted<//>`}`;
}
