// A model: how good its model is, what the checks saw, which versions were active, and which commands there are.
import { get, modelPath } from "../api.js";
import { count, h, metricName, percent, prose, ratio, span, when, words } from "../dom.js";
import { chart, histograms } from "../charts.js";
import { fromAddress, rangeControls, remember, within } from "../range.js";
import { seriesChart, checksChart, SERIES } from "./model_charts.js";
import { eventTable, matrix, noneFound, snapshotTable, versionTable } from "./model_tables.js";
import { actions } from "./actions.js";
import { decisions } from "./audit.js";
import { failed, jobTag, kept, severityTag, verdictTag } from "../parts.js";

export async function open(main, model, current) {
  const path = `/models/${modelPath(model)}`;
  const asked = fromAddress(location.search);
  const view = kept({
    main,
    current,
    fetch: async () => {
      const [found, snapshots, checks, events, alerts, audit] = await Promise.all([
        get(path),
        get(`${path}/snapshots`),
        get(`${path}/checks`),
        get("/drift-events", { model, limit: 500 }),
        get("/alerts", { model, limit: 20 }),
        get("/audit", { model, limit: 12 }),
      ]);
      return {
        view: found,
        snapshots: snapshots.items,
        checks: checks.items,
        events: events.items,
        alerts: alerts.items,
        audit: audit.items,
      };
    },
    wanted: (message) => message.model === model || (message.model === "*" && message.topic === "settings"),
    draw: (data) => content(model, data, state(data)),
    after: (data) => drawCharts(main, data, state(data)),
  });

  /** What the address says, or what is usual where it says nothing. */
  function state(data) {
    const all = extent(data);
    return {
      all,
      range: asked.from ? { from: asked.from, to: asked.to } : all,
      metric: asked.metric && SERIES.includes(asked.metric) ? asked.metric : data.view.metric.name,
      choose: (range) => set(range ?? { from: null, to: null }),
      chooseMetric: (metric) => set({ metric }),
    };
  }

  function set(changes) {
    Object.assign(asked, changes);
    remember(changes);
    view.paint();
  }

  await view.load();
  return view;
}

/** The first and the last day that anything is known of; null if there is none. */
function extent({ snapshots, checks }) {
  const days = [...snapshots, ...checks].map((row) => row.date).sort();
  return days.length ? { from: days[0], to: days[days.length - 1] } : null;
}

/** The comparison of scores that is shown: the newest, or where a version is too young for one the last that found drift. */
function comparison({ view, events }) {
  const latest = view.events.statistical;
  return latest?.windows.length ? latest : (events.find((e) => e.kind === "statistical") ?? latest);
}

function drawCharts(main, data, { range, metric, choose }) {
  const place = (name) => main.querySelector(`[data-key=chart-${name}]`);
  const shown = {
    ...data,
    snapshots: within(data.snapshots, range),
    checks: within(data.checks, range),
  };
  seriesChart(place("series"), shown, metric, range, choose);
  checksChart(place("distance"), shown.checks, "statistical", data.view.rules, { range, choose });
  const compared = data.view.metric.name;
  checksChart(place("drops"), shown.checks, "performance", data.view.rules, { range, choose, metric: compared });
  const bins = comparison(data)?.windows[0]?.histograms;
  if (bins) histograms(place("scores"), bins);
}

function content(model, data, { all, range, metric, choose, chooseMetric }) {
  const { view } = data;
  const latest = view.events.statistical,
    event = comparison(data);
  const bins = event?.windows[0]?.histograms;
  const open = data.alerts.filter((a) => a.status !== "resolved");
  const inRange = within(data.snapshots, range),
    events = within(data.events, range, (row) => row.as_of.slice(0, 10));
  const select = h(
    "select",
    { "aria-label": "Metric", onchange: (change) => chooseMetric(change.target.value) },
    SERIES.map((name) => h("option", { value: name, selected: name === metric }, metricName(name))),
  );
  return h(
    "div",
    { class: "stack" },
    head(model, view),
    facts(view),
    open.length ? openAlerts(open) : null,
    range ? rangeControls(range, all.to, choose, all) : null,
    h(
      "div",
      { class: "grid" },
      h(
        "section",
        { class: "card" },
        h("div", { class: "row spread" }, h("h2", {}, "Day by day"), select),
        chart("series", true),
        h(
          "p",
          { class: "small soft" },
          "Shaded: 95 % interval of the day. Dotted lines: activations. Triangles: drift found on that day. Each day in its newest revision; the table below says which were revised by later labels. Drag over days to look closer; double-click to see all again.",
        ),
      ),
      h(
        "section",
        { class: "card half", "data-key": "scores" },
        h("h2", {}, "Scores, recent beside baseline"),
        bins
          ? chart("scores")
          : h(
              "p",
              { class: "soft" },
              event?.reason
                ? `No comparison yet: ${words(event.reason)}.`
                : `No comparison yet. The first comes at 03:00 UTC once ${view.rules.initial_baseline_days} closed days of a version lie before the recent ones.`,
            ),
        bins
          ? h(
              "p",
              { class: "small soft" },
              `${span(event.windows[0].from, event.windows[0].to)}, ${count(event.windows[0].recent_rows)} scores beside ${count(event.windows[0].baseline_rows)}; D = ${ratio(event.statistic)}, p = ${event.p_value === undefined ? "–" : event.p_value.toPrecision(2)}. `,
              verdictTag(event),
              event === latest ? null : ` It is of ${event.model_version}; the newest says: ${words(latest.reason)}.`,
            )
          : null,
      ),
      h(
        "section",
        { class: "card half" },
        h("h2", {}, "Confusion, 7 closed days"),
        matrix(data.snapshots, view.active_version),
      ),
      h("section", { class: "card half" }, h("h2", {}, "Distance of scores from the baseline"), chart("distance")),
      h("section", { class: "card half" }, h("h2", {}, "Drop from the baseline"), chart("drops")),
    ),
    h(
      "div",
      { class: "columns" },
      h(
        "section",
        { class: "card flush column" },
        h("h2", {}, "Drift found"),
        events.length
          ? eventTable(events.slice(0, 100))
          : h("p", { class: "soft padded" }, noneFound(within(data.checks, range))),
      ),
      h(
        "div",
        { class: "column" },
        h("section", { class: "card flush" }, h("h2", {}, "Versions"), versionTable(data)),
        h(
          "section",
          { class: "card" },
          h(
            "div",
            { class: "row spread" },
            h("h2", {}, "Decisions"),
            h("a", { href: `/audit?model=${encodeURIComponent(model)}` }, "All of them"),
          ),
          data.audit.length ? decisions(data.audit, false) : h("p", { class: "soft" }, "None yet."),
        ),
      ),
    ),
    h(
      "section",
      { class: "card flush" },
      h(
        "details",
        { style: { padding: ".9rem 1.1rem" } },
        h("summary", {}, `Snapshots (${inRange.length})`),
        snapshotTable(inRange, view.open),
      ),
    ),
  );
}

function head(model, view) {
  return h(
    "div",
    { class: "row spread" },
    h(
      "div",
      {},
      h("h1", {}, model),
      h(
        "p",
        { class: "soft" },
        view.active_version
          ? [h("b", {}, view.active_version), ` ${words(view.how)} `, when(view.since)]
          : "No version is active yet.",
      ),
      h("p", { class: "soft" }, view.traffic.sentence),
    ),
    actions(model, view),
  );
}

function facts(view) {
  const { metric } = view;
  const fact = (name, value, more) =>
    h("div", {}, h("dt", {}, name), h("dd", { class: "num" }, value, more ? h("small", {}, more) : null));
  return h(
    "dl",
    { class: "card facts" },
    fact(
      `${metricName(metric.name)}, 7 days`,
      ratio(metric.value),
      metric.low === null ? null : `${ratio(metric.low)} to ${ratio(metric.high)}`,
    ),
    fact("Predictions", count(view.predictions), view.date ? [`on `, when(view.date)] : "no closed day"),
    fact("Labelled", percent(view.coverage, 1), "of that day"),
    fact(
      "Scores",
      verdictTag(view.drift.statistical),
      view.drift.statistical ? ["at ", when(view.drift.statistical.as_of)] : null,
    ),
    fact(
      "Performance",
      verdictTag(view.drift.performance),
      view.drift.performance ? ["at ", when(view.drift.performance.as_of)] : null,
    ),
    fact(
      "Data",
      view.drift.quality.length
        ? h("span", { class: "tag warn" }, view.drift.quality.map(words).join(", "))
        : verdictTag(dataBrief(view.drift)),
      "completeness, volume, intervals",
    ),
    fact("Job", jobTag(view.job), [
      view.job?.failure ? [h("span", { class: "problem" }, failed(view.job.failure)), " "] : null,
      h("a", { href: `/retraining/${modelPath(view.model)}` }, "safeguards"),
    ]),
  );
}

/** What the checks of data say together where none found drift: a check without data to compare says just that. */
const dataBrief = ({ quality_as_of: judged, quality_checked: checked }) =>
  checked ? { verdict: judged ? "no_drift" : "insufficient_evidence", as_of: judged ?? checked } : null;

const openAlerts = (alerts) =>
  h(
    "div",
    { class: "stack" },
    alerts.map((alert) =>
      h(
        "section",
        { class: "card", "data-key": alert.id },
        h(
          "div",
          { class: "row spread" },
          h(
            "div",
            { class: "row" },
            severityTag(alert.severity),
            h("a", { href: `/alerts/${alert.id}` }, h("b", {}, "Open alert")),
            when(alert.opened_at),
          ),
          h(
            "span",
            { class: "small soft" },
            alert.acknowledged_by ? `Taken by ${alert.acknowledged_by}.` : "Nobody has taken it.",
          ),
        ),
        h("p", {}, prose(alert.summary)),
      ),
    ),
  );
