// sync: properties, and packets between clients.

import { ClientError, JsonClient, isSameJson, ownValue } from "./connection.js";

/** An object of properties and their changes, both as pairs; null deletes one. */
function merged(properties, changes) {
  const all = new Map([...properties, ...changes]);
  return Object.fromEntries([...all].filter(([, value]) => value !== null));
}

/**
 * Metadata sync: properties of this client, those of all others, and packets between them.
 *
 * Events: `metadata` {index, clients} (a whole map has come), `changes` {opened, closed, properties},
 * `packet` {from, type, value, packet}, `error` with a code of the protocol.
 */
export class SyncClient extends JsonClient {
  /** @type {string|null} the token that names this client */
  token = null;
  /** @type {Map<string, Object<string, any>>} token → properties */
  clients = new Map();
  /** The server's version. */
  version = "";

  #mode;
  #resumes;
  #secret = "";
  #known = new Map(); // own properties as the server sent them last
  #pending = new Map(); // changes that it has not sent yet: they are set again after a loss
  #greeted = false;

  /**
   * @param {string|URL} url ws://host:8080/sync, or /sync/SPACE
   * @param {ClientOptions & {mode?: "full"|"delta", resume?: boolean, properties?: Object}} [options]
   *   resume: come back as the same client (true); properties: those at first
   */
  constructor(url, options = {}) {
    super(url, "", options);
    this.#mode = options.mode ?? "full";
    this.#resumes = options.resume ?? true;
    this.#want(options.properties ?? {});
  }

  /** Resolves when the first metadata has come: from then on it hears what is sent to it. */
  async ready() {
    await this._readyWhen(() => this.#greeted);
  }

  get properties() {
    return merged(this.#known, this.#pending);
  }

  /** Changes own properties: any JSON values; null deletes one. */
  set(changes) {
    const wanted = this.#want(changes);
    if (this.#greeted)
      this.#sendProperties(wanted);
  }

  /** Keeps changes, as JSON has them, until the server has sent them. */
  #want(changes) {
    const wanted = JSON.parse(JSON.stringify(changes));
    Object.entries(wanted).forEach(([name, value]) => this.#pending.set(name, value));
    return wanted;
  }

  /** Sends a packet to a token, several, or "*". @param {string|string[]} to */
  send(to, type, value = {}, more = {}) {
    if (!this._say({ to, packet: { ...more, type, [type]: value } }))
      throw new ClientError("not_open", "there is no connection now: a packet is not kept for later");
  }

  #sendProperties(properties) {
    return this._say({ to: "server", packet: { type: "properties", properties } });
  }

  _query(query) {
    if (this.#mode === "delta")
      query.set("mode", "delta");
    if (this.#resumes)
      query.set("resume", this.#secret);
  }

  _lost() {
    this.#greeted = false;
  }

  _take(message) {
    const { from, type } = message;
    if (from !== "server")
      this._tell("packet", { from, type, value: ownValue(message, type), packet: message });
    else if (type === "metadata")
      this.#takeMetadata(message.metadata);
    else if (type === "changes")
      this.#takeChanges(message.changes);
    else if (type === "error")
      this.#takeError(message.error);
  }

  #takeMetadata({ index, indexes, properties, version, resume }) {
    this.clients = new Map(indexes.map((token) => [token, ownValue(properties, token) ?? {}]));
    this.version = version;
    this.#secret = resume ?? this.#secret;
    if (!this.#greeted) {
      this.#greet(index);
      this._tell("greeted");
    }
    this.#look();
    this._tell("metadata", { index, clients: this.clients });
  }

  /** The first metadata of a connection: this is a new client, or the one that it was. */
  #greet(index) {
    if (index !== this.token)
      this.#pending = new Map(Object.entries(this.properties));
    this.token = index;
    this.#greeted = true;
    this._settled();
    this.#look();
    if (this.#pending.size)
      this.#sendProperties(Object.fromEntries(this.#pending));
  }

  /** What the server tells of this client is pending no more. */
  #look() {
    this.#known = new Map(Object.entries(this.clients.get(this.token) ?? {}));
    for (const [name, value] of this.#pending) {
      if (isSameJson(this.#known.get(name) ?? null, value))
        this.#pending.delete(name);
    }
  }

  #takeChanges(changes) {
    for (const token of changes.closed)
      this.#mode === "delta" && this.clients.delete(token);
    for (const token of changes.opened)
      this.#mode === "delta" && !this.clients.has(token) && this.clients.set(token, {});
    for (const [token, values] of Object.entries(changes.values ?? {}))
      this.clients.set(token, merged(Object.entries(this.clients.get(token) ?? {}), Object.entries(values)));
    this.#look();
    this._tell("changes", changes);
  }

  /** Refused properties are not wanted any more: what the server has counts. */
  #takeError({ code, message }) {
    if (["limit", "bad_property", "bad_packet"].includes(code))
      this.#pending.clear();
    this._fail(code, message);
  }
}
