// The Tracker part of the JavaScript client, in Node with npm's ws: node client_tracker.mjs CHECK URL URL.
import { ask, equal, event, limited, loadClient, options, refusal, run, until } from "./kit.mjs";

const socketUrl = (base) => `${base}/tracker`;

run({
  async "entries of one client reach another"(a, b) {
    const { TrackerClient } = await loadClient(a);
    const one = new TrackerClient(socketUrl(a), options()), two = new TrackerClient(socketUrl(b), options());
    const id = await limited(one.open("first"), "id");
    await limited(two.open("watcher"), "id");
    equal((await limited(two.get(), "map")).get(id).text, "first");
    const change = event(two, "change", ({ entry }) => entry.id === id);
    await one.update(id, "second");
    const { entry, previous } = await change;
    equal([entry.text, previous.text, entry.version], ["second", "first", 1]);
    const gone = event(two, "closed", (detail) => detail.entry.id === id);
    await one.close(id);
    equal((await gone).entry.text, "second");
    equal(two.entries.has(id), false);
    equal(one.ownIds, []);
  },

  async "states of any bytes, and up to the largest"(a, b) {
    const { TrackerClient } = await loadClient(a);
    const one = new TrackerClient(socketUrl(a), options()), two = new TrackerClient(socketUrl(b), options());
    const states = [new Uint8Array(0), Uint8Array.of(0), Uint8Array.of(0x2a, 1, 3, 0xff, 0x2a), new Uint8Array(244).fill(0x2a)];
    await two.open("");
    for (const state of states) {
      const id = await one.open(state);
      await until(() => two.entries.get(id)?.bytes.join() === state.join(), "the state");
    }
    equal(await refusal(one.open(new Uint8Array(245))), "too_long");
    equal(two.entries.get(one.ownIds[2]).text, null);
  },

  async "waiting updates are merged, and the last counts"(a, b) {
    const { TrackerClient } = await loadClient(a);
    const one = new TrackerClient(socketUrl(a), options()), two = new TrackerClient(socketUrl(b), options());
    await two.open("");
    const id = await one.open("0");
    await limited(Promise.all(Array.from({ length: 1000 }, (_, i) => one.update(id, `${i}`))), "updates");
    await until(() => two.entries.get(id)?.text === "999", "the last state");
  },

  async "a chosen id, and one that is taken"(a, b) {
    const { TrackerClient } = await loadClient(a);
    const one = new TrackerClient(socketUrl(a), options()), two = new TrackerClient(socketUrl(b), options());
    await one.update("sensor-7", "mine");
    await two.open("");
    await until(() => two.entries.has("sensor-7"), "the entry");
    equal(await refusal(two.update("sensor-7", "yours")), "refused");
    equal(two.ownIds.includes("sensor-7"), false);
    equal(await refusal(two.close("sensor-7")), "refused");
    await one.update("sensor-7", "still mine");
    await until(() => two.entries.get("sensor-7").text === "still mine", "the owner's state");
  },

  async "a large map, with entries opened and closed"(a, b) {
    const { TrackerClient } = await loadClient(a);
    const writers = Array.from({ length: 40 }, () => new TrackerClient(socketUrl(a), options()));
    const ids = (await limited(Promise.all(writers.flatMap((one, i) =>
      Array.from({ length: 15 }, (_, j) => one.open(`${i}.${j}.${"x".repeat(200)}`)))), "ids"));
    const watcher = new TrackerClient(socketUrl(b), options());
    await watcher.open("");
    await until(() => watcher.entries.size === 601, "all entries");
    writers.slice(0, 20).forEach((one) => one.ownIds.forEach((id) => one.close(id)));
    await until(() => watcher.entries.size === 301, "those that are left");
    equal(ids.filter((id) => watcher.entries.has(id)).length, 300);
  },

  async "it reconnects and adopts its entries"(a, b) {
    const { TrackerClient } = await loadClient(a);
    const one = new TrackerClient(socketUrl(a), options()), two = new TrackerClient(socketUrl(b), options());
    const closed = [];
    two.addEventListener("closed", ({ detail }) => closed.push(detail.entry.id));
    await two.open("");
    const ids = [await one.open("a"), await one.open("b")];
    await until(() => ids.every((id) => two.entries.has(id)), "both");
    one.drop();
    equal(one.state, "waiting");
    await limited(one.update(ids[0], "while away"), "the update");
    await until(() => two.entries.get(ids[0]).text === "while away", "the state");
    equal(one.ownIds, ids);
    equal(closed, []);
  },

  async "requests without a connection are queued"(a, b) {
    const { TrackerClient } = await loadClient(a);
    const one = new TrackerClient(socketUrl(a), options()), two = new TrackerClient(socketUrl(b), options());
    await two.open("");
    const early = await one.open("before");
    await until(() => two.entries.has(early), "the entry");
    one.drop();
    const [late] = await limited(Promise.all([one.open("away"), one.close(early)]), "answers");
    await until(() => two.entries.has(late) && !two.entries.has(early), "the late entry without the early one");
  },

  async "its front-end is killed"(a) {
    // The address remains: the test starts another front-end there.
    const { TrackerClient } = await loadClient(a);
    const one = new TrackerClient(socketUrl(a), options());
    const id = await one.open("before");
    await ask("kill");
    await until(() => !one.isOpen, "the loss");
    const update = one.update(id, "after");
    await ask("start");
    await limited(update, "the update");
    equal(await ask("state"), "after");
    equal(one.ownIds, [id]);
  },

  async "Redis stalls for longer than the deadline"(a) {
    const { TrackerClient } = await loadClient(a);
    const one = new TrackerClient(socketUrl(a), options()), sent = [];
    const id = await one.open("first");
    one.addEventListener("message", ({ detail: { out } }) => out && sent.push(out));
    await ask("freeze");
    const requests = Promise.all([one.update(id, "second"), one.open("other"), one.update("named", "x")]);
    await until(() => sent.length > 3, "that one is made again");
    await ask("thaw");
    const [, other] = await limited(requests, "answers");
    equal(await ask("states"), ["named=x", `${id}=second`, `${other}=other`].sort().join());
  },

  async "names that objects treat specially"(a, b) {
    const { TrackerClient } = await loadClient(a);
    const one = new TrackerClient(socketUrl(a), options()), two = new TrackerClient(socketUrl(b), options());
    await two.open("");
    for (const name of ["__proto__", "constructor", "toString"]) {
      await one.update(name, name);
      await until(() => two.entries.get(name)?.text === name, name);
    }
  },

  async "an entry whose id was taken gets a new id"(a, b) {
    const { TrackerClient } = await loadClient(a);
    const one = new TrackerClient(socketUrl(a), options({ backoff: 3000, backoffMax: 3000 }));
    const thief = new TrackerClient(socketUrl(b), options());
    const id = await one.open("mine");
    await thief.open("");
    await until(() => thief.entries.has(id), "the entry");
    const random = Math.random;
    Math.random = () => 0.9;
    one.drop();
    Math.random = random;
    await until(() => thief.update(id, "stolen").then(() => true, () => false), "the theft"); // once the server has noticed the drop
    // The client retries for as long as the server may not have noticed the loss; here that time is over.
    const now = Date.now;
    const renamed = event(one, "renamed");
    await one.ready();
    Date.now = () => now() + 60000;
    const { from, to } = await renamed;
    Date.now = now;
    equal(from, id);
    await until(() => thief.entries.get(to)?.text === "mine", "the new entry");
    equal(one.ownIds, [to]);
  },

  async "the end, and what it rejects"(a) {
    const { TrackerClient } = await loadClient(a);
    const one = new TrackerClient(socketUrl(a), options());
    await one.ready();
    one.end();
    equal(one.state, "ended");
    equal(await refusal(one.open("x")), "ended");
    equal(await refusal(one.ready()), "ended");
    const nowhere = new TrackerClient(`${a}/tracker/nowhere`, options());
    const opening = nowhere.open("x");
    await event(nowhere, "state", ({ state }) => state === "waiting");
    nowhere.end();
    equal(await refusal(opening), "ended");
  },

  async "without a WebSocket it reports an error"(a) {
    const { TrackerClient } = await loadClient(a);
    const kept = globalThis.WebSocket;
    delete globalThis.WebSocket;
    try {
      new TrackerClient(socketUrl(a));
      throw new Error("it was made");
    } catch (error) {
      equal(error.code, "no_websocket");
    }
    globalThis.WebSocket = kept;
  },

  async "the backoff grows, with jitter"(a) {
    const { TrackerClient } = await loadClient(a);
    const waits = [], plain = setTimeout;
    globalThis.setTimeout = (callback, ms, ...rest) => {
      waits.push(ms);
      return plain(callback, Math.min(ms, 5), ...rest);
    };
    const one = new TrackerClient(`${a}/tracker/nowhere`, options({ backoff: 100, backoffMax: 2000, timeout: 77777 }));
    let losses = 0;
    one.addEventListener("state", ({ detail }) => (losses += detail.state === "waiting"));
    while (losses < 12)
      await new Promise((resolve) => plain(resolve, 10));
    one.end();
    globalThis.setTimeout = plain;
    const all = waits.filter((ms) => ms !== 77777 && ms >= 0 && ms <= 2000);
    all.slice(0, 5).forEach((ms, i) => equal(ms <= 100 * 2 ** i, true, `wait ${i} is ${ms}`));
    equal(Math.max(...all) <= 2000 && Math.max(...all) > 100, true, `waits ${all}`);
    equal(new Set(all).size > 8, true, "they differ");
  },
});
