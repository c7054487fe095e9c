// The metadata-sync part of the JavaScript client, in Node with npm's ws: node client_sync.mjs CHECK URL URL.
import WebSocket from "ws";

import { ask, equal, event, loadClient, options, refusal, run, until } from "./kit.mjs";

const socketUrl = (base) => `${base}/sync`;

/** What one client knows of another. */
const seen = (one, other) => one.clients.get(other.token);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const sorted = (map) => Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([token, properties]) => [token, Object.fromEntries(Object.entries(properties).sort())]));

async function pair(a, b, one = {}, two = {}) {
  const module = await loadClient(a);
  const clients = [new module.SyncClient(socketUrl(a), options(one)), new module.SyncClient(socketUrl(b), options(two))];
  await until(() => clients.every((client) => client.token && clients.every((other) => client.clients.has(other.token))), "both");
  return [...clients, module];
}

run({
  async "properties, in both modes"(a, b) {
    const [one, two] = await pair(a, b, { mode: "full", properties: { first: true } }, { mode: "delta" });
    equal(/^[0-9a-f]{32}$/.test(one.token), true);
    equal(/^[0-9.]+/.test(one.version), true);
    await until(() => same(seen(two, one), { first: true }), "what was there at first");
    two.set({ name: "two", number: 1.5, flag: true, text: "\u{1f600} \"quoted\"" });
    await until(() => seen(one, two).text === "\u{1f600} \"quoted\"", "properties");
    equal(Object.keys(seen(one, two)).sort(), ["flag", "name", "number", "text"]);
    two.set({ number: null, name: "other" });
    one.set({ first: null, second: "x" });
    await until(() => seen(one, two).name === "other" && !("number" in seen(one, two)), "the deletion");
    await until(() => same(seen(two, one), { second: "x" }), "in delta mode too");
    equal(Object.entries(two.properties).sort(), [["flag", true], ["name", "other"], ["text", "\u{1f600} \"quoted\""]]);
    const changes = event(one, "changes", ({ closed }) => closed.includes(two.token));
    two.end();
    await changes;
    await until(() => !one.clients.has(two.token), "the end");
  },

  async "packets"(a, b) {
    const [one, two] = await pair(a, b);
    let packet = event(two, "packet");
    one.send(two.token, "chat", { text: "hi" }, { urgent: true });
    equal(await packet, { from: one.token, type: "chat", value: { text: "hi" },
                          packet: { from: one.token, type: "chat", chat: { text: "hi" }, urgent: true } });
    const both = [event(one, "packet"), event(two, "packet")];
    two.send("*", "all", 7);
    equal((await Promise.all(both)).map(({ from, value }) => [from, value]), [[two.token, 7], [two.token, 7]]);
    packet = event(one, "packet");
    two.send([one.token, one.token], "once");
    equal((await packet).value, {});
    const error = event(one, "error");
    one.send("nobody", "chat");
    equal((await error).code, "undeliverable");
    const bad = event(one, "error");
    one.send(two.token, "metadata", {});
    equal((await bad).code, "bad_type");
    one.drop();
    equal(await refusal((async () => one.send("*", "x"))()), "not_open");
  },

  async "names that objects treat specially"(a, b) {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "length"];
    const object = (value) => JSON.parse(`{${names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)}}`);
    const all = (properties, value) => names.every((name) => Object.hasOwn(properties, name) && properties[name] === value);
    for (const mode of ["full", "delta"]) {
      const [one, two] = await pair(a, b, { mode, properties: object("first") }, { mode });
      await until(() => all(seen(two, one), "first"), "those set at first");
      one.set(object("second"));
      equal(all(one.properties, "second"), true);
      await until(() => all(seen(two, one), "second"), "the change");
      one.drop();
      await until(() => one.isOpen && all(seen(one, one) ?? {}, "second") && all(one.properties, "second"), "after a loss");
      one.set(object(null));
      await until(() => same(seen(two, one), {}), "their deletion");
      equal(one.properties, {});
      for (const type of names) {
        const packet = event(two, "packet");
        one.send(two.token, type, type);
        equal(await packet.then(({ type: got, value }) => [got, value]), [type, type]);
      }
      [one, two].forEach((client) => client.end());
    }
  },

  async "it reconnects as the same client"(a, b) {
    const [one, two] = await pair(a, b, {}, { mode: "delta" });
    const token = one.token, closed = [];
    two.addEventListener("changes", ({ detail }) => closed.push(...detail.closed));
    one.set({ a: 1, b: 2 });
    await until(() => same(seen(two, one), { a: 1, b: 2 }), "properties");
    for (const round of [1, 2, 3]) {
      one.drop();
      one.set({ a: round * 10, b: null, [`c${round}`]: true });
      await until(() => one.isOpen && seen(two, one).a === round * 10, "what was set while away");
      equal(one.token, token);
      equal("b" in seen(two, one), false);
    }
    equal(closed, []);
    await until(() => same(Object.keys(seen(one, one)).sort(), ["a", "c1", "c2", "c3"]), "its own map");
  },

  async "changes sent over a lost connection"(a, b) {
    // A connection whose packets are lost, as when a telephone changes its network.
    class Leaky extends WebSocket {
      send(data) {
        if (!Leaky.isDead)
          super.send(data);
      }
    }
    for (const mode of ["full", "delta"]) {
      Leaky.isDead = false;
      const [one, two] = await pair(a, b, { mode, WebSocket: Leaky, properties: { a: 1, b: 1, c: 1 } });
      const token = one.token;
      await until(() => same(seen(two, one), { a: 1, b: 1, c: 1 }) && same(seen(one, one), { a: 1, b: 1, c: 1 }), "properties");
      Leaky.isDead = true;
      one.set({ a: 2, b: null, d: "new" });
      equal(one.properties, { a: 2, c: 1, d: "new" });
      two.set({ x: mode });
      await until(() => seen(one, two).x === mode, "other clients' changes still arrive");
      equal(one.properties, { a: 2, c: 1, d: "new" });
      one.drop();
      Leaky.isDead = false;
      await until(() => same(seen(two, one), { a: 2, c: 1, d: "new" }), "what was lost");
      equal(one.token, token);
      equal(one.properties, { a: 2, c: 1, d: "new" });
      one.end();
      two.end();
    }
  },

  async "without resume, or too late, it is a new client"(a, b) {
    const [one, two] = await pair(a, b, { resume: false }, { backoff: 6000, backoffMax: 6000 });
    const tokens = [one.token, two.token];
    one.set({ who: "one" });
    two.set({ who: "two" });
    await until(() => seen(one, two)?.who === "two" && seen(two, one)?.who === "one", "properties");
    one.drop();
    await until(() => one.isOpen && one.token !== tokens[0] && seen(two, one)?.who === "one", "the new one");
    const random = Math.random;
    Math.random = () => 0.6;
    two.drop();
    Math.random = random;
    await until(() => two.isOpen && two.token !== tokens[1] && seen(one, two)?.who === "two", "the late one");
    equal(one.clients.size, 2);
  },

  async "refused properties"(a, b) {
    const [one, two] = await pair(a, b);
    one.set({ kept: "yes" });
    await until(() => one.clients.get(one.token)?.kept === "yes" && seen(two, one).kept === "yes", "kept");
    const error = event(one, "error");
    one.set(Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`p${i}`, i])));
    equal((await error).code, "limit");
    // Properties within the limit are set; the others are no longer pending.
    const alike = (x, y) => same(Object.entries(x ?? {}).sort(), Object.entries(y).sort());
    const taken = Object.fromEntries(Array.from({ length: 24 }, (_, i) => [`p${i}`, i]));
    await until(() => alike(seen(two, one), { kept: "yes", ...taken }), "those that had room");
    await until(() => alike(one.properties, { kept: "yes", ...taken }), "its own");
    one.set({ p0: null, more: 1 });
    delete taken.p0;
    await until(() => alike(seen(two, one), { kept: "yes", ...taken, more: 1 }), "what came after");
  },

  async "its front-end is killed"(a, b) {
    const [one, two] = await pair(a, b, { mode: "delta" }, { mode: "delta" });
    const token = one.token, closed = [];
    two.addEventListener("changes", ({ detail }) => closed.push(...detail.closed));
    one.set({ n: 1 });
    await until(() => seen(two, one)?.n === 1, "properties");
    await ask("kill");
    await until(() => !one.isOpen, "the loss");
    one.set({ n: 2 });
    await ask("start");
    await until(() => one.isOpen && one.clients.get(one.token)?.n === 2 && seen(two, one)?.n === 2, "it is back");
    equal(one.token, token);
    equal(closed, []);
  },

  async "one map with Tracker"(a, b) {
    const [one, , { TrackerClient }] = await pair(a, b, { properties: { mood: "good" } });
    const tracker = new TrackerClient(`${b}/tracker`, options());
    const id = await tracker.open("a state");
    await until(() => same(one.clients.get(id), { state: "a state" }), "the entry as properties");
    await until(() => tracker.entries.get(one.token)?.text === '{"mood":"good"}', "properties as a state");
    const error = event(one, "error");
    one.send(id, "chat");
    equal((await error).code, "undeliverable");
    await tracker.close(id);
    await until(() => !one.clients.has(id), "the close");
  },

  async "both modes agree after random operations"(a, b) {
    const { SyncClient } = await loadClient(a);
    let seed = 20261121;
    const random = (n) => (seed = seed * 48271 % 2147483647) % n;
    const make = () => new SyncClient(socketUrl(random(2) ? a : b), options({ mode: random(2) ? "full" : "delta" }));
    const clients = Array.from({ length: 12 }, make);
    for (let step = 0; step < 400; step++) {
      const place = random(clients.length), client = clients[place];
      switch (random(10)) {
      case 0:
        client.drop();
        break;
      case 1:
        client.end();
        clients[place] = make();
        break;
      default:
        client.set({ [`p${random(5)}`]: random(3) ? random(100) : null });
      }
      await new Promise((resolve) => setTimeout(resolve, random(20)));
    }
    const wanted = () => sorted(new Map(clients.map((client) => [client.token, client.properties])));
    await until(() => clients.every((client) => client.isOpen && same(sorted(client.clients), wanted())), "one map for all");
  },

  async "an invalid token, and one from a function"(a, good) {
    const { SyncClient } = await loadClient(a);
    for (const token of [undefined, "nonsense"]) {
      const client = new SyncClient(socketUrl(a), options({ token }));
      const { why, code } = await event(client, "state", ({ state }) => state === "ended");
      equal([code, why], [3000, token ? "malformed token" : "no token"]);
    }
    let fetched = 0;
    const client = new SyncClient(socketUrl(a), options({ token: async () => (++fetched % 2 ? "stale" : good) }));
    await until(() => client.token, "a fresh token");
    equal(fetched, 2);
    const token = client.token;
    client.drop();
    await until(() => client.isOpen && fetched === 4, "another");
    await until(() => client.clients.size === 1, "the map");
    equal(client.token, token);
  },
});
