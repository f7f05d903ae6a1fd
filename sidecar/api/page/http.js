// The HTTP side. Errors carry what the server's problem document says: what, why, what to do.

export const API = "/api/v1";

/** A request that was refused or failed; `status` is 0 when nobody answered. */
export class Problem extends Error {
  constructor(status, title, detail = "") {
    super(detail ? `${title}: ${detail}` : title);
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
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
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
    problem = { title: `the answer was ${response.status}` };
  }
  throw new Problem(response.status, problem.title ?? `the answer was ${response.status}`, problem.detail ?? "");
}

/** A query string of the fields that are set. */
export function query(fields) {
  const some = Object.entries(fields).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return some.length ? `?${new URLSearchParams(some)}` : "";
}
