// The page in headless Chromium: node page.mjs CHECK URL...
import { live, nameless, open, poorContrasts, settled, text } from "./browser.mjs";
import { ask, equal, limited, run, until } from "./kit.mjs";

const rows = (page) => page.locator(".row:not([hidden])");

async function idsShown(page) {
  const shown = await rows(page).evaluateAll((all) => all
    .map((row) => [Number(row.getAttribute("aria-rowindex")), row.querySelector(".id").textContent]).sort((a, b) => a[0] - b[0]));
  return shown.map(([, id]) => id);
}

const checks = {
  async "the empty map"(base) {
    const page = await open(base);
    await live(page);
    await page.getByText("No clients yet").waitFor();
    equal(await text(page, "#value-clients"), "0");
    await page.getByRole("button", { name: "Try it here" }).click();
    equal(await page.locator("#view-try").isVisible(), true);
    settled(page);
  },

  async "clients and their changes"(base) {
    const page = await open(base);
    await live(page);
    await until(async () => (await rows(page).count()) === 3);
    equal(await idsShown(page), ["gate", "roof", "sensor"]);
    equal(await text(page, ".row:nth-child(1) .state"), "closed");
    equal(await text(page, ".row:nth-child(1) .node"), "b");
    equal(await page.locator("#feed li").count(), 0);
    await ask("update gate");
    await page.locator(".row .state", { hasText: "now open" }).waitFor();
    await page.locator(".row.flash-a .id, .row.flash-b .id", { hasText: "gate" }).waitFor();
    await page.locator('#feed li[data-kind="changed"] .id', { hasText: "gate" }).waitFor();
    await ask("close roof");
    await until(async () => (await idsShown(page)).join() === "gate,sensor");
    await page.locator('#feed li[data-kind="closed"] .id', { hasText: "roof" }).waitFor();
    await ask("open attic");
    await until(async () => (await idsShown(page)).join() === "attic,gate,sensor");
    equal(await text(page, "#count"), "3");
    equal(await text(page, "#note-clients"), "3 tracker");
    await page.locator('#feed li[data-kind="opened"] .id', { hasText: "attic" }).waitFor();
    // While paused, changes are kept; Resume shows them.
    await page.getByRole("button", { name: "Pause" }).click();
    await ask("close attic");
    await page.getByText("1 more").waitFor();
    await page.getByRole("button", { name: "Resume" }).click();
    await page.locator('#feed li[data-kind="closed"] .id', { hasText: "attic" }).waitFor();
    settled(page);
  },

  async "ten thousand clients"(base) {
    const page = await open(base);
    await live(page);
    await until(async () => (await text(page, "#value-clients")) === "10,000");
    equal((await rows(page).count()) < 60, true, "rows in the document are few");
    await until(async () => (await page.locator("#viewport").getAttribute("aria-rowcount")) === "10001");
    equal((await idsShown(page))[0], "id00000");
    await page.locator("#viewport").evaluate((viewport) => (viewport.scrollTop = viewport.scrollHeight));
    await page.locator(".row .id", { hasText: "id09999" }).waitFor();
    equal((await rows(page).count()) < 60, true, "rows in the document are few");
    await page.fill("#search", "ID0123");
    await until(async () => (await text(page, "#count")) === "10 of 10,000");
    equal(await idsShown(page), Array.from({ length: 10 }, (_, i) => `id0123${i}`));
    await page.fill("#search", "77 OF id00077");
    await until(async () => (await text(page, "#count")) === "1 of 10,000");
    await page.fill("#search", "nothing like it");
    await page.getByText("No client matches").waitFor();
    await page.getByRole("button", { name: "Show all" }).click();
    await until(async () => (await text(page, "#count")) === "10,000");
    for (const expected of ["id00000", "id09999"]) {
      await page.getByRole("columnheader", { name: "Id" }).getByRole("button").click();
      await page.locator("#viewport").evaluate((viewport) => (viewport.scrollTop = 0));
      const first = expected === "id00000" ? "id09999" : "id00000";
      await until(async () => (await idsShown(page))[0] === first);
    }
    await page.getByRole("columnheader", { name: "State" }).getByRole("button").click();
    await until(async () => (await text(page, '.row[aria-rowindex="2"] .state')) === "state 0 of many");
    equal(await page.getByRole("columnheader", { name: "State" }).getAttribute("aria-sort"), "ascending");
    settled(page);
  },

  async "ten thousand clients that change"(base) {
    const page = await open(base);
    await live(page);
    await until(async () => (await text(page, "#value-clients")) === "10,000");
    await ask("storm");
    await page.fill("#search", "stormy 9999");
    await until(async () => (await idsShown(page)).join() === "id09999");
    equal((await page.locator("#feed li").count()) <= 200, true, "lines are few");
    await page.fill("#search", "");
    await until(async () => (await text(page, ".row .state")).startsWith("stormy"));
    settled(page);
  },

  async "case does not matter"(base) {
    const page = await open(base);
    await live(page);
    for (const [words, wanted] of [["strasse", "street"], ["STRA\u00dfE", "street"], ["\u039f\u0394\u038c\u03a3", "greek"], ["\u212aelvin", "kelvin"]]) {
      await page.fill("#search", words);
      await until(async () => (await idsShown(page)).join() === wanted, words);
    }
    // Every character: two match exactly if Unicode folds them to the same text.
    const folds = JSON.parse(await ask("folds"));
    equal(folds.length > 100000, true, "characters");
    const wrong = await page.evaluate(async (all) => {
      const { foldCase } = await import("/case_fold.js");
      const ours = new Map(), theirs = new Map(), different = [];
      for (const [character, folded] of all) {
        const here = foldCase(character);
        if ((ours.get(folded) ?? here) !== here || (theirs.get(here) ?? folded) !== folded)
          different.push(`${character.codePointAt(0).toString(16)} ${folded} ${here}`);
        ours.set(folded, here);
        theirs.set(here, folded);
      }
      return different;
    }, folds);
    equal(wrong, [], "folded differently");
    settled(page);
  },

  async "hostile ids and states"(base) {
    const page = await open(base);
    await live(page);
    await until(async () => (await rows(page).count()) === 4);
    const ids = await idsShown(page);
    equal(ids.includes("<img src=x onerror=alert(1)>"), true, `${ids}`);
    for (let i = 0; i < ids.length; i++) {
      await rows(page).nth(i).click();
      await page.locator("#detail[open]").waitFor();
      await page.keyboard.press("Escape");
    }
    await ask("update");
    await until(async () => (await page.locator("#feed li").count()) >= 4);
    equal(await page.locator("img[src=x], script:not([src]), b b, iframe, svg").count(), 0);
    equal(await page.evaluate(() => globalThis.hacked), undefined);
    settled(page);
  },

  async "the details of a client"(base) {
    const page = await open(base);
    await live(page);
    await until(async () => (await rows(page).count()) === 3);
    await page.locator(".row", { hasText: "json" }).click();
    const dialog = page.locator("#detail");
    await dialog.getByText('"deep": [').waitFor();
    equal(await text(page, "#detail-title"), "json");
    await page.getByRole("button", { name: "Close" }).click();
    // A long state is cut in the list, and then requested.
    await page.locator(".row", { hasText: "long" }).click();
    await dialog.getByText("the end of it").waitFor();
    await page.keyboard.press("Escape");
    // With the keyboard: the first row is the one whose id is not text.
    await page.locator("#viewport").focus();
    for (const key of ["ArrowDown", "ArrowDown", "ArrowUp", "Enter"])
      await page.keyboard.press(key);
    await dialog.getByText("000000  00 01 02").waitFor();
    equal(await text(page, "#detail-title"), "0xff00");
    await ask("close");
    await dialog.getByText("This client was closed").waitFor();
    settled(page);
  },

  async "the token"(base) {
    const page = await open(base, { expected: /401/ });
    const dialog = page.locator("#sign-in");
    await dialog.getByText("Token required").waitFor();
    await page.fill("#sign-in-token", "not this one");
    await page.getByRole("button", { name: "Show the page" }).click();
    await dialog.getByText("Wrong token").waitFor();
    await page.fill("#sign-in-token", "0123456789abcdef");
    await page.getByRole("button", { name: "Show the page" }).click();
    await live(page);
    equal(await dialog.isVisible(), false);
    await page.reload();
    await live(page);
    equal(page.url().includes("0123456789abcdef"), false);
    settled(page);
  },

  async "its front-end is restarted"(base) {
    const page = await open(base, { expected: /ERR_|Failed to load|WebSocket/ });
    await live(page);
    await until(async () => (await idsShown(page)).join() === "stays,goes".split(",").sort().join());
    await ask("kill");
    await page.locator("#banner", { hasText: "No connection" }).waitFor();
    equal((await idsShown(page)).length, 2);
    await ask("start");
    await live(page);
    await until(async () => (await idsShown(page)).join() === "stays");
    equal(await page.locator("#banner").isVisible(), false);
    settled(page);
  },

  async "Redis is restarted"(base) {
    const page = await open(base);
    await live(page);
    await ask("kill");
    await page.locator("#banner", { hasText: "not ready" }).waitFor();
    await page.locator("#facts .bad", { hasText: "Redis" }).waitFor();
    await ask("start");
    await page.locator("#banner").waitFor({ state: "hidden" });
    settled(page);
  },

  async "spaces"(base) {
    const page = await open(base);
    await live(page);
    await until(async () => (await idsShown(page)).join() === "in-main");
    await page.selectOption("#space", "other");
    await until(async () => (await idsShown(page)).join() === "in-other");
    await page.goto(`${base}/?space=other`);
    await until(async () => (await idsShown(page)).join() === "in-other");
    equal(await page.locator("#space").inputValue(), "other");
    settled(page);
  },

  async "the console of Tracker"(base) {
    const page = await open(base, { path: "/#try" });
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await page.getByText("Connected", { exact: true }).waitFor();
    await page.getByLabel("State", { exact: true }).fill("by hand");
    await page.getByRole("button", { name: "Open" }).click();
    await page.locator(".items input").fill("changed by hand");
    await page.getByRole("button", { name: "Update" }).click();
    await until(async () => (await ask("states")) === "changed by hand");
    await page.getByRole("button", { name: "Drop" }).click();
    await page.getByText("Connected", { exact: true }).waitFor();
    await page.locator(".items input").fill("after a reconnect");
    await page.getByRole("button", { name: "Update" }).click();
    await until(async () => (await ask("states")) === "after a reconnect");
    await page.getByRole("button", { name: "Close", exact: true }).click();
    await until(async () => (await ask("states")) === "");
    equal((await page.locator('.log li[data-kind="error"]').count()), 0);
    equal((await page.locator('.log li[data-kind="out"]').count()) >= 4, true);
    await page.getByRole("button", { name: "Disconnect" }).click();
    await page.getByText("Closed", { exact: true }).waitFor();
    equal(await page.getByRole("button", { name: "Open" }).isDisabled(), true);
    settled(page);
  },

  async "the console of turntable"(base) {
    const page = await open(base, { path: "/#try" });
    await page.locator(".choice label", { hasText: "turntable" }).click();
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await page.getByText("Connected", { exact: true }).waitFor();
    await page.getByLabel("User id").fill("1:100");
    await page.getByRole("button", { name: "Identify" }).click();
    await page.getByLabel("Ids").fill("1:789, 1:100");
    await page.getByRole("button", { name: "Subscribe", exact: true }).click();
    await page.locator(".chips li", { hasText: "1:789 offline" }).waitFor();
    await page.locator(".chips li", { hasText: "1:100 online" }).waitFor();
    await page.getByRole("button", { name: "Join" }).click();
    await page.locator(".items li", { hasText: "CStrike: 1:100" }).waitFor();
    await page.locator(".chips li", { hasText: "1:100 busy" }).waitFor();
    await page.getByRole("button", { name: "Send to the room" }).click();
    await page.locator('.log li[data-kind="in"]', { hasText: '"from":"1:100","data":{"move":"e2e4"}' }).waitFor();
    await page.getByRole("button", { name: "List users" }).click();
    await page.locator('.log li[data-kind="in"]', { hasText: '{"command":"there","data":["1:100"]}' }).waitFor();
    await page.getByLabel("Room").fill("another");
    await page.getByRole("button", { name: "Send to the room" }).click();
    await page.locator('.log li[data-kind="error"]', { hasText: "not_member" }).waitFor();
    await page.getByRole("button", { name: "Drop" }).click();
    await page.getByText("Connected", { exact: true }).waitFor();
    await until(async () => (await page.locator('.log li[data-kind="in"]', { hasText: '"joined":["1:100"]' }).count()) >= 2);
    await page.getByRole("tab", { name: "Map" }).click();
    await page.locator(".row", { hasText: "user 1:100" }).waitFor();
    settled(page);
  },

  async "the console of metadata sync"(base) {
    const page = await open(base, { path: "/#try" });
    await page.locator(".choice label", { hasText: "Metadata sync" }).click();
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await page.getByText("Connected", { exact: true }).waitFor();
    await page.getByText(/^My token: [0-9a-f]{32}$/).waitFor();
    await page.getByLabel("Name", { exact: true }).fill("<b>number</b>");
    await page.getByLabel("Value", { exact: true }).fill("1.5");
    await page.getByRole("button", { name: "Set" }).click();
    await page.locator(".items li", { hasText: "<b>number</b>: 1.5" }).waitFor();
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator('.log li[data-kind="in"]', { hasText: '"type":"chat","chat":{"text":"hi"}' }).waitFor();
    await page.getByLabel("To", { exact: true }).fill("nobody");
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator('.log li[data-kind="error"]', { hasText: "undeliverable" }).waitFor();
    const me = await text(page, "#view-try p.mono");
    await page.getByRole("button", { name: "Drop" }).click();
    await page.getByText("Connected", { exact: true }).waitFor();
    equal(await text(page, "#view-try p.mono"), me);
    await page.getByRole("button", { name: "Delete" }).click();
    await until(async () => !(await text(page, ".items")).includes("number"));
    settled(page);
  },

  async "the client in a browser"(base, other) {
    const page = await open(base);
    const result = await limited(page.evaluate(async (url) => {
      const { TrackerClient } = await import("/tracker.js");
      const one = new TrackerClient("/tracker"), two = new TrackerClient("tracker");
      const id = await one.open("from a browser");
      await two.open("");
      const entries = await two.get();
      const found = entries.get(id).text;
      one.drop();
      await one.update(id, "came back");
      one.end();
      two.end();
      return [one.url === url, found, one.state];
    }, `${base.replace("http", "ws")}/tracker`), "result");
    equal(result, [true, "from a browser", "ended"]);
    // A page of another origin may use it, too.
    const elsewhere = await open(other, { path: "/healthz", expected: /./ });
    equal(await elsewhere.evaluate(async (from) => Object.keys(await import(`${from}/tracker.js`)).includes("SyncClient"), base), true);
    settled(page);
  },

  async "phones, darkness, contrast and labels"(base) {
    for (const colorScheme of ["light", "dark"]) {
      for (const viewport of [{ width: 390, height: 844 }, { width: 320, height: 568 }, { width: 1280, height: 800 }]) {
        for (const tab of ["map", "try"]) {
          const page = await open(base, { colorScheme, viewport, path: `/#${tab}` });
          await live(page);
          if (tab === "map")
            await rows(page).first().waitFor();
          const where = `${colorScheme} ${viewport.width} ${tab}`;
          equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, `${where}: fits`);
          equal(await page.evaluate(poorContrasts), [], `${where}: contrast`);
          equal(await page.evaluate(nameless), [], `${where}: names`);
          settled(page);
          await page.context().close();
        }
      }
    }
  },
};

run(checks);
