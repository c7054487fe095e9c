// try_it: connections opened by hand, with their messages. Each protocol has a console
// (protocol_consoles.js), which is created when it is first selected, and keeps its connection when
// another one is selected.

import { SyncConsole, TrackerConsole, TurntableConsole } from "./protocol_consoles.js";
import { element } from "./dom.js";

const CONSOLES = [
  ["tracker", "Tracker", TrackerConsole, "A client opens an entry with a state, which all other clients see."],
  ["turntable", "turntable", TurntableConsole, "Users with a status, and rooms in which they exchange messages."],
  ["sync", "Metadata sync", SyncConsole, "Clients with properties that all other clients see, and packets between them."],
];

let built = false;

/** Fills the view, once. context: {space()} */
export function buildTryIt(view, context) {
  if (built)
    return;
  built = true;
  const consoles = new Map(), place = element("div", { class: "console" });
  const show = (name) => {
    const [, , ProtocolConsole, what] = CONSOLES.find(([one]) => one === name);
    if (!consoles.has(name))
      consoles.set(name, new ProtocolConsole(name, what, context).render());
    place.replaceChildren(consoles.get(name).element);
  };
  const choices = CONSOLES.map(([name, title], i) => element("label", {},
    element("input", { type: "radio", name: "console", value: name, checked: i === 0, change: () => show(name) }),
    element("span", {}, title)));
  view.append(element("fieldset", { class: "choice" }, element("legend", { class: "unseen" }, "Protocol"), choices), place);
  show("tracker");
}
