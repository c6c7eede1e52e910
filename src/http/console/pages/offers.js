// What a server offers: tools, prompts, templates; and what of it was left out, and why.

import { Component, html } from "/console/html.js";
import { Table } from "/console/parts.js";
import { T, Words, count, number } from "/console/text.js";
import { Tree } from "/console/tree.js";

/** So many tools are shown without words to search them by. */
const FEW = 12;

/**
 * @typedef {{ name: string, description: string, digest: string, definition?: Record<string, unknown> }} Offer
 * @typedef {{ kind: string, name: string, reason: string }} Dropped
 * @typedef {{ words: string }} State
 * @extends {Component<{ of: { tools: Offer[], prompts: Offer[], templates: Offer[] }, leftOut: Dropped[] | null }, State>}
 */
export class Offers extends Component {
  /** @type {State} */
  state = { words: "" };

  render() {
    const { of, leftOut } = this.props;
    const wanted = this.state.words.trim().toLowerCase();
    const tools = of.tools.filter((tool) => `${tool.name} ${tool.description}`.toLowerCase().includes(wanted));
    return html`<section aria-labelledby="tools">
        <header class="bar">
          <h2 id="tools">Tools <span class="quiet">${number(of.tools.length)}</span></h2>
          ${
            of.tools.length > FEW &&
            html`<label class="inline">Search <input type="search" value=${this.state.words} onInput=${(event) => this.setState({ words: event.target.value })} /></label>`
          }
        </header>
        ${of.tools.length === 0 && html`<p class="quiet">It offers no tools.</p>`}
        ${wanted && html`<p class="quiet" role="status">${count(tools.length, "tool")} with these words</p>`}
        <${List} of=${tools} />
      </section>
      ${of.prompts.length > 0 && html`<section aria-labelledby="prompts"><h2 id="prompts">Prompts <span class="quiet">${number(of.prompts.length)}</span></h2><${List} of=${of.prompts} /></section>`}
      ${of.templates.length > 0 && html`<section aria-labelledby="templates"><h2 id="templates">Resource templates <span class="quiet">${number(of.templates.length)}</span></h2><${List} of=${of.templates} /></section>`}
      ${leftOut && leftOut.length > 0 && html`<${LeftOut} of=${leftOut} />`}`;
  }
}

/** @param {{ of: Offer[] }} props */
function List({ of }) {
  return html`<ul class="offers">
    ${of.map(
      (offer) => html`<li key=${offer.name}>
        <h3><${T} of=${offer.name} /></h3>
        <p class="words"><${T} of=${offer.definition?.description ?? offer.description} /></p>
        <${Shape} of=${offer} />
      </li>`,
    )}
  </ul>`;
}

/** The members of a definition that are more than its name and its words, folded. @param {{ of: Offer }} props */
function Shape({ of }) {
  const rest = Object.entries(of.definition ?? {}).filter(([name]) => name !== "name" && name !== "description");
  return rest.map(
    ([name, value]) => html`<details class="fold" key=${name}>
      <summary><${T} of=${name} /></summary>
      <${Tree} value=${value} />
    </details>`,
  );
}

/** @param {{ of: Dropped[] }} props */
function LeftOut({ of }) {
  return html`<section aria-labelledby="left-out">
    <h2 id="left-out">Left out <span class="quiet">${number(of.length)}</span></h2>
    <${Table} label="Left out">
      <thead>
        <tr><th scope="col">Kind</th><th scope="col">Name</th><th scope="col">Why</th></tr>
      </thead>
      <tbody>
        ${of.map((one) => html`<tr><td>${one.kind}</td><th scope="row"><${T} of=${one.name} /></th><td class="long"><${Words} of=${one.reason} /></td></tr>`)}
      </tbody>
    <//>
  </section>`;
}
