// The page during an outage of Redis or of its front-end, and with an unknown space. node page_outage.mjs CHECK URL...
import { live, open, settled, text } from "./browser.mjs";
import { ask, equal, run, until } from "./kit.mjs";

const rows = (page, grid = "#grid") => page.locator(`${grid} .row:not([hidden])`);
const link = (page, state) => page.locator(`#link[data-state="${state}"]`).waitFor();
const DAY = 86400;

/** Waits until the page is stale; returns since how many seconds. */
async function staleFor(page) {
  await link(page, "stale");
  return secondsSince(await text(page, "#link span"));
}

/** The age in seconds of the time in `Stale since`. */
function secondsSince(said) {
  const [, ...parts] = /^Stale since (\d\d):(\d\d):(\d\d)$/.exec(said) ?? [equal(said, "Stale since HH:MM:SS", "link")];
  const [hours, minutes, seconds] = parts.map(Number), now = new Date();
  const today = (now.getHours() * 60 + now.getMinutes()) * 60 + now.getSeconds();
  return (today - ((hours * 60 + minutes) * 60 + seconds) + DAY) % DAY;
}

const checks = {
  async "Redis is killed"(base) {
    const page = await open(base), servers = await open(base, { path: "/#servers" });
    await live(page);
    await servers.locator("#servers-grid .row", { hasText: "a server" }).waitFor();
    const before = Date.now();
    await ask("kill");
    const since = await staleFor(page);
    equal(since <= (Date.now() - before) / 1000 + 4, true, `stale since ${since} s, though Redis answered until the end`);
    await servers.locator("#servers-note", { hasText: /^Stale since \d\d:\d\d:\d\d: / }).waitFor();
    const shown = await text(page, "#link span");
    await page.locator("#banner", { hasText: "The data shown is out of date" }).waitFor();
    equal(await rows(page).count(), 1);
    // The time stays, however long the outage takes.
    await until(async () => (await staleFor(page)) >= since + 2);
    equal(await text(page, "#link span"), shown);
    // A page loaded now shows the same time, but for rounding, or that it is waiting.
    const late = await open(base);
    await late.locator("#link", { hasText: /Stale since|Waiting for Redis/ }).waitFor();
    const said = await text(late, "#link span");
    equal(said === "Waiting for Redis" || Math.abs(secondsSince(said) - secondsSince(shown)) <= 2, true, `${said}, not ${shown}`);
    await ask("start");
    for (const one of [page, late]) {
      await live(one);
      equal(await text(one, "#link span"), "Live");
      await one.locator("#banner").waitFor({ state: "hidden" });
    }
    await until(async () => (await text(servers, "#servers-note")) === "");
    [page, servers, late].forEach(settled);
  },

  async "its front-end is killed"(base) {
    const page = await open(base, { expected: /ERR_|Failed to load/ });
    await live(page);
    await until(async () => (await text(page, "#value-changes")) !== "–");
    await ask("kill");
    equal(await staleFor(page) < 60, true, "stale at once");
    equal(await text(page, "#value-changes"), "–");
    equal(await text(page, "#value-messages"), "–");
    await page.locator("#banner", { hasText: /No connection: .*The data shown is out of date/ }).waitFor();
    equal(await rows(page).count(), 1);
    await ask("start");
    await live(page);
    settled(page);
  },

  async "loaded during an outage"(base) {
    // The first request to this front-end: it knows no other front-end's name.
    const pages = [];
    for (const path of ["/", "/#servers", "/#try"]) {
      const page = await open(base, { path });
      await until(async () => (await text(page, "#link span")) === "Waiting for Redis", path);
      equal(await page.locator("#tab-servers").isVisible(), true, "the tab is there");
      equal(await text(page, "#front-end"), "a");
      pages.push(page);
    }
    const [page, servers, panel] = pages;
    await page.fill("#search", "bettina");
    await panel.getByRole("button", { name: "Connect", exact: true }).waitFor();
    await ask("start");
    await Promise.all(pages.map(live));
    // The other front-end's name is in the rows, in the search, in the list of servers, and in the details.
    await page.locator(".row .node", { hasText: "bettina" }).waitFor();
    equal(await text(page, "#count"), "1 of 1");
    await servers.locator("#servers-grid .row .registered", { hasText: "bettina" }).waitFor();
    await rows(page).first().click();
    await page.locator("#detail-facts", { hasText: "bettina" }).waitFor();
    await panel.getByRole("button", { name: "Connect", exact: true }).click();
    await panel.getByText("Connected", { exact: true }).waitFor();
    await panel.getByRole("tab", { name: "Servers" }).click();
    await panel.locator("#servers-grid .row", { hasText: "a server" }).waitFor();
    pages.forEach(settled);
  },

  async "an unknown space"(base) {
    const page = await open(base, { path: "/?space=nowhere", expected: /404/ });
    await page.locator("#offers", { hasText: "There is no space nowhere. Spaces here: mainotherlobby" }).waitFor();
    await link(page, "refused");
    equal(await page.locator("#banner").isVisible(), false, "shown once");
    equal(await page.locator("#space option").allTextContents(), ["nowhere", "main", "other", "lobby"]);
    equal(await page.locator("#tab-servers").isVisible(), true, "the tab is there");
    await page.getByRole("button", { name: "other", exact: true }).click();
    await live(page);
    await page.locator(".row .id", { hasText: "in-other" }).waitFor();
    equal(await page.locator("#offers").isVisible(), false);
    equal(new URL(page.url()).searchParams.get("space"), "other");
    await page.reload();
    await page.locator(".row .id", { hasText: "in-other" }).waitFor();
    // Also from the list of spaces, and with the tab of game servers.
    await page.goto(`${base}/?space=nowhere#servers`);
    await page.getByText("No server is listed").waitFor();
    await page.getByRole("tab", { name: "Map" }).click();
    await page.selectOption("#space", "main");
    await page.locator(".row .id", { hasText: "in-main" }).waitFor();
    settled(page);
  },

  async "what figures cover"(base) {
    const page = await open(base);
    await live(page);
    equal(await text(page, "#covers-clients"), "space main, all front-ends");
    equal(await text(page, "#covers-changes"), "front-end a, all spaces");
    equal(await text(page, "#covers-messages"), "front-end a, all spaces");
    equal(await text(page, "#covers-connections"), "front-end a");
    equal(await text(page, "#covers-list"), "in space main");
    // Of two clients, one at each front-end, both are counted; connections are those of this front-end.
    await until(async () => (await text(page, "#value-clients")) === "2");
    const here = Number(await text(page, "#value-connections"));
    await ask("connect to b");
    await until(async () => (await text(page, "#value-clients")) === "3");
    equal(Number(await text(page, "#value-connections")) <= here, true, "connections of the other front-end");
    await page.selectOption("#space", "other");
    await until(async () => (await text(page, "#covers-clients")) === "space other, all front-ends");
    equal(await text(page, "#value-clients"), "0");
    settled(page);
  },

  async "names that objects inherit"(base) {
    const page = await open(base, { path: "/#try" });
    await page.locator(".choice label", { hasText: "Metadata sync" }).click();
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await page.getByText("Connected", { exact: true }).waitFor();
    for (const name of ["__proto__", "constructor"]) {
      await page.getByLabel("Name", { exact: true }).fill(name);
      await page.getByLabel("Value", { exact: true }).fill(`mine of ${name}`);
      await page.getByRole("button", { name: "Set" }).click();
      await page.locator(".chips li", { hasText: `${name}: mine of ${name}` }).waitFor();
    }
    await page.locator(".items li", { hasText: /__proto__: theirs/ }).waitFor();
    await page.getByRole("tab", { name: "Map" }).click();
    await page.locator(".row .state", { hasText: "__proto__: theirs  ·  constructor: theirs  ·  toString: theirs" }).waitFor();
    await page.fill("#search", "tostring: theirs");
    await rows(page).first().click();
    equal(await page.locator("#detail-body dt").allTextContents(), ["__proto__", "constructor", "toString"]);
    equal(await page.locator("#detail-body dd").allTextContents(), ["theirs", "theirs", "theirs"]);
    equal(await page.evaluate(() => [Object.keys({}), ({}).theirs === undefined]), [[], true]);
    await page.keyboard.press("Escape");
    await page.getByRole("tab", { name: "Servers" }).click();
    await page.locator("#servers-grid .row .game", { hasText: "__proto__" }).waitFor();
    equal(await page.locator("#servers-game option").allTextContents(), ["All games", "__proto__ (1)"]);
    settled(page);
  },
};

run(checks);
