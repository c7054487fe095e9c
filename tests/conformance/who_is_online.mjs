// The recipe of docs/who-is-online.md in a site's page: node who_is_online.mjs CHECK SITE FRONT-END TOKEN
import WebSocket from "ws";
import { open, settled } from "./browser.mjs";
import { ask, equal, event, loadClient, options, refusal, run, until } from "./kit.mjs";

/** The site's page for the user of a session. */
const visit = (site, web, session) => open(site, {
  others: [web.replace("http", "ws")], expected: /ERR_|WebSocket/,
  storageState: { cookies: [{ name: "session", value: session, domain: "127.0.0.1", path: "/", expires: -1, httpOnly: true,
                              secure: false, sameSite: "Lax" }], origins: [] },
});

async function shows(page, names) {
  const got = () => page.locator("#online li").allTextContents();
  await until(async () => JSON.stringify(await got()) === JSON.stringify(names)).catch(async () => equal(await got(), names, "the list"));
}

run({
  async "who is online"(site, web, token) {
    const ada = await visit(site, web, "ada"), bob = await visit(site, web, "bob");
    for (const page of [ada, bob])
      await shows(page, ["<b>Bob</b>", "Ada"]);
    equal(await ada.locator("#online b").count(), 0, "names are text");
    // A second page of the same user adds no user, and the user leaves with the last page.
    const again = await visit(site, web, "bob");
    await shows(again, ["<b>Bob</b>", "Ada"]);
    await bob.context().close();
    await shows(ada, ["<b>Bob</b>", "Ada"]);
    await again.context().close();
    await shows(ada, ["Ada"]);
    // A user without a name is listed, too.
    const nobody = await visit(site, web, "nameless");
    await shows(ada, ["Ada", "somebody"]);
    await nobody.context().close();
    await shows(ada, ["Ada"]);
    settled(ada);
  },

  async "what can be forged"(site, web, token) {
    const { TurntableClient, SyncClient } = await loadClient(web);
    const ada = await visit(site, web, "ada"), url = `${web.replace("http", "ws")}/turntable`;
    await shows(ada, ["Ada"]);
    // Eve's token is valid for Eve only: for Bob's id it is refused, and the connection is closed.
    const asBob = new TurntableClient(url, options({ WebSocket, user: "1:2", token }));
    equal((await event(asBob, "state", ({ state }) => state === "ended")).code, 3003);
    equal(await refusal(asBob.join("online")), "ended");
    // A token is required.
    const without = new TurntableClient(url, options({ WebSocket, user: "1:2" }));
    equal((await event(without, "state", ({ state }) => state === "ended")).code, 3000);
    // As a member, Eve cannot send as Bob.
    const eve = new TurntableClient(url, options({ WebSocket, user: "1:666", token }));
    await eve.join("online");
    await shows(ada, ["Ada", "Eve"]);
    eve.sendActions("online", [{ from: "1:2", data: {} }]);
    equal((await event(eve, "error")).code, "not_you");
    // An entry with Bob's id, and properties with Ada's name, are not members.
    await ask("entry");
    const sync = new SyncClient(url.replace("turntable", "sync"), options({ WebSocket, token, properties: { name: "Ada" } }));
    await sync.ready();
    equal((await eve.subscribe(["1:2"]))["1:2"], "online");
    equal(await eve.listUsers("online"), ["1:1", "1:666"]);
    await shows(ada, ["Ada", "Eve"]);
    eve.leave("online");
    await shows(ada, ["Ada"]);
    settled(ada);
  },

  async "its front-end is killed"(site, web) {
    const ada = await visit(site, web, "ada"), bob = await visit(site, web, "bob");
    await shows(ada, ["<b>Bob</b>", "Ada"]);
    await ask("kill");
    await ada.locator("#online.stale").waitFor();
    await ask("start");
    await ada.locator("#online:not(.stale)").waitFor();
    for (const page of [ada, bob]) {
      await shows(page, ["<b>Bob</b>", "Ada"]);
      settled(page);
    }
  },
});
