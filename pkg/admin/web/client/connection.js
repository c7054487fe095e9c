/**
 * The JavaScript client of Tracker: Tracker entries, turntable presence and rooms, and metadata sync,
 * over WebSocket, in browsers and in Node (18 or later). One module, no dependencies.
 *
 *   import { TrackerClient, TurntableClient, SyncClient } from "https://example.org/tracker.js";
 *
 * Each client connects when it is made, and again whenever the connection ends, with exponential
 * backoff and full jitter; then it is again what it was: entries are adopted, users identified and
 * subscribed, rooms joined, properties set. It ends by end(), and when the server says that coming
 * back is of no use (`state` is "ended" then; `why` says it).
 *
 * Events have a `detail`. All clients tell:
 *   state   {state, why, code}     connecting, open, waiting, ended
 *   error   ClientError            what the server refused, or could not be understood
 *   message {out, data}            each message, for logs: text or Uint8Array
 *
 * @typedef {Object} ClientOptions
 * @property {string|(() => string|Promise<string>)} [token] a signed token, where the server asks
 *   for one; a function is asked for a fresh one for each connection
 * @property {function(new:WebSocket, ...any)} [WebSocket] where there is no global one: that of npm's ws
 * @property {number} [backoff] the most that the first wait takes, ms (500); doubled each time
 * @property {number} [backoffMax] the most that any wait takes, ms (15000)
 * @property {number} [timeout] how long a connection may take to open, ms (10000)
 */

export class ClientError extends Error {
  /** @param {string} code a short word  @param {string} message for people  @param {Object} [more] */
  constructor(code, message, more = {}) {
    super(message);
    this.name = "ClientError";
    this.code = code;
    Object.assign(this, more);
  }
}

/** An event with a detail: CustomEvent, which Node 18 has not. */
class ClientEvent extends Event {
  constructor(type, detail) {
    super(type);
    this.detail = detail;
  }
}

/** Codes after which coming back makes no sense, or would fight with somebody else. */
const FINAL = new Set([1002, 1003, 1007, 1008, 3003, 4001]);
const UNAUTHORIZED = 3000;
/** Between two attempts at what failed for a passing reason, ms: doubled each time up to the most. */
const RETRY_MS = 250, RETRY_MAX_MS = 5000;
export const encoder = new TextEncoder();
export const strict = new TextDecoder("utf-8", { fatal: true });

/** A value that peers named: never one that the object inherits, such as `constructor`. */
export const ownValue = (object, name) => (Object.hasOwn(object, name) ? object[name] : undefined);

/** Whether two JSON values are the same; the order of an object's keys means nothing. */
export function isSameJson(a, b) {
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object")
    return a === b;
  if (Array.isArray(a) !== Array.isArray(b))
    return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && isSameJson(a[name], b[name]));
}

/** Calls a function again after a wait that grows with each call in a row, unless one is due already. */
export class Retry {
  #attempts = 0;
  #timer = null;

  later(again) {
    if (this.#timer !== null)
      return;
    const most = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** this.#attempts++);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      again();
    }, most / 2 + Math.random() * most / 2);
  }

  /** It has succeeded: the next failure is a new one. */
  succeeded() {
    this.#attempts = 0;
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** What the three clients share: a connection that comes back. */
export class Client extends EventTarget {
  /** connecting, open, waiting (for the next attempt), ended */
  state = "connecting";
  /** Why it is not open. */
  why = "";

  #options;
  #url;
  #protocol;
  #socket = null;
  #attempts = 0;
  #timer = null;
  #online = () => this.state === "waiting" && this.#connect();

  constructor(url, protocol, options) {
    super();
    this.#options = { backoff: 500, backoffMax: 15000, timeout: 10000, ...options };
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#protocol = protocol;
    if (!this.#implementation)
      throw new ClientError("no_websocket", "no WebSocket here: give one as the option WebSocket");
    globalThis.addEventListener?.("online", this.#online);
    queueMicrotask(() => this.state === "connecting" && this.#connect());
  }

  get url() {
    return this.#url.href;
  }

  get isOpen() {
    return this.state === "open";
  }

  /** Resolves when the server serves this client, at once when it does; rejects when it has ended. */
  async ready() {
    await this._readyWhen(() => this.isOpen);
  }

  /** @protected failure: why the client will not be served as it is; null while that is open */
  _readyWhen(isServed, failure = () => null) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const error = this.state === "ended" ? new ClientError("ended", this.why) : failure();
        if (!isServed() && !error)
          return;
        ["state", "greeted"].forEach((name) => this.removeEventListener(name, look));
        isServed() ? resolve() : reject(error);
      };
      ["state", "greeted"].forEach((name) => this.addEventListener(name, look));
      look();
    });
  }

  /** Ends the connection for good. */
  end() {
    this.#end("ended by this client", 1000);
  }

  /** Ends this connection; the client comes back as after any loss. For tests and the curious. */
  drop() {
    const socket = this.#socket;
    this.#lose(socket, "dropped", 1000);
    socket?.close(1000);
  }

  get #implementation() {
    return this.#options.WebSocket ?? globalThis.WebSocket;
  }

  /** @protected */
  _tell(type, detail) {
    this.dispatchEvent(new ClientEvent(type, detail));
  }

  /** @protected */
  _fail(code, message, more) {
    this._tell("error", new ClientError(code, message, more));
  }

  /** @protected The server has shown that it serves us: the next loss is a new one. */
  _settled() {
    this.#attempts = 0;
  }

  /** @protected False when there is no connection. */
  _send(data) {
    if (!this.isOpen)
      return false;
    this.#socket.send(data);
    this._tell("message", { out: true, data });
    return true;
  }

  #setState(state, why = "", code = 0) {
    this.state = state;
    this.why = why;
    this._tell("state", { state, why, code });
  }

  async #connect() {
    clearTimeout(this.#timer);
    this.#setState("connecting");
    const url = new URL(this.#url);
    this._query?.(url.searchParams);
    const { token, timeout } = this.#options;
    let socket = null;
    try {
      const text = typeof token === "function" ? await token() : token;
      if (this.state !== "connecting")
        return;
      if (text)
        url.searchParams.set("token", text);
      socket = new this.#implementation(url.href, this.#protocol ? [this.#protocol] : []);
    } catch (error) {
      this.#later(`cannot connect: ${error.message}`);
      return;
    }
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#timer = setTimeout(() => {
      this.#lose(socket, "no answer in time", 0);
      socket.close();
    }, timeout);
    socket.addEventListener("open", () => this.#opened(socket));
    socket.addEventListener("message", (event) => this.#received(socket, event.data));
    socket.addEventListener("close", (event) => this.#lose(socket, event.reason, event.code));
    socket.addEventListener("error", () => {}); // `close` follows
  }

  #opened(socket) {
    if (socket !== this.#socket)
      return;
    clearTimeout(this.#timer);
    this.#setState("open");
    this._opened?.();
  }

  #received(socket, data) {
    if (socket !== this.#socket)
      return;
    const message = typeof data === "string" ? data : new Uint8Array(data);
    this._tell("message", { out: false, data: message });
    this._received(message);
  }

  /** The connection is gone. */
  #lose(socket, why, code) {
    if (!socket || socket !== this.#socket)
      return;
    this.#socket = null;
    const isRefused = code === UNAUTHORIZED && typeof this.#options.token !== "function";
    if (FINAL.has(code) || isRefused)
      this.#end(why || `closed with ${code}`, code);
    else
      this.#later(why || "the connection was lost", code);
  }

  #later(why, code = 0) {
    const { backoff, backoffMax } = this.#options;
    const most = Math.min(backoffMax, backoff * 2 ** this.#attempts++);
    clearTimeout(this.#timer);
    this._lost?.();
    this.#setState("waiting", why, code);
    if (this.state === "waiting")
      this.#timer = setTimeout(() => this.#connect(), Math.random() * most);
  }

  #end(why, code) {
    if (this.state === "ended")
      return;
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.("online", this.#online);
    this._lost?.();
    this.#setState("ended", why, code);
    this._ended?.(new ClientError("ended", why));
    socket?.close(1000);
  }
}

/** A client whose messages are JSON. */
export class JsonClient extends Client {
  _say(object) {
    return this._send(JSON.stringify(object));
  }

  _received(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      this._fail("protocol", "the server sent no JSON");
      return;
    }
    this._take(message);
  }
}
