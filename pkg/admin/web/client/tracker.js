// Tracker: entries of the map.

import { Client, ClientError, encoder, strict } from "./connection.js";

const OPEN = 0, CLOSE = 1, UPDATE = 2, ALL = 3;
const PACKET_MAX = 251; // bytes of an id and its state in what others are told
const ID_LENGTH = 7; // of ids that the server gives
const SETTLED_MS = 300; // a large map comes in packets one behind the other
const ADOPT_EVERY_MS = 1000, ADOPT_FOR_MS = 40000; // until an old connection is known to be gone
const LATE_MS = 2500; // a refusal later than that says that the map did not answer, not that it refused
const LATE_FOR_MS = 20000; // for how long a request is made again after such refusals

const bytesOf = (value) => (typeof value === "string" ? encoder.encode(value) : new Uint8Array(value));
const counted = (bytes) => [bytes.length, ...bytes];

function packet(type, ...content) {
  const bytes = content.flat();
  return Uint8Array.of(0x2a, 1, type, bytes.length, ...bytes);
}

const isLate = (sent) => Date.now() - sent >= LATE_MS;

function textOf(bytes) {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

/**
 * An entry of the map.
 * @typedef {Object} TrackerEntry
 * @property {string} id text; one character for each byte where it is no UTF-8
 * @property {number} version the low byte of it
 * @property {Uint8Array} bytes the state
 * @property {string|null} text the state as text; null when it is no UTF-8
 */
function makeEntry(id, version, bytes) {
  const name = typeof id === "string" ? id : textOf(id) ?? String.fromCharCode(...id);
  return { id: name, version, bytes, text: textOf(bytes) };
}

/**
 * Entries of the map, by the versioned dialect of the Tracker protocol. Others' entries are told from
 * the first open() or update() on. Several updates of one entry that wait for each other are joined.
 *
 * Events: `change` {entry, previous} (it is there, or has a new state), `gone` {entry}, `map` {entries}
 * (a whole map has come), `renamed` {from, to} (somebody else had the id when this client came back).
 */
export class TrackerClient extends Client {
  /** @type {Map<string, TrackerEntry>} the map as far as it is known, own entries included */
  entries = new Map();

  #own = new Map(); // id → {id, idBytes, version, bytes, waiters, sending, adopted, since, late}
  #sent = []; // what to do with the next replies
  #queue = []; // requests for the next connection
  #rest = new Uint8Array(0);
  #mapVersion = -1;
  #met = new Set(); // ids in the present whole map
  #settling = null;
  #whole = false;

  /** @param {string|URL} url ws://host:8080/tracker, or /tracker/SPACE  @param {ClientOptions} [options] */
  constructor(url, options = {}) {
    super(url, "tracker", options);
  }

  /** The ids of own entries. */
  get own() {
    return [...this.#own.keys()];
  }

  /** Opens an entry; resolves to its id. @param {string|Uint8Array} state at most 244 bytes */
  async open(state) {
    const bytes = this.#check(ID_LENGTH, bytesOf(state));
    return this.#ask(() => packet(OPEN, counted(bytes)), (id) => {
      this.#adopt(this.#record(id, bytes), true);
      return id;
    });
  }

  /**
   * Gives an entry a new state: an own one, or one that nobody is connected for, which becomes own. An id that
   * is not in the map is created. Resolves when the server has accepted it.
   * @param {string} id  @param {string|Uint8Array} state
   */
  async update(id, state) {
    const record = this.#own.get(id) ?? this.#record(id, new Uint8Array(0), this.entries.get(id)?.version ?? 255);
    record.bytes = this.#check(record.idBytes.length, bytesOf(state));
    return new Promise((resolve, reject) => {
      record.waiters.push({ resolve, reject });
      this.#push(record);
    });
  }

  /** Closes an entry. @param {string} id */
  async close(id) {
    const idBytes = encoder.encode(id);
    this.#own.delete(id);
    return this.#ask(() => packet(CLOSE, counted(idBytes)), () => this.#forget(id));
  }

  /**
   * One entry, or undefined; without an id all of them. Waits for the first whole map, which comes after
   * open() or update().
   * @param {string} [id]  @returns {Promise<TrackerEntry|undefined|Map<string, TrackerEntry>>}
   */
  async get(id) {
    if (!this.#whole) {
      await new Promise((resolve, reject) => {
        this.addEventListener("map", resolve, { once: true });
        this.addEventListener("state", () => this.state === "ended" && reject(new ClientError("ended", this.why)));
      });
    }
    return id === undefined ? this.entries : this.entries.get(id);
  }

  #check(idLength, bytes) {
    if (idLength + bytes.length > PACKET_MAX)
      throw new ClientError("too_long", `a state of ${bytes.length} bytes; ${PACKET_MAX - idLength} fit beside this id`);
    return bytes;
  }

  #record(id, bytes, version = 0) {
    const record = { id, idBytes: encoder.encode(id), version, bytes, waiters: [], sending: false, adopted: false, since: 0, late: 0 };
    this.#own.set(id, record);
    return record;
  }

  /** A request that is made again when its answer was lost, or when the map did not answer in time. */
  #ask(make, done) {
    if (this.state === "ended")
      return Promise.reject(new ClientError("ended", this.why));
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
          else if (isLate(request.sent) && Date.now() - began < LATE_FOR_MS)
            this.#submit(request);
          else
            reject(new ClientError("refused", "the server refused it"));
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

  /** Sends the entry's newest state, unless one is under way. */
  #push(record) {
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
        } else if (this.#isPassing(record, sent)) {
          record.waiters.unshift(...waiters);
          this.#push(record);
        } else if (record.adopted || !record.since) {
          waiters.forEach((waiter) => waiter.reject(new ClientError("refused", "the server refused the update")));
          if (!record.adopted)
            this.#own.delete(record.id);
        } else {
          record.waiters.unshift(...waiters);
          this.#retry(record);
        }
        if (good && record.bytes !== bytes)
          this.#push(record);
      },
      lost: () => {
        record.sending = false;
        record.waiters.unshift(...waiters);
      },
      ended: (error) => waiters.forEach((waiter) => waiter.reject(error)),
    });
    this._send(packet(UPDATE, record.version, counted(record.idBytes), counted(bytes)));
  }

  /** Whether the map did not answer an update in time, and it is worth another attempt. */
  #isPassing(record, sent) {
    if (!isLate(sent))
      return false;
    record.late ||= sent;
    return Date.now() - record.late < LATE_FOR_MS && this.#own.get(record.id) === record;
  }

  #adopt(record, good) {
    record.adopted = good;
    record.since = record.late = 0;
    this._settled();
    this.#set(makeEntry(record.id, record.version, record.bytes));
  }

  /** Back, and the server still holds the entry for the old connection; or somebody else has it. */
  #retry(record) {
    if (Date.now() - record.since < ADOPT_FOR_MS) {
      setTimeout(() => this.#own.get(record.id) === record && this.#push(record), ADOPT_EVERY_MS);
      return;
    }
    this.#own.delete(record.id);
    this.open(record.bytes).then((id) => {
      record.waiters.forEach((waiter) => waiter.resolve());
      this._tell("renamed", { from: record.id, to: id });
    }, (error) => record.waiters.forEach((waiter) => waiter.reject(error)));
  }

  _opened() {
    this.#rest = new Uint8Array(0);
    this.#mapVersion = -1;
    for (const record of this.#own.values()) {
      record.since ||= record.adopted ? Date.now() : 0;
      record.adopted = false;
      this.#push(record);
    }
    this.#queue.splice(0).forEach((request) => request.send());
  }

  _lost() {
    clearTimeout(this.#settling);
    this.#sent.splice(0).forEach((request) => request.lost());
  }

  _ended(error) {
    this.#queue.splice(0).forEach((request) => request.ended(error));
    for (const record of this.#own.values())
      record.waiters.splice(0).forEach((waiter) => waiter.reject(error));
  }

  _received(data) {
    let bytes = typeof data === "string" ? encoder.encode(data) : data;
    if (this.#rest.length) {
      const joined = new Uint8Array(this.#rest.length + bytes.length);
      joined.set(this.#rest);
      joined.set(bytes, this.#rest.length);
      bytes = joined;
    }
    let at = 0;
    for (let size; at < bytes.length && (size = sizeOf(bytes, at)) > 0; at += size) {
      const one = bytes.subarray(at, at + size);
      one[0] === 0x2a ? this.#takePush(one) : this.#takeReply(one);
    }
    this.#rest = bytes.slice(at);
  }

  #takeReply(bytes) {
    const request = this.#sent.shift();
    if (!request)
      this._fail("protocol", `a reply to nothing: ${bytes[0]}`);
    request?.answer(bytes[0] !== 0, bytes.length > 1 ? textOf(bytes.subarray(1)) : undefined);
  }

  #takePush(bytes) {
    let at = 4;
    const take = () => bytes.slice(at + 1, at += 1 + bytes[at]);
    const entry = () => makeEntryFrom(bytes[at++], take(), take());
    if (bytes[2] === UPDATE) {
      this.#set(entry());
      return;
    }
    const mapVersion = bytes[at++];
    if (mapVersion !== this.#mapVersion)
      this.#met = new Set();
    this.#mapVersion = mapVersion;
    while (at < bytes.length)
      this.#set(entry());
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#finishMap(), SETTLED_MS);
  }

  #set(entry) {
    const previous = this.entries.get(entry.id), record = this.#own.get(entry.id);
    this.#met.add(entry.id);
    if (record && entry.version !== record.version)
      return; // older than what this client has written
    this.entries.set(entry.id, entry);
    if (!previous || previous.version !== entry.version || previous.text !== entry.text)
      this._tell("change", { entry, previous });
  }

  #forget(id) {
    const entry = this.entries.get(id);
    this.entries.delete(id);
    if (entry)
      this._tell("gone", { entry });
  }

  /** No more packets of this map: what it did not bring is gone. */
  #finishMap() {
    for (const id of [...this.entries.keys()])
      this.#met.has(id) || this.#own.has(id) || this.#forget(id);
    this.#whole = true;
    this._tell("map", { entries: this.entries });
  }
}

const makeEntryFrom = (version, id, bytes) => makeEntry(id, version, bytes);

/** The length of the packet at a place; 0 when it is not there whole. */
function sizeOf(bytes, at) {
  const left = bytes.length - at;
  const size = bytes[at] === 0x2a ? (left > 3 ? 4 + bytes[at + 3] : Infinity) : bytes[at] > 1 ? 1 + bytes[at] : 1;
  return size <= left ? size : 0;
}
