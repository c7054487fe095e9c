// Idle clients, and clients that read what they have just written: the page's consoles in headless Chromium, and
// the JavaScript client in Node. node idle.mjs CHECK URL [URL]
import WebSocket from "ws";
import { open, settled } from "./browser.mjs";
import { ask, equal, loadClient, options, run, until } from "./kit.mjs";

const ROUNDS = 15;
const json = async (url) => (await fetch(url)).json();

async function connect(page, choice) {
  await page.locator(".choice label", { hasText: choice }).click();
  await page.locator(".console").getByRole("button", { name: "Connect", exact: true }).click();
  await page.locator(".console").getByText("Connected", { exact: true }).waitFor();
}

async function openConsoles(base) {
  const page = await open(base, { path: "/#try" });
  await connect(page, "Tracker");
  await page.getByRole("button", { name: "Open" }).click();
  await page.locator(".items input").waitFor();
  await connect(page, "turntable");
  await page.getByLabel("User id").fill("1:100");
  await page.getByRole("button", { name: "Identify" }).click();
  await connect(page, "Metadata sync");
  await page.getByText(/^My token: [0-9a-f]{32}$/).waitFor();
  return page;
}

const checks = {
  async "idle"(base) {
    const { TrackerClient, TurntableClient, SyncClient } = await loadClient(base), url = base.replace("http", "ws");
    const page = await openConsoles(base);
    const clients = [new TrackerClient(`${url}/tracker`, options({ WebSocket })), new SyncClient(`${url}/sync`, options({ WebSocket })),
                     new TurntableClient(`${url}/turntable`, options({ WebSocket, user: "1:200" }))];
    await clients[0].open("idle");
    await Promise.all(clients.map((client) => client.ready()));
    const states = [];
    clients.forEach((client) => client.addEventListener("state", ({ detail }) => states.push(detail)));
    await until(async () => (await json(`${base}/api/v1/clients`)).count === 6);
    await ask("watch");
    equal(states, [], "changes of state");
    equal(await page.locator(".console .link").getAttribute("data-state"), "connected");
    settled(page);
  },

  async "reads what it has written"(base, other) {
    const { TrackerClient } = await loadClient(base);
    const client = new TrackerClient(`${base.replace("http", "ws")}/tracker`, options({ WebSocket }));
    const id = await client.open("0"), path = `api/v1/clients/${id}`;
    for (let i = 1; i <= ROUNDS; i++) {
      await client.update(id, `${i}`);
      // The same front-end at once; the other with ?consistent=1.
      const [here, list, there] = await Promise.all([json(`${base}/${path}`), json(`${base}/api/v1/clients?q=${id}`),
                                                     json(`${other}/${path}?consistent=1`)]);
      equal([here.state, list.clients[0].state, there.state], [`${i}`, `${i}`, `${i}`], "states");
    }
    await client.close(id);
    equal((await fetch(`${base}/${path}`)).status, 404);
    equal((await fetch(`${other}/${path}?consistent=1`)).status, 404);
    // Written and read by the page.
    const page = await open(base, { path: "/#try" });
    await connect(page, "Tracker");
    await page.getByRole("button", { name: "Open" }).click();
    await page.locator(".items input").waitFor();
    const states = await page.evaluate(async (rounds) => {
      const { TrackerClient: Client } = await import("/tracker.js");
      const one = new Client("/tracker"), wrong = [], name = await one.open("0");
      for (let i = 1; i <= rounds; i++) {
        await one.update(name, `${i}`);
        const { state } = await (await fetch(`/api/v1/clients/${name}`)).json();
        if (state !== `${i}`)
          wrong.push([i, state]);
      }
      return wrong;
    }, ROUNDS);
    equal(states, [], "states");
    settled(page);
  },
};

run(checks);
