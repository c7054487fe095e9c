// feed: the list of changes, newest first. Its length is bounded, and changes are summarized when they
// arrive faster than they can be read.

import { byId, element, formatClock, formatNumber, perFrame, setText } from "./dom.js";
import { entrySummary } from "./entry_text.js";

const LINES_MAX = 200; // lines in the document
const INTERVAL = 150; // ms between two updates

export class Feed extends EventTarget {
  #list = byId("feed");
  #empty = byId("feed-empty");
  #count = byId("feed-count");
  #pause = byId("feed-pause");
  #waiting = []; // not drawn yet, oldest first
  #missed = 0;
  #paused = false;
  #drawn = 0;
  #draw = perFrame(() => this.#drawNow());

  constructor() {
    super();
    this.#pause.addEventListener("click", () => this.#setPaused(!this.#paused));
    byId("feed-clear").addEventListener("click", () => this.clear());
    this.#list.addEventListener("click", (event) => {
      const line = event.target.closest("li");
      if (line && !String(getSelection()))
        this.dispatchEvent(new CustomEvent("open", { detail: line.entry }));
    });
  }

  clear() {
    this.#list.replaceChildren();
    this.#waiting = [];
    this.#missed = 0;
    this.#empty.hidden = false;
    this.#drawCount();
  }

  /** kind: opened, changed, closed. */
  add(kind, entries, now) {
    for (const entry of entries)
      this.#waiting.push({ kind, entry, now });
    if (this.#waiting.length > LINES_MAX) {
      this.#missed += this.#waiting.length - LINES_MAX;
      this.#waiting.splice(0, this.#waiting.length - LINES_MAX);
    }
    if (this.#waiting.length)
      this.#draw();
  }

  #setPaused(paused) {
    this.#paused = paused;
    this.#pause.setAttribute("aria-pressed", paused);
    setText(this.#pause, paused ? "Resume" : "Pause");
    this.#draw();
  }

  #drawCount() {
    const waiting = this.#waiting.length + this.#missed;
    setText(this.#count, this.#paused && waiting ? `${formatNumber(waiting)} more` : "");
  }

  #drawNow() {
    this.#drawCount();
    const now = performance.now();
    if (this.#paused || !this.#waiting.length)
      return;
    if (now - this.#drawn < INTERVAL) {
      setTimeout(() => this.#draw(), INTERVAL);
      return;
    }
    this.#drawn = now;
    const lines = this.#waiting.map(makeFeedLine).reverse();
    this.#waiting = [];
    if (this.#missed) {
      const text = `${formatNumber(this.#missed)} more changes, too fast to show`;
      lines.push(element("li", { class: "gap" }, text));
      this.#missed = 0;
    }
    this.#list.prepend(...lines);
    while (this.#list.childElementCount > LINES_MAX)
      this.#list.lastElementChild.remove();
    this.#empty.hidden = true;
  }
}

function makeFeedLine({ kind, entry, now }) {
  const line = element("li", { "data-kind": kind },
                       element("time", {}, formatClock(now)), element("b", {}, kind),
                       element("span", { class: "id" }, entry.name),
                       element("span", { class: "state" }, kind === "closed" ? "" : entrySummary(entry)));
  line.entry = entry;
  return line;
}
