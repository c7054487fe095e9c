// tracker: the client of the Tracker protocol: entries of the map.

import { Client, ClientError, encoder, strictDecoder } from "./connection.js";

const OPEN = 0, CLOSE = 1, UPDATE = 2, ALL = 3;
const PACKET_MAX = 251; // bytes of an id and its state in a push
const ID_LENGTH = 7; // of ids that the server assigns
const MAP_COMPLETE_MS = 300; // a large map arrives in several packets; it is complete after such a pause
const ADOPT_EVERY_MS = 1000, ADOPT_FOR_MS = 40000; // until the server notices that an old connection is lost
const LATE_MS = 2500; // a later refusal means that the map did not answer in time
const LATE_FOR_MS = 20000; // for how long a request is repeated after such refusals

const encodeBytes = (value) => (typeof value === "string" ? encoder.encode(value) : new Uint8Array(value));
const withLength = (bytes) => [bytes.length, ...bytes];

function makePacket(type, ...content) {
  const bytes = content.flat();
  return Uint8Array.of(0x2a, 1, type, bytes.length, ...bytes);
}

const isLateReply = (sent) => Date.now() - sent >= LATE_MS;

function decodeText(bytes) {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return null;
  }
}

/**
 * An entry of the map.
 * @typedef {Object} TrackerEntry
 * @property {string} id text; one character for each byte when it is not UTF-8
 * @property {number} version its low byte
 * @property {Uint8Array} bytes the state
 * @property {string|null} text the state as text; null when it is not UTF-8
 */
function makeEntry(id, version, bytes) {
  const name = typeof id === "string" ? id : decodeText(id) ?? String.fromCharCode(...id);
  return { id: name, version, bytes, text: decodeText(bytes) };
}

/**
 * Entries of the map, in the versioned dialect of the Tracker protocol. Other clients' entries are
 * received from the first open() or update() on. Updates of one entry that are waiting are merged.
 *
 * Events: `change` {entry, previous} (a new entry, or a new state), `closed` {entry}, `map` {entries}
 * (a whole map has arrived), `renamed` {from, to} (another client had the id after a reconnect).
 */
export class TrackerClient extends Client {
  /** @type {Map<string, TrackerEntry>} the map as known so far, with own entries */
  entries = new Map();

  #own = new Map(); // id → {id, idBytes, version, bytes, waiters, sending, adopted, since, late}
  #sent = []; // requests that wait for a reply, in order
  #queue = []; // requests for the next connection
  #rest = new Uint8Array(0);
  #mapVersion = -1;
  #seen = new Set(); // ids received in the present map
  #mapTimer = null;
  #isComplete = false;

  /** @param {string|URL} url ws://host:8080/tracker, or /tracker/SPACE  @param {ClientOptions} [options] */
  constructor(url, options = {}) {
    super(url, "tracker", options);
  }

  /** The ids of own entries. */
  get ownIds() {
    return [...this.#own.keys()];
  }

  /** @deprecated the name of `ownIds` in 0.1 */
  get own() {
    return this.ownIds;
  }

  /** Opens an entry; resolves to its id. @param {string|Uint8Array} state at most 244 bytes */
  async open(state) {
    const bytes = this.#checkSize(ID_LENGTH, encodeBytes(state));
    return this.#request(() => makePacket(OPEN, withLength(bytes)), (id) => {
      this.#adopt(this.#record(id, bytes), true);
      return id;
    });
  }

  /**
   * Sets the state of an own entry, or of one whose client is disconnected, which becomes an own one. An
   * id that is not in the map is created. Resolves when the server has accepted it.
   * @param {string} id  @param {string|Uint8Array} state
   */
  async update(id, state) {
    const record = this.#own.get(id) ?? this.#record(id, new Uint8Array(0), this.entries.get(id)?.version ?? 255);
    record.bytes = this.#checkSize(record.idBytes.length, encodeBytes(state));
    return new Promise((resolve, reject) => {
      record.waiters.push({ resolve, reject });
      this.#sendUpdate(record);
    });
  }

  /** Closes an entry. @param {string} id */
  async close(id) {
    const idBytes = encoder.encode(id);
    this.#own.delete(id);
    return this.#request(() => makePacket(CLOSE, withLength(idBytes)), () => this.#remove(id));
  }

  /**
   * One entry, or undefined; without an id, all of them. Waits for the first whole map, which arrives
   * after open() or update().
   * @param {string} [id]  @returns {Promise<TrackerEntry|undefined|Map<string, TrackerEntry>>}
   */
  async get(id) {
    if (!this.#isComplete) {
      await new Promise((resolve, reject) => {
        this.addEventListener("map", resolve, { once: true });
        this.addEventListener("state", () => this.state === "ended" && reject(new ClientError("ended", this.reason)));
      });
    }
    return id === undefined ? this.entries : this.entries.get(id);
  }

  #checkSize(idLength, bytes) {
    if (idLength + bytes.length > PACKET_MAX)
      throw new ClientError("too_long", `the state has ${bytes.length} bytes; the maximum with this id is ${PACKET_MAX - idLength}`);
    return bytes;
  }

  #record(id, bytes, version = 0) {
    const record = { id, idBytes: encoder.encode(id), version, bytes, waiters: [], sending: false, adopted: false, since: 0, late: 0 };
    this.#own.set(id, record);
    return record;
  }

  /** A request that is repeated when its reply is lost, or when the map does not answer in time. */
  #request(make, done) {
    if (this.state === "ended")
      return Promise.reject(new ClientError("ended", this.reason));
    return new Promise((resolve, reject) => {
      const began = Date.now();
      const request = {
        send: () => {
          request.sent = Date.now();
          this.#sent.push(request);
          this._send(make());
        },
        answer: (good, id) => {
          if (good)
            resolve(done(id));
          else if (isLateReply(request.sent) && Date.now() - began < LATE_FOR_MS)
            this.#submit(request);
          else
            reject(new ClientError("refused", "the server refused the request"));
        },
        lost: () => this.#queue.push(request),
        ended: reject,
      };
      this.#submit(request);
    });
  }

  #submit(request) {
    this.isOpen ? request.send() : this.#queue.push(request);
  }

  /** Sends the entry's newest state, unless an update is waiting for its reply. */
  #sendUpdate(record) {
    if (!this.isOpen || record.sending)
      return;
    const bytes = record.bytes, waiters = record.waiters.splice(0), sent = Date.now();
    record.sending = true;
    record.version = record.version + 1 & 255;
    this.#sent.push({
      answer: (good) => {
        record.sending = false;
        if (good) {
          this.#adopt(record, true);
          waiters.forEach((waiter) => waiter.resolve());
        } else if (this.#isTemporary(record, sent)) {
          record.waiters.unshift(...waiters);
          this.#sendUpdate(record);
        } else if (record.adopted || !record.since) {
          waiters.forEach((waiter) => waiter.reject(new ClientError("refused", "the server refused the update")));
          if (!record.adopted)
            this.#own.delete(record.id);
        } else {
          record.waiters.unshift(...waiters);
          this.#retryAdoption(record);
        }
        if (good && record.bytes !== bytes)
          this.#sendUpdate(record);
      },
      lost: () => {
        record.sending = false;
        record.waiters.unshift(...waiters);
      },
      ended: (error) => waiters.forEach((waiter) => waiter.reject(error)),
    });
    this._send(makePacket(UPDATE, record.version, withLength(record.idBytes), withLength(bytes)));
  }

  /** Whether the map did not answer an update in time, and it should be repeated. */
  #isTemporary(record, sent) {
    if (!isLateReply(sent))
      return false;
    record.late ||= sent;
    return Date.now() - record.late < LATE_FOR_MS && this.#own.get(record.id) === record;
  }

  #adopt(record, good) {
    record.adopted = good;
    record.since = record.late = 0;
    this._resetBackoff();
    this.#setEntry(makeEntry(record.id, record.version, record.bytes));
  }

  /** After a reconnect, the entry belongs to the old connection still, or to another client. */
  #retryAdoption(record) {
    if (Date.now() - record.since < ADOPT_FOR_MS) {
      setTimeout(() => this.#own.get(record.id) === record && this.#sendUpdate(record), ADOPT_EVERY_MS);
      return;
    }
    this.#own.delete(record.id);
    this.open(record.bytes).then((id) => {
      record.waiters.forEach((waiter) => waiter.resolve());
      this._emit("renamed", { from: record.id, to: id });
    }, (error) => record.waiters.forEach((waiter) => waiter.reject(error)));
  }

  _onOpen() {
    this.#rest = new Uint8Array(0);
    this.#mapVersion = -1;
    for (const record of this.#own.values()) {
      record.since ||= record.adopted ? Date.now() : 0;
      record.adopted = false;
      this.#sendUpdate(record);
    }
    this.#queue.splice(0).forEach((request) => request.send());
  }

  _onLost() {
    clearTimeout(this.#mapTimer);
    this.#sent.splice(0).forEach((request) => request.lost());
  }

  _onEnd(error) {
    this.#queue.splice(0).forEach((request) => request.ended(error));
    for (const record of this.#own.values())
      record.waiters.splice(0).forEach((waiter) => waiter.reject(error));
  }

  _onData(data) {
    let bytes = typeof data === "string" ? encoder.encode(data) : data;
    if (this.#rest.length) {
      const joined = new Uint8Array(this.#rest.length + bytes.length);
      joined.set(this.#rest);
      joined.set(bytes, this.#rest.length);
      bytes = joined;
    }
    let at = 0;
    for (let size; at < bytes.length && (size = packetSize(bytes, at)) > 0; at += size) {
      const one = bytes.subarray(at, at + size);
      one[0] === 0x2a ? this.#onPush(one) : this.#onReply(one);
    }
    this.#rest = bytes.slice(at);
  }

  #onReply(bytes) {
    const request = this.#sent.shift();
    if (!request)
      this._fail("protocol", `a reply without a request: ${bytes[0]}`);
    request?.answer(bytes[0] !== 0, bytes.length > 1 ? decodeText(bytes.subarray(1)) : undefined);
  }

  #onPush(bytes) {
    let at = 4;
    const readField = () => bytes.slice(at + 1, at += 1 + bytes[at]);
    const entry = () => makeEntryFrom(bytes[at++], readField(), readField());
    if (bytes[2] === UPDATE) {
      this.#setEntry(entry());
      return;
    }
    const mapVersion = bytes[at++];
    if (mapVersion !== this.#mapVersion)
      this.#seen = new Set();
    this.#mapVersion = mapVersion;
    while (at < bytes.length)
      this.#setEntry(entry());
    clearTimeout(this.#mapTimer);
    this.#mapTimer = setTimeout(() => this.#finishMap(), MAP_COMPLETE_MS);
  }

  #setEntry(entry) {
    const previous = this.entries.get(entry.id), record = this.#own.get(entry.id);
    this.#seen.add(entry.id);
    if (record && entry.version !== record.version)
      return; // older than this client's own update
    this.entries.set(entry.id, entry);
    if (!previous || previous.version !== entry.version || previous.text !== entry.text)
      this._emit("change", { entry, previous });
  }

  #remove(id) {
    const entry = this.entries.get(id);
    this.entries.delete(id);
    if (entry)
      ["closed", "gone"].forEach((type) => this._emit(type, { entry })); // `gone`: the name in 0.1
  }

  /** No more packets of this map follow: entries that it does not have were closed. */
  #finishMap() {
    for (const id of [...this.entries.keys()])
      this.#seen.has(id) || this.#own.has(id) || this.#remove(id);
    this.#isComplete = true;
    this._emit("map", { entries: this.entries });
  }
}

const makeEntryFrom = (version, id, bytes) => makeEntry(id, version, bytes);

/** The size of the packet at an offset; 0 when it is incomplete. */
function packetSize(bytes, at) {
  const left = bytes.length - at;
  const size = bytes[at] === 0x2a ? (left > 3 ? 4 + bytes[at + 3] : Infinity) : bytes[at] > 1 ? 1 + bytes[at] : 1;
  return size <= left ? size : 0;
}
