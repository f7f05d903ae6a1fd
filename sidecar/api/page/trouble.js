// What failed and what to do: slowed or missing sources, and the last jobs that did not end well.

import { at, keyed, make, say } from "./dom.js";
import { ago } from "./words.js";

const SHOWN = 20;

export function showTrouble(status, jobs) {
  const troubles = [
    ...status.sources.filter((source) => source.slowed || source.reason).map(ofSource),
    ...jobs.filter((job) => ["partly", "failed"].includes(job.state)).flatMap(ofJob),
  ].slice(0, SHOWN);
  const list = at("troubles");
  if (troubles.length === 0) {
    list.replaceChildren(make("li", { class: "note" }, "Nothing."));
    return;
  }
  keyed(list, troubles, (one) => one.key, () => make("li"), (item, one) => say(item, one.text));
}

function ofSource(source) {
  const why = source.slowed ? `${source.slowed.reason} (failed ${source.slowed.failures} times)` : source.reason;
  return { key: `source ${source.name}`, text: `${source.name}: ${why}${source.hint ? ` — ${source.hint}` : ""}` };
}

function ofJob(job) {
  const head = `${job.action}, ${ago(job.ended_at)}`;
  const reports = [job.result?.sources, job.result?.sync, job.result?.purge].flatMap((some) => some ?? []);
  const lines = reports.flatMap((report) => [
    ...(report.error ? [`${report.name}: ${report.error}`] : []),
    ...(report.problems ?? []).slice(0, 5).map((one) => `${report.name}: ${one.path}: ${one.reason}`),
  ]);
  const texts = lines.length ? lines : [job.problem || "it was not done completely"];
  return texts.map((text, number) => ({ key: `${job.id} ${number}`, text: `${head} — ${text}` }));
}
