// Puts the page together: signs in, keeps the connection, and tells each part what it needs to know.

import { ask, begin, end, Problem } from "./http.js";
import { at, make, say, seldom } from "./dom.js";
import { Gallery } from "./gallery.js";
import { Live } from "./live.js";
import { Now } from "./now.js";
import { Purge } from "./purge.js";
import { Sinks } from "./sinks.js";
import { showTrouble } from "./trouble.js";
import { showVerdict } from "./verdict.js";
import { count } from "./words.js";

const LOOK_AGAIN = 30000; // ms between looks at the status when nothing is told
const LOOK_SOON = 2000; // while sinks are told of what somebody asked for

const now = new Now(complain);
const gallery = new Gallery(complain);
const purge = new Purge(complain);
const live = new Live(heard, linked);
const refresh = seldom(look, 1000);
const arrivals = seldom(arrived, 400);
const sinks = new Sinks(refresh, complain);
let again = 0;

function complain(problem) {
  if (problem.status === 401) signIn("");
  else if (problem.status === 403) signIn("Looking is allowed, this is not: sign in with the token that may control.");
  else say(at("link"), problem.message);
}

function linked(yes) {
  at("link").classList.toggle("bad", !yes);
  say(at("link"), yes ? "live" : "connection lost, trying again…");
  if (!yes) ask("/status").catch((problem) => problem.status === 401 && signIn(""));
}

function heard(message) {
  if (message.type === "snapshot") {
    now.replace(message.jobs);
    refresh();
    arrivals();
  } else if (message.type === "progress") {
    now.progress(message.job, message.progress);
  } else if (message.type === "event") {
    happened(message.event);
  } else if (message.type === "more") {
    arrivals();
    refresh();
  }
}

function happened(event) {
  if (event.type === "job.changed") {
    now.job(event.data);
    if (!["queued", "running"].includes(event.data.state)) purge.ended(event.data);
    refresh();
  } else if (["file.stored", "file.duplicate"].includes(event.type)) {
    arrivals();
    refresh();
  } else if (event.type === "metadata.read") {
    gallery.found(event.data);
    arrivals();
  } else {
    refresh();
  }
}

async function look() {
  clearTimeout(again);
  again = setTimeout(refresh, LOOK_AGAIN);
  try {
    const [status, jobs] = await Promise.all([ask("/status"), ask("/jobs?limit=20")]);
    showVerdict(status);
    showTrouble(status, jobs.jobs);
    sinks.show(status.sinks);
    if (sinks.busy) setTimeout(refresh, LOOK_SOON);
    offerSources(status.sources);
  } catch (problem) {
    complain(problem);
  }
}

async function arrived() {
  try {
    const added = await gallery.fresh();
    if (added) say(at("arrived"), `${count(added, "new file")}`);
  } catch (problem) {
    complain(problem);
  }
}

function offerSources(sources) {
  const select = at("search-source");
  const names = sources.map((source) => source.name);
  const offered = [...select.options].slice(1).map((option) => option.value);
  if (names.join("\n") === offered.join("\n")) return;
  const chosen = select.value;
  select.replaceChildren(make("option", { value: "" }, "all"), ...names.map((name) => make("option", { value: name }, name)));
  select.value = names.includes(chosen) ? chosen : "";
}

function signIn(problem) {
  live.close();
  clearTimeout(again);
  at("board").hidden = true;
  at("doings").hidden = true;
  at("sign-in").hidden = false;
  say(at("link"), "");
  say(at("sign-in-problem"), problem);
  at("token").focus();
}

async function enter() {
  try {
    await ask("/status");
  } catch (problem) {
    if (problem.status === 401 || problem.status === 403) signIn("");
    else {
      complain(problem);
      setTimeout(enter, 2000);
    }
    return;
  }
  at("sign-in").hidden = true;
  at("board").hidden = false;
  at("doings").hidden = false;
  live.open();
}

async function start(action, button) {
  button.disabled = true;
  try {
    await ask("/jobs", { method: "POST", body: { action } });
  } catch (problem) {
    complain(problem);
  } finally {
    button.disabled = false;
  }
}

at("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await begin(at("token").value.trim());
    at("token").value = "";
    await enter();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    const wrong = problem.status === 401 || problem.status === 403;
    say(at("sign-in-problem"), wrong ? "That is not the token." : problem.message);
  }
});

at("sign-out").addEventListener("click", async () => {
  try {
    await end();
  } finally {
    signIn("");
  }
});

at("sync-now").addEventListener("click", (event) => start("sync", event.currentTarget));
at("verify-now").addEventListener("click", (event) => start("verify", event.currentTarget));

const search = at("search");
const searched = seldom(() => {
  const fields = Object.fromEntries(new FormData(search));
  gallery.search(fields);
}, 250);
search.addEventListener("input", searched);
search.addEventListener("submit", (event) => event.preventDefault());

enter();
