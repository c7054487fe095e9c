// detail: a dialog with everything known of one client. A state that the stream has cut is requested.

import { byId, element, formatAge, formatBytes, formatMoment, base64ToHex, setText } from "./dom.js";
import { formatValue, sortedProperties } from "./entry_text.js";

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

  /** Called when the data of front-ends has changed. */
  redraw() {
    const entry = this.key === null ? undefined : this.#context.map.entries.get(this.key);
    if (entry)
      this.show(entry);
  }

  /** The entry shown has changed, or was closed (null). */
  update(entry) {
    if (entry)
      this.show(entry);
    else
      byId("detail-body").prepend(element("p", { class: "closed" }, "This client was closed."));
  }

  async #fetch(entry) {
    const id = entry.id !== undefined ? encodeURIComponent(entry.id)
      : base64ToHex(entry.id64).replace(/../g, "%$&");
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
    byId("detail-body").replaceChildren(...detailBody(entry));
  }
}

function detailBody(entry) {
  const parts = [];
  if (entry.properties) {
    parts.push(element("h3", {}, "Properties"), element("dl", { class: "properties" },
      ...sortedProperties(entry.properties).flatMap(([name, value]) => [
        element("dt", {}, name), element("dd", { class: typeof value }, formatValue(value))])));
  }
  if (entry.state !== undefined || entry.state64 !== undefined) {
    const binary = entry.state === undefined;
    const length = entry.state_bytes ?? (binary ? atob(entry.state64).length : new TextEncoder().encode(entry.state).length);
    const text = binary ? hexDump(entry.state64) : indentJson(entry.state);
    parts.push(element("h3", {}, "State ", element("small", {}, formatBytes(length), binary ? ", not text" : "")),
               element("pre", { tabindex: 0, "aria-label": "State" }, text || "(empty)"));
    if (entry.state_bytes !== undefined)
      parts.push(element("p", { class: "muted" }, "Only the beginning is shown."));
  }
  return parts;
}

/** Indents JSON; returns other text unchanged. */
function indentJson(text) {
  if (!/^[[{]/.test(text))
    return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Lines with an offset, 16 bytes in hexadecimal, and their ASCII characters. */
function hexDump(base64) {
  const bytes = atob(base64), lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = [...bytes.slice(at, at + 16)];
    const hex = part.map((c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join(" ");
    const text = part.map((c) => (c >= " " && c <= "~" ? c : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.join("\n");
}
