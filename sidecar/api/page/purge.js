// What would be purged, and why or why not; then, asked twice, the purge of exactly that.

import { ask } from "./http.js";
import { at, make, say } from "./dom.js";
import { count, size, whole } from "./words.js";

const SHOWN = 200; // files of one source that are listed

export class Purge {
  constructor(complain) {
    this.complain = complain;
    at("preview").addEventListener("click", () => this.preview());
  }

  async preview() {
    const button = at("preview");
    button.disabled = true;
    at("plan").replaceChildren(make("p", { class: "note" }, "Looking at every original and its copy…"));
    try {
      this.show(await ask("/purge/preview", { method: "POST", body: {} }));
    } catch (problem) {
      at("plan").replaceChildren(make("p", { class: "bad", role: "alert" }, problem.message));
    } finally {
      button.disabled = false;
    }
  }

  show(plan) {
    const files = plan.sources.reduce((sum, source) => sum + source.candidates, 0);
    const bytes = plan.sources.reduce((sum, source) => sum + source.bytes, 0);
    const parts = plan.sources.map(showSource);
    if (files === 0) parts.unshift(make("p", {}, "Nothing would be purged now."));
    else if (plan.enabled) parts.push(this.offer(plan, files, bytes));
    else parts.push(make("p", { class: "note" }, "Purging is switched off (purge.enabled), so nothing can be deleted here."));
    at("plan").replaceChildren(...parts);
  }

  offer(plan, files, bytes) {
    const text = `Delete ${count(files, "original")} (${size(bytes)})…`;
    return make("button", { type: "button", class: "danger", onclick: () => this.confirm(plan, files, bytes) }, text);
  }

  confirm(plan, files, bytes) {
    const dialog = at("confirm");
    const names = plan.sources.filter((source) => source.candidates).map((source) => source.name).join(", ");
    say(at("confirm-text"), `${count(files, "original")} (${size(bytes)}) in ${names} will be deleted. ` +
      "Each is compared with its copy once more before it goes; their copies stay in the library.");
    say(at("confirm-yes"), `Delete ${count(files, "original")}`);
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => dialog.returnValue === "yes" && this.carryOut(plan), { once: true });
    dialog.showModal();
  }

  async carryOut(plan) {
    try {
      const job = await ask("/jobs", { method: "POST", body: { action: "purge", preview: plan.id } });
      this.job = job.id;
      at("plan").replaceChildren(make("p", {}, "Purging…"));
    } catch (problem) {
      at("plan").replaceChildren(make("p", { class: "bad", role: "alert" }, problem.message));
    }
  }

  /** A job came to its end; if it is the purge that was confirmed here, say what it did. */
  ended(job) {
    if (job.id !== this.job) return;
    this.job = undefined;
    const sources = job.result?.sources ?? [];
    const purged = sources.reduce((sum, source) => sum + (source.purged ?? 0), 0);
    const freed = sources.reduce((sum, source) => sum + (source.bytes_freed ?? 0), 0);
    const failed = job.problem ? ` — ${job.problem}` : "";
    at("plan").replaceChildren(
      make("p", { class: failed ? "bad" : "good" }, `${count(purged, "original")} deleted, ${size(freed)} freed${failed}`));
  }
}

function showSource(source) {
  const kept = Object.entries(source.kept ?? {});
  const keptCount = kept.reduce((sum, [, number]) => sum + number, 0);
  return make("article", { class: "plan" },
    make("h3", {}, source.name),
    source.refused ? make("p", { class: "bad" }, `Refused: ${source.refused}`) : null,
    source.problem ? make("p", { class: "bad" }, source.problem) : null,
    make("p", {}, `${count(source.candidates, "original")} would go (${size(source.bytes)}), ${whole(keptCount)} stay.`),
    kept.length
      ? make("details", {}, make("summary", {}, "Why the others stay"),
        make("ul", {}, kept.map(([reason, number]) => make("li", {}, `${whole(number)} × ${reason}`))))
      : null,
    source.files?.length ? make("details", {}, make("summary", {}, "Which files"), fileList(source)) : null);
}

function fileList(source) {
  const shown = source.files.slice(0, SHOWN);
  const more = source.candidates - shown.filter((file) => file.outcome === "purge").length;
  return make("div", {},
    make("ul", { class: "files" }, shown.map((file) => make("li", {},
      make("span", { class: "path" }, file.path), ` ${size(file.size)}${file.reason ? ` — ${file.reason}` : ""}`))),
    more > 0 ? make("p", { class: "note" }, `and ${count(more, "more original")}`) : null);
}
