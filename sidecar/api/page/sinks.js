// Who is told of every file: how far each sink is, and telling it again.

import { ask } from "./http.js";
import { at, keyed, make, say } from "./dom.js";
import { ago, whole } from "./words.js";

export class Sinks {
  /** `changed()` when something was asked for, `complain(problem)` when that was refused. */
  constructor(changed, complain) {
    this.changed = changed;
    this.complain = complain;
    this.busy = false;
  }

  show(sinks) {
    at("told").hidden = sinks.length === 0;
    this.busy = sinks.some((sink) => sink.retrying || sink.filling);
    keyed(at("sinks").tBodies[0], sinks, (sink) => sink.name, (sink) => this.row(sink), (row, sink) => {
      const [name, state, waiting, refused, older, last] = row.cells;
      say(name, sink.name);
      name.title = sink.type;
      say(state, stateOf(sink));
      row.classList.toggle("troubled", Boolean(sink.problem));
      say(waiting, whole(sink.backlog));
      say(refused, whole(sink.refused));
      say(older, whole(sink.unfilled));
      say(last, ago(sink.told_at));
      const [again, everything] = row.querySelectorAll("button");
      again.disabled = sink.retrying || !(sink.refused || sink.problem);
      everything.disabled = Boolean(sink.filling);
    });
  }

  row(sink) {
    const number = () => make("td", { class: "number" });
    const button = (text, title, what) => make("button", { type: "button", class: "quiet", title,
      "aria-label": `${text}: ${sink.name}`, onclick: (event) => this.ask(sink.name, what, event.currentTarget) }, text);
    return make("tr", {}, make("th", { scope: "row" }), make("td"), number(), number(), number(), make("td"),
      make("td", {},
        button("Again", "What it refused, once more; one that is down is tried at once", "retry"), " ",
        button("Everything", "Every file that was ever stored", "backfill")));
  }

  async ask(name, what, button) {
    button.disabled = true;
    try {
      await ask(`/ingest/${encodeURIComponent(name)}/${what}`, { method: "POST" });
    } catch (problem) {
      button.disabled = false;
      this.complain(problem);
    }
    this.changed();
  }
}

function stateOf(sink) {
  if (sink.problem) return "cannot be told";
  if (sink.filling) return `told of file ${whole(sink.filling.at)} of ${whole(sink.filling.upto)}`;
  return sink.retrying ? "told again" : "told as it comes";
}
