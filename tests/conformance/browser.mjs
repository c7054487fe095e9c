// Pages in headless Chromium. A request to another address, an error in the console, or a violation of the
// policy fails the check.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { equal } from "./kit.mjs";

const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                   "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"];

/** The full browser, or the headless shell, whichever is installed. */
export const BROWSER = ["/usr/bin/chromium", "/usr/bin/chromium-headless-shell"].find(existsSync);

let browser = null;

/** A page whose errors are collected. expected: errors that may occur; hasAxe: it can be asked for barriers;
 * others: addresses that it may ask besides its own. */
export async function open(base, { path = "/", expected = /^$/, hasAxe = false, others = [], ...options } = {}) {
  browser ??= await chromium.launch({ executablePath: BROWSER, args: ARGUMENTS });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20000 * Number(process.env.TRACKER_TEST_SCALE ?? 1));
  page.troubles = [];
  page.on("pageerror", (error) => page.troubles.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => page.troubles.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !expected.test(message.text()))
      page.troubles.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (![base, base.replace("http", "ws"), ...others].some((one) => request.url().startsWith(one)))
      page.troubles.push(`request: ${request.url()}`);
  });
  await page.addInitScript(() => addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
  if (hasAxe)
    await page.addInitScript({ path: fileURLToPath(import.meta.resolve("axe-core/axe.min.js")) });
  await page.goto(base + path);
  return page;
}

export const live = (page) => page.locator('#link[data-state="live"]').waitFor();
export const text = (page, selector) => page.locator(selector).first().textContent();
export const settled = (page) => equal(page.troubles, [], "troubles");

/** Serious and critical findings of axe-core, by all of its rules: lines of rule, element and reason. */
export async function barriers(page) {
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.filter(({ impact }) => ["serious", "critical"].includes(impact)).flatMap(({ id, nodes }) => nodes.map((node) =>
    `${id} ${node.target.join(" ")}: ${node.failureSummary.split("\n").slice(1).join(" ").trim().slice(0, 200)}`));
}

/** Texts whose contrast is below WCAG AA. Runs in the page. */
export function poorContrasts() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const channels = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const background = (node) => {
    for (; node; node = node.parentElement) {
      const color = channels(getComputedStyle(node).backgroundColor);
      if (color[3] === 255)
        return color;
    }
    return [255, 255, 255, 255];
  };
  const poor = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || !parent.checkVisibility() || parent.closest(":disabled, script, noscript, .unseen"))
      continue;
    const [light, dark] = [luminance(channels(getComputedStyle(parent).color)), luminance(background(parent))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5)
      poor.add(`${parent.tagName}.${parent.className} ${ratio.toFixed(2)}: ${node.data.trim().slice(0, 20)}`);
  }
  return [...poor];
}

/** Controls without an accessible name. Runs in the page. */
export function nameless() {
  return [...document.querySelectorAll("button, input, select, textarea, canvas, dialog, [role]")]
    .filter((one) => one.checkVisibility() && !["row", "gridcell", "rowgroup", "img"].includes(one.getAttribute("role")))
    .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.getAttribute("aria-labelledby")
      || [...one.labels ?? []].some((label) => label.textContent.trim())))
    .map((one) => one.outerHTML.slice(0, 80));
}
