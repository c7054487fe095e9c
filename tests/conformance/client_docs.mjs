// The examples of docs/web.md as printed there: node client_docs.mjs CHECK URL FILE PATTERN... The file
// has the text of an example, whose output must match the patterns.
import { readFile } from "node:fs/promises";
import { format } from "node:util";
import WebSocket from "ws";
import { loadClient, run, until } from "./kit.mjs";

const AsyncFunction = (async () => {}).constructor;

run({
  async "an example"(base, file, ...patterns) {
    globalThis.WebSocket = WebSocket;
    const client = await loadClient(base), printed = [], print = console.log;
    console.log = (...values) => print(printed[printed.push(format(...values)) - 1]);
    const text = (await readFile(file, "utf8")).replaceAll("ws://127.0.0.1:8080", base.replace("http", "ws"));
    await new AsyncFunction(...Object.keys(client), text)(...Object.values(client));
    for (const pattern of patterns)
      await until(() => printed.some((line) => new RegExp(pattern).test(line)), pattern);
  },
});
