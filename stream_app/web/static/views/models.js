// Every model at a glance: a month of verdicts as heat, dense rows that can be filtered, sorted and grouped.
import { get, modelPath, offered } from "../api.js";
import { maySay, outdated, quality, watch } from "../judgement.js";
import { listen } from "../live.js";
import { count, h, metricName, percent, prose, ratio, replace, s, soon, when, words } from "../dom.js";
import { addressOf, askedOf, cells, chosen, grouped, inSight, owned, SORTS, taken } from "../fleet.js";
import { patch } from "../patch.js";
import { empty, jobTag, problem, severityTag, skeleton } from "../parts.js";
import { shifted, short } from "../time.js";
import { budget } from "./budget.js";
import { filters, legend } from "./models_filters.js";

const COLUMNS = /** @type {[string, string, string][]} */ ([
  ["Model", "model", ""],
  ["Needs", "needs", ""],
  ["Metric, 7 days", "metric", "right"],
  ["Change", "change", "right"],
  ["30 days", "", ""],
  ["Checks of 30 days", "", ""],
  ["Labelled", "labelled", "right"],
  ["Predictions", "predictions", "right"],
  ["Job", "", ""],
]);

/** What a column is, where its heading is too short to say it. */
const TOLD = { change: "Against the baseline, in points", predictions: "On the newest closed day", labelled: "Share of that day's predictions that have their outcome" };

export async function open(main, _part, current) {
  const known = new Map();
  let asked = askedOf(location.search),
    all = /** @type {any[]} */ ([]),
    owners = /** @type {Record<string, string>} */ ({}),
    shown = /** @type {any[]} */ ([]),
    seq = null,
    timer = null,
    asking = false,
    stale = false;
  const heading = h("div", {}),
    tools = h("div", {}),
    list = h("div", { class: "card flush fleet" }, skeleton());

  function choose(changes) {
    asked = { ...asked, ...changes };
    history.replaceState(history.state, "", location.pathname + addressOf(location.search, asked));
    paint();
  }

  async function load() {
    if (asking) {
      stale = true;
      return;
    }
    asking = true;
    clearTimeout(timer);
    try {
      const answer = await get("/fleet", { since: seq });
      if (!current()) return;
      if (seq === null) await own();
      if (!current()) return;
      seq = answer.seq;
      all = owned(taken(known, answer), owners);
      paint();
    } catch (error) {
      if (error.status === 401) throw error;
      if (!current()) return;
      // what was loaded stays; the notice says from when it is
      if (seq === null) replace(list, problem(error, load));
      else timer = setTimeout(again, 5_000);
    } finally {
      asking = false;
    }
    if (stale) {
      stale = false;
      again();
    }
  }

  /** Who owns what, by the settings as they hold now. */
  async function own() {
    try {
      if (await offered("/owners")) owners = (await get("/owners")).owners;
    } catch (error) {
      // the rows are worth more than their owners, and an alert names its own
      if (error.status === 401) throw error;
    }
  }

  function paint() {
    const { rows, counts } = chosen(all, asked);
    shown = grouped(rows, asked.group);
    const some = rows.length !== all.length;
    patch(
      heading,
      h("h1", {}, "Models"),
      h(
        "p",
        { class: "soft" },
        all.length ? `${count(rows.length)}${some ? ` of ${count(all.length)}` : ""} ${all.length === 1 ? "model" : "models"}. ` : "",
        h("span", { class: "quality" }, quality()),
      ),
    );
    patch(tools, filters({ asked, counts, choose, rows }));
    if (!rows.length) patch(list, nothing(all.length));
    else table();
  }

  /** Rows in sight, with room for the others above and below. */
  function table() {
    const newest = all.reduce((last, row) => (row.heat && row.heat[0] > last ? row.heat[0] : last), "");
    const dated = all.reduce((last, row) => (row.date && row.date > last ? row.date : last), "");
    const height = parseFloat(getComputedStyle(list).getPropertyValue("--row")) || 36;
    const top = Math.max(0, -list.getBoundingClientRect().top);
    const { from, to } = shown.length > 150 ? inSight(top, innerHeight, height, shown.length) : { from: 0, to: shown.length };
    const room = (rows, key) => (rows ? h("tr", { class: "room", "aria-hidden": "true", "data-key": key, style: { height: `${rows * height}px` } }, h("td", { colspan: COLUMNS.length })) : null);
    const scale = scaleOf(shown),
      metrics = Object.keys(scale),
      one = metrics.length === 1 ? metrics[0] : null;
    patch(
      list,
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          { class: "rows", "aria-label": "Models", "aria-rowcount": shown.length + 1 },
          h("thead", {}, h("tr", {}, COLUMNS.map((column) => head(column, newest, one)))),
          h(
            "tbody",
            {},
            room(from, "above"),
            shown.slice(from, to).map((item, n) => (item.row ? line(item.row, { newest, dated, one }, scale, from + n + 2) : groupLine(item, from + n + 2))),
            room(shown.length - to, "below"),
          ),
        ),
      ),
    );
  }

  function head([named, key, look], newest, one) {
    const text = key === "metric" && one ? `${metricName(one)}, 7 days` : named;
    const now = asked.sort.replace("-", "") === key,
      back = asked.sort.startsWith("-");
    const order = !now ? null : SORTS[key][1] !== back ? "descending" : "ascending";
    return h(
      "th",
      { scope: "col", class: look, "aria-sort": order, title: TOLD[key] ?? null },
      key
        ? h(
            "button",
            { class: "sort", onclick: () => choose({ sort: now && !back ? `-${key}` : key }) },
            text,
            h("span", { "aria-hidden": "true" }, order === "descending" ? " ▾" : order ? " ▴" : ""),
          )
        : text,
      text.startsWith("Checks") && newest ? h("span", { class: "ends" }, `${short(shifted(newest, -29), false)} – ${short(newest, false)}`) : null,
    );
  }

  document.body.classList.add("wide");
  replace(
    main,
    h("div", { class: "stack" }, h("div", { class: "row spread" }, heading, budget(current), legend()), tools, list),
  );
  const again = () => current() && load();
  const urgent = soon(again, 150, 600),
    later = soon(again, 1_500, 3_000),
    reowned = soon(async () => {
      await own();
      if (!current()) return;
      all = owned(all, owners);
      paint();
    }, 300);
  let frame = 0;
  const scrolled = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => shown.length > 150 && current() && table());
  };
  addEventListener("scroll", scrolled, { passive: true });
  addEventListener("resize", scrolled);
  const ends = [
    watch(() => current() && (outdated() ? seq !== null && paint() : again())),
    listen((message) => {
      if (message.type === "reset") urgent();
      if (message.type !== "change") return;
      if (["alerts", "training-jobs", "model-lifecycle"].includes(message.topic)) urgent();
      else if (["metric-snapshots", "drift-events"].includes(message.topic)) later();
      else if (message.topic === "settings") reowned();
    }),
    () => removeEventListener("scroll", scrolled),
    () => removeEventListener("resize", scrolled),
    () => document.body.classList.remove("wide"),
  ];
  await load();
  return {
    close: () => {
      clearTimeout(timer);
      ends.forEach((end) => end());
    },
  };
}

const groupLine = ({ heading, count: rows }, index) =>
  h("tr", { class: "group", "data-key": `group ${heading}`, "aria-rowindex": index }, h("th", { colspan: COLUMNS.length, scope: "colgroup" }, `${heading} `, h("span", { class: "soft" }, count(rows))));

/** One scale for the small pictures of each metric, so that rows can be compared. */
function scaleOf(items) {
  const ends = {};
  for (const { row } of items) {
    if (!row) continue;
    const own = (ends[row.metric.name] ??= [1, 0]);
    for (const value of [...row.trend, row.metric.baseline])
      if (value !== null) {
        own[0] = Math.min(own[0], value);
        own[1] = Math.max(own[1], value);
      }
  }
  return ends;
}

function line(row, { newest, dated, one }, scale, index) {
  const { metric } = row;
  const change = metric.value === null || metric.baseline === null ? null : (metric.value - metric.baseline) * 100;
  const worse = change !== null && (metric.name === "brier" ? change : -change) > 5;
  const so = row.so_far.map((day) => `${count(day.predictions)} so far on ${short(day.date, false)}`).join(", ");
  return h(
    "tr",
    { "data-key": row.model, "aria-rowindex": index },
    h("td", { class: "who" }, h("a", { class: "name", href: `/models/${modelPath(row.model)}`, title: row.sentence }, row.model), " ", h("span", { class: "small soft" }, [row.active_version, row.owner].filter(Boolean).join(", "))),
    h("td", { class: "needs" }, needs(row)),
    h(
      "td",
      { class: "right num metric", title: metric.version ? `of ${metric.version}` : "of all versions" },
      one ? null : h("span", { class: "soft small" }, `${metricName(metric.name)} `),
      h("b", {}, ratio(metric.value)),
      metric.low === null ? null : h("span", { class: "soft small" }, ` ${ratio(metric.low)} to ${ratio(metric.high)}`),
    ),
    h("td", { class: `right num change ${worse ? "problem" : ""}` }, change === null ? "–" : `${change > 0 ? "+" : change < 0 ? "−" : "±"}${Math.abs(change).toFixed(1)}`),
    h("td", { class: "trend" }, trend(row, scale[metric.name])),
    h("td", { class: "heat" }, heat(row, newest)),
    h("td", { class: "right num labelled", title: so || null }, percent(row.coverage)),
    h("td", { class: "right num made", title: so || null }, row.date ? [count(row.predictions), row.date === dated ? null : h("span", { class: "soft small" }, " on ", when(row.date))] : "no closed day", so ? h("span", { class: "soft small so" }, `, ${so}`) : null),
    h("td", { class: "job" }, row.job && row.job.state !== "idle" ? jobTag(row.job) : h("span", { class: "faint small" }, "idle")),
  );
}

const SEVERITY = /^(MEDIUM|HIGH|CRITICAL)(?= )/;

function needs(row) {
  if (!row.reasons.length) return unneeding(row);
  const others = row.reasons.filter((reason) => !reason.includes("alert"));
  const first = row.alert ? others.slice(0, 1) : others.slice(0, 2);
  const rest = others.slice(first.length);
  return h(
    "div",
    { class: "tags" },
    row.alert
      ? h("a", { href: `/alerts/${row.alert.id}`, title: row.alert.summary }, severityTag(row.alert.severity), h("span", { class: "small" }, row.alert.acknowledged_by ? `taken by ${row.alert.acknowledged_by}` : "alert"))
      : null,
    first.map((reason) => h("span", { class: `tag ${SEVERITY.exec(reason)?.[0] ?? "warn"}` }, reason)),
    rest.length ? h("span", { class: "small soft", title: rest.join(", ") }, `+${rest.length}`) : null,
  );
}

/** A model without a finding: nothing of what was judged, or why it was not judged. */
function unneeding(row) {
  const close = row.standing === "judged" ? row.performance.as_of : null;
  if (close && maySay(close)) return h("span", { class: "faint small nothing" }, "nothing");
  return h("span", { class: "soft small" }, close ? ["no finding on ", when(close, false)] : words(row.standing));
}

/** Thirty days of the metric, on the scale of all rows, with its baseline. */
function trend(row, [low, high]) {
  const known = row.trend.filter((value) => value !== null);
  if (known.length < 2) return h("span", { class: "soft small" }, known.length ? "one day" : "no labels");
  const span = Math.max(high - low, 0.02);
  const x = (n) => (1 + ((n + 30 - row.trend.length) * 118) / 29).toFixed(1),
    y = (value) => (22 - ((value - low) / span) * 20).toFixed(1);
  let path = "",
    pen = "M";
  row.trend.forEach((value, n) => {
    if (value === null) pen = "M";
    else {
      path += `${pen}${x(n)} ${y(value)}`;
      pen = "L";
    }
  });
  const { baseline } = row.metric;
  return s(
    "svg",
    { class: "spark", viewBox: "0 0 120 24", role: "img", "aria-label": `${metricName(row.metric.name)}, ${known.length} days, ${Math.min(...known).toFixed(2)} to ${Math.max(...known).toFixed(2)}${baseline === null ? "" : `, baseline ${baseline.toFixed(2)}`}` },
    baseline === null ? null : s("line", { class: "base", x1: 0, x2: 120, y1: y(baseline), y2: y(baseline) }),
    s("path", { d: path }),
  );
}

/** Thirty days of verdicts; hatched where data was too little. */
function heat(row, newest) {
  if (!row.heat) return h("span", { class: "soft small" }, "no check yet");
  const found = cells(row.heat, newest, shifted);
  const told = ["C", "H", "M"].map((look) => [look, found.filter((cell) => cell.look === look).length]).filter(([, days]) => days);
  const NAMES = { C: "CRITICAL", H: "HIGH", M: "MEDIUM" };
  const thin = found.filter((cell) => cell.thin).length;
  const label = [...told.map(([look, days]) => `${NAMES[look]} drift on ${days} days`), thin ? `insufficient data on ${thin} days` : ""].filter(Boolean).join(", ");
  return s(
    "svg",
    { class: "heatstrip", preserveAspectRatio: "none", viewBox: "0 0 240 16", role: "img", "aria-label": `Checks of 30 days: ${label || "no drift"}` },
    found.map((cell, n) =>
      s("g", {}, s("rect", { class: `cell ${cell.look === "." ? "none" : cell.look}`, x: n * 8, y: 0, width: 7, height: 16 }), cell.thin ? s("path", { class: "thin", d: `M${n * 8} 16L${n * 8 + 7} 9M${n * 8} 9L${n * 8 + 7} 2` }) : null, s("title", {}, `${short(cell.day, false)}: ${cell.text}`)),
    ),
  );
}

function nothing(all) {
  if (all) return empty("No model fits", h("p", {}, "Search for less, or take a filter away."));
  return empty(
    "No models yet",
    h("p", {}, "Models appear with their first closed hour of predictions."),
    h("p", {}, prose("Start a worker with `plumbline worker`, and send predictions to the topic ml.predictions, or try `make demo`.")),
  );
}
