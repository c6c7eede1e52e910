// Whether the gateway answers.

import { reachable } from "/console/api.js";
import { Component, html } from "/console/html.js";

/** Says when the gateway is gone; every poll goes on asking. */
export class Banner extends Component {
  state = { there: reachable.get() };

  end = () => {};

  componentDidMount() {
    this.end = reachable.watch((there) => this.setState({ there }));
  }

  componentWillUnmount() {
    this.end();
  }

  render() {
    return html`<div class="banner" role="alert">${!this.state.there && html`<strong>The gateway is not reachable</strong>, trying again. What is shown may be old.`}</div>`;
  }
}
