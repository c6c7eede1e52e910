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
    ${held?.map((server) => html`<${HeldServer} key=${server} server=${server} />`)}
  `;
}

/**
 * @typedef {{ kind: string, name: string, class: string, breaking: boolean, changes: { at: string, class: string, why: string }[], approved?: unknown, live?: unknown }} Difference
 * @typedef {{ tool: string, principal: string, shape: unknown, seen_ms: number, fails: boolean, because: { at: string, why: string } }} Broken
 * @typedef {{ held_since_ms: number, digest: string, differences: Difference[] }} Held
 * @typedef {Held & { server: string, release: string | null, impact: Broken[], variants: Held[] }} Diff
 * @extends {Component<{ server: string }, { diff: Diff | null, failure: Error | null }>}
 */
class HeldServer extends Component {
  /** @type {{ diff: Diff | null, failure: Error | null }} */
  state = { diff: null, failure: null };

  componentDidMount() {
    this.load();
  }

  load = async () => {
    try {
      const diff = await call("releases_diff", { server: this.props.server });
      for (const held of [diff, ...diff.variants]) held.differences.sort(byWeight);
      this.setState({ diff, failure: null });
    } catch (failure) {
      // Somebody else has decided.
      if (failure.code === "nothing_held") await refreshStatus("");
      else this.setState({ failure });
    }
  };

  render() {
    const { server } = this.props;
    const { diff, failure } = this.state;
    if (diff === null) return failure ? html`<${Failure} of=${failure} />` : html`<${Loading} />`;
    const held = diff.digest === null ? diff.variants : [diff, ...diff.variants];
    return html`<${Failure} of=${failure} />
      ${held.map(
        (of, at) =>
          html`<${HeldChange} key=${of === diff ? "release" : of.digest} id=${`${server}-${at}`} server=${server} release=${diff.release} of=${of} impact=${of === diff ? diff.impact : null} reload=${this.load} />`,
      )}`;
  }
}

/**
 * One thing that is held: a change of the release, or what only some callers are offered, which has no impact on others.
 * @typedef {{ id: string, server: string, release: string | null, of: Held, impact: Broken[] | null, reload: () => Promise<void> }} Props
 * @extends {Component<Props, { asks: "" | "approve" | "reject" }>}
 */
class HeldChange extends Component {
  /** @type {{ asks: "" | "approve" | "reject" }} */
  state = { asks: "" };

  /** Decides on the change that is shown, and on no later one. @param {"approve" | "reject"} how */
  async decide(how) {
    const { server, of, reload } = this.props;
    try {
      await call(`releases_${how}`, { server, digest: of.digest });
    } catch (failure) {
      if (failure.code === "changed_again") await reload();
      throw failure;
    }
    await refreshStatus(how === "approve" ? `The change of ${server} is approved.` : `The change of ${server} is rejected.`);
    await reload();
  }

  render() {
    const { id, server, release, of, impact } = this.props;
    const { asks } = this.state;
    const [note, title] = [`owner-${id}`, `held-${id}`];
    const ask = (/** @type {"" | "approve" | "reject"} */ asks) => () => this.setState({ asks });
    const target = html`<strong><${T} of=${server} /></strong>`;
    const what = count(of.differences.length, "difference");
    return html`<section class="held" aria-labelledby=${title}>
      <header class="bar">
        <div>
          <h2 id=${title}><a href=${`#/servers/${server}`}><${T} of=${server} /></a>${impact === null && " for some callers"}</h2>
          <p class="quiet">
            ${release ? `Release ${release} is served` : "Nothing is served yet"} · ${what} · held since <${When} ms=${of.held_since_ms} /> · <code title=${of.digest}>${short(of.digest)}</code>
          </p>
        </div>
        <div class="actions">
          <${Act} onClick=${ask("reject")} label=${`Reject the change of ${server}`}>Reject<//>
          <${Act} look="primary" owner=${note} onClick=${ask("approve")} label=${`Approve the change of ${server}`}>Approve<//>
        </div>
      </header>
      <${OwnerNote} id=${note} />
      <p class="badges">${summary(of.differences)}</p>
      ${impact === null ? html`<p class="quiet">The server offers this to some callers alone. They are shown it once it is approved.</p>` : html`<${Impact} of=${impact} />`}
      ${of.differences.map((one) => html`<${Change} key=${`${one.kind} ${one.name}`} of=${one} />`)}
      ${
        asks === "approve" &&
        html`<${Confirm} title="Approve this change?" act="Approve" run=${() => this.decide("approve")} onClose=${ask("")}>
          ${
            impact === null
              ? html`<p>Callers of ${target} who are offered it get the ${what} from now on.</p>`
              : html`<p>Callers of ${target} get the ${what} from now on${release ? `, instead of release ${release}` : ""}.</p>`
          }
        <//>`
      }
      ${
        asks === "reject" &&
        html`<${Confirm} title="Reject this change?" act="Reject" danger run=${() => this.decide("reject")} onClose=${ask("")}>
          <p>
            ${release ? `Release ${release} of ` : "Nothing of "}${target} goes on being served. The same change is not asked about again;
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
