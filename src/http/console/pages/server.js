// One MCP server: how it is reached, what it offers, and its releases.

import { call } from "/console/api.js";
import { Confirm } from "/console/dialog.js";
import { Component, html } from "/console/html.js";
import { Offers } from "/console/pages/offers.js";
import { UpstreamLogin } from "/console/pages/upstream_login.js";
import { Act, Badge, Failure, Loading, OwnerNote, StateBadge, Table, Title } from "/console/parts.js";
import { polling } from "/console/poll.js";
import { refreshStatus } from "/console/status.js";
import { T, When, short } from "/console/text.js";

const EVERY_MS = 5_000;
/** What a look at a server found, in words. @type {Record<string, string>} */
const FOUND = {
  same: "It offers what is approved.",
  accepted: "It changed, and the change is accepted.",
  held: "It changed, and the change is held.",
  rejected: "It offers a change that was rejected before.",
  login_needed: "It wants a login.",
};

/**
 * @typedef {{ version: string | null, digest: string, state: string, captured_ms: number, decided_ms: number | null, decided_by: string | null }} Release
 * @typedef {{ server: any, releases: Release[], failure: Error | null, refused: Error | null, asks: "" | "enable" | "disable", busy: boolean }} State
 * @extends {Component<{ name: string }, State>}
 */
export class Server extends Component {
  /** @type {State} */
  state = { server: null, releases: [], failure: null, refused: null, asks: "", busy: false };

  poll = polling(this, EVERY_MS, async () => {
    const about = { server: this.props.name };
    const [server, { releases }] = await Promise.all([call("servers_show", about), call("releases_list", about)]);
    return { server, releases };
  });

  componentDidMount() {
    this.poll.start();
  }

  componentWillUnmount() {
    this.poll.stop();
  }

  refresh = async () => {
    this.setState({ busy: true, refused: null });
    try {
      const { look } = await call("servers_refresh", { server: this.props.name });
      await refreshStatus(FOUND[look.found] ?? look.found);
    } catch (refused) {
      this.setState({ refused });
    }
    this.setState({ busy: false });
    this.poll.now();
  };

  /** @param {"enable" | "disable"} how */
  async turn(how) {
    await call(`servers_${how}`, { server: this.props.name });
    this.poll.now();
    await refreshStatus(`${this.props.name} is ${how}d.`);
  }

  render() {
    const { name } = this.props;
    const { server, releases, failure, refused, asks, busy } = this.state;
    if (server === null) {
      return html`<${Title}><${T} of=${name} /><//>${failure ? html`<${Failure} of=${failure} /><p><a href="#/servers">All servers</a></p>` : html`<${Loading} />`}`;
    }
    const turn = server.state === "disabled" ? "enable" : "disable";
    return html`
      <nav class="crumbs" aria-label="Breadcrumb"><a href="#/servers">Servers</a> <span aria-hidden="true">/</span></nav>
      <header class="bar">
        <div class="heading"><${Title}><${T} of=${name} /><//><${StateBadge} of=${server.state} /></div>
        <div class="actions">
          <${Act} onClick=${this.refresh} busy=${busy}>${busy ? "Looking…" : "Look for changes"}<//>
          <${Act} owner="owner-server" onClick=${() => this.setState({ asks: turn })}>${turn === "enable" ? "Enable" : "Disable"}<//>
        </div>
      </header>
      <${OwnerNote} id="owner-server" />
      <${UpstreamLogin} name=${name} needed=${server.state === "login_needed"} login=${server.login} />
      <${Failure} of=${refused ?? failure ?? (server.error && server.state !== "login_needed" ? new Error(server.error) : null)} />
      ${server.held && html`<p class="notice warn"><${Badge} mood="warn">held change<//> It offers something that nobody has approved. <a href="#/held">Look and decide</a></p>`}
      <${Facts} of=${server} />
      <${Offers} of=${server.offers} leftOut=${server.left_out} />
      <${Releases} of=${releases} />
      ${
        server.stderr &&
        html`<section aria-labelledby="stderr">
          <h2 id="stderr">Last words on standard error</h2>
          <pre class="log" tabindex="0" aria-labelledby="stderr"><${T} of=${server.stderr} /></pre>
        </section>`
      }
      ${
        asks &&
        html`<${Confirm}
          title=${asks === "disable" ? "Disable this server?" : "Enable this server?"}
          act=${asks === "disable" ? "Disable" : "Enable"}
          danger=${asks === "disable"}
          run=${() => this.turn(asks)}
          onClose=${() => this.setState({ asks: "" })}
        >
          <p>${asks === "disable" ? "Callers no longer see its tools, and its process ends." : "Callers see its tools again."}</p>
        <//>`
      }
    `;
  }
}

/** @param {{ of: any }} props */
function Facts({ of: server }) {
  const fact = (/** @type {string} */ name, /** @type {unknown} */ value) => value != null && html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
  return html`<dl class="facts">
    ${fact("Reached by", html`<code><${T} of=${server.target} /></code>`)}
    ${fact("Release", server.release && html`${server.release} <code class="quiet" title=${server.digest}>${short(server.digest)}</code>`)}
    ${fact("Its own version", server.version && html`<${T} of=${server.version} />`)} ${fact("Protocol era", server.era)}
    ${fact("Isolation", server.isolation && html`<${T} of=${server.isolation} />`)}
    ${fact("Login", server.login?.issuer && html`<${T} of=${`${server.login.state} at ${server.login.issuer}`} />`)}
    ${fact("Set in", server.declared ? "the configuration file" : "the database")}
  </dl>`;
}

/** @param {{ of: Release[] }} props */
function Releases({ of }) {
  return html`<section aria-labelledby="releases">
    <h2 id="releases">Releases</h2>
    <${Table} label="Releases">
      <thead>
        <tr><th scope="col">Version</th><th scope="col">State</th><th scope="col">First seen</th><th scope="col">Decided</th><th scope="col">By</th><th scope="col">Digest</th></tr>
      </thead>
      <tbody>
        ${of.map(
          (release) => html`<tr key=${release.digest}>
            <th scope="row">${release.version ?? html`<span class="quiet">none yet</span>`}</th>
            <td><${StateBadge} of=${release.state} /></td>
            <td><${When} ms=${release.captured_ms} /></td>
            <td><${When} ms=${release.decided_ms} /></td>
            <td><${T} of=${release.decided_by ?? "–"} /></td>
            <td><code title=${release.digest}>${short(release.digest)}</code></td>
          </tr>`,
        )}
      </tbody>
    <//>
  </section>`;
}
