// servers: the list of game servers of the lobby and of the UDP master, which is updated while it is
// shown.

import { byId, element, formatAge, formatNumber, perFrame, setText } from "./dom.js";
import { foldCase } from "./case_fold.js";
import { LiveMap, describeLink } from "./live.js";
import { formatPlayers, serverSearchText, serverFields, serverComparison, registeredAt } from "./server_text.js";
import { Table } from "./table.js";

const ARRANGE_INTERVAL = 250; // ms, the shortest time between two sorts
const COPIED_MS = 2500; // how long the copied address is shown
const DESCENDING_FIRST = new Set(["players"]);
const LISTENS = /^(lobby-servers|lobby|q3master)=/;

export class Servers extends EventTarget {
  #live;
  #table;
  #nodeName;
  #nodes;
  #order = { column: "players", descending: true };
  #words = [];
  #game = "";
  #games = "";
  #hides = { empty: false, full: false };
  #shown = false;
  #stale = true;
  #arranged = 0;
  #cost = 0;
  #timer = 0;
  #copiedTimer = 0;
  #link = { state: "off", why: "" };
  #draw = perFrame(() => this.#drawNow());

  /** nodeName: returns a front-end's name; nodes: returns all front-ends. Events: `unauthorized`. */
  constructor(token, nodeName, nodes) {
    super();
    this.#nodeName = nodeName;
    this.#nodes = nodes;
    this.#live = new LiveMap(token, { servers: 1 });
    this.#table = new Table(byId("servers-grid"), serverRows(nodeName, () => this.#live.now()));
    this.#table.addEventListener("open", ({ detail }) => this.#copy(detail.id));
    this.#listen();
    setInterval(() => this.#shown && !document.hidden && this.#table.draw(), 1000);
  }

  setToken(token) {
    this.#live.setToken(token);
  }

  show() {
    if (this.#shown)
      return;
    this.#shown = true;
    this.#live.resume();
    this.arrange();
  }

  hide() {
    if (!this.#shown)
      return;
    this.#shown = false;
    this.#live.stop();
  }

  #listen() {
    this.#live.addEventListener("changes", () => {
      this.#stale = true;
      this.#draw();
    });
    this.#live.addEventListener("link", ({ detail }) => {
      this.#link = detail;
      this.#draw();
    });
    this.#live.addEventListener("unauthorized", ({ detail }) =>
      this.dispatchEvent(new CustomEvent("unauthorized", { detail })));
    byId("servers-search").addEventListener("input", ({ target }) => {
      this.#words = foldCase(target.value).split(/\s+/).filter(Boolean);
      this.#filtered();
    });
    byId("servers-game").addEventListener("change", ({ target }) => {
      this.#game = target.value;
      this.#filtered();
    });
    for (const kind of ["empty", "full"])
      byId(`hide-${kind}`).addEventListener("click", () => this.#hide(kind, !this.#hides[kind]));
    byId("servers-sort-by").addEventListener("change", ({ target }) =>
      this.#setOrder(target.value, DESCENDING_FIRST.has(target.value)));
    for (const button of byId("servers-grid").querySelectorAll("[data-sort]")) {
      const column = button.dataset.sort;
      button.addEventListener("click", () => this.#setOrder(column,
        this.#order.column === column ? !this.#order.descending : DESCENDING_FIRST.has(column)));
    }
  }

  #hide(kind, hides) {
    this.#hides[kind] = hides;
    byId(`hide-${kind}`).setAttribute("aria-pressed", hides);
    this.#filtered();
  }

  #filtered() {
    this.#table.scrollToTop();
    this.arrange();
  }

  #showAll() {
    byId("servers-search").value = "";
    this.#words = [];
    this.#game = "";
    this.#games = "";
    this.#hide("empty", false);
    this.#hide("full", false);
  }

  #setOrder(column, descending) {
    this.#order = { column, descending };
    for (const button of byId("servers-grid").querySelectorAll("[data-sort]")) {
      const is = button.dataset.sort === column;
      button.parentElement.setAttribute("aria-sort", !is ? "none" : descending ? "descending" : "ascending");
    }
    byId("servers-sort-by").value = column;
    this.arrange();
  }

  // Filters and sorts at most every ARRANGE_INTERVAL, and in at most a tenth of the time.

  #drawNow() {
    if (!this.#shown)
      return;
    const wait = this.#arranged + Math.max(ARRANGE_INTERVAL, 10 * this.#cost) - performance.now();
    if (!this.#stale)
      this.#drawState();
    else if (wait <= 0)
      this.arrange();
    else
      this.#timer ||= setTimeout(() => {
        this.#timer = 0;
        this.#draw();
      }, wait);
  }

  arrange() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#stale = false;
    this.#arranged = performance.now();
    const rows = [...this.#live.entries.values()].filter((entry) => this.#passes(entry));
    rows.sort(serverComparison(this.#order.column, this.#order.descending, this.#nodeName));
    this.#table.setRows(rows);
    this.#drawGames();
    this.#drawState();
    this.#cost = performance.now() - this.#arranged;
  }

  #passes(entry) {
    const { game, isEmpty, isFull } = serverFields(entry);
    if ((this.#game && game !== this.#game) || (this.#hides.empty && isEmpty) || (this.#hides.full && isFull))
      return false;
    const text = this.#words.length ? serverSearchText(entry, this.#nodeName) : "";
    return this.#words.every((word) => text.includes(word));
  }

  #drawGames() {
    const counts = new Map(this.#game ? [[this.#game, 0]] : []);
    for (const entry of this.#live.entries.values()) {
      const { game } = serverFields(entry);
      if (game)
        counts.set(game, (counts.get(game) ?? 0) + 1);
    }
    const games = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)), text = JSON.stringify(games);
    if (text === this.#games)
      return;
    this.#games = text;
    const select = byId("servers-game");
    select.replaceChildren(element("option", { value: "" }, "All games"),
                           ...games.map(([game, n]) => element("option", { value: game }, `${game} (${n})`)));
    select.value = this.#game;
  }

  // Counts and notes.

  #drawState() {
    const { rows } = this.#table, all = this.#live.entries.size, { state, why } = this.#link;
    const players = rows.reduce((sum, entry) => sum + (serverFields(entry).players ?? 0), 0);
    const servers = rows.length === all ? formatNumber(all) : `${formatNumber(rows.length)} of ${formatNumber(all)}`;
    setText(byId("servers-count"), all ? `${servers} · ${formatNumber(players)} ${players === 1 ? "player" : "players"}` : "");
    const link = describeLink(this.#live), reason = why ? `: ${why}` : "";
    const notes = { waiting: `${link.text}${reason}`, stale: `${link.text}${reason}`, refused: `Not available${reason}`, hidden: "Paused" };
    setText(byId("servers-note"), notes[link.state] ?? "");
    this.#drawEmpty(rows.length ? "" : all ? "none" : state === "live" ? "empty" : "waiting");
  }

  #drawEmpty(kind) {
    const empty = byId("servers-empty");
    const lines = kind === "empty" ? registrationListeners(this.#nodes()) : [];
    const text = `${kind} ${lines.join()}`;
    empty.hidden = !kind;
    if (empty.dataset.kind === text)
      return;
    empty.dataset.kind = text;
    if (kind === "none")
      empty.replaceChildren(element("h3", {}, "No server matches"),
                            element("button", { class: "primary", click: () => this.#showAll() }, "Show all"));
    else if (kind === "empty")
      empty.replaceChildren(...emptyListHelp(lines));
    else
      empty.replaceChildren(element("p", { class: "muted" }, "Waiting for the list …"));
  }

  async #copy(address) {
    const done = await copyText(address);
    const note = byId("servers-copied");
    setText(note, done ? `${address} copied` : address);
    note.classList.add("shown");
    clearTimeout(this.#copiedTimer);
    this.#copiedTimer = setTimeout(() => {
      note.classList.remove("shown");
      setText(note, "");
    }, COPIED_MS);
  }
}

/** Where game servers may register: lines with a listener and a front-end's name. */
function registrationListeners(nodes) {
  return nodes.flatMap((node) => (node.listeners ?? "").split(",").filter((one) => LISTENS.test(one))
    .map((one) => `${one}  (${node.name})`)).sort();
}

function emptyListHelp(lines) {
  const see = element("p", {}, "How servers register: see ", element("code", {}, "docs/protocol-lobby.md"), " and ",
                      element("code", {}, "docs/protocol-master.md"), ".");
  if (lines.length)
    return [element("h3", {}, "No server is listed"),
            element("p", {}, "A game server is listed as soon as it registers at one of"),
            element("pre", {}, lines.join("\n")), see];
  return [element("h3", {}, "No server is listed"),
          element("p", {}, "No front-end listens for game servers. Start one with"),
          element("pre", {}, "trackerd --listen lobby-servers=*:23471 --listen lobby-clients=*:23470\n"
                             + "         --set lobby.password_file=FILE"), see];
}

/** Pages without TLS cannot use navigator.clipboard. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { class: "unseen", readonly: true }), focused = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return done;
  }
}

function serverRows(nodeName, now) {
  const columns = ["game", "map", "players", "version", "registered", "since", "address"];
  return {
    make() {
      const cell = (name) => element("div", { role: "gridcell", class: name });
      const title = element("span", { class: "title" });
      const mark = element("span", { class: "suspect", title: "The server has not answered the last ping" }, "suspect");
      const cells = Object.fromEntries(columns.map((name) => [name, cell(name)]));
      const name = element("div", { role: "gridcell", class: "name" }, title, mark);
      return { element: element("div", { role: "row", class: "row" }, name, ...Object.values(cells)), title, mark, ...cells };
    },

    fill(row, entry) {
      const server = serverFields(entry);
      setText(row.title, server.title || "(no name)");
      row.title.classList.toggle("muted", !server.title);
      row.title.title = server.title;
      row.mark.hidden = !server.isSuspect;
      for (const name of ["game", "map", "version"])
        setText(row[name], server[name] || "–");
      setText(row.players, formatPlayers(server));
      row.players.dataset.are = server.isFull ? "full" : server.isEmpty ? "none" : "some";
      setText(row.address, server.address);
    },

    age(row, entry) {
      setText(row.since, entry.since ? formatAge(Math.max(0, now() - entry.since)) : "–");
      setText(row.registered, registeredAt(entry, nodeName) || "–");
    },
  };
}
