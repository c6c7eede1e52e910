// Tokens by day, as bars; and the same as a table, for whoever would rather read.

import { Component, createRef, html } from "/console/html.js";
import { Table } from "/console/parts.js";
import { compact, money, number } from "/console/text.js";

const DAY_MS = 86_400_000;
const [HEIGHT, LEFT, BOTTOM, TOP] = [180, 46, 22, 8];

/**
 * @typedef {{ name: string, answers: number, input_tokens: number, output_tokens: number, cached_tokens: number, cost_usd: number, unpriced: number, uncounted: number }} Spent
 */

/**
 * Every day from one to another, also those when nothing was asked; days are UTC, as the gateway counts them.
 *
 * @param {Spent[]} days
 * @param {number} since in milliseconds since the epoch
 * @param {number} until
 */
export function filled(days, since, until) {
  const known = new Map(days.map((spent) => [spent.name, spent]));
  const all = [];
  for (let at = since; at < until + DAY_MS; at += DAY_MS) {
    const name = new Date(Math.min(at, until)).toISOString().slice(0, 10);
    if (all.at(-1)?.name === name) continue;
    all.push(known.get(name) ?? { name, answers: 0, input_tokens: 0, output_tokens: 0, cached_tokens: 0, cost_usd: 0, unpriced: 0, uncounted: 0 });
  }
  return all;
}

/** The next round number above one. @param {number} most */
export function roof(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most) ?? most;
}

/**
 * @typedef {{ width: number }} State
 * @extends {Component<{ days: Spent[] }, State>}
 */
export class Bars extends Component {
  figure = createRef();
  /** @type {State} */
  state = { width: 720 };
  // Drawn as wide as it is shown, so that its words stay as large as all others.
  observer = new ResizeObserver(([{ contentRect }]) => this.setState({ width: Math.max(240, Math.floor(contentRect.width)) }));

  componentDidMount() {
    this.observer.observe(this.figure.current);
  }

  componentWillUnmount() {
    this.observer.disconnect();
  }

  render() {
    const { days } = this.props;
    const sum = days.reduce((all, spent) => all + spent.input_tokens + spent.output_tokens, 0);
    return html`<figure class="chart" ref=${this.figure}>
      <svg viewBox="0 0 ${this.state.width} ${HEIGHT}" role="img" aria-label=${`Tokens by day: ${number(sum)} in ${days.length} days. The table below has each day.`}>
        <${Drawing} days=${days} width=${this.state.width} />
      </svg>
      <figcaption><span class="dot in"></span>Input tokens <span class="dot out"></span>Output tokens <span class="quiet">by day, in UTC</span></figcaption>
      <details>
        <summary>As a table</summary>
        <${Days} of=${days} />
      </details>
    </figure>`;
  }
}

/** @param {{ days: Spent[], width: number }} props */
function Drawing({ days, width }) {
  const most = roof(Math.max(...days.map((spent) => spent.input_tokens + spent.output_tokens)));
  const [wide, high, ground] = [(width - LEFT) / days.length, HEIGHT - BOTTOM - TOP, HEIGHT - BOTTOM];
  const scale = (/** @type {number} */ tokens) => (tokens / most) * high;
  const bar = (/** @type {Spent} */ spent, /** @type {number} */ place) => {
    const [left, input, output] = [LEFT + place * wide, scale(spent.input_tokens), scale(spent.output_tokens)];
    const words = `${spent.name}: ${number(spent.input_tokens)} tokens in, ${number(spent.output_tokens)} out, ${money(spent.cost_usd)}`;
    return html`<g>
      <title>${words}</title>
      <rect class="hit" x=${left} y=${TOP} width=${wide} height=${high} />
      <rect class="in" x=${left + wide * 0.16} y=${ground - input} width=${wide * 0.68} height=${input} />
      <rect class="out" x=${left + wide * 0.16} y=${ground - input - output} width=${wide * 0.68} height=${output} />
    </g>`;
  };
  const lines = [0, 0.5, 1].map((part) => {
    const y = ground - part * high;
    return html`<line x1=${LEFT} x2=${width} y1=${y} y2=${y} /><text x=${LEFT - 8} y=${y + 4} text-anchor="end">${compact(part * most)}</text>`;
  });
  const labels = days.map((spent, place) => {
    // Counted from today, so that today has its label.
    const back = days.length - 1 - place;
    const [x, anchor] = back === 0 ? [width, "end"] : [LEFT + (place + 0.5) * wide, "middle"];
    return back % 7 === 0 && html`<text x=${x} y=${HEIGHT - 5} text-anchor=${anchor}>${spent.name.slice(5)}</text>`;
  });
  return html`<g class="grid">${lines}${labels}</g>${days.map(bar)}`;
}

/** @param {{ of: Spent[] }} props */
function Days({ of }) {
  return html`<${Table} label="Usage by day">
    <thead>
      <tr>
        <th scope="col">Day</th>
        <th scope="col" class="num">Answers</th>
        <th scope="col" class="num">Input tokens</th>
        <th scope="col" class="num">Output tokens</th>
        <th scope="col" class="num">Cost</th>
      </tr>
    </thead>
    <tbody>
      ${of.toReversed().map(
        (spent) => html`<tr key=${spent.name}>
          <th scope="row">${spent.name}</th>
          <td class="num">${number(spent.answers)}</td>
          <td class="num">${number(spent.input_tokens)}</td>
          <td class="num">${number(spent.output_tokens)}</td>
          <td class="num">${money(spent.cost_usd)}</td>
        </tr>`,
      )}
    </tbody>
  <//>`;
}
