// turntable: presence and rooms.

import { ClientError, JsonClient, Retry } from "./connection.js";

/** Commands that only an identified connection may send. */
const NEEDS_IDENTITY = new Set(["status", "joingame", "game", "leavegame"]);
const DUPLICATE_FOR_MS = 40000; // until the old connection of a returning client is known to be gone

/** Promises that wait for an answer, oldest first. */
class Waiters {
  #list = [];

  add(wanted) {
    return new Promise((resolve, reject) => this.#list.push({ ...wanted, resolve, reject }));
  }

  get all() {
    return [...this.#list];
  }

  /** The first that fits, taken out; undefined when there is none. */
  take(fits = () => true) {
    const index = this.#list.findIndex(fits);
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
  /** @type {Map<string, string>} user → status, of those that are subscribed */
  presence = new Map();
  /** @type {Map<string, Set<string>>} room → its members */
  rooms = new Map();
  /** @type {string|null} */
  user = null;

  #status = "online";
  #waiters = new Map(["subscribe", "whothere", "joingame"].map((command) => [command, new Waiters()]));
  #asked = []; // what each whothere sent on this connection is for: a waiter, or the probe of the identity
  #refresh = new Set(); // rooms whose next `member` is a whole list
  #greeted = false;
  #identity = "none"; // none, asked, waiting (for the next attempt), known, refused
  #refusal = null; // the error of an identity that was refused
  #identifiedAt = 0; // when this client was last known to be identified
  #retry = new Retry();

  /**
   * @param {string|URL} url ws://host:8080/turntable, or /turntable/SPACE
   * @param {ClientOptions & {user?: string}} [options] user: who this is, as "1:12345"
   */
  constructor(url, options = {}) {
    super(url, "turntable", options);
    this.user = options.user ?? null;
  }

  /**
   * Resolves when the server has greeted this client and, if it has a user, identified it; rejects when the
   * server has refused the user.
   */
  async ready() {
    await this._readyWhen(() => this.#greeted && (this.user === null || this.#identity === "known"), () => this.#refusal);
  }

  /** Says who this is, once. What is wrong with it comes as an `error` with the command idme. */
  identify(user) {
    if (this.#identity !== "known") {
      this.user = user;
      this.#refusal = null;
      this.#identify();
    } else {
      this.#command("idme", user); // refused, with the error `identified`
    }
  }

  /** Watches users and other ids. Resolves to {id: status}. @param {string[]} ids */
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

  /** Joins a room, which need not exist, and invites users. Resolves to its members. */
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

  /** Sends actions to all members of a room: [{data}], with `timestamp` and `from` if one likes. */
  game(channel, actions) {
    if (!this.#command("game", { channel, actions }))
      throw new ClientError("not_open", "there is no connection now: a game is not kept for later");
  }

  /** Who is in a room, or without one in the space. @param {string} [channel] @returns {Promise<string[]>} */
  async whoThere(channel) {
    const answer = this.#wait("whothere", { channel });
    this.#askWhoThere(this.#waiters.get("whothere").all.at(-1));
    return answer;
  }

  #wait(command, wanted) {
    if (this.state === "ended")
      return Promise.reject(new ClientError("ended", this.why));
    return this.#waiters.get(command).add(wanted);
  }

  /** What is asked too early is asked when the server has greeted, or identified, this client. */
  #command(command, data) {
    if (!this.#greeted || (this.user !== null && this.#identity !== "known" && NEEDS_IDENTITY.has(command)))
      return false;
    return this._say({ command, data });
  }

  /** Answers to whothere come in the order in which they were asked for. */
  #askWhoThere(waiter) {
    const { channel } = waiter ?? {};
    if (waiter && this.#command("whothere", channel === undefined ? {} : { channel }))
      this.#asked.push(waiter);
  }

  /**
   * A good idme has no answer, but whatever is asked behind it is answered later. So any answer to the
   * whothere that follows says that the identity, unless it was refused, is known.
   */
  #identify() {
    if (!this.#greeted)
      return;
    this.#identity = "asked";
    this.#command("idme", this.user);
    this.#askWhoThere({ channel: "identity", isProbe: true });
  }

  #identified() {
    this.#identity = "known";
    this.#identifiedAt = Date.now();
    this.#retry.succeeded();
    if (this.#status !== "online")
      this.#command("status", this.#status);
    this.#joinAll([...this.rooms.keys()]);
    this._tell("greeted");
  }

  #joinAll(channels) {
    const waiting = this.#waiters.get("joingame").all;
    for (const channel of channels) {
      this.#refresh.add(channel);
      const invite = waiting.filter((waiter) => waiter.channel === channel).flatMap((waiter) => waiter.invite);
      this.#command("joingame", { channel, self: this.user, invite: [...new Set(invite)] });
    }
  }

  _lost() {
    this.#refresh.clear();
    this.#retry.stop();
    this.#asked = [];
    this.#greeted = false;
    if (this.#identity === "known")
      this.#identifiedAt = Date.now();
    this.#identity = "none";
  }

  _ended(error) {
    this.#waiters.forEach((waiters) => waiters.rejectAll(error));
  }

  /** All again on a new connection, and what waits for an answer. */
  #restore() {
    this._settled();
    this.#greeted = true;
    if (this.user !== null)
      this.#identify();
    const ids = [...this.presence.keys()];
    for (let i = 0; i < ids.length; i += 1000)
      this.#command("subscribe", ids.slice(i, i + 1000));
    this.#waiters.get("whothere").all.forEach((waiter) => this.#askWhoThere(waiter));
  }

  /** What was refused for a passing reason is asked again. */
  #again() {
    if (this.#identity === "waiting")
      this.#identify();
    const asked = new Set(this.#asked);
    this.#waiters.get("whothere").all.filter((waiter) => !asked.has(waiter)).forEach((waiter) => this.#askWhoThere(waiter));
    const rooms = this.#waiters.get("joingame").all.filter((waiter) => waiter.isRefused);
    rooms.forEach((waiter) => (waiter.isRefused = false));
    this.#joinAll(new Set(rooms.map(({ channel }) => channel)));
  }

  _take({ command, data }) {
    switch (command) {
    case "idyou":
      this.#restore();
      this._tell("greeted");
      return;
    case "userchange":
      this.#takeStatuses(data);
      break;
    case "member":
      this.#takeMembers(data);
      break;
    case "there":
      this.#takeThere(data);
      break;
    case "error":
      this.#takeError(data);
      return;
    }
    if (command !== "there")
      this._tell(command, data);
  }

  #takeStatuses(data) {
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

  #takeMembers({ channel, joined, left }) {
    if (!this.rooms.has(channel))
      return;
    if (this.#refresh.delete(channel))
      this.rooms.set(channel, new Set());
    const members = this.rooms.get(channel);
    joined.forEach((id) => members.add(id));
    left.forEach((id) => members.delete(id));
    this.#retry.succeeded();
    this.#waiters.get("joingame").take((one) => one.channel === channel)?.resolve([...members]);
  }

  #takeThere(users) {
    const asked = this.#asked.shift();
    if (asked?.isProbe)
      this.#identity === "asked" && this.#identified();
    else
      this.#waiters.get("whothere").take((one) => one === asked)?.resolve(users);
  }

  #takeError({ code, message, command, channel }) {
    const error = new ClientError(code, message, { command, channel });
    const isPassing = code === "unavailable";
    if (code === "lost")
      this.#refresh.add(channel);
    if (command === "idme")
      this.#takeIdentityError(error, isPassing);
    else if (command === "whothere")
      this.#takeThereError(error, isPassing);
    else if (command === "joingame")
      this.#takeJoinError(error, isPassing);
    else if (!isPassing) // of a subscription: the statuses come when they are known
      this.#waiters.get(command)?.take()?.reject(error);
    this._tell("error", error);
  }

  #takeIdentityError(error, isPassing) {
    const isReturning = error.code === "duplicate_login" && Date.now() - this.#identifiedAt < DUPLICATE_FOR_MS;
    if (this.#identity === "known")
      return; // a second idme
    if (isPassing || isReturning) {
      this.#identity = "waiting";
      this.#retry.later(() => this.#again());
      return;
    }
    this.#identity = "refused";
    this.#refusal = error;
    this.#waiters.get("joingame").rejectAll(error);
    this.rooms.clear();
    this._tell("greeted");
  }

  #takeThereError(error, isPassing) {
    const asked = this.#asked.shift();
    if (asked?.isProbe)
      this.#identity === "asked" && this.#identified();
    else if (isPassing)
      this.#retry.later(() => this.#again());
    else
      this.#waiters.get("whothere").take((one) => one === asked)?.reject(error);
  }

  #takeJoinError(error, isPassing) {
    const waiters = this.#waiters.get("joingame");
    if (isPassing) {
      waiters.all.forEach((waiter) => (waiter.isRefused = true));
      this.#retry.later(() => this.#again());
      return;
    }
    const waiter = waiters.take();
    if (waiter) {
      this.rooms.delete(waiter.channel);
      waiter.reject(error);
    }
  }
}
