// server_text: texts of a game server: its announced infos as columns of the list, the text that is
// searched, and its place in an order.

import { formatValue } from "./entry_text.js";
import { foldCase } from "./case_fold.js";

/** The columns of the list; computed once for each version of the entry. */
export function serverFields(entry) {
  entry.fields ??= readInfos(entry);
  return entry.fields;
}

function readInfos(entry) {
  const { infos } = entry;
  const players = parseCount(infos.players), most = parseCount(infos.max_players);
  return {
    title: /[\p{L}\p{N}\p{P}\p{S}]/u.test(entry.name) ? entry.name : "",
    game: infoText(infos.game ?? infos.gamename), map: infoText(infos.map), version: infoText(infos.version),
    players, most, address: entry.id, isSuspect: entry.state === "suspect",
    isEmpty: !players, isFull: most > 0 && players >= most,
  };
}

const infoText = (value) => (value === undefined || value === null ? "" : formatValue(value).trim());

/** A non-negative integer, also given as text; else undefined. */
function parseCount(value) {
  const number = typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value;
  return Number.isInteger(number) && number >= 0 ? number : undefined;
}

/** "3/8", "3", "–". */
export function formatPlayers({ players, most }) {
  if (players === undefined)
    return most ? `–/${most}` : "–";
  return most ? `${players}/${most}` : String(players);
}

/** Where it is registered: the front-end to which it is connected, or the UDP master. */
export const registeredAt = (entry, nodeName) => (entry.source === "q3master" ? "UDP master" : nodeName(entry.node));

/** The text that is searched, with its case folded. */
export function serverSearchText(entry, nodeName) {
  const { title, game, map, version, address, isSuspect } = serverFields(entry);
  return foldCase([title, game, map, version, address, registeredAt(entry, nodeName), isSuspect ? "suspect" : ""].join("\n"));
}

const { compare } = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** A comparison by a column. Servers without a value are last in both directions. */
export function serverComparison(column, descending, nodeName) {
  const value = {
    name: (entry) => serverFields(entry).title,
    game: (entry) => serverFields(entry).game,
    map: (entry) => serverFields(entry).map,
    players: (entry) => serverFields(entry).players,
    version: (entry) => serverFields(entry).version,
    where: (entry) => registeredAt(entry, nodeName),
    since: (entry) => -entry.since,
    address: (entry) => entry.id,
  }[column];
  const sign = descending ? -1 : 1;
  return (a, b) => {
    const left = value(a), right = value(b);
    const hasLeft = left !== "" && left !== undefined, hasRight = right !== "" && right !== undefined;
    if (hasLeft !== hasRight)
      return hasLeft ? -1 : 1;
    const order = !hasLeft ? 0 : typeof left === "number" ? left - right : compare(left, right);
    return sign * order || compare(serverFields(a).title, serverFields(b).title) || (a.id < b.id ? -1 : 1);
  };
}
