// Overview: what runs, what is wrong, what is held and blocked, and what was spent.

import { html } from "/console/html.js";
import { Blocks } from "/console/pages/blocks.js";
import { Usage } from "/console/pages/usage.js";
import { Badge, Command, Loading, Title } from "/console/parts.js";
import { T, Words, count, duration, number } from "/console/text.js";

/** @param {{ status: import("../status.js").Status }} props */
export function Overview({ status }) {
  if (status === null) return html`<${Title}>Overview<//><${Loading} />`;
  return html`
    <${Title}>Overview<//>
    <dl class="tiles">
      <${Tile} name="Version">${status.version}<//>
      <${Tile} name="Up for">${duration(status.uptime_s)}<//>
      <${Tile} name="Servers"><a href="#/servers">${number(status.servers)}</a><//>
      <${Tile} name="Providers">${number(status.providers.length)}<//>
      <${Tile} name="Held changes"><a href="#/held">${number(status.held.length)}</a><//>
      <${Tile} name="Blocks in force">${number(status.blocked.length)}<//>
    </dl>
    ${status.servers === 0 && html`<${First} />`}
    <div class="pair">
      <section aria-labelledby="wrong">
        <h2 id="wrong">What is wrong</h2>
        <${Problems} of=${status.problems} />
      </section>
      <section aria-labelledby="held">
        <h2 id="held">Held changes</h2>
        ${
          status.held.length === 0
            ? html`<p class="quiet">Nothing waits for a decision.</p>`
            : html`<p><${Badge} mood="warn">${count(status.held.length, "server")} with a held change<//></p>
                <ul class="plain-list">
                  ${status.held.map((name) => html`<li key=${name}><a href=${`#/servers/${name}`}><${T} of=${name} /></a></li>`)}
                </ul>
                <p><a class="button" href="#/held">Look and decide</a></p>`
        }
      </section>
    </div>
    <${Blocks} of=${status.blocked} />
    <${Usage} />
  `;
}

/** @param {{ name: string, children: unknown }} props */
const Tile = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;

/** @param {{ of: NonNullable<import("../status.js").Status>["problems"] }} props */
function Problems({ of }) {
  if (of.length === 0) return html`<p><${Badge} mood="good">Nothing is wrong<//></p>`;
  return html`<ul class="plain-list problems">
    ${of.map(({ error, server, provider, target, configuration }) => {
      const [kind, name] = server ? ["server", server] : provider ? ["provider", provider] : target ? ["target", target] : ["configuration", configuration];
      const words = html`${kind} <strong><${T} of=${name} /></strong>`;
      return html`<li>
        <${Badge} mood="bad">${server ? html`<a href=${`#/servers/${server}`}>${words}</a>` : words}<//>
        <div><${Words} of=${error} /></div>
      </li>`;
    })}
  </ul>`;
}

/** What to do with a gateway that has nothing behind it yet. */
function First() {
  return html`<section class="first" aria-labelledby="first">
    <h2 id="first">Begin here</h2>
    <p>No MCP server is registered yet. Add one, then connect a client:</p>
    <${Command} text="portolan server add time -- uvx mcp-server-time" what="the command that adds a server" />
    <${Command} text="portolan connect cursor" what="the command that connects a client" />
  </section>`;
}
