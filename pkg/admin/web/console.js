// desk: what the desks of all protocols share: a connection with its state, forms, and a log.

import { element, formatClock, perFrame, setText } from "./dom.js";

const LOG_LINES = 300;
const TOO_LONG = 2000; // characters of a message in the log

export class Desk {
  element;
  client = null;

  #name;
  #context;
  #what;
  #log = element("ol", { class: "log", tabindex: 0, "aria-label": "Messages, the newest first" });
  #empty = element("p", { class: "empty small" }, "What is sent and received is shown here.");
  #lines = [];
  #draw = perFrame(() => this.#drawLog());
  #pill = element("span", { class: "link", role: "status", "data-state": "off" }, element("i", { "aria-hidden": true }),
                  element("span", {}, "Not connected"));
  #why = element("p", { class: "muted why" });
  #token = element("input", { autocomplete: "off", spellcheck: "false", placeholder: "none" });
  #connect = element("button", { class: "primary", click: () => this.#toggle() }, "Connect");
  #drop = element("button", { disabled: true, click: () => this.client.drop(),
                              title: "As if the network had failed: the client comes back by itself" }, "Drop");
  #forms;

  constructor(name, what, context) {
    this.#name = name;
    this.#context = context;
    this.#what = what;
  }

  /** Makes the element. Not by the constructor: what a desk's own forms need is not there yet. */
  furnish() {
    this.#forms = element("div", { class: "forms" }, ...this.build());
    this.element = element("div", { class: "try" },
      element("div", { class: "left" },
        element("section", { class: "panel connection" },
          element("div", { class: "line" }, element("p", { class: "grow" }, this.#what), this.#pill),
          element("div", { class: "line" }, this.settings(),
                  element("label", { class: "grow" }, "Signed token ", this.#token), this.#connect, this.#drop),
          this.#why),
        this.#forms),
      element("section", { class: "panel messages", "aria-label": "Messages" },
        element("div", { class: "bar" }, element("h2", {}, "Messages"),
                element("button", { class: "quiet", click: () => this.#clear() }, "Clear")),
        this.#log, this.#empty));
    this.#setState("off", "");
    return this;
  }

  /** The forms: elements. */
  build() {
    return [];
  }

  /** What is chosen before connecting. */
  settings() {
    return null;
  }

  /** A client. @param {string} url @param {Object} options */
  make() {
    throw new Error("each desk makes its own");
  }

  /** The server serves us, or no longer. */
  changed() {}

  /** Does what a form asks, and shows what is wrong with it. */
  async attempt(action) {
    try {
      if (!this.client)
        throw new Error("connect first");
      await action(this.client);
    } catch (error) {
      if (error.command === undefined) // else the client has told it as an event
        this.note("error", error.code ? `${error.code}: ${error.message}` : error.message);
    }
  }

  note(kind, text) {
    this.#lines.unshift([kind, text, Date.now()]);
    this.#draw();
  }

  #toggle() {
    if (this.client) {
      this.client.end();
      return;
    }
    const space = this.#context.space();
    const url = new URL(this.#name + (space ? `/${space}` : ""), document.baseURI);
    const options = this.#token.value ? { token: this.#token.value } : {};
    const client = this.make(url, options);
    this.client = client;
    client.addEventListener("state", ({ detail }) => this.#setState(detail.state, detail.why));
    client.addEventListener("message", ({ detail }) => this.note(detail.out ? "out" : "in", show(detail.data)));
    client.addEventListener("error", ({ detail }) => this.note("error", `${detail.code}: ${detail.message}`));
    this.#setState("connecting", "");
  }

  #setState(state, why) {
    const texts = { off: "Not connected", connecting: "Connecting", open: "Connected", waiting: "Coming back", ended: "Ended" };
    const isEnd = state === "ended" || state === "off";
    this.#pill.dataset.state = { open: "connected", ended: "off" }[state] ?? state;
    setText(this.#pill.lastElementChild, texts[state]);
    setText(this.#why, why ? `${why[0].toUpperCase()}${why.slice(1)}.` : "");
    setText(this.#connect, isEnd ? "Connect" : "Disconnect");
    this.#connect.classList.toggle("primary", isEnd);
    this.#drop.disabled = state !== "open";
    this.#token.disabled = !isEnd;
    for (const control of this.#forms.querySelectorAll("button, input, select, textarea"))
      control.disabled = isEnd;
    if (state === "ended")
      this.client = null;
    this.changed();
  }

  #clear() {
    this.#lines = [];
    this.#log.replaceChildren();
    this.#empty.hidden = false;
  }

  #drawLog() {
    const marks = { in: "↓", out: "↑", error: "!" }, names = { in: "received", out: "sent", error: "error" };
    const lines = this.#lines.splice(0, LOG_LINES).map(([kind, text, time]) => element("li", { "data-kind": kind },
      element("time", {}, formatClock(time)),
      element("b", { role: "img", "aria-label": names[kind] }, marks[kind]), element("code", {}, text)));
    this.#lines = [];
    this.#log.prepend(...lines);
    while (this.#log.childElementCount > LOG_LINES)
      this.#log.lastElementChild.remove();
    this.#empty.hidden = this.#log.childElementCount > 0;
  }
}

/** A message as text: bytes in hexadecimal, with what they say where they are letters. */
function show(data) {
  if (typeof data === "string")
    return data.length > TOO_LONG ? `${data.slice(0, TOO_LONG)} … (${data.length} characters)` : data;
  const part = data.subarray(0, 64);
  const hex = [...part].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const text = [...part].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
  return `${hex}${data.length > 64 ? ` … (${data.length} bytes)` : ""}   ${text}`;
}

/** A form: its fields in a line, and buttons. The first button answers Enter. */
export function form(title, fields, ...buttons) {
  const made = element("form", { class: "panel form" }, element("h2", {}, title), ...fields,
    element("div", { class: "line" }, buttons.map(([text, action], i) =>
      element("button", { type: i ? "button" : "submit", class: i ? null : "primary", click: i ? action : () => {} }, text))));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    buttons[0][1]();
  });
  return made;
}

/** A field with its label. */
export function field(label, attributes = {}, name = "input") {
  const input = element(name, { autocomplete: "off", spellcheck: "false", ...attributes });
  return { input, label: element("label", {}, label, input), get value() {
    return input.value.trim();
  } };
}

/** JSON where it is some, else the text itself. */
export function valueOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export const wordsOf = (text) => text.split(/[\s,]+/).filter(Boolean);
