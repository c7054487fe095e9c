// console: the base of all protocols' consoles: a connection with its state, forms, and a log.

import { element, formatClock, perFrame, setText } from "./dom.js";

const LOG_LINES = 300;
const LOGGED_MAX = 2000; // characters of a message in the log

export class ProtocolConsole {
  element;
  client = null;

  #name;
  #context;
  #what;
  #log = element("ol", { class: "log", tabindex: 0, "aria-label": "Messages, newest first" });
  #empty = element("p", { class: "empty small" }, "Messages sent and received appear here.");
  #lines = [];
  #draw = perFrame(() => this.#drawLog());
  #pill = element("span", { class: "link", role: "status", "data-state": "off" }, element("i", { "aria-hidden": true }),
                  element("span", {}, "Not connected"));
  #reason = element("p", { class: "muted reason" });
  #token = element("input", { autocomplete: "off", spellcheck: "false", placeholder: "none" });
  #connect = element("button", { class: "primary", click: () => this.#toggle() }, "Connect");
  #drop = element("button", { disabled: true, click: () => this.client.drop(),
                              title: "Breaks the connection as a network failure would; the client reconnects" }, "Drop");
  #forms;

  constructor(name, what, context) {
    this.#name = name;
    this.#context = context;
    this.#what = what;
  }

  /** Creates the element. The constructor cannot: the fields of the subclass do not exist yet. */
  render() {
    this.#forms = element("div", { class: "forms" }, ...this.buildForms());
    this.element = element("div", { class: "try" },
      element("div", { class: "left" },
        element("section", { class: "panel connection" },
          element("div", { class: "line" }, element("p", { class: "grow" }, this.#what), this.#pill),
          element("div", { class: "line" }, this.settings(),
                  element("label", { class: "grow" }, "Signed token ", this.#token), this.#connect, this.#drop),
          this.#reason),
        this.#forms),
      element("section", { class: "panel messages", "aria-label": "Messages" },
        element("div", { class: "bar" }, element("h2", {}, "Messages"),
                element("button", { class: "quiet", click: () => this.#clear() }, "Clear")),
        this.#log, this.#empty));
    this.#setState("off", "");
    return this;
  }

  /** Returns the forms, as elements. */
  buildForms() {
    return [];
  }

  /** Returns the controls for options of the connection, or null. */
  settings() {
    return null;
  }

  /** Creates the client. @param {string} url @param {Object} options */
  createClient() {
    throw new Error("a subclass creates the client");
  }

  /** Called when the state of the connection has changed. */
  onStateChange() {}

  /** Runs the action of a form, and logs its error. */
  async attempt(action) {
    try {
      if (!this.client)
        throw new Error("connect first");
      await action(this.client);
    } catch (error) {
      if (error.command === undefined) // the others arrive as events
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
    const client = this.createClient(url, options);
    this.client = client;
    client.addEventListener("state", ({ detail }) => this.#setState(detail.state, detail.reason));
    client.addEventListener("message", ({ detail }) => this.note(detail.out ? "out" : "in", formatMessage(detail.data)));
    client.addEventListener("error", ({ detail }) => this.note("error", `${detail.code}: ${detail.message}`));
    this.#setState("connecting", "");
  }

  #setState(state, reason) {
    const texts = { off: "Not connected", connecting: "Connecting", open: "Connected", waiting: "Reconnecting", ended: "Closed" };
    const isEnd = state === "ended" || state === "off";
    this.#pill.dataset.state = { open: "connected", ended: "off" }[state] ?? state;
    setText(this.#pill.lastElementChild, texts[state]);
    setText(this.#reason, reason ? `${reason[0].toUpperCase()}${reason.slice(1)}.` : "");
    setText(this.#connect, isEnd ? "Connect" : "Disconnect");
    this.#connect.classList.toggle("primary", isEnd);
    this.#drop.disabled = state !== "open";
    this.#token.disabled = !isEnd;
    for (const control of this.#forms.querySelectorAll("button, input, select, textarea"))
      control.disabled = isEnd;
    if (state === "ended")
      this.client = null;
    this.onStateChange();
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

/** A message as text: bytes in hexadecimal, followed by their ASCII characters. */
function formatMessage(data) {
  if (typeof data === "string")
    return data.length > LOGGED_MAX ? `${data.slice(0, LOGGED_MAX)} … (${data.length} characters)` : data;
  const part = data.subarray(0, 64);
  const hex = [...part].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const text = [...part].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
  return `${hex}${data.length > 64 ? ` … (${data.length} bytes)` : ""}   ${text}`;
}

/** A form with its fields and buttons. Enter activates the first button. */
export function makeForm(title, fields, ...buttons) {
  const made = element("form", { class: "panel form" }, element("h2", {}, title), ...fields,
    element("div", { class: "line" }, buttons.map(([text, action], i) =>
      element("button", { type: i ? "button" : "submit", class: i ? null : "primary", click: i ? action : () => {} }, text))));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    buttons[0][1]();
  });
  return made;
}

/** A labelled field. */
export function makeField(label, attributes = {}, name = "input") {
  const input = element(name, { autocomplete: "off", spellcheck: "false", ...attributes });
  return { input, label: element("label", {}, label, input), get value() {
    return input.value.trim();
  } };
}

/** The value of a JSON text; of other text, the text itself. */
export function parseValue(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export const splitWords = (text) => text.split(/[\s,]+/).filter(Boolean);
