// Shared by the scripts: loading the client from a front-end, waiting with a time-out, and requests to
// the test that runs the script.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import WebSocket from "ws";

const LIMIT = 20000 * Number(process.env.TRACKER_TEST_SCALE ?? 1); // ms, more than any wait needs

/** The JavaScript client of the front-end at http://host:port. */
export async function loadClient(base) {
  const response = await fetch(`${base}/tracker.js`);
  if (response.headers.get("content-type") !== "text/javascript; charset=utf-8")
    throw new Error(`a type of ${response.headers.get("content-type")}`);
  const file = join(process.env.HOME, "tracker.mjs");
  await writeFile(file, await response.text());
  return import(pathToFileURL(file));
}

/** Options for clients in Node: the WebSocket implementation, and short waits. */
export const options = (more = {}) => ({ WebSocket, backoff: 50, backoffMax: 400, ...more });

export function equal(got, wanted, what = "got") {
  const [one, other] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (one !== other)
    throw new Error(`${what} ${one}, not ${other}`);
}

export function limited(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} in time`)), LIMIT);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The detail of the next event of this name that matches. */
export function event(target, name, matches = () => true) {
  return limited(new Promise((resolve) => {
    const check = ({ detail }) => {
      if (!matches(detail))
        return;
      target.removeEventListener(name, check);
      resolve(detail);
    };
    target.addEventListener(name, check);
  }), name);
}

/** Polls until the function returns a true value, and returns it. */
export function until(holds, what = holds.toString()) {
  let stopped = false;
  const wait = async () => {
    for (let value; !stopped; await new Promise((resolve) => setTimeout(resolve, 20))) {
      if ((value = await holds()))
        return value;
    }
  };
  return limited(wait(), what).finally(() => (stopped = true));
}

/** The code of the ClientError with which a promise is rejected. */
export async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error.code;
  }
  throw new Error("not rejected");
}

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Requests an action of the test that runs this script; returns its answer. */
export async function ask(what) {
  console.log(`@${what}`);
  return (await answers.next()).value;
}

/** Runs the check that the command line names, with the addresses that follow. */
export async function run(checks) {
  const [name, ...addresses] = process.argv.slice(2);
  try {
    await checks[name](...addresses);
  } catch (error) {
    console.log(`${name}: ${error.stack}`);
    process.exit(1);
  }
  process.exit(0);
}
