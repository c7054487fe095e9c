// sync: the client of metadata sync: properties, and packets between clients.

import { ClientError, JsonClient, isSameJson, ownValue } from "./connection.js";

/** Properties with changes applied, as an object; both are pairs, and null deletes a property. */
function mergeProperties(properties, changes) {
  const all = new Map([...properties, ...changes]);
  return Object.fromEntries([...all].filter(([, value]) => value !== null));
}

/**
 * Metadata sync: the properties of this client and of all others, and packets between clients.
 *
 * Events: `metadata` {index, clients} (a whole map has arrived), `changes` {opened, closed, properties},
 * `packet` {from, type, value, packet}, `error` with a code of the protocol.
 */
export class SyncClient extends JsonClient {
  /** @type {string|null} the token that identifies this client */
  token = null;
  /** @type {Map<string, Object<string, any>>} token → properties */
  clients = new Map();
  /** The server's version. */
  version = "";

  #mode;
  #resumes;
  #secret = "";
  #confirmed = new Map(); // own properties as the server last sent them
  #pending = new Map(); // changes that the server has not sent back yet; set again after a reconnect
  #isHandshakeDone = false;

  /**
   * @param {string|URL} url ws://host:8080/sync, or /sync/SPACE
   * @param {ClientOptions & {mode?: "full"|"delta", resume?: boolean, properties?: Object}} [options]
   *   resume: reconnect as the same client (true); properties: the initial ones
   */
  constructor(url, options = {}) {
    super(url, "", options);
    this.#mode = options.mode ?? "full";
    this.#resumes = options.resume ?? true;
    this.#setPending(options.properties ?? {});
  }

  /** Resolves when the first metadata has arrived: from then on the client receives packets. */
  async ready() {
    await this._readyWhen(() => this.#isHandshakeDone);
  }

  /** Its own properties, with changes that the server has not confirmed yet. */
  get properties() {
    return mergeProperties(this.#confirmed, this.#pending);
  }

  /** Changes own properties, to any JSON values; null deletes one. */
  set(changes) {
    const wanted = this.#setPending(changes);
    if (this.#isHandshakeDone)
      this.#sendProperties(wanted);
  }

  /** Keeps changes, as JSON represents them, until the server confirms them. */
  #setPending(changes) {
    const wanted = JSON.parse(JSON.stringify(changes));
    Object.entries(wanted).forEach(([name, value]) => this.#pending.set(name, value));
    return wanted;
  }

  /** Sends a packet to a token, to several, or to all ("*"). @param {string|string[]} to */
  send(to, type, value = {}, more = {}) {
    if (!this._sendJson({ to, packet: { ...more, type, [type]: value } }))
      throw new ClientError("not_open", "not connected: packets are not queued");
  }

  #sendProperties(properties) {
    return this._sendJson({ to: "server", packet: { type: "properties", properties } });
  }

  _addQuery(query) {
    if (this.#mode === "delta")
      query.set("mode", "delta");
    if (this.#resumes)
      query.set("resume", this.#secret);
  }

  _onLost() {
    this.#isHandshakeDone = false;
  }

  _onMessage(message) {
    const { from, type } = message;
    if (from !== "server")
      this._emit("packet", { from, type, value: ownValue(message, type), packet: message });
    else if (type === "metadata")
      this.#onMetadata(message.metadata);
    else if (type === "changes")
      this.#onChanges(message.changes);
    else if (type === "error")
      this.#onError(message.error);
  }

  #onMetadata({ index, indexes, properties, version, resume }) {
    this.clients = new Map(indexes.map((token) => [token, ownValue(properties, token) ?? {}]));
    this.version = version;
    this.#secret = resume ?? this.#secret;
    if (!this.#isHandshakeDone) {
      this.#onFirstMetadata(index);
      this._emit("handshake");
    }
    this.#updateKnown();
    this._emit("metadata", { index, clients: this.clients });
  }

  /** The first metadata of a connection: the client is a new one, or was resumed. */
  #onFirstMetadata(index) {
    if (index !== this.token)
      this.#pending = new Map(Object.entries(this.properties));
    this.token = index;
    this.#isHandshakeDone = true;
    this._resetBackoff();
    this.#updateKnown();
    if (this.#pending.size)
      this.#sendProperties(Object.fromEntries(this.#pending));
  }

  /** Changes that the server has sent back are no longer pending. */
  #updateKnown() {
    this.#confirmed = new Map(Object.entries(this.clients.get(this.token) ?? {}));
    for (const [name, value] of this.#pending) {
      if (isSameJson(this.#confirmed.get(name) ?? null, value))
        this.#pending.delete(name);
    }
  }

  #onChanges(changes) {
    for (const token of changes.closed)
      this.#mode === "delta" && this.clients.delete(token);
    for (const token of changes.opened)
      this.#mode === "delta" && !this.clients.has(token) && this.clients.set(token, {});
    for (const [token, values] of Object.entries(changes.values ?? {}))
      this.clients.set(token, mergeProperties(Object.entries(this.clients.get(token) ?? {}), Object.entries(values)));
    this.#updateKnown();
    this._emit("changes", changes);
  }

  /** Drops pending changes when they are refused: the server's properties count. */
  #onError({ code, message }) {
    if (["limit", "bad_property", "bad_packet"].includes(code))
      this.#pending.clear();
    this._fail(code, message);
  }
}
