// Held changes: what a server would say from now on, beside what was approved.

import { call } from "/console/api.js";
import { Confirm } from "/console/dialog.js";
import { Component, html } from "/console/html.js";
import { Change, ClassBadge, byWeight } from "/console/pages/change.js";
import { Act, Failure, Loading, OwnerNote, Table, Title } from "/console/parts.js";
import { refreshStatus } from "/console/status.js";
import { T, When, Words, count, short } from "/console/text.js";

/** @param {{ status: import("../status.js").Status }} props */
export function Held({ status }) {
  const held = status?.held;
  return html`
    <${Title}>Held changes<//>
    <p class="lead">A server offers something that nobody has approved yet. Until you decide, callers keep the approved release.</p>
    ${held === undefined && html`<${Loading} />`}
    ${held?.length === 0 && html`<p class="empty">Nothing is held. A change of a server's tools, prompts or words that matters shows up here.</p>`}
    ${held?.map((server) => html`<${HeldChange} key=${server} server=${server} />`)}
  `;
}

/**
 * @typedef {{ kind: string, name: string, class: string, breaking: boolean, changes: { at: string, class: string, why: string }[], approved?: unknown, live?: unknown }} Difference
 * @typedef {{ tool: string, principal: string, shape: unknown, seen_ms: number, fails: boolean, because: { at: string, why: string } }} Broken
 * @typedef {{ server: string, release: string | null, held_since_ms: number, digest: string, differences: Difference[], impact: Broken[] }} Diff
 * @typedef {{ diff: Diff | null, failure: Error | null, asks: "" | "approve" | "reject" }} State
 * @extends {Component<{ server: string }, State>}
 */
class HeldChange extends Component {
  /** @type {State} */
  state = { diff: null, failure: null, asks: "" };

  componentDidMount() {
    this.load();
  }

  load = async () => {
    try {
      const diff = await call("releases_diff", { server: this.props.server });
      diff.differences.sort(byWeight);
      this.setState({ diff, failure: null });
    } catch (failure) {
      // Somebody else has decided.
      if (failure.code === "nothing_held") await refreshStatus("");
      else this.setState({ failure });
    }
  };

  /** Decides on the change that is shown, and on no later one. @param {"approve" | "reject"} how */
  async decide(how) {
    const { server } = this.props;
    const digest = this.state.diff?.digest;
    try {
      await call(`releases_${how}`, { server, digest });
    } catch (failure) {
      if (failure.code === "changed_again") await this.load();
      throw failure;
    }
    await refreshStatus(how === "approve" ? `The change of ${server} is approved.` : `The change of ${server} is rejected.`);
  }

  render() {
    const { server } = this.props;
    const { diff, failure, asks } = this.state;
    const note = `owner-${server}`;
    if (diff === null) return failure ? html`<${Failure} of=${failure} />` : html`<${Loading} />`;
    const ask = (/** @type {"" | "approve" | "reject"} */ asks) => () => this.setState({ asks });
    const target = html`<strong><${T} of=${server} /></strong>`;
    const what = count(diff.differences.length, "difference");
    return html`<section class="held" aria-labelledby=${`held-${server}`}>
      <header class="bar">
        <div>
          <h2 id=${`held-${server}`}><a href=${`#/servers/${server}`}><${T} of=${server} /></a></h2>
          <p class="quiet">
            ${diff.release ? `Release ${diff.release} is served` : "Nothing is served yet"} · ${what} · held since <${When} ms=${diff.held_since_ms} /> · <code title=${diff.digest}>${short(diff.digest)}</code>
          </p>
        </div>
        <div class="actions">
          <${Act} onClick=${ask("reject")} label=${`Reject the change of ${server}`}>Reject<//>
          <${Act} look="primary" owner=${note} onClick=${ask("approve")} label=${`Approve the change of ${server}`}>Approve<//>
        </div>
      </header>
      <${OwnerNote} id=${note} />
      <${Failure} of=${failure} />
      <p class="badges">${summary(diff.differences)}</p>
      <${Impact} of=${diff.impact} />
      ${diff.differences.map((one) => html`<${Change} key=${`${one.kind} ${one.name}`} of=${one} />`)}
      ${
        asks === "approve" &&
        html`<${Confirm} title="Approve this change?" act="Approve" run=${() => this.decide("approve")} onClose=${ask("")}>
          <p>Callers of ${target} get the ${what} from now on${diff.release ? `, instead of release ${diff.release}` : ""}.</p>
        <//>`
      }
      ${
        asks === "reject" &&
        html`<${Confirm} title="Reject this change?" act="Reject" danger run=${() => this.decide("reject")} onClose=${ask("")}>
          <p>
            ${diff.release ? `Release ${diff.release} of ` : "Nothing of "}${target} goes on being served. The same change is not asked about again;
            <code>portolan registry approve</code> with its digest takes it back.
          </p>
        <//>`
      }
    </section>`;
  }
}

/** The calls on record that the change would break, and whose they are. @param {{ of: Broken[] }} props */
function Impact({ of: broken }) {
  if (broken.length === 0) return html`<p class="quiet">No call on record would fail with this change.</p>`;
  return html`<h3>Calls on record that would fail, or may</h3>
    <${Table} label="Calls that the change would break">
      <thead>
        <tr><th scope="col">Tool</th><th scope="col">Caller</th><th scope="col">Last seen</th><th scope="col">Arguments</th><th scope="col">Because</th></tr>
      </thead>
      <tbody>
        ${broken.map(
          (one) => html`<tr>
            <th scope="row"><${T} of=${one.tool} /></th>
            <td><${T} of=${one.principal} /></td>
            <td><${When} ms=${one.seen_ms} /></td>
            <td><code><${T} of=${JSON.stringify(one.shape)} /></code></td>
            <td class="long">${one.fails ? "It fails: " : "It may fail: "}<${Words} of=${`${one.because.at} ${one.because.why}`} /></td>
          </tr>`,
        )}
      </tbody>
    <//>`;
}

/** How many differences there are of each class. @param {Difference[]} differences */
function summary(differences) {
  const classes = [...new Set(differences.map((one) => one.class))];
  return classes.map((one) => {
    const many = differences.filter((other) => other.class === one).length;
    return html`<${ClassBadge} of=${one} many=${many} />`;
  });
}
