// Is everything safe? One word, the reasons, and a line for each source.

import { at, keyed, make, say } from "./dom.js";
import { ago, size, whole } from "./words.js";

export function showVerdict(status) {
  const { ok, sentence, reasons, warnings } = status.safe;
  const word = at("verdict-word");
  const [mood, answer] = !ok ? ["bad", "✗ Look here"] : warnings.length ? ["warn", "! Yes, but look"] : ["good", "✓ Yes"];
  word.className = `word ${mood}`;
  say(word, `${answer} — ${sentence}`);
  keyed(at("verdict-reasons"), [...reasons, ...warnings], (reason) => reason, () => make("li"), (item, reason) => say(item, reason));
  showTotals(status.totals, status.unread);
  showSources(status.sources);
}

function showTotals(totals, unread) {
  const facts = [
    ["Files stored", whole(totals.files)],
    ["In the library", size(totals.bytes)],
    ["Originals purged", whole(totals.purged)],
    ...(unread ? [["Still to be looked into", whole(unread)]] : []),
  ];
  keyed(at("totals"), facts, ([term]) => term,
    ([term]) => make("div", {}, make("dt", {}, term), make("dd")),
    (group, [, value]) => say(group.querySelector("dd"), value));
}

function showSources(sources) {
  const body = at("sources").tBodies[0];
  keyed(body, sources, (source) => source.name, newRow, (row, source) => {
    const [name, state, files, bytes, success] = row.cells;
    say(name, source.name);
    name.title = source.container;
    say(state, source.slowed ? `${source.state}, tried again ${ago(source.slowed.until)}` : source.state);
    row.classList.toggle("troubled", Boolean(source.slowed || source.reason));
    say(files, whole(source.stored));
    say(bytes, size(source.bytes));
    say(success, ago(source.last_success));
  });
}

function newRow() {
  const number = () => make("td", { class: "number" });
  return make("tr", {}, make("th", { scope: "row" }), make("td"), number(), number(), make("td"));
}
