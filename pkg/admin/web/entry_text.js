// entry_text: texts of an entry of the map: its state on one line, the text that is searched, and its
// place in an order.

import { base64ToHex } from "./dom.js";
import { foldCase } from "./case_fold.js";

/** The state or the properties on one line. */
export function entrySummary(entry) {
  if (entry.summary === undefined)
    entry.summary = makeSummary(entry);
  return entry.summary;
}

function makeSummary(entry) {
  if (entry.properties)
    return sortedProperties(entry.properties).map(([name, value]) => `${name}: ${formatValue(value)}`).join("  ·  ");
  if (entry.state !== undefined)
    return entry.state;
  if (entry.state64 !== undefined)
    return `0x${base64ToHex(entry.state64, 64)}`;
  return entry.user ? `user ${entry.user}` : "";
}

/** Properties sorted by name, as their order in the map has no meaning. */
export const sortedProperties = (properties) => Object.entries(properties).sort(([a], [b]) => (a < b ? -1 : 1));

export const formatValue = (value) => (typeof value === "string" ? value : JSON.stringify(value));

export const isBinary = (entry) => entry.state64 !== undefined;

/** The text that is searched, with its case folded. */
export function entrySearchText(entry, nodeName) {
  if (entry.searchText === undefined || entry.searchedNode !== nodeName) {
    entry.searchedNode = nodeName; // it may have changed
    const parts = [entry.name, entry.protocol, entry.status, entry.user, entrySummary(entry), entry.node, nodeName];
    entry.searchText = foldCase(parts.filter(Boolean).join("\n"));
  }
  return entry.searchText;
}

/** A comparison by a column. Entries without a value are last in both directions. */
export function entryComparison(column, descending, nodeName) {
  const value = {
    id: (entry) => entry.name,
    protocol: (entry) => entry.protocol,
    status: (entry) => entry.status,
    state: (entry) => entrySummary(entry) || undefined,
    node: (entry) => nodeName(entry.node) || undefined,
    since: (entry) => entry.since && -entry.since,
  }[column];
  const sign = descending ? -1 : 1;
  return (a, b) => {
    const left = value(a), right = value(b);
    if (left !== right) {
      if (left === undefined || right === undefined)
        return left === undefined ? 1 : -1;
      return left < right ? -sign : sign;
    }
    return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
  };
}
