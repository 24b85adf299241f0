// One range of days for all charts of a page, kept in the address together with the metric and the time zone.
import { h } from "./dom.js";
import { days, shifted, zone } from "./time.js";

const DATE = /^\d{4}-\d\d-\d\d$/;
export const PRESETS = [7, 30, 90];

/** What an address says: `from` and `to` are days, both included; `metric` is a name. Null where it says nothing. */
export function fromAddress(search) {
  const query = new URLSearchParams(search);
  const from = query.get("from") ?? "",
    to = query.get("to") ?? "";
  const whole = DATE.test(from) && DATE.test(to) && from <= to;
  return { from: whole ? from : null, to: whole ? to : null, metric: query.get("metric") };
}

/** The same address with other values; null takes one out. */
export function inAddress(search, changes) {
  const query = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes))
    if (value === null || value === "" || value === undefined) query.delete(name);
    else query.set(name, value);
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** Put values into the address of this page without leaving it. */
export function remember(changes) {
  history.replaceState(null, "", location.pathname + inAddress(location.search, changes));
}

/** The last days up to the newest, both included. */
export const lastDays = (newest, count) => ({ from: shifted(newest, 1 - count), to: newest });

/** Rows whose day lies in the range; all without one. */
export const within = (rows, range, dayOf = (row) => row.date) =>
  range ? rows.filter((row) => dayOf(row) >= range.from && dayOf(row) <= range.to) : rows;

/** Buttons for 7, 30 and 90 days and two days of one's own. `range`: what is shown; `newest`: the newest day there is;
 * `all`: the days that there are, where a page can show them all.
 * @param {{ from: string, to: string }} range @param {string} newest @param {(range: any) => void} choose
 * @param {{ from: string, to: string } | null} [all] */
export function rangeControls(range, newest, choose, all = null) {
  if (!newest) return null;
  const preset = PRESETS.find((n) => {
    const last = lastDays(newest, n);
    return range.from === last.from && range.to === last.to;
  });
  const field = (name, text) =>
    h("input", {
      type: "date",
      value: range[name],
      "aria-label": text,
      onchange: (event) => {
        const value = event.target.value;
        const next = { ...range, [name]: value };
        if (DATE.test(value) && next.from <= next.to) choose(next);
      },
    });
  return h(
    "div",
    { class: "row range", role: "group", "aria-label": "Range of days" },
    h(
      "div",
      { class: "segments" },
      PRESETS.map((n) =>
        h("button", { "aria-pressed": String(n === preset), onclick: () => choose(lastDays(newest, n)) }, `${n} d`),
      ),
      all && h("button", { "aria-pressed": String(range.from === all.from && range.to === all.to), onclick: () => choose(null) }, "All"),
    ),
    field("from", "First day"),
    field("to", "Last day"),
    h("span", { class: "small soft" }, `${days(range.from, range.to)}, days of UTC${zone() === "UTC" ? "" : ", times of " + zone()}`),
  );
}
