// The list of game servers on the page: node page_servers.mjs CHECK URL...
import { live, nameless, open, poorContrasts, settled, text } from "./browser.mjs";
import { ask, equal, run, until } from "./kit.mjs";

const GRID = "#servers-grid";
const rows = (page) => page.locator(`${GRID} .row:not([hidden])`);
const openList = (base, options = {}) => open(base, { path: "/?tab=servers", ...options });

/** The values of a column, in the order of the rows. */
async function column(page, name) {
  const shown = await rows(page).evaluateAll((all, selector) => all
    .map((row) => [Number(row.getAttribute("aria-rowindex")), row.querySelector(selector).textContent])
    .sort((a, b) => a[0] - b[0]), `.${name}`);
  return shown.map(([, one]) => one);
}

/** Waits until a column has these values; reports the last ones otherwise. */
async function shows(page, name, wanted) {
  let got = [];
  const is = async () => JSON.stringify(got = await column(page, name)) === JSON.stringify(wanted);
  await until(is).catch(() => equal(got, wanted, name));
}

const counted = (page, wanted) => until(async () => (await text(page, "#servers-count")) === wanted, `count ${wanted}`);
const sortBy = (page, name) => page.locator(GRID).getByRole("columnheader", { name }).getByRole("button").click();

const checks = {
  async "no server"(base) {
    const page = await openList(base);
    await page.getByText("A game server is listed as soon as").waitFor();
    await page.locator("#servers-empty pre", { hasText: "lobby-servers=127.0.0.1:" }).waitFor();
    await page.getByText("docs/protocol-lobby.md").waitFor();
    equal(await page.locator("#tab-servers").getAttribute("aria-selected"), "true");
    equal(new URL(page.url()).hash + new URL(page.url()).search, "#servers");
    await ask("open");
    await shows(page, "title", ["the first"]);
    equal(await page.locator("#servers-empty").isVisible(), false);
    await ask("close");
    await page.getByText("A game server is listed as soon as").waitFor();
    settled(page);
  },

  async "no lobby"(base) {
    const page = await openList(base);
    await live(page);
    await page.locator("#view-map").waitFor();
    equal(await page.locator("#tab-servers").isVisible(), false);
    equal(await page.locator("#view-servers").isVisible(), false);
    // The arrow keys skip it.
    await page.locator("#tab-map").focus();
    await page.keyboard.press("ArrowRight");
    equal(await page.locator("#tab-try").getAttribute("aria-selected"), "true");
    settled(page);
  },

  async "three servers"(base) {
    const page = await openList(base);
    await shows(page, "title", ["Beta", "alpha", "gamma"]);
    equal(await column(page, "players"), ["8/8", "2/4", "0/16"]);
    equal(await column(page, "map"), ["arena", "q3dm17", "–"]);
    equal(await column(page, "version"), ["0.70", "1.36", "–"]);
    equal(await column(page, "registered"), ["a", "UDP master", "b"]);
    equal((await column(page, "since")).every((age) => /^(now|\d+ s)$/.test(age)), true, "ages");
    await counted(page, "3 · 10 players");
    // Sorted, one way and the other.
    await sortBy(page, "Name");
    await shows(page, "title", ["alpha", "Beta", "gamma"]);
    equal(await page.locator(GRID).getByRole("columnheader", { name: "Name" }).getAttribute("aria-sort"), "ascending");
    await sortBy(page, "Name");
    await shows(page, "title", ["gamma", "Beta", "alpha"]);
    await sortBy(page, "Map");
    await shows(page, "title", ["Beta", "alpha", "gamma"]);
    await sortBy(page, "Map");
    await shows(page, "title", ["alpha", "Beta", "gamma"]); // servers without a value are last in both
    await sortBy(page, "Players");
    await shows(page, "title", ["Beta", "alpha", "gamma"]);
    // Filters.
    await page.getByRole("button", { name: "Hide empty" }).click();
    await shows(page, "title", ["Beta", "alpha"]);
    await page.getByRole("button", { name: "Hide full" }).click();
    await shows(page, "title", ["alpha"]);
    await counted(page, "1 of 3 · 2 players");
    await page.selectOption("#servers-game", "gltron");
    await page.getByText("No server matches").waitFor();
    await page.getByRole("button", { name: "Show all" }).click();
    await shows(page, "title", ["Beta", "alpha", "gamma"]);
    await page.selectOption("#servers-game", "gltron");
    await shows(page, "title", ["Beta", "gamma"]);
    await page.selectOption("#servers-game", "");
    await page.fill("#servers-search", "MASTER q3dm");
    await shows(page, "title", ["alpha"]);
    await page.fill("#servers-search", "");
    // Live.
    await ask("change");
    await shows(page, "players", ["8/8", "5/16", "2/4"]);
    await page.locator(`${GRID} .flash-a .title, ${GRID} .flash-b .title`, { hasText: "gamma" }).waitFor();
    await page.locator(`${GRID} .row`, { hasText: "Beta" }).locator(".suspect").waitFor();
    await ask("close");
    await shows(page, "title", ["gamma", "alpha"]);
    settled(page);
  },

  async "addresses are copied"(base) {
    const page = await openList(base, { permissions: ["clipboard-read", "clipboard-write"] });
    const address = await ask("address");
    const copied = () => page.evaluate(() => navigator.clipboard.readText());
    await shows(page, "address", [address]);
    await rows(page).first().click();
    await page.locator("#servers-copied.shown", { hasText: `${address} copied` }).waitFor();
    equal(await copied(), address);
    await page.evaluate(() => navigator.clipboard.writeText("something else"));
    await page.locator(`${GRID} .viewport`).focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await until(async () => (await copied()) === address);
    // As without TLS.
    await page.evaluate(() => navigator.clipboard.writeText("something else"));
    const write = await page.evaluateHandle(() => {
      const { writeText } = navigator.clipboard;
      navigator.clipboard.writeText = () => Promise.reject(new Error("no"));
      return writeText;
    });
    await rows(page).first().click();
    await until(async () => (await copied()) === address);
    equal(await page.locator("textarea").count(), 0);
    await write.dispose();
    settled(page);
  },

  async "five hundred"(base) {
    const page = await openList(base);
    await counted(page, "500 · 1,742 players");
    equal((await rows(page).count()) < 60, true, "rows in the document are few");
    await sortBy(page, "Name");
    await until(async () => (await column(page, "title"))[0] === "server 0");
    equal((await column(page, "title")).slice(0, 12), Array.from({ length: 12 }, (_, i) => `server ${i}`));
    await page.locator(`${GRID} .viewport`).evaluate((viewport) => (viewport.scrollTop = viewport.scrollHeight));
    await page.locator(`${GRID} .title`, { hasText: "server 499" }).waitFor();
    // Servers are added and removed while the list is shown, and while another tab is.
    await ask("go");
    await counted(page, "250 · 869 players");
    await page.getByRole("tab", { name: "Map" }).click();
    equal(await page.locator("#view-servers").isVisible(), false);
    await until(async () => (await ask("watchers")) === "1");
    await ask("come");
    await page.getByRole("tab", { name: "Servers" }).click();
    await counted(page, "300 · 1,019 players");
    await page.fill("#servers-search", "late");
    await counted(page, "50 of 300 · 150 players");
    await ask("storm");
    await page.fill("#servers-search", "");
    await counted(page, "300 · 3,000 players");
    settled(page);
  },

  async "hostile names"(base) {
    const page = await openList(base);
    await until(async () => (await rows(page).count()) === 5);
    const titles = await column(page, "title");
    equal(titles.includes("<img src=x onerror=alert(1)>"), true, `${titles}`);
    equal(titles.includes("(no name)"), true, `${titles}`);
    await ask("update");
    await until(async () => (await column(page, "players")).every((one) => one === "7"));
    equal(await page.locator("img[src=x], script:not([src]), iframe, b b, svg").count(), 0);
    equal(await page.evaluate(() => globalThis.hacked), undefined);
    equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, "fits");
    settled(page);
  },

  async "the token"(base) {
    const page = await openList(base, { expected: /401/ });
    await page.locator("#sign-in").getByText("Token required").waitFor();
    await page.fill("#sign-in-token", "0123456789abcdef");
    await page.getByRole("button", { name: "Show the page" }).click();
    await shows(page, "title", ["the first"]);
    settled(page);
  },

  async "a server moves, a front-end is restarted"(base) {
    const page = await openList(base, { expected: /ERR_|Failed to load/ });
    await shows(page, "registered", ["a"]);
    await ask("move");
    await shows(page, "registered", ["b"]);
    await ask("kill");
    await page.locator("#servers-note", { hasText: /^Stale since \d\d:\d\d:\d\d: / }).waitFor();
    equal((await rows(page).count()), 1);
    await ask("start");
    await until(async () => (await text(page, "#servers-note")) === "");
    await shows(page, "registered", ["b"]);
    settled(page);
  },

  async "phones, darkness, contrast and labels"(base) {
    for (const colorScheme of ["light", "dark"]) {
      for (const viewport of [{ width: 390, height: 844 }, { width: 320, height: 568 }, { width: 800, height: 600 }, { width: 1280, height: 800 }]) {
        const page = await openList(base, { colorScheme, viewport });
        await live(page);
        await rows(page).first().waitFor();
        const where = `${colorScheme} ${viewport.width}`;
        equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${where}: fits`);
        equal(await page.evaluate(poorContrasts), [], `${where}: contrast`);
        equal(await page.evaluate(nameless), [], `${where}: names`);
        // The visible cells are within the row.
        equal(await rows(page).evaluateAll((all) => all.flatMap((row) => [...row.children]
          .filter((cell) => cell.checkVisibility() && cell.getBoundingClientRect().right > row.getBoundingClientRect().right + 0.5)
          .map((cell) => cell.className))), [], `${where}: cells`);
        settled(page);
        await page.context().close();
      }
    }
  },
};

run(checks);
