// A line: how good its model is, what the checks saw, which versions served, and what can be ordered.
import { get, linePath } from "../api.js";
import { outdated, watch } from "../judgement.js";
import { listen } from "../live.js";
import { count, day, h, metricName, percent, ratio, replace, soon, when, words } from "../dom.js";
import { histograms } from "../charts.js";
import { seriesChart, checksChart, SERIES } from "./line_charts.js";
import { eventTable, matrix, noneFound, snapshotTable, versionTable } from "./line_tables.js";
import { decisions } from "./audit.js";
import { failed, jobTag, mayOrder, order, problem, severityTag, skeleton, verdictTag } from "../parts.js";

export async function open(main, line, current) {
  let metric = null,
    data = null;
  const figures = h("div", {});
  const path = `/models/${linePath(line)}`;

  async function load() {
    try {
      const [model, snapshots, checks, events, alerts, audit] = await Promise.all([
        get(path),
        get(`${path}/snapshots`),
        get(`${path}/checks`),
        get("/drift-events", { line, limit: 500 }),
        get("/alerts", { line, limit: 20 }),
        get("/audit", { line, limit: 12 }),
      ]);
      if (!current()) return;
      data = {
        model,
        snapshots: snapshots.items,
        checks: checks.items,
        events: events.items,
        alerts: alerts.items,
        audit: audit.items,
      };
      metric ??= model.metric.name;
      paint();
    } catch (error) {
      if (error.status === 401) throw error;
      if (current() && !(data && error.status === 503)) replace(main, problem(error, load));
    }
  }

  function paint() {
    const { model } = data;
    const series = h("div", { class: "chart tall" }),
      scores = h("div", { class: "chart" });
    const distance = h("div", { class: "chart" }),
      drops = h("div", { class: "chart" });
    const select = h(
      "select",
      {
        "aria-label": "Metric",
        onchange: () => {
          metric = select.value;
          draw();
        },
      },
      SERIES.map((name) => h("option", { value: name, selected: name === metric }, metricName(name))),
    );
    const draw = () => seriesChart(series, data, metric);
    const latest = model.events.statistical;
    // a version that is too young has no comparison yet: the last one that found drift is better than nothing
    const event = latest?.windows.length ? latest : (data.events.find((e) => e.kind === "statistical") ?? latest);
    const bins = event?.windows[0]?.histograms;
    replace(
      main,
      h(
        "div",
        { class: "stack" },
        head(line, model),
        replace(figures, facts(model)),
        data.alerts.some((a) => a.status !== "resolved")
          ? openAlerts(data.alerts.filter((a) => a.status !== "resolved"))
          : null,
        h(
          "div",
          { class: "grid" },
          h(
            "section",
            { class: "card" },
            h("div", { class: "row spread" }, h("h2", {}, "Day by day"), select),
            series,
            h(
              "p",
              { class: "small soft" },
              "Shaded: 95 % interval of the day. Dotted lines: activations. Triangles: drift found on that day. Each day in its newest revision; the table below says which were revised by later labels.",
            ),
          ),
          h(
            "section",
            { class: "card half" },
            h("h2", {}, "Scores, recent beside baseline"),
            bins
              ? scores
              : h(
                  "p",
                  { class: "soft" },
                  event?.reason
                    ? `No comparison yet: ${words(event.reason)}.`
                    : `No comparison yet. The first comes at 03:00 once ${model.rules.initial_baseline_days} closed days of a version lie before the recent ones.`,
                ),
            bins
              ? h(
                  "p",
                  { class: "small soft" },
                  `${day(event.windows[0].from)} to ${day(event.windows[0].to)}, ${count(event.windows[0].recent_rows)} scores beside ${count(event.windows[0].baseline_rows)}; D = ${ratio(event.statistic)}, p = ${event.p_value === undefined ? "–" : event.p_value.toPrecision(2)}. `,
                  verdictTag(event),
                  event === latest
                    ? null
                    : ` It is of ${event.model_version}; the newest says: ${words(latest.reason)}.`,
                )
              : null,
          ),
          h(
            "section",
            { class: "card half" },
            h("h2", {}, "Confusion, 7 closed days"),
            matrix(data.snapshots, model.active_version),
          ),
          h("section", { class: "card half" }, h("h2", {}, "Distance of scores from the baseline"), distance),
          h("section", { class: "card half" }, h("h2", {}, "Drop from the baseline"), drops),
          h(
            "section",
            { class: "card flush half" },
            h("h2", {}, "Drift found"),
            data.events.length
              ? eventTable(data.events.slice(0, 100))
              : h("p", { class: "soft", style: { paddingBottom: "1rem" } }, noneFound(data.checks)),
          ),
          h("section", { class: "card flush half" }, h("h2", {}, "Versions"), versionTable(data)),
          h(
            "section",
            { class: "card" },
            h(
              "div",
              { class: "row spread" },
              h("h2", {}, "Decisions"),
              h("a", { href: `/audit?line=${encodeURIComponent(line)}` }, "all of them"),
            ),
            data.audit.length ? decisions(data.audit, false) : h("p", { class: "soft" }, "None yet."),
          ),
          h(
            "section",
            { class: "card flush" },
            h(
              "details",
              { style: { padding: ".9rem 1.1rem" } },
              h("summary", {}, `Snapshots (${data.snapshots.length})`),
              snapshotTable(data.snapshots, model.open),
            ),
          ),
        ),
      ),
    );
    draw();
    checksChart(distance, data.checks, "statistical", model.rules);
    checksChart(drops, data.checks, "performance", model.rules, model.metric.name);
    if (bins) histograms(scores, bins);
  }

  replace(main, skeleton());
  const again = soon(load, 250, 1_500);
  const ends = [
    // what was loaded stays while the read model is away, and says no more than from when it is
    watch(() => current() && (outdated() ? data && replace(figures, facts(data.model)) : again())),
    listen((message) => {
      const ours = message.line === line || (message.line === "*" && message.topic === "settings");
      if (message.type === "reset" || (message.type === "change" && ours)) again();
    }),
  ];
  await load();
  return { close: () => ends.forEach((end) => end()) };
}

function head(line, model) {
  return h(
    "div",
    { class: "row spread" },
    h(
      "div",
      {},
      h("h1", {}, line),
      h(
        "p",
        { class: "soft" },
        model.active_version
          ? [h("b", {}, model.active_version), ` ${words(model.how)} `, when(model.since)]
          : "no active version yet",
      ),
      h("p", { class: "soft" }, model.traffic.sentence),
    ),
    actions(line, model),
  );
}

/** Buttons of a line; a viewer sees why there are none. */
export function actions(line, model) {
  if (!mayOrder()) return h("span", { class: "small soft" }, "signed in to look: orders need the operator role");
  const path = `/models/${linePath(line)}`;
  const versions = [...new Set((model.versions ?? []).flatMap((v) => [v.active_version, v.previous_version]))]
    .filter((v) => v && v !== model.active_version)
    .reverse();
  const waiting = model.job?.state === "awaiting_approval";
  return h(
    "div",
    { class: "row actions" },
    waiting &&
      h(
        "button",
        {
          class: "primary",
          onclick: () =>
            order({
              heading: `Approve ${line}`,
              text: "What waits goes on; the other safeguards are asked again.",
              button: "Approve",
              path: `${path}/approve`,
            }),
        },
        "Approve…",
      ),
    waiting &&
      h(
        "button",
        {
          onclick: () =>
            order({
              heading: `Reject ${line}`,
              text: "What waits is turned down and counts for nothing.",
              button: "Reject",
              path: `${path}/reject`,
            }),
        },
        "Reject…",
      ),
    model.job?.circuit === "open" &&
      h(
        "button",
        {
          onclick: () =>
            order({
              heading: `Close the circuit of ${line}`,
              text: `Trainings are allowed again after ${model.rules.circuit_failures} that failed or were taken back.`,
              button: "Close the circuit",
              path: `${path}/reset_circuit`,
            }),
        },
        "Close circuit…",
      ),
    model.job?.failure &&
      model.job.state !== "halted" &&
      h(
        "button",
        {
          onclick: () =>
            order({
              heading: `Dismiss the failure of ${line}`,
              text: "It is shown no longer. The back-off goes on, and the failure counts for the circuit.",
              button: "Dismiss the failure",
              path: `${path}/dismiss`,
            }),
        },
        "Dismiss failure…",
      ),
    h(
      "button",
      {
        onclick: () =>
          order({
            heading: `Retrain ${line}`,
            text: `Trains on the last ${model.rules.retrain_range_days} days, needs no drift and no approval. Every other safeguard is asked, and says no by name.`,
            button: "Order a training",
            path: `${path}/retrain`,
          }),
      },
      "Retrain…",
    ),
    h(
      "button",
      {
        onclick: () =>
          order({
            heading: `Accept the present of ${line}`,
            text: `Its baseline begins again today and its open drift alert ends. Nothing is compared until ${model.rules.initial_baseline_days} days from today and the ${model.rules.recent_days} recent ones after them are closed.`,
            button: "Accept as normal",
            path: `${path}/rebaseline`,
          }),
      },
      "Accept as normal…",
    ),
    h(
      "button",
      {
        class: "danger",
        disabled: !versions.length,
        title: versions.length ? "" : "there is no version to go back to",
        onclick: () => rollBack(line, model, versions, path),
      },
      "Roll back…",
    ),
  );
}

function rollBack(line, model, versions, path) {
  const to = h(
    "select",
    {},
    versions.map((v) => h("option", { value: v }, v)),
  );
  const sure = h("input", { type: "checkbox", required: true });
  order({
    heading: `Roll back ${line}`,
    danger: true,
    button: "Roll back",
    path: `${path}/rollback`,
    body: () => ({ model_version: to.value }),
    text: `The deployer puts another version in place of ${model.active_version}. Whatever job the line has ends.`,
    more: [
      h("label", { class: "field" }, h("span", {}, "Version to serve"), to),
      h("label", { class: "row" }, sure, h("span", {}, `I mean ${line}.`)),
    ],
  });
}

function facts(model) {
  const { metric } = model;
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
    fact("Predictions", count(model.predictions), model.date ? [`on `, when(model.date)] : "no closed day"),
    fact("Labelled", percent(model.coverage, 1), "of that day"),
    fact(
      "Scores",
      verdictTag(model.drift.statistical),
      model.drift.statistical ? ["at ", when(model.drift.statistical.close)] : null,
    ),
    fact(
      "Performance",
      verdictTag(model.drift.performance),
      model.drift.performance ? ["at ", when(model.drift.performance.close)] : null,
    ),
    fact(
      "Data",
      model.drift.quality.length
        ? h("span", { class: "tag warn" }, model.drift.quality.map(words).join(", "))
        : verdictTag(
            model.drift.quality_close ? { verdict: "no_drift", close: model.drift.quality_close } : null,
          ),
      "completeness, volume, intervals",
    ),
    fact("Job", jobTag(model.job), [
      model.job?.failure ? [h("span", { class: "problem" }, failed(model.job.failure)), " "] : null,
      h("a", { href: `/retraining/${linePath(model.line)}` }, "safeguards"),
    ]),
  );
}

/** No drift was found: in how many comparisons, and when. */
const openAlerts = (alerts) =>
  h(
    "div",
    { class: "stack" },
    alerts.map((alert) =>
      h(
        "section",
        { class: "card" },
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
            alert.acknowledged_by ? `taken by ${alert.acknowledged_by}` : "taken by nobody",
          ),
        ),
        h("p", {}, alert.summary),
      ),
    ),
  );
