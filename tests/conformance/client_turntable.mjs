// The turntable part of the JavaScript client, in Node with npm's ws: node client_turntable.mjs CHECK URL URL.
import { ask, equal, event, loadClient, options, refusal, run, until } from "./kit.mjs";

const socketUrl = (base) => `${base}/turntable`;

async function pair(a, b) {
  const module = await loadClient(a);
  const clients = [[a, "1:100"], [b, "1:200"]].map(([base, user]) => new module.TurntableClient(socketUrl(base), options({ user })));
  await Promise.all(clients.map((client) => client.ready()));
  return [...clients, module];
}

const members = (client, room) => [...client.rooms.get(room) ?? []].sort();

run({
  async "presence"(a, b) {
    const [one, two] = await pair(a, b);
    equal(await one.subscribe(["1:999", "1:100"]), { "1:999": "offline", "1:100": "online" });
    await until(async () => (await one.subscribe(["1:200"]))["1:200"] === "online", "the other");
    equal(one.presence.get("1:999"), "offline");
    let change = event(one, "userchange", (data) => "1:200" in data);
    two.setStatus("busy");
    equal(await change, { "1:200": "busy" });
    equal(one.presence.get("1:200"), "busy");
    change = event(one, "userchange", (data) => data["1:200"] === "online");
    two.setStatus("online");
    await change;
    change = event(one, "userchange", (data) => data["1:200"] === "offline");
    two.end();
    await change;
    one.unsubscribe(["1:200"]);
    equal(one.presence.has("1:200"), false);
    equal(await one.subscribe([]), {});
    const many = Array.from({ length: 1200 }, (_, i) => `2:${i}`);
    const found = await one.subscribe(many);
    equal([Object.keys(found).length, new Set(Object.values(found)).size], [1200, 1]);
  },

  async "rooms"(a, b) {
    const [one, two] = await pair(a, b);
    const invited = event(two, "invite");
    equal(await one.join("CStrike", ["1:200"]), ["1:100"]);
    equal(await invited, { channel: "CStrike", user: "1:200", from: "1:100" });
    const joined = event(one, "member", ({ joined: who }) => who.includes("1:200"));
    equal((await two.join("CStrike")).sort(), ["1:100", "1:200"]);
    await joined;
    equal(members(one, "CStrike"), ["1:100", "1:200"]);
    const got = [[], []];
    [one, two].forEach((client, i) => client.addEventListener("game", ({ detail }) => got[i].push(detail.actions[0].data)));
    const game = event(one, "game");
    for (let i = 0; i < 50; i++)
      (i % 2 ? one : two).sendActions("CStrike", [{ data: { i } }]);
    const first = await game;
    equal([first.channel, first.actions.length, typeof first.actions[0].timestamp], ["CStrike", 1, "number"]);
    equal(["1:100", "1:200"].includes(first.actions[0].from), true);
    await until(() => got[0].length === 50 && got[1].length === 50, "all messages");
    equal(got[0], got[1], "the order");
    equal((await one.listUsers("CStrike")).sort(), ["1:100", "1:200"]);
    equal(await one.listUsers("nobody's room"), []);
    await until(async () => (await one.listUsers()).join() === "1:100,1:200", "the space");
    const left = event(one, "member", ({ left: who }) => who.includes("1:200"));
    two.leave("CStrike");
    await left;
    equal(members(one, "CStrike"), ["1:100"]);
    equal(two.rooms.size, 0);
  },

  async "the names of 0.1"(a, b) {
    const [one, two, { TrackerClient }] = await pair(a, b);
    await one.join("room");
    await two.join("room");
    const game = event(one, "game");
    two.game("room", [{ data: 1 }]);
    equal((await game).actions[0].data, 1);
    await until(async () => (await one.whoThere("room")).length === 2, "both users");
    const tracker = new TrackerClient(`${a}/tracker`, options());
    const id = await tracker.open("state");
    equal(tracker.own, [id]);
    const gone = event(tracker, "gone", ({ entry }) => entry.id === id);
    await tracker.close(id);
    await gone;
    const ended = event(tracker, "state", ({ state }) => state === "ended");
    tracker.end();
    const { why, reason } = await ended;
    equal([why, tracker.why], [reason, tracker.reason]);
    equal(why.length > 0, true);
  },

  async "refusals"(a, b) {
    const [one, , { TurntableClient }] = await pair(a, b);
    let error = event(one, "error");
    one.sendActions("not my room", [{ data: 1 }]);
    equal(await error.then(({ code, command }) => [code, command]), ["not_member", "game"]);
    error = event(one, "error");
    one.identify("1:100");
    equal((await error).code, "identified");
    equal(await refusal(one.subscribe([""])), "bad_id");
    equal(await refusal(one.join("x".repeat(129))), "bad_room");
    equal(one.rooms.size, 0);
    const nobody = new TurntableClient(socketUrl(a), options());
    await nobody.ready();
    equal(await nobody.subscribe(["1:100"]), { "1:100": "online" });
    error = event(nobody, "error");
    nobody.setStatus("busy");
    equal((await error).code, "not_identified");
    const waiting = one.listUsers();
    one.end();
    equal(await refusal(waiting), "ended");
    equal(await refusal(one.subscribe(["1:1"])), "ended");
    equal(await refusal((async () => one.sendActions("x", []))()), "not_open");
  },

  async "it reconnects"(a, b) {
    const [one, two] = await pair(a, b);
    const statuses = [];
    await one.join("room", []);
    await two.join("room");
    await two.subscribe(["1:100"]);
    one.setStatus("busy");
    await one.subscribe(["1:200", "1:300"]);
    await until(() => two.presence.get("1:100") === "busy", "busy");
    two.addEventListener("userchange", ({ detail }) => statuses.push(detail["1:100"]));
    for (let round = 0; round < 3; round++) {
      const joined = event(one, "member", (data) => data.joined.includes("1:100"));
      one.drop();
      await joined;
      await until(() => members(one, "room").join() === "1:100,1:200" && members(two, "room").join() === "1:100,1:200", "members");
      const game = event(one, "game");
      two.sendActions("room", [{ data: round }]);
      equal((await game).actions[0].data, round);
    }
    await until(() => two.presence.get("1:100") === "busy", "busy again");
    equal(statuses.includes("offline"), false, `statuses ${statuses}`);
    const change = event(one, "userchange", (data) => data["1:200"] === "offline");
    two.end();
    await change;
  },

  async "requests without an answer are repeated"(a, b) {
    const [one, two] = await pair(a, b);
    await two.join("room");
    one.drop();
    const [found, there, joined] = await Promise.all([one.subscribe(["1:200"]), one.listUsers("room"), one.join("room")]);
    equal(found["1:200"], "busy");
    equal(there.includes("1:200"), true);
    equal(joined.sort(), ["1:100", "1:200"]);
  },

  async "requests before the connection opens"(a, b) {
    const [, two, { TurntableClient }] = await pair(a, b);
    const invited = event(two, "invite"), errors = [];
    const one = new TurntableClient(socketUrl(a), options());
    one.addEventListener("error", ({ detail }) => errors.push(detail.code));
    equal(await refusal((async () => one.sendActions("room", [{ data: 1 }]))()), "not_open");
    one.identify("1:300");
    one.setStatus("busy");
    const [found, joined, there] = await Promise.all([one.subscribe(["1:9"]), one.join("room", ["1:200"]), one.listUsers("elsewhere")]);
    equal([found, joined, there], [{ "1:9": "offline" }, ["1:300"], []]);
    equal((await invited).from, "1:300");
    equal(errors, []);
  },

  async "its front-end is killed"(a, b) {
    const [one, two] = await pair(a, b);
    await one.join("room");
    await two.join("room");
    await one.subscribe(["1:200"]);
    await ask("kill");
    await until(() => !one.isOpen, "the loss");
    const joined = event(one, "member", (data) => data.joined.includes("1:100"));
    await ask("start");
    await joined;
    await until(() => members(one, "room").join() === "1:100,1:200", "the room");
    await until(() => members(two, "room").join() === "1:100,1:200", "the other's view of it");
    const game = event(two, "game");
    one.sendActions("room", [{ data: "again" }]);
    equal((await game).actions[0].data, "again");
  },

  async "Redis is disconnected during a game"(a, b) {
    const [one, two] = await pair(a, b);
    await one.join("room");
    await two.join("room");
    const lost = event(two, "error", ({ code }) => code === "lost");
    await ask("cut");
    equal((await lost).channel, "room");
    await until(() => members(two, "room").join() === "1:100,1:200", "members");
    let arrived = 0;
    two.addEventListener("game", () => arrived++);
    await until(() => {
      one.sendActions("room", [{ data: "after" }]);
      return arrived > 0;
    }, "a game");
  },

  async "names that objects treat specially"(a, b) {
    const [one, two] = await pair(a, b);
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
    const found = await one.subscribe(names);
    names.forEach((name) => equal([Object.hasOwn(found, name), found[name], one.presence.get(name)], [true, "offline", "offline"], name));
    for (const name of names) {
      equal(await one.join(name), ["1:100"]);
      equal((await two.join(name)).sort(), ["1:100", "1:200"]);
      equal(members(two, name), ["1:100", "1:200"]);
    }
  },

  async "Redis stalls while clients connect"(a, b) {
    const [one, two, { TurntableClient }] = await pair(a, b);
    await two.subscribe(["1:300"]);
    await ask("freeze");
    const errors = [], early = new TurntableClient(socketUrl(a), options({ user: "1:300" }));
    early.addEventListener("error", ({ detail }) => errors.push(detail));
    let isReady = false;
    const ready = early.ready().then(() => (isReady = true));
    const joined = one.join("room", ["1:200"]), there = one.listUsers("other room");
    early.setStatus("busy");
    await until(() => errors.length >= 1, "the passing error");
    equal([errors[0].code, errors[0].command, isReady], ["unavailable", "idme", false]);
    await ask("thaw");
    await ready;
    await until(() => two.presence.get("1:300") === "busy", "the identity, and the status set before it");
    equal([await joined, await there], [["1:100"], []]);
    equal(await early.join("room"), ["1:100", "1:300"]);
  },

  async "a second connection that is refused"(a, b) {
    const { TurntableClient } = await loadClient(a);
    const first = new TurntableClient(socketUrl(a), options({ user: "1:7" }));
    await first.ready();
    const second = new TurntableClient(socketUrl(b), options({ user: "1:7" }));
    equal(await refusal(second.ready()), "duplicate_login");
    equal(await refusal(new TurntableClient(socketUrl(b), options({ user: "no\tid" })).ready()), "bad_id");
    // A reconnecting client may be refused for a while because of its own old connection.
    await first.subscribe(["1:7"]);
    first.drop();
    await first.ready();
    equal((await first.subscribe(["1:7"]))["1:7"], "online");
  },

  async "tokens"(a, good) {
    const { TurntableClient } = await loadClient(a);
    const one = new TurntableClient(socketUrl(a), options({ user: "1:12345", token: good }));
    equal(await one.join("room"), ["1:12345"]);
    const other = new TurntableClient(socketUrl(a), options({ user: "1:1", token: good }));
    equal((await event(other, "state", ({ state }) => state === "ended")).code, 3003);
  },
});
