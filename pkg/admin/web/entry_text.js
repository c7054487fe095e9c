// entry: how an entry of the map reads: its state on one line, what it is found by, its place in an
// order.

import { hexOf } from "./dom.js";
import { fold } from "./case_fold.js";

/** The state or the properties on one line. */
export function summary(entry) {
  if (entry.summary === undefined)
    entry.summary = makeSummary(entry);
  return entry.summary;
}

function makeSummary(entry) {
  if (entry.properties)
    return sorted(entry.properties).map(([name, value]) => `${name}: ${plain(value)}`).join("  ·  ");
  if (entry.state !== undefined)
    return entry.state;
  if (entry.state64 !== undefined)
    return `0x${hexOf(entry.state64, 64)}`;
  return entry.user ? `user ${entry.user}` : "";
}

/** Properties by their names, as their order in the map means nothing. */
export const sorted = (properties) => Object.entries(properties).sort(([a], [b]) => (a < b ? -1 : 1));

export const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

export const isBinary = (entry) => entry.state64 !== undefined;

/** What is searched, folded. */
export function haystack(entry, nodeName) {
  if (entry.haystack === undefined || entry.haystackNode !== nodeName) {
    entry.haystackNode = nodeName; // it may become known, or another
    const parts = [entry.name, entry.protocol, entry.status, entry.user, summary(entry), entry.node, nodeName];
    entry.haystack = fold(parts.filter(Boolean).join("\n"));
  }
  return entry.haystack;
}

/** An ascending order by a column; those without a value come last in both directions. */
export function comparison(column, descending, nodeName) {
  const value = {
    id: (entry) => entry.name,
    protocol: (entry) => entry.protocol,
    status: (entry) => entry.status,
    state: (entry) => summary(entry) || undefined,
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
