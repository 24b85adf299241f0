// Times as the pages show them: in one zone that is always named, windows as days, ages beside now. No DOM in here.

const DAY_MS = 86_400_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

let chosen = "UTC";

/** The zone that times are shown in: `UTC`, or an IANA name. Days of models are days of UTC in every zone. */
export const zone = () => chosen;
export const zoneName = () => (chosen === "UTC" ? "UTC" : chosen.replaceAll("_", " "));
export const localZone = () => new Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Show times in a zone from now on; false if there is no such zone, and nothing changes. */
export function setZone(name) {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
  } catch {
    return false;
  }
  chosen = name;
  return true;
}

/** `2026-01-18T06:00` of an RFC 3339 time in the zone; a date alone is a day of UTC, and stays one. */
function wall(at) {
  if (chosen === "UTC" || at.length <= 10) return at.slice(0, 16);
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone: chosen,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).formatToParts(new Date(at));
  const part = (type) => parts.find((found) => found.type === type)?.value ?? "";
  return `${part("year")}-${part("month")}-${part("day")}T${part("hour")}:${part("minute")}`;
}

/** `2026-01-18 06:00` of an RFC 3339 time, in the zone. */
export const time = (at) => (at ? wall(at).replace("T", " ") : "–");
/** The day of UTC that a time lies on. */
export const day = (at) => (at ? at.slice(0, 10) : "–");

const dayAndMonth = (at) => `${Number(at.slice(8, 10))} ${MONTHS[Number(at.slice(5, 7)) - 1]}`;

/** `18 Jan 06:00`, in the zone; `18 Jan` of a date, or without `hours`; the year where it is not this one. */
export function short(at, hours = true, now = Date.now()) {
  const text = wall(at);
  const year = text.slice(0, 4) === new Date(now).toISOString().slice(0, 4) ? "" : ` ${text.slice(0, 4)}`;
  return `${dayAndMonth(text)}${year}${hours && text.length > 10 ? ` ${text.slice(11, 16)}` : ""}`;
}

/** A day after another one, or before it; dates. */
export const shifted = (date, days) => new Date(Date.parse(`${date}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);

/** The first and the last day of a window that includes `from` and excludes `to`; null if it does not end at midnight. */
export function daysOf(from, to) {
  const begin = Date.parse(from.length > 10 ? from : `${from}T00:00:00Z`),
    end = Date.parse(to.length > 10 ? to : `${to}T00:00:00Z`);
  if (begin % DAY_MS || end % DAY_MS || end <= begin) return null;
  return { first: new Date(begin).toISOString().slice(0, 10), last: new Date(end - DAY_MS).toISOString().slice(0, 10), days: (end - begin) / DAY_MS };
}

/** Days from one to another, both included, as people write them: `11–17 Jan`. */
export function days(first, last, now = Date.now()) {
  if (first === last) return short(first, false, now);
  const same = first.slice(0, 4) === last.slice(0, 4);
  if (first.slice(0, 7) === last.slice(0, 7)) return `${Number(first.slice(8, 10))}–${short(last, false, now)}`;
  return `${same ? dayAndMonth(first) : `${dayAndMonth(first)} ${first.slice(0, 4)}`} – ${same ? short(last, false, now) : `${dayAndMonth(last)} ${last.slice(0, 4)}`}`;
}

/** A window, which includes `from` and excludes `to`: `11–17 Jan (7 days)`; to the minute where it is not of whole days. */
export function span(from, to, now = Date.now()) {
  if (!from || !to) return "–";
  const found = daysOf(from, to);
  if (!found) return `${short(from, true, now)} to ${short(to, true, now)} ${zoneName()}`;
  return `${days(found.first, found.last, now)} (${found.days} ${found.days === 1 ? "day" : "days"})`;
}

const STEPS = /** @type {[number, number, string][]} */ ([
  [90_000, 1_000, "s"],
  [5_400_000, 60_000, "min"],
  [129_600_000, 3_600_000, "h"],
  [Infinity, DAY_MS, "days"],
]);

/** How long ago something was, or in how long it will be: `3 h ago`, `in 2 days`. */
export function ago(at, now = Date.now()) {
  const ms = now - Date.parse(at),
    size = Math.abs(ms);
  const [, unit, name] = STEPS.find(([most]) => size < most) ?? STEPS[3];
  const text = `${Math.round(size / unit)} ${name}`;
  return ms < 0 ? `in ${text}` : `${text} ago`;
}
