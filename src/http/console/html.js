// The templates: Preact's elements in htm's words. All that comes from elsewhere gets in as text, never as markup.

import { h } from "/console/vendor/preact.js";
import htm from "/console/vendor/htm.js";

export { Component, createRef, render } from "/console/vendor/preact.js";
export const html = htm.bind(h);
