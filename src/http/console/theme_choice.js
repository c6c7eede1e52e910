// Light, dark, or as the system has it.

import { Component, html } from "/console/html.js";

const NAME = "portolan.theme";
const CHOICES = ["auto", "light", "dark"];

export class ThemeChoice extends Component {
  state = { chosen: document.documentElement.dataset.theme ?? "auto" };

  /** @param {string} chosen */
  choose(chosen) {
    this.setState({ chosen });
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    try {
      if (chosen === "auto") localStorage.removeItem(NAME);
      else localStorage.setItem(NAME, chosen);
    } catch {
      // Storage may be forbidden; then the choice holds until the page is closed.
    }
  }

  render() {
    return html`<fieldset class="theme">
      <legend class="unseen">Theme</legend>
      ${CHOICES.map(
        (choice) => html`<label>
          <input type="radio" name="theme" value=${choice} checked=${this.state.chosen === choice} onChange=${() => this.choose(choice)} /><span>${choice}</span>
        </label>`,
      )}
    </fieldset>`;
  }
}
