// Days, windows and ages: a window includes its start and excludes its end, and no day is lost or added on the way.
import { deepStrictEqual as same } from "node:assert";
import { daysBetween } from "../../stream_app/web/static/charts.js";
import { fromAddress, inAddress, lastDays, within } from "../../stream_app/web/static/range.js";
import { ago, days, daysOf, setZone, shifted, short, span, time, zone } from "../../stream_app/web/static/time.js";

const NOW = Date.parse("2026-06-01T00:00:00Z");
const DAY_MS = 86_400_000;
const dates = (first, count) => Array.from({ length: count }, (_, n) => shifted(first, n));

Deno.test("a window of whole days names its first and its last day, wherever it begins and however long it is", () => {
  for (const first of dates("2025-12-20", 80))
    for (const length of [1, 2, 7, 27, 60]) {
      const to = shifted(first, length);
      const found = daysOf(`${first}T00:00:00.000Z`, `${to}T00:00:00.000Z`);
      same(found, { first, last: shifted(to, -1), days: length });
      const text = span(first, to, NOW);
      same(Number(/\((\d+) days?\)/.exec(text)?.[1]), length);
      same(text.startsWith(String(Number(first.slice(8)))), true);
      same(text.includes(short(shifted(to, -1), false, NOW)), true);
    }
});

Deno.test("a window as people write it", () => {
  same(span("2026-01-11T00:00:00.000Z", "2026-01-18T00:00:00.000Z", NOW), "11–17 Jan (7 days)");
  same(span("2026-01-17T00:00:00.000Z", "2026-01-18T00:00:00.000Z", NOW), "17 Jan (1 day)");
  same(span("2026-01-29", "2026-02-03", NOW), "29 Jan – 2 Feb (5 days)");
  same(span("2025-12-28", "2026-01-04", NOW), "28 Dec 2025 – 3 Jan 2026 (7 days)");
  same(span("2025-03-01", "2025-03-08", NOW), "1–7 Mar 2025 (7 days)");
  same(span("2026-01-11T06:00:00.000Z", "2026-01-18T00:00:00.000Z", NOW), "11 Jan 06:00 to 18 Jan 00:00 UTC");
  same(span(null, null), "–");
  same(days("2026-01-11", "2026-01-11", NOW), "11 Jan");
});

Deno.test("times go into the zone, days of UTC stay themselves, and a zone that does not exist changes nothing", () => {
  same(setZone("Asia/Kathmandu"), true);
  same(time("2026-01-18T20:30:00.000Z"), "2026-01-19 02:15");
  same(short("2026-01-18T20:30:00.000Z", true, NOW), "19 Jan 02:15");
  same(time("2026-01-18"), "2026-01-18");
  same(span("2026-01-11T00:00:00.000Z", "2026-01-18T00:00:00.000Z", NOW), "11–17 Jan (7 days)");
  same(setZone("Nowhere/Land"), false);
  same(zone(), "Asia/Kathmandu");
  same(setZone("UTC"), true);
  same(time("2026-01-18T20:30:00.000Z"), "2026-01-18 20:30");
});

Deno.test("ages", () => {
  const at = (ms) => new Date(NOW - ms).toISOString();
  same([20_000, 300_000, 3 * 3_600_000, 4 * DAY_MS, -2 * 3_600_000].map((ms) => ago(at(ms), NOW)), [
    "20 s ago",
    "5 min ago",
    "3 h ago",
    "4 days ago",
    "in 2 h",
  ]);
});

Deno.test("an address keeps what a page shows, and nothing that is no range", () => {
  const search = inAddress("?q=x", { from: "2026-01-01", to: "2026-01-07", metric: "recall", tz: null });
  same(search, "?q=x&from=2026-01-01&to=2026-01-07&metric=recall");
  same(fromAddress(search), { from: "2026-01-01", to: "2026-01-07", metric: "recall" });
  for (const wrong of ["?from=2026-01-09&to=2026-01-07", "?from=x&to=2026-01-07", "?from=2026-01-01", ""])
    same(fromAddress(wrong), { from: null, to: null, metric: null });
  same(inAddress(search, { from: null, to: null, metric: null, q: "" }), "");
});

Deno.test("the last seven days are seven, and a range includes both of its ends", () => {
  for (const count of [1, 7, 30, 90]) {
    const range = lastDays("2026-03-02", count);
    const rows = dates("2025-10-01", 200).map((date) => ({ date }));
    same(within(rows, range).length, count);
    same(within(rows, range).at(-1), { date: "2026-03-02" });
  }
  same(within([{ date: "2026-01-01" }], null).length, 1);
});

Deno.test("dragging chooses the days that lie wholly between", () => {
  same(daysBetween("2026-01-04 12:00", "2026-01-09 06:00:00.123"), { from: "2026-01-05", to: "2026-01-09" });
  same(daysBetween("2026-01-05", "2026-01-05"), { from: "2026-01-05", to: "2026-01-05" });
  same(daysBetween("2026-01-05 01:00", "2026-01-05 23:00"), null);
});
