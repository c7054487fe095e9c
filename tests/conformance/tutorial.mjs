// Tabs of a browser whose consoles the test types into: the blocks of docs/tutorial.md.
// Usage: node tutorial.mjs consoles http://host:port
import { chromium } from "playwright-core";
import { BROWSER } from "./browser.mjs";
import { ask } from "./kit.mjs";

const [, , , base] = process.argv;
const browser = await chromium.launch({ executablePath: BROWSER, args: ["--no-sandbox"] });
const tabs = new Map();

/** A tab of the page, with what its console has printed. */
async function open(name) {
  const page = await browser.newPage();
  const printed = [];
  page.on("console", async (message) => {
    const place = printed.push(undefined) - 1;
    const values = await Promise.all(message.args().map((value) => value.jsonValue()));
    printed[place] = values.map((value) => (typeof value === "string" ? value : JSON.stringify(value))).join(" ");
  });
  await page.goto(`${base}/`);
  const session = await page.context().newCDPSession(page);
  tabs.set(name, { session, printed });
  return tabs.get(name);
}

/** As the console runs what is typed: with await, and names that stay. */
async function type({ tab, code }) {
  const { session, printed } = tabs.get(tab) ?? (await open(tab));
  const before = printed.length;
  const { exceptionDetails } = await session.send("Runtime.evaluate", {
    expression: code, replMode: true, awaitPromise: true });
  if (exceptionDetails)
    throw new Error(`${tab}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}\n${code}`);
  const wanted = code.split("\n").filter((line) => line.startsWith("console.log(")).length;
  while (printed.length < before + wanted || printed.slice(before).includes(undefined))
    await new Promise((resolve) => setTimeout(resolve, 10));
  return printed.slice(before);
}

for (let next = JSON.parse(await ask("first")); next; )
  next = JSON.parse(await ask(`printed ${JSON.stringify(await type(next))}`));
await browser.close();
process.exit(0);
