// Numbers, sizes and times as people read them.

const UNITS = ["B", "KB", "MB", "GB", "TB"];
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const WHOLE = new Intl.NumberFormat();

/** A count with its noun: `1 file`, `2,000 files`. */
export const count = (number, noun) => `${WHOLE.format(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A whole number with separators. */
export const whole = (number) => WHOLE.format(number ?? 0);

/** Bytes, decimal units, as the log and the bars say them. */
export function size(bytes) {
  let value = bytes ?? 0;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Seconds still to go: `12 s`, `3 min`, `2 h 5 min`. */
export function left(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** How long ago an ISO time is. */
export function ago(iso) {
  if (!iso) return "never";
  const seconds = (Date.parse(iso) - Date.now()) / 1000;
  if (Math.abs(seconds) < 60) return "just now";
  if (Math.abs(seconds) < 3600) return RELATIVE.format(Math.round(seconds / 60), "minute");
  if (Math.abs(seconds) < 86400) return RELATIVE.format(Math.round(seconds / 3600), "hour");
  return RELATIVE.format(Math.round(seconds / 86400), "day");
}

/** The last part of a path. */
export const name = (path) => path.slice(path.lastIndexOf("/") + 1);
