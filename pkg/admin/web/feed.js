// feed: the stream of changes, the newest first: bounded, and joined when they come faster than they
// can be read.

import { byId, element, formatClock, formatNumber, perFrame, setText } from "./dom.js";
import { summary } from "./entry_text.js";

const SHOWN = 200; // lines in the document
const INTERVAL = 150; // ms between two drawings

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
    this.#say();
  }

  /** kind: opened, changed, closed. */
  add(kind, entries, now) {
    for (const entry of entries)
      this.#waiting.push({ kind, entry, now });
    if (this.#waiting.length > SHOWN) {
      this.#missed += this.#waiting.length - SHOWN;
      this.#waiting.splice(0, this.#waiting.length - SHOWN);
    }
    if (this.#waiting.length)
      this.#draw();
  }

  #setPaused(paused) {
    this.#paused = paused;
    this.#pause.setAttribute("aria-pressed", paused);
    setText(this.#pause, paused ? "Go on" : "Pause");
    this.#draw();
  }

  #say() {
    const waiting = this.#waiting.length + this.#missed;
    setText(this.#count, this.#paused && waiting ? `${formatNumber(waiting)} more` : "");
  }

  #drawNow() {
    this.#say();
    const now = performance.now();
    if (this.#paused || !this.#waiting.length)
      return;
    if (now - this.#drawn < INTERVAL) {
      setTimeout(() => this.#draw(), INTERVAL);
      return;
    }
    this.#drawn = now;
    const lines = this.#waiting.map(makeLine).reverse();
    this.#waiting = [];
    if (this.#missed) {
      const text = `${formatNumber(this.#missed)} more, faster than can be shown`;
      lines.push(element("li", { class: "gap" }, text));
      this.#missed = 0;
    }
    this.#list.prepend(...lines);
    while (this.#list.childElementCount > SHOWN)
      this.#list.lastElementChild.remove();
    this.#empty.hidden = true;
  }
}

function makeLine({ kind, entry, now }) {
  const line = element("li", { "data-kind": kind },
                       element("time", {}, formatClock(now)), element("b", {}, kind),
                       element("span", { class: "id" }, entry.name),
                       element("span", { class: "state" }, kind === "closed" ? "" : summary(entry)));
  line.entry = entry;
  return line;
}
