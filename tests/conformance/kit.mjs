// What the scripts share: the client as a front-end serves it, waiting with a limit, and asking the
// test around the script.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import WebSocket from "ws";

const LIMIT = 20000 * Number(process.env.TRACKER_TEST_SCALE ?? 1); // ms that nothing here needs

/** The JavaScript client of the front-end at http://host:port. */
export async function loadClient(base) {
  const response = await fetch(`${base}/tracker.js`);
  if (response.headers.get("content-type") !== "text/javascript; charset=utf-8")
    throw new Error(`a type of ${response.headers.get("content-type")}`);
  const file = join(process.env.HOME, "tracker.mjs");
  await writeFile(file, await response.text());
  return import(pathToFileURL(file));
}

/** Options for clients in Node: the implementation, and no long waits. */
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

/** The next event of that name whose detail fits. */
export function event(target, name, fits = () => true) {
  return limited(new Promise((resolve) => {
    const look = ({ detail }) => {
      if (!fits(detail))
        return;
      target.removeEventListener(name, look);
      resolve(detail);
    };
    target.addEventListener(name, look);
  }), name);
}

/** Until what the function gives is true; looked at again and again. */
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

/** The code of the ClientError that a promise is rejected with. */
export async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    return error.code;
  }
  throw new Error("it was not refused");
}

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Lets the test around this script do something; its answer. */
export async function ask(what) {
  console.log(`@${what}`);
  return (await answers.next()).value;
}

/** Runs the check that the command line names, with the addresses behind it. */
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
