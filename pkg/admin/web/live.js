// live: the front-end's stream of events as a map of entries that follows it (docs/web.md).

import { formatClock, hexOf } from "./dom.js";

const BACKOFF_FIRST = 500, BACKOFF_MAX = 15000; // ms
const SILENCE_MAX = 10000; // numbers come each second
const HIDDEN_MAX = 60000; // after which a page that nobody sees follows no more

/** What to call the state of a link: its `data-state`, and a text. */
export function linkOf(map) {
  const texts = { off: "", connecting: "Connecting", loading: "Loading", live: "Live", waiting: "No connection",
                  hidden: "Paused", refused: "Refused" };
  if (map.staleSince === null || ["off", "hidden", "refused"].includes(map.state))
    return { state: map.state, text: texts[map.state] };
  if (map.isKnown)
    return { state: "stale", text: `Stale since ${formatClock(map.staleSince - map.offset)}` };
  return { state: "waiting", text: map.state === "waiting" ? texts.waiting : "Waiting for Redis" };
}

/** One client of the map, or one game server. `key` is unique: the id, or what stands for one that is no text. */
function entryOf(json) {
  const entry = json;
  entry.key = keyOf(json);
  entry.name = json.name ?? json.id ?? `0x${hexOf(json.id64)}`;
  entry.changed = 0;
  return entry;
}

export function keyOf(json) {
  if (typeof json === "string")
    return json;
  return json.id ?? `\0${json.id64}`;
}

/**
 * Events: `link` (state), `changes` (opened, changed, closed, whole), `stats`, `nodes`, `hello`,
 * `unauthorized`, `unknown` (space, spaces: there is none of that name, but these).
 */
export class LiveMap extends EventTarget {
  entries = new Map();
  /** off, connecting, loading, live, waiting, hidden, refused */
  state = "off";
  /** Why it is not live. */
  why = "";
  /** Of Redis's clock, minus ours. */
  offset = 0;
  /** Since when what is known may be wrong, by Redis's clock: the stream is gone, or the front-end has no Redis; or null. */
  staleSince = null;
  /** Whether the whole map has come once. */
  isKnown = false;

  #space = "";
  #token;
  #parameters;
  #abort = null;
  #attempts = 0;
  #retry = 0;
  #watchdog = 0;
  #hiding = 0;
  #loading = null; // the keys met since `begin`
  #count = 0;
  #received = 0; // when something last was

  /** parameters: of the request, besides the space. */
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
    this.#tell("changes", { opened: [], changed: [], closed: [], whole: true });
    this.#attempts = 0;
    this.#connect();
  }

  setToken(token) {
    this.#token = token;
    if (this.state !== "off")
      this.resume();
  }

  /** Follows no more; what is known stays. */
  stop() {
    clearTimeout(this.#hiding);
    this.#stop();
    this.#setState("off");
  }

  /** Follows again, from what is known. */
  resume() {
    this.#attempts = 0;
    this.#connect();
  }

  /** Of the whole map that is being read: [entries so far, in all]. */
  get progress() {
    return [this.#loading ? this.#loading.size : this.entries.size, this.#count];
  }

  now() {
    return Date.now() + this.offset;
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #setState(state, why = "") {
    this.state = state;
    this.why = why;
    this.#tell("link", { state, why });
  }

  /** since: null when it is not stale. What is stale already is so from the first. */
  #setStale(since, why = "") {
    const before = this.staleSince;
    this.staleSince = since === null ? null : this.staleSince ?? since;
    if (this.staleSince !== before)
      this.#setState(this.state, why);
  }

  #onVisibility() {
    clearTimeout(this.#hiding);
    if (this.state === "off")
      return;
    if (document.hidden) {
      this.#hiding = setTimeout(() => {
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

  #later(why) {
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
    this.#watch();
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
        this.#setState("refused", "a token is needed");
        this.#tell("unauthorized", { given: Boolean(this.#token) });
        return;
      }
      const answer = response.ok ? {} : await response.json().catch(() => ({}));
      if (response.status === 404 && this.#abort === abort && Array.isArray(answer.spaces)) {
        this.#stop();
        this.#setState("refused", answer.error);
        this.#tell("unknown", { space: this.#space, ...answer });
        return;
      }
      if (!response.ok)
        throw new Error(answer.error ?? `HTTP ${response.status}`);
      await this.#read(response.body.pipeThrough(new TextDecoderStream()).getReader(), abort);
      throw new Error("the stream has ended");
    } catch (error) {
      if (this.#abort === abort)
        this.#later(error instanceof TypeError ? "the front-end does not answer" : error.message);
    }
  }

  #watch() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#later("nothing was heard"), SILENCE_MAX);
  }

  async #read(reader, abort) {
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.#abort !== abort)
        return;
      this.#watch();
      this.#received = this.now();
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts)
        this.#take(part);
    }
  }

  #take(text) {
    let name = "message", data = "";
    for (const line of text.split("\n")) {
      if (line.startsWith("event: "))
        name = line.slice(7);
      else if (line.startsWith("data: "))
        data += line.slice(6);
    }
    this.#handle(name, JSON.parse(data));
  }

  #handle(name, data) {
    switch (name) {
    case "hello":
      this.#attempts = 0;
      this.offset = data.time - Date.now();
      this.#setState("loading");
      this.#tell("hello", data);
      break;
    case "begin":
      this.#loading = new Set();
      this.#count = data.count;
      this.#setState("loading");
      break;
    case "entries":
      this.#takeEntries(data);
      break;
    case "closed":
      this.#takeClosed(data);
      break;
    case "live":
      this.#finishLoading();
      break;
    case "stats":
      this.offset = data.time - Date.now();
      this.#setStale(data.stale_since ?? (this.state === "live" && data.clients === undefined ? data.time : null),
                     data.why);
      this.#tell("stats", data);
      break;
    case "nodes":
      this.#tell("nodes", data);
      break;
    case "refused":
      this.#setState("refused", data.why);
      break;
    }
  }

  #takeEntries(list) {
    const opened = [], changed = [];
    const now = performance.now();
    for (const json of list) {
      const entry = entryOf(json), old = this.entries.get(entry.key);
      if (!this.#loading)
        entry.changed = now;
      this.#loading?.add(entry.key);
      this.entries.set(entry.key, entry);
      (old ? changed : opened).push(entry);
    }
    this.#tell("changes", { opened, changed, closed: [], whole: this.#loading !== null });
  }

  #takeClosed(list) {
    const closed = [];
    for (const id of list) {
      const key = keyOf(id), entry = this.entries.get(key);
      if (entry)
        closed.push(entry);
      this.entries.delete(key);
      this.#loading?.delete(key);
    }
    this.#tell("changes", { opened: [], changed: [], closed, whole: this.#loading !== null });
  }

  /** What was known before and was not met again is gone. */
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
    this.#tell("changes", { opened: [], changed: [], closed, whole: true });
  }
}
