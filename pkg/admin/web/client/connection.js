/**
 * The JavaScript client of Tracker: entries of the map, turntable presence and rooms, and metadata
 * sync, over WebSocket, in browsers and in Node 18 or later. One module without dependencies.
 *
 *   import { TrackerClient, TurntableClient, SyncClient } from "https://example.org/tracker.js";
 *
 * Each client connects when it is created, and reconnects whenever the connection is lost, with
 * exponential backoff and full jitter. Then it restores its state: it adopts its entries, identifies
 * its user, subscribes, joins its rooms, sets its properties. It ends by end(), or when reconnecting
 * is pointless (`state` is "ended" then, and `reason` has the cause).
 *
 * Events have a `detail`. All clients emit:
 *   state   {state, reason, code}  connecting, open, waiting, ended
 *   error   ClientError            a refusal of the server, or a malformed message
 *   message {out, data}            each message, for logs: text or Uint8Array
 *
 * @typedef {Object} ClientOptions
 * @property {string|(() => string|Promise<string>)} [token] a signed token, where the server requires
 *   one; a function is called for each connection and returns a fresh token
 * @property {function(new:WebSocket, ...any)} [WebSocket] the implementation, where there is no global
 *   one: that of npm's ws
 * @property {number} [backoff] the longest first wait, ms (500); doubled each time
 * @property {number} [backoffMax] the longest wait, ms (15000)
 * @property {number} [timeout] the time that a connection may take to open, ms (10000)
 */

export class ClientError extends Error {
  /** @param {string} code for programs  @param {string} message for people  @param {Object} [more] */
  constructor(code, message, more = {}) {
    super(message);
    this.name = "ClientError";
    this.code = code;
    Object.assign(this, more);
  }
}

/** An event with a detail. Node 18 has no CustomEvent. */
class ClientEvent extends Event {
  constructor(type, detail) {
    super(type);
    this.detail = detail;
  }
}

/** Close codes after which reconnecting is pointless, or would compete with another connection. */
const FINAL_CODES = new Set([1002, 1003, 1007, 1008, 3003, 4001]);
const UNAUTHORIZED = 3000;
/** Between two attempts after a temporary failure, ms: doubled each time up to the maximum. */
const RETRY_MS = 250, RETRY_MAX_MS = 5000;
export const encoder = new TextEncoder();
export const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** A value under a name that a peer chose: never an inherited one, such as `constructor`. */
export const ownValue = (object, name) => (Object.hasOwn(object, name) ? object[name] : undefined);

/** Whether two JSON values are equal, regardless of the order of keys. */
export function isSameJson(a, b) {
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object")
    return a === b;
  if (Array.isArray(a) !== Array.isArray(b))
    return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && isSameJson(a[name], b[name]));
}

/** Calls a function after a wait that grows with each failure in a row. Ignored while one is scheduled. */
export class RetryTimer {
  #attempts = 0;
  #timer = null;

  schedule(callback) {
    if (this.#timer !== null)
      return;
    const most = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** this.#attempts++);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      callback();
    }, most / 2 + Math.random() * most / 2);
  }

  /** After a success, the next wait is a short one again. */
  reset() {
    this.#attempts = 0;
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** The base of the three clients: a connection that reconnects. */
export class Client extends EventTarget {
  /** connecting, open, waiting (for the next attempt), ended */
  state = "connecting";
  /** The reason why it is not open. */
  reason = "";

  #options;
  #url;
  #protocol;
  #socket = null;
  #attempts = 0;
  #timer = null;
  #onOnline = () => this.state === "waiting" && this.#connect();

  constructor(url, protocol, options) {
    super();
    this.#options = { backoff: 500, backoffMax: 15000, timeout: 10000, ...options };
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#protocol = protocol;
    if (!this.#implementation)
      throw new ClientError("no_websocket", "no global WebSocket: pass an implementation as the option WebSocket");
    globalThis.addEventListener?.("online", this.#onOnline);
    queueMicrotask(() => this.state === "connecting" && this.#connect());
  }

  /** @deprecated the name of `reason` in 0.1 */
  get why() {
    return this.reason;
  }

  get url() {
    return this.#url.href;
  }

  get isOpen() {
    return this.state === "open";
  }

  /** Resolves when the handshake is complete; rejects when the client has ended. */
  async ready() {
    await this._readyWhen(() => this.isOpen);
  }

  /** @protected failure: returns the error that prevents the client from being ready, or null */
  _readyWhen(isReady, failure = () => null) {
    return new Promise((resolve, reject) => {
      const check = () => {
        const error = this.state === "ended" ? new ClientError("ended", this.reason) : failure();
        if (!isReady() && !error)
          return;
        ["state", "handshake"].forEach((name) => this.removeEventListener(name, check));
        isReady() ? resolve() : reject(error);
      };
      ["state", "handshake"].forEach((name) => this.addEventListener(name, check));
      check();
    });
  }

  /** Closes the connection and does not reconnect. */
  end() {
    this.#end("ended by this client", 1000);
  }

  /** Closes this connection as if the network had failed; the client reconnects. For tests. */
  drop() {
    const socket = this.#socket;
    this.#onSocketLost(socket, "dropped", 1000);
    socket?.close(1000);
  }

  get #implementation() {
    return this.#options.WebSocket ?? globalThis.WebSocket;
  }

  /** @protected */
  _emit(type, detail) {
    this.dispatchEvent(new ClientEvent(type, detail));
  }

  /** @protected */
  _fail(code, message, more) {
    this._emit("error", new ClientError(code, message, more));
  }

  /** @protected The handshake succeeded: the next backoff starts from the beginning. */
  _resetBackoff() {
    this.#attempts = 0;
  }

  /** @protected False when not connected. */
  _send(data) {
    if (!this.isOpen)
      return false;
    this.#socket.send(data);
    this._emit("message", { out: true, data });
    return true;
  }

  #setState(state, reason = "", code = 0) {
    this.state = state;
    this.reason = reason;
    this._emit("state", { state, reason, code, why: reason }); // `why`: the name in 0.1
  }

  async #connect() {
    clearTimeout(this.#timer);
    this.#setState("connecting");
    const url = new URL(this.#url);
    this._addQuery?.(url.searchParams);
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
      this.#reconnectLater(`cannot connect: ${error.message}`);
      return;
    }
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#timer = setTimeout(() => {
      this.#onSocketLost(socket, "connection timed out", 0);
      socket.close();
    }, timeout);
    socket.addEventListener("open", () => this.#onSocketOpen(socket));
    socket.addEventListener("message", (event) => this.#onSocketMessage(socket, event.data));
    socket.addEventListener("close", (event) => this.#onSocketLost(socket, event.reason, event.code));
    socket.addEventListener("error", () => {}); // `close` follows
  }

  #onSocketOpen(socket) {
    if (socket !== this.#socket)
      return;
    clearTimeout(this.#timer);
    this.#setState("open");
    this._onOpen?.();
  }

  #onSocketMessage(socket, data) {
    if (socket !== this.#socket)
      return;
    const message = typeof data === "string" ? data : new Uint8Array(data);
    this._emit("message", { out: false, data: message });
    this._onData(message);
  }

  /** The connection was lost or closed. */
  #onSocketLost(socket, reason, code) {
    if (!socket || socket !== this.#socket)
      return;
    this.#socket = null;
    const isRefused = code === UNAUTHORIZED && typeof this.#options.token !== "function";
    if (FINAL_CODES.has(code) || isRefused)
      this.#end(reason || `closed with ${code}`, code);
    else
      this.#reconnectLater(reason || "the connection was lost", code);
  }

  #reconnectLater(reason, code = 0) {
    const { backoff, backoffMax } = this.#options;
    const most = Math.min(backoffMax, backoff * 2 ** this.#attempts++);
    clearTimeout(this.#timer);
    this._onLost?.();
    this.#setState("waiting", reason, code);
    if (this.state === "waiting")
      this.#timer = setTimeout(() => this.#connect(), Math.random() * most);
  }

  #end(reason, code) {
    if (this.state === "ended")
      return;
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.("online", this.#onOnline);
    this._onLost?.();
    this.#setState("ended", reason, code);
    this._onEnd?.(new ClientError("ended", reason));
    socket?.close(1000);
  }
}

/** A client whose messages are JSON. */
export class JsonClient extends Client {
  _sendJson(object) {
    return this._send(JSON.stringify(object));
  }

  _onData(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      this._fail("protocol", "the server sent a message that is not valid JSON");
      return;
    }
    this._onMessage(message);
  }
}
