// turntable: the client of turntable: presence and rooms.

import { ClientError, JsonClient, RetryTimer } from "./connection.js";

/** Commands that only an identified connection may send. */
const NEEDS_IDENTITY = new Set(["status", "joingame", "game", "leavegame"]);
const DUPLICATE_FOR_MS = 40000; // until the server notices that the old connection of this client is lost

/** Promises that wait for an answer, oldest first. */
class WaiterList {
  #list = [];

  add(wanted) {
    return new Promise((resolve, reject) => this.#list.push({ ...wanted, resolve, reject }));
  }

  get all() {
    return [...this.#list];
  }

  /** Removes and returns the first match; undefined when there is none. */
  take(matches = () => true) {
    const index = this.#list.findIndex(matches);
    return index < 0 ? undefined : this.#list.splice(index, 1)[0];
  }

  rejectAll(error) {
    this.#list.splice(0).forEach((waiter) => waiter.reject(error));
  }
}

/**
 * Presence of users, and rooms.
 *
 * Events: `userchange` {id: status, ...}, `invite` {channel, user, from}, `game` {channel, actions},
 * `member` {channel, joined, left}, `packet` (a metadata-sync client's), `error` with a code of the
 * protocol, the `command` and, for `lost`, the `channel`.
 */
export class TurntableClient extends JsonClient {
  /** @type {Map<string, string>} user → status, of subscribed users */
  presence = new Map();
  /** @type {Map<string, Set<string>>} room → its members */
  rooms = new Map();
  /** @type {string|null} */
  user = null;

  #status = "online";
  #waiters = new Map(["subscribe", "whothere", "joingame"].map((command) => [command, new WaiterList()]));
  #sentRequests = []; // for each whothere sent on this connection: its waiter, or the probe of the identity
  #refresh = new Set(); // rooms whose next `member` is a whole list
  #isHandshakeDone = false;
  #identity = "none"; // none, sent, waiting (for the next attempt), known, refused
  #refusal = null; // the error of a refused identity
  #identifiedAt = 0; // when this client was last known to be identified
  #retry = new RetryTimer();

  /**
   * @param {string|URL} url ws://host:8080/turntable, or /turntable/SPACE
   * @param {ClientOptions & {user?: string}} [options] user: the user's id, as "1:12345"
   */
  constructor(url, options = {}) {
    super(url, "turntable", options);
    this.user = options.user ?? null;
  }

  /**
   * Resolves when the handshake is complete and, if the client has a user, the user is identified; rejects
   * when the server has refused the user.
   */
  async ready() {
    await this._readyWhen(() => this.#isHandshakeDone && (this.user === null || this.#identity === "known"), () => this.#refusal);
  }

  /** Identifies this connection, once. A refusal arrives as an `error` with the command idme. */
  identify(user) {
    if (this.#identity !== "known") {
      this.user = user;
      this.#refusal = null;
      this.#identify();
    } else {
      this.#command("idme", user); // refused, with the error `identified`
    }
  }

  /** Watches users, or ids of other clients. Resolves to {id: status}. @param {string[]} ids */
  async subscribe(ids) {
    for (const id of ids)
      this.presence.has(id) || this.presence.set(id, undefined);
    if (!ids.length)
      return {};
    this.#command("subscribe", ids);
    return this.#wait("subscribe", { missing: new Set(ids), found: new Map() });
  }

  unsubscribe(ids) {
    ids.forEach((id) => this.presence.delete(id));
    this.#command("unsubscribe", ids);
  }

  /** @param {"online"|"busy"} status of this connection */
  setStatus(status) {
    this.#status = status;
    this.#command("status", status);
  }

  /** Joins a room, which is created if necessary, and invites users. Resolves to its members. */
  async join(channel, invite = []) {
    this.rooms.has(channel) || this.rooms.set(channel, new Set());
    this.#refresh.add(channel);
    this.#command("joingame", { channel, self: this.user, invite });
    return this.#wait("joingame", { channel, invite });
  }

  leave(channel) {
    this.rooms.delete(channel);
    this.#command("leavegame", { channel });
  }

  /** Sends actions to all members of a room: [{data}], optionally with `timestamp` and `from`. */
  sendActions(channel, actions) {
    if (!this.#command("game", { channel, actions }))
      throw new ClientError("not_open", "not connected: actions are not queued");
  }

  /** @deprecated the name of `sendActions` in 0.1 */
  game(channel, actions) {
    this.sendActions(channel, actions);
  }

  /** @deprecated the name of `listUsers` in 0.1 */
  whoThere(channel) {
    return this.listUsers(channel);
  }

  /** The users in a room, or without one in the space. @param {string} [channel] @returns {Promise<string[]>} */
  async listUsers(channel) {
    const answer = this.#wait("whothere", { channel });
    this.#requestUsers(this.#waiters.get("whothere").all.at(-1));
    return answer;
  }

  #wait(command, wanted) {
    if (this.state === "ended")
      return Promise.reject(new ClientError("ended", this.reason));
    return this.#waiters.get(command).add(wanted);
  }

  /** False when it is too early for the command; it is sent after the handshake or the identification. */
  #command(command, data) {
    if (!this.#isHandshakeDone || (this.user !== null && this.#identity !== "known" && NEEDS_IDENTITY.has(command)))
      return false;
    return this._sendJson({ command, data });
  }

  /** Answers to whothere arrive in the order of the requests. */
  #requestUsers(waiter) {
    const { channel } = waiter ?? {};
    if (waiter && this.#command("whothere", channel === undefined ? {} : { channel }))
      this.#sentRequests.push(waiter);
  }

  /**
   * An accepted idme has no answer, but commands are answered in order. So any answer to the whothere that
   * follows it shows that the server has processed the idme.
   */
  #identify() {
    if (!this.#isHandshakeDone)
      return;
    this.#identity = "sent";
    this.#command("idme", this.user);
    this.#requestUsers({ channel: "identity", isProbe: true });
  }

  #onIdentified() {
    this.#identity = "known";
    this.#identifiedAt = Date.now();
    this.#retry.reset();
    if (this.#status !== "online")
      this.#command("status", this.#status);
    this.#joinAll([...this.rooms.keys()]);
    this._emit("handshake");
  }

  #joinAll(channels) {
    const waiting = this.#waiters.get("joingame").all;
    for (const channel of channels) {
      this.#refresh.add(channel);
      const invite = waiting.filter((waiter) => waiter.channel === channel).flatMap((waiter) => waiter.invite);
      this.#command("joingame", { channel, self: this.user, invite: [...new Set(invite)] });
    }
  }

  _onLost() {
    this.#refresh.clear();
    this.#retry.stop();
    this.#sentRequests = [];
    this.#isHandshakeDone = false;
    if (this.#identity === "known")
      this.#identifiedAt = Date.now();
    this.#identity = "none";
  }

  _onEnd(error) {
    this.#waiters.forEach((waiters) => waiters.rejectAll(error));
  }

  /** Restores everything on a new connection, and repeats requests without an answer. */
  #restore() {
    this._resetBackoff();
    this.#isHandshakeDone = true;
    if (this.user !== null)
      this.#identify();
    const ids = [...this.presence.keys()];
    for (let i = 0; i < ids.length; i += 1000)
      this.#command("subscribe", ids.slice(i, i + 1000));
    this.#waiters.get("whothere").all.forEach((waiter) => this.#requestUsers(waiter));
  }

  /** Repeats requests after a temporary refusal. */
  #retryRefused() {
    if (this.#identity === "waiting")
      this.#identify();
    const sent = new Set(this.#sentRequests);
    this.#waiters.get("whothere").all.filter((waiter) => !sent.has(waiter)).forEach((waiter) => this.#requestUsers(waiter));
    const rooms = this.#waiters.get("joingame").all.filter((waiter) => waiter.isRefused);
    rooms.forEach((waiter) => (waiter.isRefused = false));
    this.#joinAll(new Set(rooms.map(({ channel }) => channel)));
  }

  _onMessage({ command, data }) {
    switch (command) {
    case "idyou":
      this.#restore();
      this._emit("handshake");
      return;
    case "userchange":
      this.#onStatuses(data);
      break;
    case "member":
      this.#onMembers(data);
      break;
    case "there":
      this.#onThere(data);
      break;
    case "error":
      this.#onError(data);
      return;
    }
    if (command !== "there")
      this._emit(command, data);
  }

  #onStatuses(data) {
    for (const [id, status] of Object.entries(data)) {
      if (this.presence.has(id))
        this.presence.set(id, status);
      const waiters = this.#waiters.get("subscribe");
      for (const waiter of waiters.all) {
        if (waiter.missing.delete(id))
          waiter.found.set(id, status);
        if (!waiter.missing.size)
          waiters.take((one) => one === waiter)?.resolve(Object.fromEntries(waiter.found));
      }
    }
  }

  #onMembers({ channel, joined, left }) {
    if (!this.rooms.has(channel))
      return;
    if (this.#refresh.delete(channel))
      this.rooms.set(channel, new Set());
    const members = this.rooms.get(channel);
    joined.forEach((id) => members.add(id));
    left.forEach((id) => members.delete(id));
    this.#retry.reset();
    this.#waiters.get("joingame").take((one) => one.channel === channel)?.resolve([...members]);
  }

  #onThere(users) {
    const request = this.#sentRequests.shift();
    if (request?.isProbe)
      this.#identity === "sent" && this.#onIdentified();
    else
      this.#waiters.get("whothere").take((one) => one === request)?.resolve(users);
  }

  #onError({ code, message, command, channel }) {
    const error = new ClientError(code, message, { command, channel });
    const isTemporary = code === "unavailable";
    if (code === "lost")
      this.#refresh.add(channel);
    if (command === "idme")
      this.#onIdentityError(error, isTemporary);
    else if (command === "whothere")
      this.#onThereError(error, isTemporary);
    else if (command === "joingame")
      this.#onJoinError(error, isTemporary);
    else if (!isTemporary) // of a subscription: the statuses arrive when they are known
      this.#waiters.get(command)?.take()?.reject(error);
    this._emit("error", error);
  }

  #onIdentityError(error, isTemporary) {
    const isReturning = error.code === "duplicate_login" && Date.now() - this.#identifiedAt < DUPLICATE_FOR_MS;
    if (this.#identity === "known")
      return; // a second idme
    if (isTemporary || isReturning) {
      this.#identity = "waiting";
      this.#retry.schedule(() => this.#retryRefused());
      return;
    }
    this.#identity = "refused";
    this.#refusal = error;
    this.#waiters.get("joingame").rejectAll(error);
    this.rooms.clear();
    this._emit("handshake");
  }

  #onThereError(error, isTemporary) {
    const request = this.#sentRequests.shift();
    if (request?.isProbe)
      this.#identity === "sent" && this.#onIdentified();
    else if (isTemporary)
      this.#retry.schedule(() => this.#retryRefused());
    else
      this.#waiters.get("whothere").take((one) => one === request)?.reject(error);
  }

  #onJoinError(error, isTemporary) {
    const waiters = this.#waiters.get("joingame");
    if (isTemporary) {
      waiters.all.forEach((waiter) => (waiter.isRefused = true));
      this.#retry.schedule(() => this.#retryRefused());
      return;
    }
    const waiter = waiters.take();
    if (waiter) {
      this.rooms.delete(waiter.channel);
      waiter.reject(error);
    }
  }
}
