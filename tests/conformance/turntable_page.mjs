// A page that uses the original program's client, on a site of its own, in headless Chromium: node turntable_page.mjs CHECK SERVER
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { open, settled } from "./browser.mjs";
import { equal, run, until } from "./kit.mjs";

const html = await readFile(new URL("turntable_page.html", import.meta.url), "utf8");

/** The site that has the page; its address. */
async function serveSite() {
  const site = createServer((request, response) => {
    const isPage = request.url.startsWith("/game");
    response.writeHead(isPage ? 200 : 204, { "Content-Type": "text/html" }).end(isPage ? html : "");
  }).listen(0, "127.0.0.1");
  await once(site, "listening");
  return `http://127.0.0.1:${site.address().port}`;
}

/** The page of that user. */
function player(site, server, self, friends) {
  const query = new URLSearchParams({ server, self: JSON.stringify(self), friends: JSON.stringify(friends) });
  return open(site, { path: `/game?${query}` });
}

const list = (page, id) => page.locator(`#${id} li`).allTextContents();
const shows = (page, id, wanted) => until(async () => {
  settled(page);
  return (await list(page, id)).join() === wanted.join();
}, `${id} ${wanted}`);

async function play(server, one, two) {
  const site = await serveSite();
  const [first, second] = [await player(site, server, one, [two]), await player(site, server, two, [one])];
  await shows(first, "friends", [`${two} online`]);
  await shows(second, "friends", [`${one} online`]);
  await first.getByRole("button", { name: "Play" }).click();
  await until(async () => (await list(second, "members")).sort().join() === [String(one), String(two)].sort().join());
  await shows(second, "friends", [`${one} busy`]);
  await first.getByRole("button", { name: "Shoot" }).click();
  await second.getByRole("button", { name: "Shoot" }).click();
  await until(async () => (await list(first, "actions")).length === 2);
  equal((await list(first, "actions")).sort(), [`${one}: 3:2!`, `${two}: 3:2!`].sort());
  await shows(second, "actions", await list(first, "actions"));
  settled(first);
  settled(second);
}

await run({
  "names": (server) => play(server, "game:User1", "game:User 2"),
  "numbers": (server) => play(server, 1, 2),
});
