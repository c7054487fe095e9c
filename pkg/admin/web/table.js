// table: a table of any number of rows, of which only the visible ones are in the document. Row n uses
// element n modulo the number of elements, so scrolling by one row updates one element.

const SPARE = 6; // rows above and below the visible ones
const FLASH_MS = 1600;

export class Table extends EventTarget {
  #grid;
  #viewport;
  #head;
  #spacer;
  #kind;
  #rows = [];
  #pool = [];
  #height = 0;
  #active = -1;

  /**
   * grid: an element with a viewport, which has a head and a spacer. kind: how to show rows: {make(), whose result
   * has an element; fill(row, entry), called when the entry has changed; age(row, entry), called each time}.
   */
  constructor(grid, kind) {
    super();
    this.#grid = grid;
    this.#viewport = grid.querySelector(".viewport");
    this.#head = grid.querySelector(".head");
    this.#spacer = grid.querySelector(".spacer");
    this.#kind = kind;
    this.#viewport.addEventListener("scroll", () => this.draw(), { passive: true });
    this.#viewport.addEventListener("keydown", (event) => this.#onKey(event));
    this.#viewport.addEventListener("blur", () => this.#activate(-1));
    this.#spacer.addEventListener("click", (event) => this.#onClick(event));
    new ResizeObserver(() => this.#measure()).observe(this.#viewport);
  }

  get rows() {
    return this.#rows;
  }

  setRows(rows) {
    this.#rows = rows;
    this.#viewport.setAttribute("aria-rowcount", rows.length + 1);
    if (this.#height)
      this.#spacer.style.height = `${rows.length * this.#height}px`;
    if (this.#active >= rows.length)
      this.#activate(-1);
    this.draw();
  }

  scrollToTop() {
    this.#viewport.scrollTop = 0;
  }

  #measure() {
    const height = parseFloat(getComputedStyle(this.#viewport).getPropertyValue("--row"));
    const wanted = Math.ceil(this.#viewport.clientHeight / height) + 2 * SPARE;
    if (height === this.#height && wanted <= this.#pool.length)
      return;
    this.#height = height;
    this.#spacer.style.height = `${this.#rows.length * height}px`;
    if (wanted > this.#pool.length) {
      this.#spacer.replaceChildren();
      this.#pool = Array.from({ length: wanted }, (_, i) => this.#makeRow(i));
      this.#spacer.append(...this.#pool.map((row) => row.element));
    }
    for (const row of this.#pool)
      row.index = -1;
    this.draw();
  }

  /** The height for rows, below the sticky head. */
  get #room() {
    return this.#viewport.clientHeight - this.#head.offsetHeight;
  }

  #makeRow(number) {
    const row = { ...this.#kind.make(), index: -1, entry: null, changed: 0 };
    row.element.id = `${this.#grid.id}-row-${number}`;
    row.element.hidden = true;
    return row;
  }

  draw() {
    if (!this.#height)
      return;
    const first = Math.max(0, Math.floor(this.#viewport.scrollTop / this.#height) - SPARE);
    const end = Math.min(this.#rows.length, first + this.#pool.length);
    const moment = performance.now();
    for (let index = first; index < first + this.#pool.length; index++) {
      const row = this.#pool[index % this.#pool.length];
      if (index >= end) {
        row.index = -1;
        row.entry = null;
        row.element.hidden = true;
      } else {
        this.#place(row, index);
        this.#fill(row, this.#rows[index], moment);
      }
    }
  }

  #place(row, index) {
    if (row.index === index)
      return;
    row.index = index;
    row.element.hidden = false;
    row.element.style.transform = `translateY(${index * this.#height}px)`;
    row.element.setAttribute("aria-rowindex", index + 2);
    row.element.classList.toggle("active", index === this.#active);
  }

  #fill(row, entry, moment) {
    this.#kind.age(row, entry);
    if (row.entry === entry)
      return;
    const same = row.entry?.key === entry.key;
    row.entry = entry;
    this.#kind.fill(row, entry);
    const age = moment - entry.changed;
    const flashes = entry.changed > 0 && age < FLASH_MS;
    const other = row.element.classList.contains("flash-a") ? "flash-b" : "flash-a";
    if (!flashes || !same || row.changed !== entry.changed)
      row.element.classList.remove("flash-a", "flash-b");
    if (flashes && row.changed !== entry.changed) {
      row.element.style.animationDelay = same ? "0ms" : `${-Math.round(age)}ms`;
      row.element.classList.add(other);
    }
    row.changed = entry.changed;
  }

  // One row is active for the keyboard; the focus stays on the viewport.

  #activate(index) {
    this.#active = index;
    for (const row of this.#pool) {
      row.element.classList.toggle("active", row.index === index && index >= 0);
      if (row.index === index && index >= 0)
        this.#viewport.setAttribute("aria-activedescendant", row.element.id);
    }
    if (index < 0)
      this.#viewport.removeAttribute("aria-activedescendant");
  }

  #onKey(event) {
    const page = Math.max(1, Math.floor(this.#room / this.#height) - 1);
    const last = this.#rows.length - 1;
    const to = {
      ArrowDown: this.#active + 1, ArrowUp: this.#active - 1, PageDown: this.#active + page,
      PageUp: this.#active - page, Home: 0, End: last,
    }[event.key];
    if (event.key === "Enter" && this.#rows[this.#active]) {
      event.preventDefault(); // else it would press the button that is focused then
      this.#open(this.#rows[this.#active]);
    }
    if (to === undefined || last < 0)
      return;
    event.preventDefault();
    const index = Math.max(0, Math.min(last, to)), top = index * this.#height;
    if (top < this.#viewport.scrollTop)
      this.#viewport.scrollTop = top;
    else if (top + this.#height > this.#viewport.scrollTop + this.#room)
      this.#viewport.scrollTop = top + this.#height - this.#room;
    this.draw();
    this.#activate(index);
  }

  #onClick(event) {
    const row = this.#pool.find((one) => one.element.contains(event.target));
    if (row?.entry && !String(getSelection()))
      this.#open(row.entry);
  }

  #open(entry) {
    this.dispatchEvent(new CustomEvent("open", { detail: entry }));
  }
}
