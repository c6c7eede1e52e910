// The gateway's own login at a server: a person begins it here and agrees at the authorization server.

import { call } from "/console/api.js";
import { Component, html } from "/console/html.js";
import { Act, Badge, Failure } from "/console/parts.js";
import { T } from "/console/text.js";

/** @typedef {{ state?: string, issuer?: string, scopes?: string[], by?: string, error?: string | null } | null} Login */

/** @extends {Component<{ name: string, needed: boolean, login: Login }, { authorize: string, failure: Error | null, busy: boolean }>} */
export class UpstreamLogin extends Component {
  state = { authorize: "", failure: /** @type {Error | null} */ (null), busy: false };

  /** @param {{ needed: boolean, login: Login }} before */
  componentDidUpdate(before) {
    const { needed, login } = this.props;
    // A link is good for one login: after an answer, whatever it was, another one is needed.
    if (this.state.authorize && (!needed || (login?.error && login.error !== before.login?.error))) this.setState({ authorize: "" });
  }

  begin = async () => {
    this.setState({ busy: true, failure: null });
    try {
      const { authorize } = await call("servers_login", { server: this.props.name });
      this.setState({ authorize, busy: false });
    } catch (failure) {
      this.setState({ failure, busy: false });
    }
  };

  render() {
    const { needed, login } = this.props;
    const { authorize, failure, busy } = this.state;
    if (!needed) return null;
    return html`<div class="notice warn">
      <p><${Badge} mood="warn">login needed<//> It serves once the gateway is logged in there.</p>
      ${login?.error && html`<p><${T} of=${login.error} /></p>`}
      <${Failure} of=${failure} />
      <p aria-live="polite">
        ${authorize && html`<a href=${authorize} target="_blank" rel="noopener noreferrer">Agree at ${host(authorize)}</a> (in a new tab)`}
      </p>
      <p><${Act} owner="owner-server" onClick=${this.begin} busy=${busy}>${busy ? "Asking…" : authorize ? "Begin again" : "Log in"}<//></p>
    </div>`;
  }
}

/** @param {string} address */
const host = (address) => new URL(address).host;
