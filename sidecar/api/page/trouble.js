// What failed and what to do: slowed or missing sources, sinks that cannot be told, and the last jobs that did not end well.

import { at, keyed, make, say } from "./dom.js";
import { ago } from "./words.js";

const SHOWN = 20;

export function showTrouble(status, jobs) {
  const all = [
    ...status.sources.filter((source) => source.slowed || source.reason).map(ofSource),
    ...status.sinks.filter((sink) => sink.problem).map((sink) => ({ what: `sink ${sink.name}: ${sink.problem}`, when: "" })),
    ...jobs.filter((job) => ["partly", "failed"].includes(job.state)).flatMap(ofJob),
  ];
  const troubles = together(all).slice(0, SHOWN);
  const list = at("troubles");
  if (troubles.length === 0) {
    list.replaceChildren(make("li", { class: "note" }, "Nothing."));
    return;
  }
  keyed(list, troubles, (one) => one.key, () => make("li"), (item, one) => say(item, one.text));
}

/** What happened again and again is said once, with when it last did. Jobs come newest first. */
function together(all) {
  const found = new Map();
  for (const one of all) {
    const before = found.get(one.what);
    if (before) before.times += 1;
    else found.set(one.what, { ...one, times: 1 });
  }
  return [...found.values()].map(({ what, when, times }) => {
    const often = times > 1 ? ` (${times} times)` : "";
    return { key: what, text: when ? `${what} — ${when}${often}` : what };
  });
}

function ofSource(source) {
  const why = source.slowed ? `${source.slowed.reason} (failed ${source.slowed.failures} times in a row)` : source.reason;
  return { what: `${source.name}: ${why}${source.hint ? ` — ${source.hint}` : ""}`, when: "" };
}

function ofJob(job) {
  const reports = [job.result?.sources, job.result?.sync, job.result?.purge].flatMap((some) => some ?? []);
  const lines = reports.flatMap((report) => [
    ...(report.refused ? [`${report.name}: not purged: ${report.refused}`] : []),
    ...(report.problems ?? []).slice(0, 5).map((one) => `${report.name}: ${one.path ? `${one.path}: ` : ""}${one.reason}`),
  ]);
  const whats = lines.length ? lines : [job.problem || "it was not done completely"];
  return whats.map((what) => ({ what, when: `${job.action}, ${ago(job.ended_at)}` }));
}
