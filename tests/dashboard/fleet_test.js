// The rows of the first page: filters, counts, order, groups, the address, and what stands in sight.
import { deepStrictEqual as same, ok } from "node:assert";
import { addressOf, askedOf, cells, chosen, FACETS, grouped, inSight, owned, severityOf, SORTS, statesOf, taken } from "../../stream_app/web/static/fleet.js";
import { shifted } from "../../stream_app/web/static/time.js";

const TYPES = ["fraud", "churn", "ads"];
const SEVERITIES = [null, "MEDIUM", "HIGH", "CRITICAL"];
const rows = Array.from({ length: 60 }, (_, n) => ({
  model: `${TYPES[n % 3]}:t${n}`,
  model_type: TYPES[n % 3],
  tenant_id: `t${n}`,
  active_version: `v${n % 2}`,
  owner: n % 5 ? null : "ada",
  alert: n % 4 ? { severity: SEVERITIES[n % 4], acknowledged_by: n % 2 ? "olga" : null } : null,
  performance: n % 7 ? { verdict: "no_drift", severity: null } : { verdict: "drift", severity: "MEDIUM" },
  statistical: null,
  quality: [],
  job: n % 6 ? null : { state: "awaiting_approval", circuit: "closed" },
  standing: n % 8 ? "judged" : "too_little_data",
  attention: (n * 37) % 60,
  metric: { name: "accuracy", value: n % 9 ? n / 60 : null, baseline: 0.5 },
  coverage: n / 60,
  predictions: n,
}));
const none = askedOf("");

Deno.test("an address says again what was asked, and keeps what is not its own", () => {
  const asked = { q: "a b", sort: "-model", group: "owner", facets: { ...none.facets, type: ["ads", "churn"], severity: ["HIGH"] } };
  const address = addressOf("?tz=UTC", asked);
  same(askedOf(address), asked);
  ok(address.startsWith("?tz=UTC"));
  same(addressOf(address, none), "?tz=UTC");
  same(askedOf("?sort=nothing&group=else"), none);
});

Deno.test("each count is what choosing that value gives, whatever else is chosen", () => {
  for (const given of ["", "?type=ads", "?type=ads&type=fraud&severity=HIGH", "?state=job&owner=nobody", "?q=t1&type=churn"]) {
    const asked = askedOf(given);
    const { counts } = chosen(rows, asked);
    for (const [name] of FACETS)
      for (const [value, count] of counts[name])
        same(chosen(rows, { ...asked, facets: { ...asked.facets, [name]: [value] } }).rows.length, count);
  }
});

Deno.test("several values of one filter are an or, several filters an and", () => {
  const { rows: found } = chosen(rows, askedOf("?type=ads&type=fraud&owner=ada"));
  same(found.map((row) => row.model).sort(), rows.filter((row) => row.model_type !== "churn" && row.owner === "ada").map((row) => row.model).sort());
});

Deno.test("every order is an order, back is its reverse, and what is not known comes last", () => {
  for (const [name, [key]] of Object.entries(SORTS)) {
    for (const back of ["", "-"]) {
      const keys = chosen(rows, { ...none, sort: `${back}${name}` }).rows.map(key);
      const known = keys.filter((value) => value !== null);
      same(keys.slice(0, known.length), known);
      const signs = known.slice(1).map((value, n) => Math.sign(value < known[n] ? -1 : value > known[n] ? 1 : 0)).filter(Boolean);
      same(new Set(signs).size <= 1, true, name + back);
    }
  }
});

Deno.test("groups hold every row once", () => {
  for (const [name] of FACETS) {
    const items = grouped(rows, name);
    same(items.filter((item) => item.row).length, rows.length);
    same(items.reduce((sum, item) => sum + (item.count ?? 0), 0), rows.length);
  }
  same(grouped(rows, "").length, rows.length);
});

Deno.test("an answer changes what it names and takes away what is gone; a whole one begins anew", () => {
  const known = new Map();
  taken(known, { whole: true, gone: [], items: rows });
  same(taken(known, { whole: false, gone: [rows[0].model], items: [{ ...rows[1], attention: 99 }] }).length, 59);
  same(known.get(rows[1].model).attention, 99);
  same(taken(known, { whole: true, gone: [], items: rows.slice(0, 3) }).length, 3);
});

Deno.test("what stands in sight is always shown, and never much more", () => {
  for (const total of [0, 1, 200, 10_000])
    for (let top = 0; top <= total * 36; top += 997) {
      const { from, to } = inSight(top, 900, 36, total);
      ok(from * 36 <= top || from === total - 1);
      ok(to === total || to * 36 >= top + 900);
      ok(to - from < 60 && from >= 0 && to <= total);
    }
});

Deno.test("a cell is of its day: the worst that was found, hatched where performance had insufficient data", () => {
  const letters = "nn.".repeat(27) + "i.." + "iH." + "C.M";
  const found = cells(["2026-03-01", letters], "2026-03-02", shifted);
  same(found.length, 30);
  same(found.slice(-4).map((cell) => [cell.day, cell.look, cell.thin]), [
    ["2026-02-27", "i", true],
    ["2026-02-28", "H", true],
    ["2026-03-01", "C", false],
    ["2026-03-02", ".", false],
  ]);
  same(found.at(-2)?.text, "performance CRITICAL drift, data MEDIUM drift");
  same(cells(null, "2026-03-02", shifted).every((cell) => cell.look === "."), true);
});

Deno.test("severity is the worst of alert and checks, and a model without anything has no findings", () => {
  const quiet = { ...rows[1], alert: null, job: null, owner: null, performance: { verdict: "no_drift" }, standing: "judged" };
  same([severityOf(quiet), statesOf(quiet)], [null, ["no findings"]]);
  same(severityOf({ ...quiet, alert: { severity: "HIGH" }, performance: { verdict: "drift", severity: "CRITICAL" } }), "CRITICAL");
});

Deno.test("a row's owner is the setting's; without one its alert's", () => {
  const given = [
    { model: "a:x", owner: null, alert: { owner: "old" } },
    { model: "b:x", owner: "stale", alert: null },
    { model: "c:x", owner: null, alert: { owner: "from its alert" } },
  ];
  const made = owned(given, { "a:x": "now", "d:x": "nobody's row" });
  same(made.map((row) => row.owner), ["now", null, "from its alert"]);
  same(given[0].owner, null);
});
