// Accessibility of the page: what axe-core finds in each view, light and wide, dark and narrow. node page_access.mjs CHECK URL...
import { barriers, live, open, settled } from "./browser.mjs";
import { ask, equal, run } from "./kit.mjs";

const LOOKS = [{ colorScheme: "light", viewport: { width: 1280, height: 800 } },
               { colorScheme: "dark", viewport: { width: 390, height: 844 } }];

/** Opens a path in each look and does what makes the view; reports all barriers at once. */
async function checkViews(base, views) {
  const found = [];
  for (const look of LOOKS) {
    for (const [name, path, prepare, expected = /^$/] of views) {
      const page = await open(base, { path, expected, hasAxe: true, ...look });
      await prepare(page);
      found.push(...(await barriers(page)).map((line) => `${look.colorScheme} ${look.viewport.width} ${name}: ${line}`));
      settled(page);
      await page.context().close();
    }
  }
  if (found.length)
    throw new Error(`barriers:\n${found.join("\n")}`);
}

const row = (page, hasText) => page.locator(".row:not([hidden])", { hasText }).first();

async function connect(page, choice) {
  await page.locator(".choice label", { hasText: choice }).click();
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await page.getByText("Connected", { exact: true }).waitFor();
}

const checks = {
  async "the empty map"(base) {
    await checkViews(base, [
      ["nobody", "/", async (page) => {
        await live(page);
        await page.getByText("No clients yet").waitFor();
      }],
      ["no server", "/#servers", (page) => page.getByText("No server is listed").waitFor()],
      ["an unknown space", "/?space=nowhere", (page) => page.locator("#offers button").first().waitFor(), /404/],
    ]);
  },

  async "the map"(base) {
    await checkViews(base, [
      ["rows", "/", async (page) => {
        await live(page);
        await row(page, "gate").waitFor();
        await ask("change");
        await page.locator("#feed li").first().waitFor();
        await page.locator("#viewport").focus();
        await page.keyboard.press("ArrowDown");
      }],
      ["one client", "/", async (page) => {
        await live(page);
        await row(page, "gate").click();
        await page.locator("#detail[open]").waitFor();
      }],
      ["none found", "/", async (page) => {
        await live(page);
        await page.fill("#search", "nothing like it");
        await page.getByText("No client matches").waitFor();
      }],
    ]);
  },

  async "game servers"(base) {
    await checkViews(base, [
      ["servers", "/#servers", async (page) => {
        await row(page, "a server").waitFor();
        await row(page, "a server").click();
        await page.locator(".copied.shown").waitFor();
      }],
      ["none found", "/#servers", async (page) => {
        await row(page, "a server").waitFor();
        await page.fill("#servers-search", "nothing like it");
        await page.getByText("No server matches").waitFor();
      }],
    ]);
  },

  async "the consoles"(base) {
    await checkViews(base, [
      ["not connected", "/#try", (page) => page.getByText("Not connected").waitFor()],
      ["Tracker", "/#try", async (page) => {
        await connect(page, "Tracker");
        await page.getByRole("button", { name: "Open" }).click();
        await page.locator(".items input").waitFor();
      }],
      ["turntable", "/#try", async (page) => {
        await connect(page, "turntable");
        await page.getByRole("button", { name: "Identify" }).click();
        await page.getByLabel("Ids").fill("1:789");
        await page.getByRole("button", { name: "Subscribe", exact: true }).click();
        await page.locator(".chips li", { hasText: "offline" }).waitFor();
        await page.getByRole("button", { name: "Join" }).click();
        await page.locator(".items li", { hasText: "CStrike:" }).waitFor();
      }],
      ["Metadata sync", "/#try", async (page) => {
        await connect(page, "Metadata sync");
        await page.getByRole("button", { name: "Set" }).click();
        await page.locator(".chips li", { hasText: "mood: good" }).waitFor();
        await page.getByLabel("To", { exact: true }).fill("nobody");
        await page.getByRole("button", { name: "Send" }).click();
        await page.locator('.log li[data-kind="error"]').waitFor();
      }],
    ]);
  },

  async "the sign-in"(base) {
    await checkViews(base, [["sign-in", "/", (page) => page.locator("#sign-in[open]").waitFor(), /401/]]);
  },

  async "an outage"(base) {
    const pages = [];
    for (const look of LOOKS) {
      for (const path of ["/", "/#servers"]) {
        const page = await open(base, { path, hasAxe: true, ...look });
        await live(page);
        pages.push(page);
      }
    }
    await ask("kill");
    const found = [];
    for (const page of pages) {
      await page.locator('#link[data-state="stale"]').waitFor();
      await page.locator("#banner").waitFor();
      found.push(...await barriers(page));
      settled(page);
    }
    equal(found, [], "barriers");
  },
};

run(checks);
