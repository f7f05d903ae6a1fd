// What is happening now: a bar for each job and each source in it, the file at hand, and how long it still takes.

import { ask } from "./http.js";
import { at, keyed, make, say } from "./dom.js";
import { count, left, size } from "./words.js";

const WORDS = { sync: "Sync", purge: "Purge", run: "Sync and purge", verify: "Verify" };

export class Now {
  constructor(complain) {
    this.jobs = new Map();
    this.complain = complain;
    this.drawing = 0;
  }

  /** All that is queued or running. */
  replace(jobs) {
    this.jobs = new Map(jobs.map((job) => [job.id, job]));
    this.draw();
  }

  /** One job as it is now. */
  job(job) {
    if (["queued", "running"].includes(job.state)) this.jobs.set(job.id, { ...this.jobs.get(job.id), ...job });
    else this.jobs.delete(job.id);
    this.draw();
  }

  /** How far a job is. */
  progress(id, progress) {
    const job = this.jobs.get(id);
    if (!job) return;
    job.progress = progress;
    this.draw();
  }

  draw() {
    this.drawing ||= requestAnimationFrame(() => {
      this.drawing = 0;
      const jobs = [...this.jobs.values()];
      const box = at("jobs");
      if (jobs.length === 0) {
        box.replaceChildren(make("p", { class: "note" }, "Nothing: everything that was there is pulled."));
        return;
      }
      box.querySelector(":scope > p")?.remove();
      keyed(box, jobs, (job) => job.id, (job) => this.card(job), showJob);
    });
  }

  card(job) {
    const title = `${WORDS[job.action] ?? job.action} (${job.cause})`;
    return make("article", { class: "job", "aria-label": title },
      make("div", { class: "job-head" },
        make("h3", {}, title),
        make("button", { type: "button", class: "quiet", "aria-label": `Cancel: ${title}`,
          onclick: (event) => this.cancel(job.id, event.currentTarget) }, "Cancel")),
      make("div", { class: "job-bar" }),
      make("div", { class: "source-bars" }));
  }

  async cancel(id, button) {
    button.disabled = true;
    try {
      await ask(`/jobs/${id}`, { method: "DELETE" });
    } catch (problem) {
      button.disabled = false;
      this.complain(problem);
    }
  }
}

function showJob(card, job) {
  const progress = job.progress;
  const parts = progress ? [{ ...progress, name: "" }] : [];
  keyed(card.querySelector(".job-bar"), parts, () => "job", newBar, (bar, one) => showBar(bar, one, tale(one, job)));
  keyed(card.querySelector(".source-bars"), progress?.sources ?? [], (one) => one.name, newBar,
    (bar, one) => showBar(bar, one, tale(one, null)));
  if (!progress) card.querySelector(".job-bar").replaceChildren(make("p", { class: "note" }, job.state));
}

function newBar(one) {
  return make("div", { class: "bar" },
    make("span", { class: "bar-name" }, one.name),
    make("progress", { max: 1, "aria-label": one.name ? `Progress of ${one.name}` : "Progress" }),
    make("span", { class: "bar-tale" }),
    make("span", { class: "bar-file" }));
}

function showBar(bar, one, text) {
  const meter = bar.querySelector("progress");
  const share = one.bytes_total ? one.bytes_done / one.bytes_total : one.files_total ? one.files_done / one.files_total : 0;
  if (one.bytes_total || one.files_total) meter.value = Math.min(1, share);
  else meter.removeAttribute("value");
  say(bar.querySelector(".bar-tale"), text);
  say(bar.querySelector(".bar-file"), one.file ? fileLine(one) : "");
}

function fileLine(one) {
  const path = one.folder ? `${one.folder}/${one.file}` : one.file;
  return one.file_bytes_total ? `${path} (${size(one.file_bytes_done)} of ${size(one.file_bytes_total)})` : path;
}

function tale(one, job) {
  if (!one.files_total && !one.bytes_total) return job ? "looking" : "";
  const rest = left(one.eta);
  return [
    `${count(one.files_done, "file")} of ${count(one.files_total, "file")}`,
    one.bytes_total ? `${size(one.bytes_done)} of ${size(one.bytes_total)}` : "",
    one.rate ? `${size(one.rate)}/s` : "",
    rest ? `${rest} left` : "",
  ].filter(Boolean).join(" · ");
}
