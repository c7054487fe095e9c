// page: connects the parts of the page. Events of the stream update the model at once, and the document
// at most once per frame.

import { Sparkline } from "./charts.js";
import { clientRows } from "./clients.js";
import { Detail } from "./detail.js";
import { byId, element, formatBytes, formatNumber, formatRate, perFrame, setText } from "./dom.js";
import { entryComparison, entrySearchText } from "./entry_text.js";
import { Feed } from "./feed.js";
import { foldCase } from "./case_fold.js";
import { LiveMap, describeLink } from "./live.js";
import { Servers } from "./servers.js";
import { Table } from "./table.js";
import { buildTryIt } from "./try_it.js";

const SORT_INTERVAL = 250; // ms, the shortest time between two sorts
const TOKEN_KEY = "tracker.token";
const TABS = ["map", "servers", "try"];

const nodes = new Map(); // id → data of the front-end
const nodeName = (id) => nodes.get(id)?.name || (id ? id.slice(0, 6) : "");
const map = new LiveMap(sessionStorage.getItem(TOKEN_KEY) ?? "");
const table = new Table(byId("grid"), clientRows(nodeName, () => map.now()));
const servers = new Servers(sessionStorage.getItem(TOKEN_KEY) ?? "", nodeName, () => [...nodes.values()]);
const feed = new Feed();
const detail = new Detail({
  map, nodeName, space: () => space, token: () => sessionStorage.getItem(TOKEN_KEY) ?? "",
});
const charts = Object.fromEntries(["clients", "changes", "messages"]
  .map((name) => [name, new Sparkline(byId(`chart-${name}`))]));

let space = new URLSearchParams(location.search).get("space") ?? "";
let order = { column: "id", descending: false };
let query = "", protocol = "";
let known = false; // the whole map has been received once

// The table: filtered and sorted when its rows or their order may have changed.

let stale = true, sortedAt = 0, sortTimer = 0;
const counts = new Map(); // protocol → clients

function arrange() {
  clearTimeout(sortTimer);
  sortTimer = 0;
  stale = false;
  sortedAt = performance.now();
  const words = foldCase(query).split(/\s+/).filter(Boolean), rows = [];
  counts.clear();
  for (const entry of map.entries.values()) {
    counts.set(entry.protocol ?? "unknown", (counts.get(entry.protocol ?? "unknown") ?? 0) + 1);
    if (protocol && entry.protocol !== protocol)
      continue;
    if (words.length) {
      const text = entrySearchText(entry, nodeName(entry.node));
      if (!words.every((word) => text.includes(word)))
        continue;
    }
    rows.push(entry);
  }
  rows.sort(entryComparison(order.column, order.descending, nodeName));
  table.setRows(rows);
}

const draw = perFrame(() => {
  const wait = sortedAt + SORT_INTERVAL - performance.now();
  if (stale && wait > 0 && !sortTimer)
    sortTimer = setTimeout(draw, wait);
  if (stale && wait <= 0)
    arrange();
  else
    table.draw();
  drawCounts();
});

function arrangeAndDraw() {
  arrange();
  drawCounts();
}

/** Replaces a changed entry whose place does not change. */
function replaceRow(rows, places, entry) {
  const place = places.get(entry.key);
  if (place !== undefined)
    rows[place] = entry;
}

let places = null, placesOf = null;

function onChanges({ opened, changed, closed, whole }) {
  if (opened.length || closed.length || whole || query || order.column === "state" || order.column === "status")
    stale = true;
  if (changed.length) {
    if (placesOf !== table.rows) {
      placesOf = table.rows;
      places = new Map(table.rows.map((entry, index) => [entry.key, index]));
    }
    for (const entry of changed)
      replaceRow(table.rows, places, entry);
  }
  if (!whole || known) {
    const now = map.now();
    feed.add("opened", opened, now);
    feed.add("changed", whole ? [] : changed, now);
    feed.add("closed", closed, now);
  }
  if (detail.key !== null) {
    for (const entry of [...opened, ...changed])
      detail.key === entry.key && detail.update(entry);
    for (const entry of closed)
      detail.key === entry.key && detail.update(null);
  }
  draw();
}

// Counts, filters, and the texts of an empty table.

let filterNames = "";

function drawFilters() {
  const names = [...counts.keys()].sort();
  setText(byId("note-clients"), names.map((name) => `${formatNumber(counts.get(name))} ${name}`).join(" · "));
  if (protocol && !counts.has(protocol))
    names.push(protocol);
  if (names.join() !== filterNames) {
    filterNames = names.join();
    byId("filters").replaceChildren(...(names.length < 2 ? [] : ["", ...names]).map((name) =>
      element("button", { class: "filter", "data-protocol": name, "aria-pressed": name === protocol,
                          click: () => setProtocol(name) }, name || "all")));
  }
}

function setProtocol(name) {
  protocol = name;
  for (const button of byId("filters").children)
    button.setAttribute("aria-pressed", button.dataset.protocol === name);
  table.scrollToTop();
  arrangeAndDraw();
}

function drawCounts() {
  const shown = table.rows.length, all = map.entries.size, isFiltered = Boolean(query || protocol);
  drawFilters();
  setText(byId("value-clients"), map.state === "live" || all ? formatNumber(all) : "–");
  setText(byId("count"), isFiltered ? `${formatNumber(shown)} of ${formatNumber(all)}` : all ? formatNumber(all) : "");
  drawEmpty(shown, all, isFiltered);
}

function drawEmpty(shown, all, isFiltered) {
  const empty = byId("empty");
  const kind = shown ? "" : isFiltered && all ? `none ${query} ${protocol}` : map.state === "live" ? "empty" : `waiting ${map.state}`;
  empty.hidden = !kind;
  if (empty.dataset.kind === kind)
    return;
  empty.dataset.kind = kind;
  if (kind.startsWith("none"))
    empty.replaceChildren(element("h3", {}, "No client matches"), element("p", {},
      "Nothing matches ", element("q", {}, [query, protocol].filter(Boolean).join(", ")), "."),
      element("button", { class: "primary", click: clearSearch }, "Show all"));
  else if (kind === "empty")
    empty.replaceChildren(element("h3", {}, "No clients yet"),
      element("p", {}, "Open one on this page, or from a shell:"),
      element("pre", {}, "trackerctl open hello"),
      element("button", { class: "primary", click: () => showTab("try") }, "Try it here"));
  else
    empty.replaceChildren(element("p", { class: "muted" },
      map.state === "refused" ? "The map is not available." : "Waiting for the map …"));
}

function clearSearch() {
  query = byId("search").value = "";
  setProtocol("");
}

// Figures.

let last = null;

function onStats(stats) {
  const seconds = last ? (stats.time - last.time) / 1000 : 0;
  const restarted = last && (last.node !== stats.node || stats.messages < last.messages);
  charts.clients.push(map.entries.size);
  if (seconds > 0.2 && !restarted) {
    const rate = (name) => Math.max(0, (stats[name] - last[name]) / seconds);
    charts.changes.push(rate("events"));
    charts.messages.push(rate("messages"));
    drawRates(rate);
    setText(byId("note-connections"), `${formatBytes(stats.memory)} memory · ${formatRate(rate("cpu_us") / 10000)}% CPU`);
  }
  setText(byId("note-changes"), `${formatNumber(stats.events)} since it started`);
  setText(byId("value-connections"), formatNumber(stats.connections));
  drawFacts(stats);
  last = stats;
  setText(byId("front-end"), stats.name);
  drawBanner();
  draw();
}

/** rate: returns the rate of a figure per second; null when rates are unknown. */
function drawRates(rate) {
  setText(byId("value-changes"), rate ? formatRate(rate("events")) : "–");
  setText(byId("value-messages"), rate ? formatRate(rate("messages")) : "–");
  setText(byId("note-messages"), rate
    ? `${formatBytes(rate("received_bytes"))}/s in · ${formatBytes(rate("sent_bytes"))}/s out` : "");
}

function drawFacts(stats) {
  const facts = [
    ["Redis", stats.redis ? "up" : "unreachable", stats.redis],
    ["Ready", stats.ready ? "yes" : "no", stats.ready],
    ["WebSockets", formatNumber(stats.websockets), true],
    ["Front-ends", formatNumber(Math.max(1, nodes.size)), true],
  ];
  const list = byId("facts");
  if (list.childElementCount !== facts.length)
    list.replaceChildren(...facts.map(([name]) => element("div", {}, element("dt", {}, name), element("dd"))));
  facts.forEach(([, text, good], i) => {
    setText(list.children[i].lastElementChild, text);
    list.children[i].classList.toggle("bad", !good);
  });
}

// The stream's state.

function onLink({ state }) {
  const link = byId("link"), shown = describeLink(map);
  link.dataset.state = shown.state;
  setText(link.lastElementChild, shown.text);
  if (state === "live")
    known = true;
  if (state !== "refused")
    byId("offers").hidden = true;
  if (state === "waiting")
    drawRates(null);
  drawBanner();
  draw();
}

function drawBanner() {
  const banner = byId("banner");
  let text = "";
  if (["waiting", "connecting"].includes(map.state) && map.why)
    text = `No connection: ${map.why}. ${map.isKnown ? "The data shown is out of date; the" : "The"} page reconnects.`;
  else if (map.state === "refused" && byId("offers").hidden)
    text = `Not available: ${map.why}.`;
  else if (last && !last.ready)
    text = `This front-end is not ready: ${last.why}.${last.redis || !map.isKnown ? "" : " The data shown is out of date."}`;
  banner.hidden = !text;
  if (text)
    setText(banner, text);
}

function onHello(hello) {
  space = hello.space;
  if (!nodes.has(hello.node)) // until the list of front-ends arrives
    nodes.set(hello.node, { node: hello.node, name: hello.name });
  document.title = `Tracker · ${hello.name}`;
  setText(byId("front-end"), hello.name);
  drawSpaces(hello.spaces);
  updateLobby(hello);
  drawCoverage(hello);
}

function drawSpaces(names) {
  const select = byId("space");
  select.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  select.value = space;
  select.disabled = names.length < 2 && names.includes(space);
}

/** Shows what each figure covers. */
function drawCoverage({ name }) {
  const here = `front-end ${name}`;
  setText(byId("covers-list"), `in space ${space}`);
  setText(byId("covers-clients"), `space ${space}, all front-ends`);
  for (const figure of ["changes", "messages", "connections"])
    setText(byId(`covers-${figure}`), figure === "connections" ? here : `${here}, all spaces`);
}

/** There is no such space: offers the existing ones. */
function onUnknownSpace({ space: name, spaces, lobby }) {
  space = name;
  drawSpaces(spaces);
  byId("space").prepend(element("option", { value: name, disabled: true, selected: true }, name));
  byId("offers").hidden = false;
  byId("offers").replaceChildren(element("span", {}, "There is no space ", element("q", {}, name), ". Spaces here: "),
    ...spaces.map((one) => element("button", { click: () => chooseSpace(one) }, one)));
  updateLobby({ lobby });
  drawBanner();
}

function chooseSpace(name) {
  const address = new URL(location.href);
  address.searchParams.set("space", name);
  history.replaceState(null, "", address);
  known = false;
  last = null;
  Object.values(charts).forEach((chart) => chart.clear());
  feed.clear();
  map.start(name);
}

function updateLobby({ lobby }) {
  hasServers = lobby !== undefined;
  byId("tab-servers").hidden = !hasServers;
  if (tabShown === "servers")
    showTab(requestedTab());
}

// Input.

function setOrder(column, descending) {
  order = { column, descending };
  for (const button of byId("grid").querySelectorAll("[data-sort]")) {
    const is = button.dataset.sort === column;
    button.parentElement.setAttribute("aria-sort", !is ? "none" : descending ? "descending" : "ascending");
  }
  byId("sort-by").value = column;
  arrangeAndDraw();
}

let tabShown = "";
let hasServers; // undefined until a front-end has answered

/** The tab that the address selects: #servers, or ?tab=servers. */
function requestedTab() {
  const names = [location.hash.slice(1), new URLSearchParams(location.search).get("tab")];
  const name = names.find((one) => TABS.includes(one)) ?? "map";
  return name === "servers" && hasServers === false ? "map" : name;
}

function showTab(name) {
  tabShown = name;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const is = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", is);
    tab.tabIndex = is ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !is;
  }
  const address = new URL(location.href);
  address.searchParams.delete("tab");
  address.hash = name;
  if (address.href !== location.href)
    history.replaceState(null, "", address);
  byId("tab-servers").hidden &&= name !== "servers";
  byId("space").parentElement.hidden = name === "servers"; // game servers have a space of their own
  if (name === "servers" && hasServers)
    servers.show();
  else
    servers.hide();
  if (name === "try")
    buildTryIt(byId("view-try"), { space: () => space });
  else
    draw();
}

function askForToken(given) {
  const dialog = byId("sign-in");
  if (given)
    setText(byId("sign-in-why"), "Wrong token. It is the setting web.token of this front-end.");
  if (!dialog.open)
    dialog.showModal();
}

function listen() {
  map.addEventListener("changes", ({ detail: changes }) => onChanges(changes));
  map.addEventListener("stats", ({ detail: stats }) => onStats(stats));
  map.addEventListener("link", ({ detail: link }) => onLink(link));
  map.addEventListener("hello", ({ detail: hello }) => onHello(hello));
  map.addEventListener("unknown", ({ detail }) => onUnknownSpace(detail));
  for (const one of [map, servers])
    one.addEventListener("unauthorized", ({ detail: { given } }) => askForToken(given));
  map.addEventListener("nodes", ({ detail: list }) => {
    nodes.clear();
    for (const node of list)
      nodes.set(node.node, node);
    if (last && !nodes.has(last.node))
      nodes.set(last.node, { node: last.node, name: last.name });
    stale = true; // names of front-ends affect search and order
    draw();
    detail.redraw();
    if (tabShown === "servers")
      servers.arrange();
  });
  table.addEventListener("open", ({ detail: entry }) => detail.show(entry));
  feed.addEventListener("open", ({ detail: entry }) => detail.show(map.entries.get(entry.key) ?? entry));
  byId("search").addEventListener("input", (event) => {
    query = event.target.value.trim();
    table.scrollToTop();
    arrangeAndDraw();
  });
  byId("sort-by").addEventListener("change", (event) => setOrder(event.target.value, false));
  for (const button of byId("grid").querySelectorAll("[data-sort]"))
    button.addEventListener("click", () => setOrder(button.dataset.sort,
      order.column === button.dataset.sort && !order.descending));
  byId("space").addEventListener("change", (event) => chooseSpace(event.target.value));
  byId("sign-in").addEventListener("cancel", (event) => event.preventDefault()); // the page is empty without a token
  byId("sign-in").addEventListener("close", () => {
    const token = byId("sign-in-token").value;
    if (!token)
      return;
    byId("sign-in-token").value = "";
    sessionStorage.setItem(TOKEN_KEY, token);
    map.setToken(token);
    servers.setToken(token);
  });
  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.forEach((tab) => {
    tab.addEventListener("click", () => showTab(tab.id.slice(4)));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step)
        return;
      const seen = tabs.filter((one) => !one.hidden);
      const next = seen[(seen.indexOf(tab) + step + seen.length) % seen.length];
      showTab(next.id.slice(4));
      next.focus();
    });
  });
  addEventListener("hashchange", () => showTab(requestedTab()));
  setInterval(() => document.hidden || table.draw(), 1000);
}

listen();
showTab(requestedTab());
map.start(space);
