// live: a map of entries that follows the front-end's live stream (docs/web.md).

import { formatClock, base64ToHex } from "./dom.js";

const BACKOFF_FIRST = 500, BACKOFF_MAX = 15000; // ms
const IDLE_MAX = 10000; // ms; statistics arrive each second
const HIDDEN_MAX = 60000; // ms, after which a hidden page closes its stream

/** How to show the state of the stream: its `data-state`, and a text. */
export function describeLink(map) {
  const texts = { off: "", connecting: "Connecting", loading: "Loading", live: "Live", waiting: "No connection",
                  hidden: "Paused", refused: "Refused" };
  if (map.staleSince === null || ["off", "hidden", "refused"].includes(map.state))
    return { state: map.state, text: texts[map.state] };
  if (map.isKnown)
    return { state: "stale", text: `Stale since ${formatClock(map.staleSince - map.offset)}` };
  return { state: "waiting", text: map.state === "waiting" ? texts.waiting : "Waiting for Redis" };
}

/** A client of the map, or a game server. `key` is unique: the id, or a substitute for an id that is not text. */
function makeMapEntry(json) {
  const entry = json;
  entry.key = entryKey(json);
  entry.name = json.name ?? json.id ?? `0x${base64ToHex(json.id64)}`;
  entry.changed = 0;
  return entry;
}

export function entryKey(json) {
  if (typeof json === "string")
    return json;
  return json.id ?? `\0${json.id64}`;
}

/**
 * Events: `link` (state, why), `changes` (opened, changed, closed, whole), `stats`, `nodes`, `hello`,
 * `unauthorized`, `unknown` (space, spaces: there is no such space, but these).
 */
export class LiveMap extends EventTarget {
  entries = new Map();
  /** off, connecting, loading, live, waiting, hidden, refused */
  state = "off";
  /** The reason why it is not live. */
  why = "";
  /** Redis's clock minus the browser's, ms. */
  offset = 0;
  /** Since when the entries may be out of date, by Redis's clock, because the stream or the front-end's Redis is
   * disconnected; or null. */
  staleSince = null;
  /** Whether the whole map has been received once. */
  isKnown = false;

  #space = "";
  #token;
  #parameters;
  #abort = null;
  #attempts = 0;
  #retry = 0;
  #watchdog = 0;
  #hiddenTimer = 0;
  #loading = null; // the keys received since `begin`
  #count = 0;
  #received = 0; // time of the last data

  /** parameters: of the request, in addition to the space. */
  constructor(token, parameters = {}) {
    super();
    this.#token = token;
    this.#parameters = parameters;
    document.addEventListener("visibilitychange", () => this.#onVisibility());
  }

  start(space) {
    this.#space = space;
    this.entries = new Map();
    this.staleSince = null;
    this.isKnown = false;
    this.#emit("changes", { opened: [], changed: [], closed: [], whole: true });
    this.#attempts = 0;
    this.#connect();
  }

  setToken(token) {
    this.#token = token;
    if (this.state !== "off")
      this.resume();
  }

  /** Closes the stream; the entries remain. */
  stop() {
    clearTimeout(this.#hiddenTimer);
    this.#stop();
    this.#setState("off");
  }

  /** Opens the stream again. */
  resume() {
    this.#attempts = 0;
    this.#connect();
  }

  /** Progress of reading the whole map: [entries received, total]. */
  get progress() {
    return [this.#loading ? this.#loading.size : this.entries.size, this.#count];
  }

  now() {
    return Date.now() + this.offset;
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #setState(state, why = "") {
    this.state = state;
    this.why = why;
    this.#emit("link", { state, why });
  }

  /** since: null when it is not stale. A map that is already stale keeps its first time. */
  #setStale(since, why = "") {
    const before = this.staleSince;
    this.staleSince = since === null ? null : this.staleSince ?? since;
    if (this.staleSince !== before)
      this.#setState(this.state, why);
  }

  #onVisibility() {
    clearTimeout(this.#hiddenTimer);
    if (this.state === "off")
      return;
    if (document.hidden) {
      this.#hiddenTimer = setTimeout(() => {
        this.#stop();
        this.#setState("hidden");
      }, HIDDEN_MAX);
    } else if (this.state === "hidden" || this.state === "waiting") {
      this.resume();
    }
  }

  #stop() {
    clearTimeout(this.#retry);
    clearTimeout(this.#watchdog);
    this.#abort?.abort();
    this.#abort = null;
  }

  #reconnectLater(why) {
    const most = Math.min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** this.#attempts++);
    const delay = BACKOFF_FIRST / 2 + Math.random() * most;
    this.#stop();
    this.#setStale(this.#received || this.now(), why);
    this.#setState("waiting", why);
    this.#retry = setTimeout(() => this.#connect(), delay);
  }

  async #connect() {
    this.#stop();
    const abort = new AbortController();
    this.#abort = abort;
    this.#setState("connecting", this.#attempts ? this.why : "");
    this.#restartWatchdog();
    try {
      const headers = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
      const url = new URL("api/v1/live", document.baseURI);
      for (const [name, value] of Object.entries(this.#parameters))
        url.searchParams.set(name, value);
      if (this.#space)
        url.searchParams.set("space", this.#space);
      const response = await fetch(url, { headers, signal: abort.signal, cache: "no-store" });
      if (response.status === 401) {
        this.#stop();
        this.#setState("refused", "a token is required");
        this.#emit("unauthorized", { given: Boolean(this.#token) });
        return;
      }
      const answer = response.ok ? {} : await response.json().catch(() => ({}));
      if (response.status === 404 && this.#abort === abort && Array.isArray(answer.spaces)) {
        this.#stop();
        this.#setState("refused", answer.error);
        this.#emit("unknown", { space: this.#space, ...answer });
        return;
      }
      if (!response.ok)
        throw new Error(answer.error ?? `HTTP ${response.status}`);
      await this.#read(response.body.pipeThrough(new TextDecoderStream()).getReader(), abort);
      throw new Error("the stream was closed");
    } catch (error) {
      if (this.#abort === abort)
        this.#reconnectLater(error instanceof TypeError ? "the front-end is unreachable" : error.message);
    }
  }

  #restartWatchdog() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#reconnectLater("no data received"), IDLE_MAX);
  }

  async #read(reader, abort) {
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.#abort !== abort)
        return;
      this.#restartWatchdog();
      this.#received = this.now();
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts)
        this.#parseEvent(part);
    }
  }

  #parseEvent(text) {
    let name = "message", data = "";
    for (const line of text.split("\n")) {
      if (line.startsWith("event: "))
        name = line.slice(7);
      else if (line.startsWith("data: "))
        data += line.slice(6);
    }
    this.#onEvent(name, JSON.parse(data));
  }

  #onEvent(name, data) {
    switch (name) {
    case "hello":
      this.#attempts = 0;
      this.offset = data.time - Date.now();
      this.#setState("loading");
      this.#emit("hello", data);
      break;
    case "begin":
      this.#loading = new Set();
      this.#count = data.count;
      this.#setState("loading");
      break;
    case "entries":
      this.#onEntries(data);
      break;
    case "closed":
      this.#onClosed(data);
      break;
    case "live":
      this.#finishLoading();
      break;
    case "stats":
      this.offset = data.time - Date.now();
      this.#setStale(data.stale_since ?? (this.state === "live" && data.clients === undefined ? data.time : null),
                     data.why);
      this.#emit("stats", data);
      break;
    case "nodes":
      this.#emit("nodes", data);
      break;
    case "refused":
      this.#setState("refused", data.why);
      break;
    }
  }

  #onEntries(list) {
    const opened = [], changed = [];
    const now = performance.now();
    for (const json of list) {
      const entry = makeMapEntry(json), old = this.entries.get(entry.key);
      if (!this.#loading)
        entry.changed = now;
      this.#loading?.add(entry.key);
      this.entries.set(entry.key, entry);
      (old ? changed : opened).push(entry);
    }
    this.#emit("changes", { opened, changed, closed: [], whole: this.#loading !== null });
  }

  #onClosed(list) {
    const closed = [];
    for (const id of list) {
      const key = entryKey(id), entry = this.entries.get(key);
      if (entry)
        closed.push(entry);
      this.entries.delete(key);
      this.#loading?.delete(key);
    }
    this.#emit("changes", { opened: [], changed: [], closed, whole: this.#loading !== null });
  }

  /** Entries that were not received again have been closed. */
  #finishLoading() {
    const closed = [];
    for (const [key, entry] of this.entries) {
      if (this.#loading && !this.#loading.has(key)) {
        closed.push(entry);
        this.entries.delete(key);
      }
    }
    this.#loading = null;
    this.isKnown = true;
    this.#setState("live");
    this.#emit("changes", { opened: [], changed: [], closed, whole: true });
  }
}
