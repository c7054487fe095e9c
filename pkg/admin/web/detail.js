// detail: all that is known of one client, in a dialog. What the stream has cut is asked for.

import { byId, element, formatAge, formatBytes, formatMoment, hexOf, setText } from "./dom.js";
import { plain, sorted } from "./entry_text.js";

export class Detail {
  #dialog = byId("detail");
  #context;

  /** context: {map: LiveMap, nodeName(node), space(), token()} */
  constructor(context) {
    this.#context = context;
    byId("detail-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog)
        this.#dialog.close();
    });
  }

  get key() {
    return this.#dialog.open ? this.#dialog.dataset.key : null;
  }

  show(entry) {
    this.#dialog.dataset.key = entry.key;
    this.#draw(entry);
    if (!this.#dialog.open)
      this.#dialog.showModal();
    if (entry.state_bytes !== undefined)
      this.#fetch(entry);
  }

  /** What is known of front-ends has changed. */
  redraw() {
    const entry = this.key === null ? undefined : this.#context.map.entries.get(this.key);
    if (entry)
      this.show(entry);
  }

  /** The entry that is shown has changed, or is gone (null). */
  update(entry) {
    if (entry)
      this.show(entry);
    else
      byId("detail-body").prepend(element("p", { class: "gone" }, "This client has left."));
  }

  async #fetch(entry) {
    const id = entry.id !== undefined ? encodeURIComponent(entry.id)
      : hexOf(entry.id64).replace(/../g, "%$&");
    const url = new URL(`api/v1/clients/${id}`, document.baseURI);
    const token = this.#context.token();
    url.searchParams.set("space", this.#context.space());
    const response = await fetch(url, token ? { headers: { Authorization: `Bearer ${token}` } } : {});
    if (response.ok && this.key === entry.key)
      this.#draw({ ...entry, ...await response.json(), state_bytes: undefined });
  }

  #draw(entry) {
    const { map, nodeName } = this.#context;
    const facts = [
      ["Protocol", entry.protocol], ["User", entry.user], ["Status", entry.status],
      ["Front-end", nodeName(entry.node)], ["Address", entry.address],
      ["Since", entry.since && `${formatMoment(entry.since)} (${formatAge(Math.max(0, map.now() - entry.since))})`],
      ["Version", entry.version], ["Partition", entry.shard],
    ];
    setText(byId("detail-title"), entry.name);
    byId("detail-facts").replaceChildren(...facts.filter(([, value]) => value !== undefined && value !== "")
      .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
    byId("detail-body").replaceChildren(...bodyOf(entry));
  }
}

function bodyOf(entry) {
  const parts = [];
  if (entry.properties) {
    parts.push(element("h3", {}, "Properties"), element("dl", { class: "properties" },
      ...sorted(entry.properties).flatMap(([name, value]) => [
        element("dt", {}, name), element("dd", { class: typeof value }, plain(value))])));
  }
  if (entry.state !== undefined || entry.state64 !== undefined) {
    const binary = entry.state === undefined;
    const length = entry.state_bytes ?? (binary ? atob(entry.state64).length : new TextEncoder().encode(entry.state).length);
    const text = binary ? dump(entry.state64) : indented(entry.state);
    parts.push(element("h3", {}, "State ", element("small", {}, formatBytes(length), binary ? ", not text" : "")),
               element("pre", { tabindex: 0, "aria-label": "State" }, text || "(empty)"));
    if (entry.state_bytes !== undefined)
      parts.push(element("p", { class: "muted" }, "This is its beginning."));
  }
  return parts;
}

/** JSON reads better when it is indented. */
function indented(text) {
  if (!/^[[{]/.test(text))
    return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Offset, 16 bytes in hexadecimal, and as characters. */
function dump(base64) {
  const bytes = atob(base64), lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = [...bytes.slice(at, at + 16)];
    const hex = part.map((c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
    const text = part.map((c) => (c >= " " && c <= "~" ? c : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join("\n");
}
