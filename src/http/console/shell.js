// What stands around every page: the ways to go, what was just done, and whether the gateway answers.

import { Banner } from "/console/banner.js";
import { Component, html } from "/console/html.js";
import { Held } from "/console/pages/held.js";
import { Keys } from "/console/pages/keys.js";
import { Live } from "/console/pages/live.js";
import { Overview } from "/console/pages/overview.js";
import { Server } from "/console/pages/server.js";
import { Servers } from "/console/pages/servers.js";
import { Failure } from "/console/parts.js";
import { leave } from "/console/session.js";
import { forgetStatus, said, status, statusPoll, unknown } from "/console/status.js";
import { T, Words } from "/console/text.js";
import { ThemeChoice } from "/console/theme_choice.js";

/** @type {[string, string][]} */
const PAGES = [
  ["overview", "Overview"],
  ["servers", "Servers"],
  ["held", "Held changes"],
  ["live", "Live calls"],
  ["keys", "Keys"],
];

/** The page and the name that the address asks for. */
function route() {
  const [, page, name] = /^#\/([a-z]+)(?:\/(.+))?$/.exec(location.hash) ?? [];
  const known = PAGES.some(([path]) => path === page);
  return { page: known ? page : "overview", name: name ? decoded(name) : "" };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @extends {Component<{ principal: string, owner: boolean }>} */
export class Shell extends Component {
  state = { ...route(), status: status.get(), said: said.get(), unknown: unknown.get() };

  /** @type {(() => void)[]} */
  ends = [];

  componentDidMount() {
    statusPoll.start();
    addEventListener("hashchange", this.turn);
    this.ends = [
      status.watch((status) => this.setState({ status })),
      said.watch((said) => this.setState({ said })),
      unknown.watch((unknown) => this.setState({ unknown })),
    ];
  }

  componentWillUnmount() {
    statusPoll.stop();
    removeEventListener("hashchange", this.turn);
    for (const end of this.ends) end();
    forgetStatus();
    said.set("");
  }

  turn = () => {
    said.set("");
    this.setState(route());
    statusPoll.now();
    // Whoever listens or uses keys begins at the page's heading.
    setTimeout(() => {
      /** @type {HTMLElement | null} */ (document.querySelector("h1"))?.focus({ preventScroll: true });
      scrollTo(0, 0);
      // On a narrow page the links are a strip of which only a part is seen.
      document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    });
  };

  skip = (/** @type {Event} */ event) => {
    // Its address would be a page of its own to `route`.
    event.preventDefault();
    document.getElementById("main")?.focus();
  };

  render() {
    const { page, name, status, said, unknown } = this.state;
    const { principal } = this.props;
    const waiting = status?.held.length ?? 0;
    return html`
      <a class="skip" href="#main" onClick=${this.skip}>Skip to the content</a>
      <header class="side">
        <a class="brand" href="#/overview"><img src="/console/icon.svg" alt="" width="26" height="26" /><span>Portolan</span></a>
        <nav aria-label="Console">
          ${PAGES.map(
            ([path, words]) => html`<a key=${path} href=${`#/${path}`} aria-current=${path === page ? "page" : undefined}>
              ${words}${path === "held" && waiting > 0 && html` <span class="pill">${waiting}<span class="unseen"> waiting</span></span>`}
            </a>`,
          )}
        </nav>
        <div class="who">
          <${ThemeChoice} />
          <p class="quiet">Logged in as <${T} of=${principal} /></p>
          <button type="button" class="small" onClick=${() => leave().catch(() => {})}>Log out</button>
        </div>
      </header>
      <main id="main" tabindex="-1">
        <${Banner} />
        <p class=${said ? "notice good" : "unseen"} role="status">${said && html`<${Words} of=${said} />`}</p>
        <${Failure} of=${unknown} />
        ${page === "overview" && html`<${Overview} status=${status} />`} ${page === "servers" && !name && html`<${Servers} />`}
        ${page === "servers" && name && html`<${Server} key=${name} name=${name} />`} ${page === "held" && html`<${Held} status=${status} />`}
        ${page === "live" && html`<${Live} />`} ${page === "keys" && html`<${Keys} />`}
      </main>
    `;
  }
}
