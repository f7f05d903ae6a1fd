// The HTTP side. Errors carry what the server's problem document says: what, why, what to do.

export const API = "/api/v1";
const KEY = "media-sync-key"; // of the session: its cookie lets this browser look, the key lets this page control

/** A request that was refused or failed; `status` is 0 when nobody answered. */
export class Problem extends Error {
  constructor(status, detail, hint = "") {
    super(hint ? `${detail} — ${hint}` : detail);
    this.status = status;
  }
}

/** Asks the API and answers its JSON, null where there is none. Raises Problem. */
export async function ask(path, { method = "GET", body, signal } = {}) {
  let response;
  try {
    response = await fetch(API + path, {
      method,
      signal,
      cache: "no-store",
      credentials: "same-origin",
      headers: headersFor(method, body),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "media-sync does not answer", "is it running?");
  }
  if (response.ok) return response.status === 204 ? null : response.json();
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    problem = {}; // a proxy's own page
  }
  throw new Problem(response.status, problem.detail ?? `the answer was ${response.status}`, problem.hint);
}

function headersFor(method, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  const key = localStorage.getItem(KEY);
  if (method !== "GET" && key) headers["X-Media-Sync-Key"] = key;
  return headers;
}

/** Begins a session with a token. Raises Problem. */
export async function begin(token) {
  const session = await ask("/session", { method: "POST", body: { token } });
  localStorage.setItem(KEY, session.key);
}

/** Ends the session, also when nobody answers. */
export async function end() {
  try {
    await ask("/session", { method: "DELETE" });
  } finally {
    localStorage.removeItem(KEY);
  }
}

/** A query string of the fields that are set. */
export function query(fields) {
  const some = Object.entries(fields).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return some.length ? `?${new URLSearchParams(some)}` : "";
}
