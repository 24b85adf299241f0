// All models as the first page has them: kept by what changed, filtered, sorted and grouped. No DOM in here.

/** Filters by which models are chosen; several values of one are an "or", several filters an "and". */
export const FACETS = /** @type {[string, string, (row: any) => string[]][]} */ ([
  ["type", "Type", (row) => [row.model_type]],
  ["tenant", "Tenant", (row) => [row.tenant_id]],
  ["severity", "Severity", (row) => [severityOf(row) ?? "none"]],
  ["state", "State", (row) => statesOf(row)],
  ["owner", "Owner", (row) => [row.owner ?? "nobody"]],
]);

const RANK = { MEDIUM: 1, HIGH: 2, CRITICAL: 3 };

/** The worst of the open alert and of what the newest checks found; null if there is nothing. */
export function severityOf(row) {
  const found = [row.alert?.severity, ...[row.performance, row.statistical].map((brief) => brief?.verdict === "drift" && brief.severity)];
  const known = found.filter((name) => name in RANK).sort((a, b) => RANK[b] - RANK[a]);
  return known[0] ?? null;
}

/** What a model is in the midst of; one may be in several. */
export function statesOf(row) {
  const out = [];
  if (row.alert) out.push(row.alert.acknowledged_by ? "alert taken" : "alert open");
  if (row.alert?.muted_until) out.push("muted");
  if ([row.performance, row.statistical].some((brief) => brief?.verdict === "drift") || row.quality.length) out.push("drift");
  if (row.job?.state === "awaiting_approval") out.push("waits for approval");
  else if (row.job && row.job.state !== "idle") out.push("job");
  if (row.job?.circuit === "open") out.push("circuit open");
  if (row.standing !== "judged") out.push(row.standing.replaceAll("_", " "));
  if (!out.length) out.push("no findings");
  return out;
}

const drop = (row) => (row.metric.value === null || row.metric.baseline === null ? null : row.metric.value - row.metric.baseline);

/** Columns by which rows can be sorted: the key of a row, and whether the largest comes first. */
export const SORTS = /** @type {Record<string, [(row: any) => any, boolean]>} */ ({
  needs: [(row) => row.attention, true],
  model: [(row) => row.model, false],
  metric: [(row) => row.metric.value, false],
  change: [drop, false],
  labelled: [(row) => row.coverage, false],
  predictions: [(row) => row.predictions, true],
});

/** What an address says: words, values of each facet, order and groups. */
export function askedOf(search) {
  const query = new URLSearchParams(search);
  const sort = query.get("sort") ?? "needs",
    by = query.get("group") ?? "";
  return {
    q: query.get("q") ?? "",
    sort: sort.replace(/^-/, "") in SORTS ? sort : "needs",
    group: FACETS.some(([name]) => name === by) ? by : "",
    facets: Object.fromEntries(FACETS.map(([name]) => [name, query.getAll(name)])),
  };
}

/** The address of what is asked; other parameters of it stay. */
export function addressOf(search, asked) {
  const query = new URLSearchParams(search);
  for (const name of ["q", "sort", "group", ...FACETS.map(([facet]) => facet)]) query.delete(name);
  if (asked.q) query.set("q", asked.q);
  if (asked.sort !== "needs") query.set("sort", asked.sort);
  if (asked.group) query.set("group", asked.group);
  for (const [name] of FACETS) for (const value of asked.facets[name]) query.append(name, value);
  return query.size ? `?${query}` : "";
}

const fits = (row, asked, without = "") =>
  FACETS.every(([name, , values]) => name === without || !asked.facets[name].length || values(row).some((value) => asked.facets[name].includes(value)));

/**
 * The rows that fit, in order, and how many each value of each facet would have with the other filters as they are.
 * @returns {{ rows: any[], counts: Record<string, [string, number][]> }}
 */
export function chosen(all, asked) {
  const words = asked.q.toLowerCase();
  const named = words ? all.filter((row) => `${row.model} ${row.active_version ?? ""} ${row.owner ?? ""}`.toLowerCase().includes(words)) : all;
  const counts = Object.fromEntries(
    FACETS.map(([name, , values]) => {
      const found = new Map(asked.facets[name].map((value) => [value, 0]));
      for (const row of named) if (fits(row, asked, name)) for (const value of values(row)) found.set(value, (found.get(value) ?? 0) + 1);
      return [name, /** @type {[string, number][]} */ ([...found].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)))];
    }),
  );
  const rows = named.filter((row) => fits(row, asked));
  const back = asked.sort.startsWith("-");
  const [key, largest] = SORTS[asked.sort.replace("-", "")];
  const sign = largest !== back ? -1 : 1;
  rows.sort((a, b) => {
    const x = key(a),
      y = key(b);
    // what is not known comes last, whichever way it is sorted
    if ((x === null) !== (y === null)) return x === null ? 1 : -1;
    return x === y || x === null ? (a.model < b.model ? -1 : 1) : x < y ? -sign : sign;
  });
  return { rows, counts };
}

/** Rows with a heading before each group; groups in the order of their first row. */
export function grouped(rows, by) {
  const facet = FACETS.find(([name]) => name === by);
  if (!facet) return rows.map((row) => ({ row }));
  const groups = new Map();
  for (const row of rows) {
    const name = facet[2](row)[0];
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(row);
  }
  return [...groups].flatMap(([name, found]) => [{ heading: name, count: found.length }, ...found.map((row) => ({ row }))]);
}

/** Take an answer of `/fleet` into what is known; gives the rows. */
export function taken(known, answer) {
  if (answer.whole) known.clear();
  for (const model of answer.gone) known.delete(model);
  for (const row of answer.items) known.set(row.model, row);
  return [...known.values()];
}

/** The rows with the owners that the settings name; an alert of a model that has none keeps the one it was raised with. */
export const owned = (rows, owners) => rows.map((row) => ({ ...row, owner: owners[row.model] ?? row.alert?.owner ?? null }));

/** Which rows of a long list stand in sight: from, and up to but without. */
export function inSight(top, height, rowHeight, total, more = 12) {
  const from = Math.max(0, Math.floor(top / rowHeight) - more);
  return { from: Math.min(from, Math.max(0, total - 1)), to: Math.min(total, Math.ceil((top + height) / rowHeight) + more) };
}

const WORDS = { ".": "no check", i: "insufficient data", n: "no drift", M: "MEDIUM drift", H: "HIGH drift", C: "CRITICAL drift" };
const KINDS = ["performance", "scores", "data"];

/**
 * The cells of a model's heat: by day up to `newest`, the worst of the day and whether data was too little.
 * @returns {{ day: string, look: string, thin: boolean, text: string }[]}
 */
export function cells(heat, newest, shifted) {
  return Array.from({ length: 30 }, (_, n) => {
    const day = shifted(newest, n - 29);
    const at = heat ? 29 - Math.round((Date.parse(heat[0]) - Date.parse(day)) / 86_400_000) : -1;
    const letters = at >= 0 && at < 30 ? heat[1].slice(3 * at, 3 * at + 3) : "...";
    const worst = ["C", "H", "M"].find((letter) => letters.includes(letter));
    const look = worst ?? (letters[0] === "n" || letters[1] === "n" ? "n" : letters.includes("i") ? "i" : ".");
    const text = letters === "..." ? "no check" : KINDS.map((kind, k) => (letters[k] === "." ? "" : `${kind} ${WORDS[letters[k]]}`)).filter(Boolean).join(", ");
    return { day, look, thin: letters[0] === "i" || look === "i", text };
  });
}
