// The console of Portolan.
//
// Its pages use the control tools over HTTP and nothing else: what they can do, the command line can do too.

import { Banner } from "/console/banner.js";
import { Component, html, render } from "/console/html.js";
import { Login } from "/console/pages/login.js";
import { begin, session } from "/console/session.js";
import { Shell } from "/console/shell.js";

class App extends Component {
  state = { session: session.get() };

  componentDidMount() {
    session.watch((session) => this.setState({ session }));
  }

  /** @param {unknown} _ @param {{ session: import("./session.js").State }} before */
  componentDidUpdate(_, before) {
    const [was, is] = [before.session.is, this.state.session.is];
    if (was === "in" && is === "out") /** @type {HTMLElement | null} */ (document.querySelector("h1"))?.focus();
  }

  render() {
    const { session } = this.state;
    if (session.is === "in") return html`<${Shell} principal=${session.principal} owner=${session.owner} />`;
    if (session.is === "out") return html`<${Login} key="login" why=${session.why} detail=${session.detail} />`;
    return html`<main class="login"><${Banner} /><p class="quiet" role="status">Opening…</p></main>`;
  }
}

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
begin();
