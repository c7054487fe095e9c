// dom: creates elements without markup. Text from clients only ever becomes text nodes, so it cannot
// become markup.

export const byId = (id) => document.getElementById(id);

/**
 * Creates an element. attributes: names with values; a function becomes a listener of the event that the
 * key names, a boolean sets the attribute or omits it.
 * @param {string} name
 * @param {Object<string, any>} [attributes]
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {HTMLElement}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function")
      made.addEventListener(key, value);
    else if (typeof value === "boolean" && !key.startsWith("aria-"))
      made.toggleAttribute(key, value);
    else if (value !== null && value !== undefined)
      made.setAttribute(key, String(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false)
      made.append(child);
  }
  return made;
}

/** Sets the text if it differs, as an unchanged text then costs no layout. */
export function setText(node, text) {
  if (node.textContent !== text)
    node.textContent = text;
}

const whole = new Intl.NumberFormat("en");
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const formatNumber = (value) => whole.format(Math.round(value));
export const formatRate = (value) => (value >= 100 ? formatNumber(value) : tenths.format(value));

export function formatBytes(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit++)
    bytes /= 1024;
  return `${unit && bytes < 100 ? tenths.format(bytes) : formatNumber(bytes)} ${units[unit]}`;
}

/** "now", "12 s", "3 min", "5 h", "2 d". */
export function formatAge(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1)
    return "now";
  if (seconds < 60)
    return `${seconds} s`;
  if (seconds < 3600)
    return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

/** The bytes of a base64 text, in hexadecimal. */
export function base64ToHex(base64, most = Infinity) {
  const bytes = atob(base64);
  let text = "";
  for (let i = 0; i < bytes.length && i < most; i++)
    text += bytes.charCodeAt(i).toString(16).padStart(2, "0");
  return text;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export const formatClock = (ms) => clock.format(ms);
export const formatMoment = (ms) => moment.format(ms);

/** Returns a function that schedules one call per frame; in a hidden page, one every 250 ms. */
export function perFrame(callback) {
  let isScheduled = false;
  return () => {
    if (isScheduled)
      return;
    isScheduled = true;
    const run = () => {
      isScheduled = false;
      callback();
    };
    if (document.hidden)
      setTimeout(run, 250);
    else
      requestAnimationFrame(run);
  };
}
