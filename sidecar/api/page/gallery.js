// What is in the library, newest first. Of 200,000 files only those near the window have elements, and only as many as
// somebody scrolled to were asked for.

import { ask, API, query } from "./http.js";
import { at, keyed, make, say } from "./dom.js";
import { count, name, size } from "./words.js";

const PAGE = 100;
const AHEAD = 2; // rows beyond the window that have elements

export class Gallery {
  constructor(complain) {
    this.box = at("gallery");
    this.complain = complain;
    this.filter = {};
    this.reset();
    this.space = make("div", { class: "gallery-space", role: "presentation" });
    this.box.append(this.space);
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  reset() {
    this.items = [];
    this.known = new Map();
    this.wrong = "";
    this.next = undefined; // cursor of the next page; null at the end
    this.asking?.abort();
    this.asking = null;
  }

  /** Another search; `fields` as the API takes them. */
  search(fields) {
    this.filter = fields;
    this.reset();
    this.box.scrollTop = 0;
    return this.more();
  }

  /** Asks for the next page, once. */
  async more() {
    if (this.asking || this.next === null) return;
    const asking = new AbortController();
    this.asking = asking;
    try {
      const fields = { ...this.filter, limit: PAGE, cursor: this.next };
      const page = await ask(`/items${query(fields)}`, { signal: asking.signal });
      if (this.asking !== asking) return;
      this.asking = null;
      this.add(page.items, false);
      this.next = page.next;
      this.draw();
    } catch (problem) {
      if (this.asking === asking) this.asking = null;
      if (problem.name === "AbortError") return;
      if (problem.status === 422) this.misunderstood(problem); // somebody is still typing
      else this.complain(problem);
    }
  }

  /** A query that means nothing shows nothing, and says why. */
  misunderstood(problem) {
    this.next = null;
    this.wrong = problem.message;
    this.draw();
  }

  /** Looks for what arrived since, and puts it in front. Answers how many there were. */
  async fresh() {
    const { filter } = this;
    const page = await ask(`/items${query({ ...filter, limit: PAGE })}`);
    if (filter !== this.filter) return 0; // another search began meanwhile
    const before = this.items.length;
    if (page.items.length && !page.items.some((item) => this.known.has(key(item)))) {
      this.reset(); // more than a page came at once: begin anew
      this.next = page.next;
    }
    if (this.next === undefined) this.next = page.next;
    const added = this.add(page.items, true);
    if (added && before && this.box.scrollTop > 0) this.stay(added);
    this.draw();
    return added;
  }

  /** A file was looked into: it may have a picture that it had not, and be found by what is in it. */
  found({ hash, thumbnail }) {
    if (!thumbnail) return;
    for (const thumb of this.box.querySelectorAll(`.thumb[data-hash="${hash}"]`)) {
      if (!thumb.querySelector("img")) thumb.querySelector(".cell-kind").replaceWith(picture(thumb.item));
    }
  }

  add(items, front) {
    const some = items.filter((item) => !this.known.has(key(item)));
    for (const item of items) {
      if (this.known.has(key(item))) Object.assign(this.known.get(key(item)), item); // what was found out since
      else this.known.set(key(item), item);
    }
    this.items = front ? [...some, ...this.items] : [...this.items, ...some];
    return some.length;
  }

  /** Whoever scrolled down keeps seeing what was there. */
  stay(added) {
    const { columns, height } = this.measure();
    this.box.scrollTop += Math.round(added / columns) * height;
  }

  measure() {
    const style = getComputedStyle(this.box);
    const side = parseFloat(style.getPropertyValue("--cell")) || 150;
    const width = this.box.clientWidth || side;
    return { columns: Math.max(1, Math.floor(width / side)), height: side + 50 };
  }

  draw() {
    this.drawing ||= requestAnimationFrame(() => {
      this.drawing = 0;
      this.render();
    });
  }

  render() {
    const { columns, height } = this.measure();
    const rows = Math.ceil(this.items.length / columns);
    this.space.style.height = `${rows * height}px`;
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - AHEAD);
    const last = Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + AHEAD;
    const shown = this.items.slice(first * columns, last * columns).map((item, index) => ({ item, index }));
    keyed(this.space, shown, ({ item }) => key(item), ({ item }) => this.cell(item), (cell, { index }) => {
      cell.style.left = `${((index % columns) * 100) / columns}%`;
      cell.style.width = `${100 / columns}%`;
      cell.style.top = `${(first + Math.floor(index / columns)) * height}px`;
    });
    say(at("gallery-note"), this.tale());
    if (last >= rows - AHEAD) this.more();
  }

  tale() {
    if (this.wrong) return this.wrong;
    if (this.items.length) return `${count(this.items.length, "file")} shown${this.next === null ? "" : ", scroll for more"}`;
    return this.asking || this.next === undefined ? "" : "Nothing matches.";
  }

  cell(item) {
    const label = name(item.library_path);
    const thumb = make("button", { type: "button", class: "thumb", title: item.library_path, "data-hash": item.hash,
                                   onclick: () => show(item) },
      picture(item),
      make("span", { class: "cell-name" }, label),
      make("span", { class: "cell-source" }, `${item.source} · ${size(item.size)}`));
    thumb.item = item;
    return make("div", { class: "cell", role: "listitem" }, thumb);
  }
}

const key = (item) => `${item.hash} ${item.source} ${item.library_path}`;

function picture(item) {
  const kind = make("span", { class: "cell-kind", "aria-hidden": "true" }, item.kind);
  if (item.kind !== "image" && item.kind !== "video") return kind;
  const image = make("img", { alt: "", loading: "lazy", decoding: "async", src: `${API}/items/${item.hash}/thumbnail` });
  image.addEventListener("error", () => image.replaceWith(kind));
  return image;
}

/** What a file says of its making, as terms and values. */
function recipe(said) {
  const loras = (said.loras ?? []).map((one) => (one.weight == null ? one.name : `${one.name} (${one.weight})`));
  return [
    ["Prompt", said.prompt], ["Negative prompt", said.negative_prompt], ["Model", said.model],
    ["LoRAs", loras.join(", ")], ["Seed", said.seed], ["Steps", said.steps],
    ["Sampler", [said.sampler, said.scheduler].filter(Boolean).join(", ")], ["CFG", said.cfg],
    ["Made with", [said.software, said.version].filter(Boolean).join(" ")],
  ];
}

/** The file itself, in a dialog. */
function show(item) {
  const content = `${API}/items/${item.hash}/content`;
  const body = {
    image: () => make("img", { alt: `Picture ${name(item.library_path)}`, src: content }),
    video: () => make("video", { src: content, controls: true, preload: "metadata" }),
    audio: () => make("audio", { src: content, controls: true, preload: "metadata" }),
  }[item.kind];
  say(at("viewer-title"), name(item.library_path));
  at("viewer-body").replaceChildren(body ? body() : make("p", { class: "note" }, "Open the file to see it."));
  at("viewer-open").href = content;
  const facts = [
    ["Source", item.source], ["Original", item.path], ["Library", item.library_path], ["Size", size(item.size)],
    ["Original is", item.state], ["SHA-256", item.hash], ["Incomplete", item.incomplete],
    ...recipe(item.metadata ?? {}),
  ].filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  at("viewer-facts").replaceChildren(
    ...facts.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, String(value)))));
  const viewer = at("viewer");
  viewer.addEventListener("close", () => at("viewer-body").replaceChildren(), { once: true });
  viewer.showModal();
}
