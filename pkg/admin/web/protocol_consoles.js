// desks: one for each protocol, each with the forms for what its client can do.

import { Desk, field, form, valueOf, wordsOf } from "./console.js";
import { element, formatNumber, perFrame, setText } from "./dom.js";
import { plain } from "./entry_text.js";
import { SyncClient, TrackerClient, TurntableClient } from "./tracker.js";

const SHOWN = 100; // of those who are there

/** A list that says when it is empty. */
function listOf(rows, otherwise) {
  return rows.length ? rows : [element("li", { class: "muted" }, otherwise)];
}

export class TrackerDesk extends Desk {
  #own;
  #others;
  #draw = perFrame(() => this.#drawNow());

  build() {
    const state = field("State", { value: "hello", maxlength: 244 });
    this.#own = element("ul", { class: "items" });
    this.#others = element("p", { class: "muted" });
    return [
      form("Open an entry", [state.label], ["Open", () => this.attempt(async (client) => {
        await client.open(state.input.value);
        this.#draw();
      })]),
      element("section", { class: "panel form wide" }, element("h2", {}, "My entries"), this.#own, this.#others),
    ];
  }

  make(url, options) {
    const client = new TrackerClient(url, options);
    for (const name of ["change", "gone", "map", "renamed"])
      client.addEventListener(name, this.#draw);
    return client;
  }

  changed() {
    this.#draw();
  }

  #drawNow() {
    const own = this.client?.own ?? [], others = (this.client?.entries.size ?? 0) - own.length;
    setText(this.#others, others > 0 ? `${formatNumber(others)} entries of others are known here.`
      : "Others' entries are told from the first Open on.");
    if (own.join("\0") === this.#own.dataset.ids && own.length)
      return;
    this.#own.dataset.ids = own.join("\0");
    this.#own.replaceChildren(...listOf(own.map((id) => this.#row(id)), "None yet."));
  }

  #row(id) {
    const state = field(`State of ${id}`, { value: this.client.entries.get(id)?.text ?? "", maxlength: 244 });
    state.label.firstChild.remove();
    state.input.setAttribute("aria-label", `State of ${id}`);
    const row = element("form", { class: "line" }, element("b", { class: "mono" }, id), state.label,
      element("button", { class: "primary" }, "Update"),
      element("button", { type: "button", click: () => this.attempt((client) => client.close(id)).then(this.#draw) }, "Close"));
    state.label.className = "grow";
    row.addEventListener("submit", (event) => {
      event.preventDefault();
      this.attempt((client) => client.update(id, state.input.value));
    });
    return element("li", {}, row);
  }
}

export class TurntableDesk extends Desk {
  #presence;
  #rooms;
  #draw = perFrame(() => this.#drawNow());

  build() {
    const user = field("User id", { value: `1:${1000 + Math.floor(Math.random() * 9000)}`, placeholder: "1:12345" });
    const ids = field("Ids", { placeholder: "1:2345, 1:789" });
    const status = field("My status", {}, "select");
    status.input.append(...["online", "busy"].map((name) => element("option", {}, name)));
    status.input.addEventListener("change", () => this.attempt((client) => client.setStatus(status.value)));
    const room = field("Room", { value: "CStrike" }), invite = field("Invite", { placeholder: "1:2345" });
    const data = field("Action, as JSON", { value: '{"move": "e2e4"}' });
    this.#presence = element("ul", { class: "chips" });
    this.#rooms = element("ul", { class: "items" });
    return [
      form("Who I am", [element("div", { class: "line" }, user.label, status.label)],
           ["Identify", () => this.attempt((client) => client.identify(user.value))]),
      form("Who is watched", [ids.label, this.#presence],
           ["Subscribe", () => this.attempt((client) => client.subscribe(wordsOf(ids.value)))],
           ["Unsubscribe", () => this.attempt((client) => client.unsubscribe(wordsOf(ids.value))).then(this.#draw)]),
      form("A room", [element("div", { class: "line" }, room.label, invite.label), this.#rooms],
           ["Join", () => this.attempt((client) => client.join(room.value, wordsOf(invite.value)))],
           ["Leave", () => this.attempt((client) => client.leave(room.value)).then(this.#draw)],
           ["Who is there", () => this.attempt((client) => client.whoThere(room.value || undefined))]),
      form("Play", [data.label],
           ["Send to the room", () => this.attempt((client) => client.game(room.value, [{ data: valueOf(data.value) }]))]),
    ];
  }

  make(url, options) {
    const client = new TurntableClient(url, options);
    for (const name of ["userchange", "member", "error"])
      client.addEventListener(name, this.#draw);
    return client;
  }

  changed() {
    this.#draw();
  }

  #drawNow() {
    const presence = [...this.client?.presence ?? []], rooms = [...this.client?.rooms ?? []];
    this.#presence.replaceChildren(...listOf(presence.map(([id, status]) => element("li", {},
      element("span", {}, id), " ", element("span", { class: "status", "data-status": status ?? "none" }, status ?? "…"))),
    "Nobody yet."));
    this.#rooms.replaceChildren(...listOf(rooms.map(([name, members]) => element("li", {}, element("b", {}, name), ": ",
      [...members].join(", ") || "…")), "In no room."));
  }
}

export class SyncDesk extends Desk {
  #mode;
  #own;
  #clients;
  #tokens;
  #me;
  #draw = perFrame(() => this.#drawNow());

  settings() {
    this.#mode = field("Mode", {}, "select");
    this.#mode.input.append(element("option", { value: "delta" }, "delta"), element("option", { value: "full" }, "full"));
    return this.#mode.label;
  }

  build() {
    const name = field("Name", { value: "mood" }), value = field("Value", { value: "good", placeholder: "text, number, true" });
    const to = field("To", { value: "*", list: "sync-tokens" }), type = field("Type", { value: "chat" });
    const content = field("Value, as JSON", { value: '{"text": "hi"}' });
    this.#own = element("ul", { class: "chips" });
    this.#me = element("p", { class: "muted mono" });
    this.#clients = element("ul", { class: "items" });
    this.#tokens = element("datalist", { id: "sync-tokens" });
    return [
      form("My properties", [element("div", { class: "line" }, name.label, value.label), this.#own, this.#me],
           ["Set", () => this.attempt((client) => client.set({ [name.value]: valueOf(value.value) })).then(this.#draw)],
           ["Delete", () => this.attempt((client) => client.set({ [name.value]: null })).then(this.#draw)]),
      form("Send a packet", [element("div", { class: "line" }, to.label, type.label), content.label, this.#tokens],
           ["Send", () => this.attempt((client) => client.send(/[\s,]/.test(to.value) ? wordsOf(to.value) : to.value,
                                                              type.value, valueOf(content.value)))]),
      element("section", { class: "panel form wide" }, element("h2", {}, "Who is here"), this.#clients),
    ];
  }

  make(url, options) {
    const client = new SyncClient(url, { ...options, mode: this.#mode.value });
    for (const name of ["metadata", "changes", "error"])
      client.addEventListener(name, this.#draw);
    return client;
  }

  changed() {
    this.#mode.input.disabled = Boolean(this.client);
    this.#draw();
  }

  #drawNow() {
    const clients = [...this.client?.clients ?? []];
    setText(this.#me, this.client?.token ? `I am ${this.client.token}` : "");
    this.#own.replaceChildren(...listOf(Object.entries(this.client?.properties ?? {}).map(([name, value]) =>
      element("li", {}, `${name}: ${plain(value)}`)), "None yet."));
    this.#tokens.replaceChildren(...clients.slice(0, SHOWN).map(([token]) => element("option", { value: token })));
    const rows = clients.slice(0, SHOWN).map(([token, properties]) => element("li", {}, element("b", { class: "mono" }, token), " ",
      Object.entries(properties).map(([name, value]) => `${name}: ${plain(value)}`).join(" · ")));
    if (clients.length > SHOWN)
      rows.push(element("li", { class: "muted" }, `and ${formatNumber(clients.length - SHOWN)} more`));
    this.#clients.replaceChildren(...listOf(rows, "Nobody is known yet."));
  }
}
