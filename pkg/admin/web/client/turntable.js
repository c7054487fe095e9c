// turntable: presence and rooms.

import { ClientError, JsonClient } from "./connection.js";

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
  #waiters = { subscribe: new Waiters(), whothere: new Waiters(), joingame: new Waiters() };
  #refresh = new Set(); // rooms whose next `member` is a whole list
  #greeted = false;

  /**
   * @param {string|URL} url ws://host:8080/turntable, or /turntable/SPACE
   * @param {ClientOptions & {user?: string}} [options] user: who this is, as "1:12345"
   */
  constructor(url, options = {}) {
    super(url, "turntable", options);
    this.user = options.user ?? null;
  }

  /** Resolves when the server has greeted this client, and it has said who it is. */
  async ready() {
    await this._readyWhen(() => this.#greeted);
  }

  /** Says who this is, once. What is wrong with it comes as an `error` with the command idme. */
  identify(user) {
    this.user = user;
    this.#command("idme", user);
  }

  /** Watches users and other ids. Resolves to {id: status}. @param {string[]} ids */
  async subscribe(ids) {
    for (const id of ids)
      this.presence.has(id) || this.presence.set(id, undefined);
    if (!ids.length)
      return {};
    this.#command("subscribe", ids);
    return this.#wait("subscribe", { missing: new Set(ids), found: {} });
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
    this.#command("whothere", channel === undefined ? {} : { channel });
    return this.#wait("whothere", { channel });
  }

  #wait(command, wanted) {
    if (this.state === "ended")
      return Promise.reject(new ClientError("ended", this.why));
    return this.#waiters[command].add(wanted);
  }

  /** What is asked before the server has said idyou is asked then. */
  #command(command, data) {
    return this.#greeted && this._say({ command, data });
  }

  _lost() {
    this.#refresh.clear();
    this.#greeted = false;
  }

  _ended(error) {
    Object.values(this.#waiters).forEach((waiters) => waiters.rejectAll(error));
  }

  /** All again on a new connection, and what waits for an answer. */
  #restore() {
    this._settled();
    this.#greeted = true;
    if (this.user)
      this.#command("idme", this.user);
    const ids = [...this.presence.keys()];
    for (let i = 0; i < ids.length; i += 1000)
      this.#command("subscribe", ids.slice(i, i + 1000));
    if (this.user && this.#status !== "online")
      this.#command("status", this.#status);
    for (const channel of this.rooms.keys()) {
      this.#refresh.add(channel);
      const invite = this.#waiters.joingame.all.filter((waiter) => waiter.channel === channel).flatMap((waiter) => waiter.invite);
      this.#command("joingame", { channel, self: this.user, invite: [...new Set(invite)] });
    }
    for (const { channel } of this.#waiters.whothere.all)
      this.#command("whothere", channel === undefined ? {} : { channel });
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
      this.#waiters.whothere.take()?.resolve(data);
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
      for (const waiter of this.#waiters.subscribe.all) {
        if (waiter.missing.delete(id))
          waiter.found[id] = status;
        if (!waiter.missing.size)
          this.#waiters.subscribe.take((one) => one === waiter)?.resolve(waiter.found);
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
    this.#waiters.joingame.take((one) => one.channel === channel)?.resolve([...members]);
  }

  #takeError({ code, message, command, channel }) {
    const error = new ClientError(code, message, { command, channel });
    if (code === "lost")
      this.#refresh.add(channel);
    const waiter = code !== "unavailable" || command !== "subscribe" ? this.#waiters[command]?.take() : undefined;
    if (waiter && command === "joingame")
      this.rooms.delete(waiter.channel);
    if (waiter)
      waiter.reject(error);
    this._tell("error", error);
  }
}
