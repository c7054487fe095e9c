// try: connections opened by hand, with what goes over them. Each protocol has its desk (desks.js); a
// desk is made when it is first looked at, and keeps its connection when another is.

import { SyncDesk, TrackerDesk, TurntableDesk } from "./protocol_consoles.js";
import { element } from "./dom.js";

const DESKS = [
  ["tracker", "Tracker", TrackerDesk, "A client opens an entry with a state; all others see it."],
  ["turntable", "turntable", TurntableDesk, "Users who are there or not, and rooms in which they play."],
  ["sync", "Metadata sync", SyncDesk, "Clients with properties that all others see, and packets between them."],
];

let built = false;

/** Fills the view, once. context: {space()} */
export function build(view, context) {
  if (built)
    return;
  built = true;
  const desks = new Map(), place = element("div", { class: "desk" });
  const show = (name) => {
    const [, , Desk, what] = DESKS.find(([one]) => one === name);
    if (!desks.has(name))
      desks.set(name, new Desk(name, what, context).furnish());
    place.replaceChildren(desks.get(name).element);
  };
  const choices = DESKS.map(([name, title], i) => element("label", {},
    element("input", { type: "radio", name: "desk", value: name, checked: i === 0, change: () => show(name) }),
    element("span", {}, title)));
  view.append(element("fieldset", { class: "choice" }, element("legend", { class: "unseen" }, "Protocol"), choices), place);
  show("tracker");
}
