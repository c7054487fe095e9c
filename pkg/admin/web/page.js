// page: the parts of the page put together: what the stream tells goes into the model at once, and
// into the document at most once per frame.

import { Spark } from "./charts.js";
import { clientRows } from "./clients.js";
import { Detail } from "./detail.js";
import { byId, element, formatBytes, formatNumber, formatRate, perFrame, setText } from "./dom.js";
import { comparison, haystack } from "./entry_text.js";
import { Feed } from "./feed.js";
import { fold } from "./case_fold.js";
import { LiveMap, linkOf } from "./live.js";
import { Servers } from "./servers.js";
import { Table } from "./table.js";
import { build } from "./try_it.js";

const SORT_INTERVAL = 250; // ms: an order that changes all the time is put right so often
const TOKEN_KEY = "tracker.token";
const TABS = ["map", "servers", "try"];

const nodes = new Map(); // id → what it says of itself
const nodeName = (id) => nodes.get(id)?.name || (id ? id.slice(0, 6) : "");
const map = new LiveMap(sessionStorage.getItem(TOKEN_KEY) ?? "");
const table = new Table(byId("grid"), clientRows(nodeName, () => map.now()));
const servers = new Servers(sessionStorage.getItem(TOKEN_KEY) ?? "", nodeName, () => [...nodes.values()]);
const feed = new Feed();
const detail = new Detail({
  map, nodeName, space: () => space, token: () => sessionStorage.getItem(TOKEN_KEY) ?? "",
});
const charts = Object.fromEntries(["clients", "changes", "messages"]
  .map((name) => [name, new Spark(byId(`chart-${name}`))]));

let space = new URLSearchParams(location.search).get("space") ?? "";
let order = { column: "id", descending: false };
let query = "", protocol = "";
let known = false; // the whole map has come once

// The table: filtered and sorted anew when who is in it or its order may have changed.

let stale = true, sortedAt = 0, sortTimer = 0;
const counts = new Map(); // protocol → clients

function arrange() {
  clearTimeout(sortTimer);
  sortTimer = 0;
  stale = false;
  sortedAt = performance.now();
  const words = fold(query).split(/\s+/).filter(Boolean), rows = [];
  counts.clear();
  for (const entry of map.entries.values()) {
    counts.set(entry.protocol ?? "unknown", (counts.get(entry.protocol ?? "unknown") ?? 0) + 1);
    if (protocol && entry.protocol !== protocol)
      continue;
    if (words.length) {
      const text = haystack(entry, nodeName(entry.node));
      if (!words.every((word) => text.includes(word)))
        continue;
    }
    rows.push(entry);
  }
  rows.sort(comparison(order.column, order.descending, nodeName));
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

function arrangeNow() {
  arrange();
  drawCounts();
}

/** A changed entry that stays where it is only takes its row. */
function replaceRow(rows, places, entry) {
  const place = places.get(entry.key);
  if (place !== undefined)
    rows[place] = entry;
}

let places = null, placesOf = null;

function takeChanges({ opened, changed, closed, whole }) {
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

// Counts, filters, and what is said instead of rows.

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
  arrangeNow();
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
  const kind = shown ? "" : isFiltered && all ? `none ${query} ${protocol}` : map.state === "live" ? "nobody" : `waiting ${map.state}`;
  empty.hidden = !kind;
  if (empty.dataset.kind === kind)
    return;
  empty.dataset.kind = kind;
  if (kind.startsWith("none"))
    empty.replaceChildren(element("h3", {}, "No client matches"), element("p", {},
      "Nothing here is found by ", element("q", {}, [query, protocol].filter(Boolean).join(", ")), "."),
      element("button", { class: "primary", click: clearSearch }, "Show all"));
  else if (kind === "nobody")
    empty.replaceChildren(element("h3", {}, "Nobody is here yet"),
      element("p", {}, "Open a client by hand, or from a shell:"),
      element("pre", {}, "trackerctl open hello"),
      element("button", { class: "primary", click: () => showTab("try") }, "Try it here"));
  else
    empty.replaceChildren(element("p", { class: "muted" },
      map.state === "refused" ? "The map is not shown." : "Waiting for the map …"));
}

function clearSearch() {
  query = byId("search").value = "";
  setProtocol("");
}

// Numbers.

let last = null;

function takeStats(stats) {
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

/** rate: of a number, per second; null when nobody knows it now. */
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
    ["Front-ends in all", formatNumber(Math.max(1, nodes.size)), true],
  ];
  const list = byId("facts");
  if (list.childElementCount !== facts.length)
    list.replaceChildren(...facts.map(([name]) => element("div", {}, element("dt", {}, name), element("dd"))));
  facts.forEach(([, text, good], i) => {
    setText(list.children[i].lastElementChild, text);
    list.children[i].classList.toggle("bad", !good);
  });
}

// The link.

function takeLink({ state }) {
  const link = byId("link"), said = linkOf(map);
  link.dataset.state = said.state;
  setText(link.lastElementChild, said.text);
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
    text = `No connection: ${map.why}. ${map.isKnown ? "What is shown is as it was; the" : "The"} page tries again.`;
  else if (map.state === "refused" && byId("offers").hidden)
    text = `Not shown: ${map.why}.`;
  else if (last && !last.ready)
    text = `This front-end is not ready: ${last.why}.${last.redis || !map.isKnown ? "" : " What is shown is as it was."}`;
  banner.hidden = !text;
  if (text)
    setText(banner, text);
}

function takeHello(hello) {
  space = hello.space;
  if (!nodes.has(hello.node)) // until Redis has said who else there is
    nodes.set(hello.node, { node: hello.node, name: hello.name });
  document.title = `Tracker · ${hello.name}`;
  setText(byId("front-end"), hello.name);
  drawSpaces(hello.spaces);
  takeLobby(hello);
  drawCoverage(hello);
}

function drawSpaces(names) {
  const select = byId("space");
  select.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  select.value = space;
  select.disabled = names.length < 2 && names.includes(space);
}

/** What each figure is about. */
function drawCoverage({ name }) {
  const here = `front-end ${name}`;
  setText(byId("covers-list"), `in space ${space}`);
  setText(byId("covers-clients"), `space ${space}, all front-ends`);
  for (const figure of ["changes", "messages", "connections"])
    setText(byId(`covers-${figure}`), figure === "connections" ? here : `${here}, all spaces`);
}

/** There is no space of that name: those that there are, to be chosen. */
function takeUnknown({ space: name, spaces, lobby }) {
  space = name;
  drawSpaces(spaces);
  byId("space").prepend(element("option", { value: name, disabled: true, selected: true }, name));
  byId("offers").hidden = false;
  byId("offers").replaceChildren(element("span", {}, "There is no space ", element("q", {}, name), ". Spaces here: "),
    ...spaces.map((one) => element("button", { click: () => chooseSpace(one) }, one)));
  takeLobby({ lobby });
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

function takeLobby({ lobby }) {
  hasServers = lobby !== undefined;
  byId("tab-servers").hidden = !hasServers;
  if (tabShown === "servers")
    showTab(tabAsked());
}

// What people do.

function setOrder(column, descending) {
  order = { column, descending };
  for (const button of byId("grid").querySelectorAll("[data-sort]")) {
    const is = button.dataset.sort === column;
    button.parentElement.setAttribute("aria-sort", !is ? "none" : descending ? "descending" : "ascending");
  }
  byId("sort-by").value = column;
  arrangeNow();
}

let tabShown = "";
let hasServers; // once a front-end has said so

/** The tab that the address asks for: #servers, or ?tab=servers. */
function tabAsked() {
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
  byId("space").parentElement.hidden = name === "servers"; // game servers have one of their own
  if (name === "servers" && hasServers)
    servers.show();
  else
    servers.hide();
  if (name === "try")
    build(byId("view-try"), { space: () => space });
  else
    draw();
}

function askForToken(given) {
  const dialog = byId("sign-in");
  if (given)
    setText(byId("sign-in-why"), "That token is not the right one. It is the setting web.token of this front-end.");
  if (!dialog.open)
    dialog.showModal();
}

function listen() {
  map.addEventListener("changes", ({ detail: changes }) => takeChanges(changes));
  map.addEventListener("stats", ({ detail: stats }) => takeStats(stats));
  map.addEventListener("link", ({ detail: link }) => takeLink(link));
  map.addEventListener("hello", ({ detail: hello }) => takeHello(hello));
  map.addEventListener("unknown", ({ detail }) => takeUnknown(detail));
  for (const one of [map, servers])
    one.addEventListener("unauthorized", ({ detail: { given } }) => askForToken(given));
  map.addEventListener("nodes", ({ detail: list }) => {
    nodes.clear();
    for (const node of list)
      nodes.set(node.node, node);
    if (last && !nodes.has(last.node))
      nodes.set(last.node, { node: last.node, name: last.name });
    stale = true; // who is found by a name, and in which order
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
    arrangeNow();
  });
  byId("sort-by").addEventListener("change", (event) => setOrder(event.target.value, false));
  for (const button of byId("grid").querySelectorAll("[data-sort]"))
    button.addEventListener("click", () => setOrder(button.dataset.sort,
      order.column === button.dataset.sort && !order.descending));
  byId("space").addEventListener("change", (event) => chooseSpace(event.target.value));
  byId("sign-in").addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it
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
  addEventListener("hashchange", () => showTab(tabAsked()));
  setInterval(() => document.hidden || table.draw(), 1000);
}

listen();
showTab(tabAsked());
map.start(space);
