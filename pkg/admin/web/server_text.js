// server: how a game server reads: what it says of itself, which is anybody's text, in the columns of
// the list; what it is found by, and its place in an order.

import { plain } from "./entry_text.js";
import { fold } from "./case_fold.js";

/** What the list shows of it; read once for each telling. */
export function reading(entry) {
  entry.reading ??= read(entry);
  return entry.reading;
}

function read(entry) {
  const { infos } = entry;
  const players = count(infos.players), most = count(infos.max_players);
  return {
    title: /[\p{L}\p{N}\p{P}\p{S}]/u.test(entry.name) ? entry.name : "",
    game: said(infos.game ?? infos.gamename), map: said(infos.map), version: said(infos.version),
    players, most, address: entry.id, isSuspect: entry.state === "suspect",
    isEmpty: !players, isFull: most > 0 && players >= most,
  };
}

const said = (value) => (value === undefined || value === null ? "" : plain(value).trim());

/** A number from 0, also as a text; undefined when it is none. */
function count(value) {
  const number = typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value;
  return Number.isInteger(number) && number >= 0 ? number : undefined;
}

/** "3/8", "3", "–". */
export function formatPlayers({ players, most }) {
  if (players === undefined)
    return most ? `–/${most}` : "–";
  return most ? `${players}/${most}` : String(players);
}

/** Where it is registered: it is connected to a front-end, or sends heartbeats. */
export const whereabouts = (entry, nodeName) => (entry.source === "q3master" ? "UDP master" : nodeName(entry.node));

/** What is searched, folded. */
export function found(entry, nodeName) {
  const { title, game, map, version, address, isSuspect } = reading(entry);
  return fold([title, game, map, version, address, whereabouts(entry, nodeName), isSuspect ? "suspect" : ""].join("\n"));
}

const { compare } = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** An ascending order by a column; those that do not say come last in both directions. */
export function serverComparison(column, descending, nodeName) {
  const value = {
    name: (entry) => reading(entry).title,
    game: (entry) => reading(entry).game,
    map: (entry) => reading(entry).map,
    players: (entry) => reading(entry).players,
    version: (entry) => reading(entry).version,
    where: (entry) => whereabouts(entry, nodeName),
    since: (entry) => -entry.since,
    address: (entry) => entry.id,
  }[column];
  const sign = descending ? -1 : 1;
  return (a, b) => {
    const left = value(a), right = value(b);
    const leftSays = left !== "" && left !== undefined, rightSays = right !== "" && right !== undefined;
    if (leftSays !== rightSays)
      return leftSays ? -1 : 1;
    const order = !leftSays ? 0 : typeof left === "number" ? left - right : compare(left, right);
    return sign * order || compare(reading(a).title, reading(b).title) || (a.id < b.id ? -1 : 1);
  };
}
