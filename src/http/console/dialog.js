// Dialogs: the browser's own, which keeps the focus within and gives it back.

import { Component, createRef, html } from "/console/html.js";
import { Failure } from "/console/parts.js";

let ids = 0;

/** @extends {Component<{ title: unknown, onClose: () => void, wide?: boolean, children: unknown }>} */
export class Dialog extends Component {
  dialog = createRef();
  id = `dialog-${++ids}`;
  /** @type {Element | null} */
  before = null;

  componentDidMount() {
    this.before = document.activeElement;
    this.dialog.current.showModal();
  }

  componentWillUnmount() {
    if (this.dialog.current?.open) this.dialog.current.close();
    // What was pressed may be gone with what it was about.
    requestAnimationFrame(() => {
      const lost = document.activeElement === null || document.activeElement === document.body;
      if (!lost) return;
      const back = this.before?.isConnected && !(/** @type {HTMLButtonElement} */ (this.before).disabled) ? this.before : document.querySelector("h1");
      /** @type {HTMLElement | null} */ (back)?.focus();
    });
  }

  render() {
    const { title, onClose, wide, children } = this.props;
    const close = () => this.dialog.current?.close();
    return html`<dialog ref=${this.dialog} class=${wide ? "wide" : ""} aria-labelledby=${this.id} onClose=${onClose}>
      <header>
        <h2 id=${this.id}>${title}</h2>
        <button type="button" class="plain" aria-label="Close" onClick=${close}>✕</button>
      </header>
      ${children}
    </dialog>`;
  }
}

/**
 * Asks before something is done, and stays open where it fails.
 *
 * @extends {Component<{ title: unknown, act: string, danger?: boolean, run: () => Promise<unknown>, onClose: () => void, children: unknown }>}
 */
export class Confirm extends Component {
  state = { busy: false, failure: null };

  run = async () => {
    this.setState({ busy: true, failure: null });
    try {
      await this.props.run();
      this.props.onClose();
    } catch (failure) {
      this.setState({ busy: false, failure });
    }
  };

  render() {
    const { title, act, danger, onClose, children } = this.props;
    const { busy, failure } = this.state;
    return html`<${Dialog} title=${title} onClose=${onClose}>
      ${children}
      <${Failure} of=${failure} />
      <footer>
        <button type="button" autofocus onClick=${onClose}>Cancel</button>
        <button type="button" class=${danger ? "danger" : "primary"} disabled=${busy} onClick=${this.run}>${busy ? "Working…" : act}</button>
      </footer>
    <//>`;
  }
}
