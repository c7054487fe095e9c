// protocol_consoles: the console of each protocol, with forms for the functions of its client.

import { ProtocolConsole, makeField, makeForm, parseValue, splitWords } from "./console.js";
import { element, formatNumber, perFrame, setText } from "./dom.js";
import { formatValue } from "./entry_text.js";
import { SyncClient, TrackerClient, TurntableClient } from "./tracker.js";

const CLIENTS_SHOWN = 100;

/** The rows of a list, or a row with a text when there are none. */
function rowsOrText(rows, otherwise) {
  return rows.length ? rows : [element("li", { class: "muted" }, otherwise)];
}

export class TrackerConsole extends ProtocolConsole {
  #own;
  #others;
  #draw = perFrame(() => this.#drawNow());

  buildForms() {
    const state = makeField("State", { value: "hello", maxlength: 244 });
    this.#own = element("ul", { class: "items" });
    this.#others = element("p", { class: "muted" });
    return [
      makeForm("Open an entry", [state.label], ["Open", () => this.attempt(async (client) => {
        await client.open(state.input.value);
        this.#draw();
      })]),
      element("section", { class: "panel form wide" }, element("h2", {}, "My entries"), this.#own, this.#others),
    ];
  }

  createClient(url, options) {
    const client = new TrackerClient(url, options);
    for (const name of ["change", "closed", "map", "renamed"])
      client.addEventListener(name, this.#draw);
    return client;
  }

  onStateChange() {
    this.#draw();
  }

  #drawNow() {
    const own = this.client?.ownIds ?? [], others = (this.client?.entries.size ?? 0) - own.length;
    setText(this.#others, others > 0 ? `${formatNumber(others)} entries of other clients.`
      : "Other clients' entries appear after the first Open.");
    if (own.join("\0") === this.#own.dataset.ids && own.length)
      return;
    this.#own.dataset.ids = own.join("\0");
    this.#own.replaceChildren(...rowsOrText(own.map((id) => this.#row(id)), "None yet."));
  }

  #row(id) {
    const state = makeField(`State of ${id}`, { value: this.client.entries.get(id)?.text ?? "", maxlength: 244 });
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

export class TurntableConsole extends ProtocolConsole {
  #presence;
  #rooms;
  #draw = perFrame(() => this.#drawNow());

  buildForms() {
    const user = makeField("User id", { value: `1:${1000 + Math.floor(Math.random() * 9000)}`, placeholder: "1:12345" });
    const ids = makeField("Ids", { placeholder: "1:2345, 1:789" });
    const status = makeField("My status", {}, "select");
    status.input.append(...["online", "busy"].map((name) => element("option", {}, name)));
    status.input.addEventListener("change", () => this.attempt((client) => client.setStatus(status.value)));
    const room = makeField("Room", { value: "CStrike" }), invite = makeField("Invite", { placeholder: "1:2345" });
    const data = makeField("Action, as JSON", { value: '{"move": "e2e4"}' });
    this.#presence = element("ul", { class: "chips" });
    this.#rooms = element("ul", { class: "items" });
    return [
      makeForm("User", [element("div", { class: "line" }, user.label, status.label)],
           ["Identify", () => this.attempt((client) => client.identify(user.value))]),
      makeForm("Watched users", [ids.label, this.#presence],
           ["Subscribe", () => this.attempt((client) => client.subscribe(splitWords(ids.value)))],
           ["Unsubscribe", () => this.attempt((client) => client.unsubscribe(splitWords(ids.value))).then(this.#draw)]),
      makeForm("Room", [element("div", { class: "line" }, room.label, invite.label), this.#rooms],
           ["Join", () => this.attempt((client) => client.join(room.value, splitWords(invite.value)))],
           ["Leave", () => this.attempt((client) => client.leave(room.value)).then(this.#draw)],
           ["List users", () => this.attempt((client) => client.listUsers(room.value || undefined))]),
      makeForm("Actions", [data.label],
           ["Send to the room", () => this.attempt((client) => client.sendActions(room.value, [{ data: parseValue(data.value) }]))]),
    ];
  }

  createClient(url, options) {
    const client = new TurntableClient(url, options);
    for (const name of ["userchange", "member", "error"])
      client.addEventListener(name, this.#draw);
    return client;
  }

  onStateChange() {
    this.#draw();
  }

  #drawNow() {
    const presence = [...this.client?.presence ?? []], rooms = [...this.client?.rooms ?? []];
    this.#presence.replaceChildren(...rowsOrText(presence.map(([id, status]) => element("li", {},
      element("span", {}, id), " ", element("span", { class: "status", "data-status": status ?? "none" }, status ?? "…"))),
    "None yet."));
    this.#rooms.replaceChildren(...rowsOrText(rooms.map(([name, members]) => element("li", {}, element("b", {}, name), ": ",
      [...members].join(", ") || "…")), "None joined."));
  }
}

export class SyncConsole extends ProtocolConsole {
  #mode;
  #own;
  #clients;
  #tokens;
  #me;
  #draw = perFrame(() => this.#drawNow());

  settings() {
    this.#mode = makeField("Mode", {}, "select");
    this.#mode.input.append(element("option", { value: "delta" }, "delta"), element("option", { value: "full" }, "full"));
    return this.#mode.label;
  }

  buildForms() {
    const name = makeField("Name", { value: "mood" }), value = makeField("Value", { value: "good", placeholder: "text, number, true" });
    const to = makeField("To", { value: "*", list: "sync-tokens" }), type = makeField("Type", { value: "chat" });
    const content = makeField("Value, as JSON", { value: '{"text": "hi"}' });
    this.#own = element("ul", { class: "chips" });
    this.#me = element("p", { class: "muted mono" });
    this.#clients = element("ul", { class: "items" });
    this.#tokens = element("datalist", { id: "sync-tokens" });
    return [
      makeForm("My properties", [element("div", { class: "line" }, name.label, value.label), this.#own, this.#me],
           ["Set", () => this.attempt((client) => client.set({ [name.value]: parseValue(value.value) })).then(this.#draw)],
           ["Delete", () => this.attempt((client) => client.set({ [name.value]: null })).then(this.#draw)]),
      makeForm("Send a packet", [element("div", { class: "line" }, to.label, type.label), content.label, this.#tokens],
           ["Send", () => this.attempt((client) => client.send(/[\s,]/.test(to.value) ? splitWords(to.value) : to.value,
                                                              type.value, parseValue(content.value)))]),
      element("section", { class: "panel form wide" }, element("h2", {}, "Clients"), this.#clients),
    ];
  }

  createClient(url, options) {
    const client = new SyncClient(url, { ...options, mode: this.#mode.value });
    for (const name of ["metadata", "changes", "error"])
      client.addEventListener(name, this.#draw);
    return client;
  }

  onStateChange() {
    this.#mode.input.disabled = Boolean(this.client);
    this.#draw();
  }

  #drawNow() {
    const clients = [...this.client?.clients ?? []];
    setText(this.#me, this.client?.token ? `My token: ${this.client.token}` : "");
    this.#own.replaceChildren(...rowsOrText(Object.entries(this.client?.properties ?? {}).map(([name, value]) =>
      element("li", {}, `${name}: ${formatValue(value)}`)), "None yet."));
    this.#tokens.replaceChildren(...clients.slice(0, CLIENTS_SHOWN).map(([token]) => element("option", { value: token })));
    const rows = clients.slice(0, CLIENTS_SHOWN).map(([token, properties]) => element("li", {}, element("b", { class: "mono" }, token), " ",
      Object.entries(properties).map(([name, value]) => `${name}: ${formatValue(value)}`).join(" · ")));
    if (clients.length > CLIENTS_SHOWN)
      rows.push(element("li", { class: "muted" }, `and ${formatNumber(clients.length - CLIENTS_SHOWN)} more`));
    this.#clients.replaceChildren(...rowsOrText(rows, "None yet."));
  }
}
