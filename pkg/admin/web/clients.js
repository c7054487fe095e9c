// clients: the row of the table for a client of the map.

import { element, formatAge, setText } from "./dom.js";
import { isBinary, entrySummary } from "./entry_text.js";

const PROTOCOLS = new Set(["tracker", "sync", "turntable", "lobby"]);

/** nodeName: returns a front-end's name; now: returns the time from which ages are computed. */
export function clientRows(nodeName, now) {
  return {
    make() {
      const cell = (name) => element("div", { role: "gridcell", class: name });
      const id = cell("id"), state = cell("state"), node = cell("node"), since = cell("since");
      const protocol = element("span", { class: "badge" }), status = element("span", { class: "status" });
      const made = element("div", { role: "row", class: "row" }, id,
                           element("div", { role: "gridcell", class: "protocol" }, protocol),
                           element("div", { role: "gridcell", class: "status-cell" }, status), state, node, since);
      return { element: made, id, protocol, status, state, node, since };
    },

    fill(row, entry) {
      setText(row.id, entry.name);
      row.protocol.dataset.protocol = PROTOCOLS.has(entry.protocol) ? entry.protocol : "other";
      setText(row.protocol, entry.protocol ?? "unknown");
      row.status.dataset.status = entry.status ?? "none";
      setText(row.status, entry.status ?? "–");
      row.state.classList.toggle("mono", isBinary(entry));
      setText(row.state, entrySummary(entry) || "–");
    },

    age(row, entry) {
      setText(row.since, entry.since ? formatAge(Math.max(0, now() - entry.since)) : "–");
      setText(row.node, nodeName(entry.node) || "–");
    },
  };
}
