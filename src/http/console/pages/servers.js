// The list of MCP servers.

import { call } from "/console/api.js";
import { Component, html } from "/console/html.js";
import { Badge, Command, Failure, Loading, StateBadge, Table, Title } from "/console/parts.js";
import { polling } from "/console/poll.js";
import { T, number } from "/console/text.js";

const EVERY_MS = 4_000;

/**
 * @typedef {{ name: string, state: string, error: string | null, era: string | null, release: string | null, digest: string | null,
 *   tools: number, prompts: number, left_out: unknown, held: boolean, declared: boolean, target: string }} Server
 * @typedef {{ servers: Server[] | null, failure: Error | null }} State
 * @extends {Component<{}, State>}
 */
export class Servers extends Component {
  /** @type {State} */
  state = { servers: null, failure: null };

  poll = polling(this, EVERY_MS, () => call("servers_list"));

  componentDidMount() {
    this.poll.start();
  }

  componentWillUnmount() {
    this.poll.stop();
  }

  render() {
    const { servers, failure } = this.state;
    return html`
      <${Title}>Servers<//>
      <p class="lead">MCP servers behind this gateway, and what each is served as.</p>
      ${servers === null ? (failure ? html`<${Failure} of=${failure} />` : html`<${Loading} />`) : servers.length === 0 ? html`<${None} />` : html`<${List} of=${servers} />`}
    `;
  }
}

const None = () => html`<div class="empty">
  <p>No server is registered yet. Add one from a terminal:</p>
  <${Command} text="portolan server add time -- uvx mcp-server-time" what="the command that adds a server" />
</div>`;

/** @param {{ of: Server[] }} props */
const List = ({ of }) => html`<${Table} label="Servers">
  <thead>
    <tr>
      <th scope="col">Name</th>
      <th scope="col">State</th>
      <th scope="col" class="num">Tools</th>
      <th scope="col">Release</th>
      <th scope="col">Held</th>
      <th scope="col">Problem</th>
    </tr>
  </thead>
  <tbody>
    ${of.map(
      (server) => html`<tr key=${server.name}>
        <th scope="row"><a href=${`#/servers/${server.name}`}><${T} of=${server.name} /></a></th>
        <td><${StateBadge} of=${server.state} /></td>
        <td class="num">${number(server.tools)}</td>
        <td>${server.release ?? html`<span class="quiet">none</span>`}</td>
        <td>${server.held ? html`<a href="#/held"><${Badge} mood="warn">held change<//></a>` : html`<span class="quiet">no</span>`}</td>
        <td class="long">${server.error ? html`<${T} of=${server.error} />` : html`<span class="quiet">–</span>`}</td>
      </tr>`,
    )}
  </tbody>
<//>`;
