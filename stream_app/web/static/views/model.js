// A model: how good its model is, what the checks saw, which versions were active, and which commands there are.
import { get, modelPath } from "../api.js";
import { outdated, watch } from "../judgement.js";
import { listen } from "../live.js";
import { count, day, h, metricName, percent, ratio, replace, soon, when, words } from "../dom.js";
import { histograms } from "../charts.js";
import { seriesChart, checksChart, SERIES } from "./model_charts.js";
import { eventTable, matrix, noneFound, snapshotTable, versionTable } from "./model_tables.js";
import { decisions } from "./audit.js";
import { failed, jobTag, mayCommand, command, problem, severityTag, skeleton, verdictTag } from "../parts.js";

export async function open(main, model, current) {
  let metric = null,
    data = null;
  const figures = h("div", {});
  const path = `/models/${modelPath(model)}`;

  async function load() {
    try {
      const [view, snapshots, checks, events, alerts, audit] = await Promise.all([
        get(path),
        get(`${path}/snapshots`),
        get(`${path}/checks`),
        get("/drift-events", { model, limit: 500 }),
        get("/alerts", { model, limit: 20 }),
        get("/audit", { model, limit: 12 }),
      ]);
      if (!current()) return;
      data = {
        view,
        snapshots: snapshots.items,
        checks: checks.items,
        events: events.items,
        alerts: alerts.items,
        audit: audit.items,
      };
      metric ??= view.metric.name;
      paint();
    } catch (error) {
      if (error.status === 401) throw error;
      if (current() && !(data && error.status === 503)) replace(main, problem(error, load));
    }
  }

  function paint() {
    const { view } = data;
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
    const latest = view.events.statistical;
    // a version that is too young has no comparison yet: the last one that found drift is better than nothing
    const event = latest?.windows.length ? latest : (data.events.find((e) => e.kind === "statistical") ?? latest);
    const bins = event?.windows[0]?.histograms;
    replace(
      main,
      h(
        "div",
        { class: "stack" },
        head(model, view),
        replace(figures, facts(view)),
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
                    : `No comparison yet. The first comes at 03:00 once ${view.rules.initial_baseline_days} closed days of a version lie before the recent ones.`,
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
            matrix(data.snapshots, view.active_version),
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
              h("a", { href: `/audit?model=${encodeURIComponent(model)}` }, "all of them"),
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
              snapshotTable(data.snapshots, view.open),
            ),
          ),
        ),
      ),
    );
    draw();
    checksChart(distance, data.checks, "statistical", view.rules);
    checksChart(drops, data.checks, "performance", view.rules, view.metric.name);
    if (bins) histograms(scores, bins);
  }

  replace(main, skeleton());
  const again = soon(load, 250, 1_500);
  const ends = [
    // what was loaded stays while the read model is away, and says no more than from when it is
    watch(() => current() && (outdated() ? data && replace(figures, facts(data.view)) : again())),
    listen((message) => {
      const ours = message.model === model || (message.model === "*" && message.topic === "settings");
      if (message.type === "reset" || (message.type === "change" && ours)) again();
    }),
  ];
  await load();
  return { close: () => ends.forEach((end) => end()) };
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
          : "no active version yet",
      ),
      h("p", { class: "soft" }, view.traffic.sentence),
    ),
    actions(model, view),
  );
}

/** Buttons of a model; a viewer sees why there are none. */
export function actions(model, view) {
  if (!mayCommand()) return h("span", { class: "small soft" }, "signed in as a viewer: commands need the operator role");
  const path = `/models/${modelPath(model)}`;
  const versions = [...new Set((view.versions ?? []).flatMap((v) => [v.active_version, v.previous_version]))]
    .filter((v) => v && v !== view.active_version)
    .reverse();
  const waiting = view.job?.state === "awaiting_approval";
  return h(
    "div",
    { class: "row actions" },
    waiting &&
      h(
        "button",
        {
          class: "primary",
          onclick: () =>
            command({
              heading: `Approve ${model}`,
              text: "What waits goes on; the other safeguards are evaluated again.",
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
            command({
              heading: `Reject ${model}`,
              text: "What waits is turned down and counts for nothing.",
              button: "Reject",
              path: `${path}/reject`,
            }),
        },
        "Reject…",
      ),
    view.job?.circuit === "open" &&
      h(
        "button",
        {
          onclick: () =>
            command({
              heading: `Reset the circuit of ${model}`,
              text: `Trainings are allowed again after ${view.rules.circuit_failures} that failed or were taken back.`,
              button: "Reset the circuit",
              path: `${path}/reset_circuit`,
            }),
        },
        "Reset circuit…",
      ),
    view.job?.failure &&
      view.job.state !== "halted" &&
      h(
        "button",
        {
          onclick: () =>
            command({
              heading: `Dismiss the failure of ${model}`,
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
          command({
            heading: `Retrain ${model}`,
            text: `Trains on the last ${view.rules.retrain_range_days} days, needs no drift and no approval. Every other safeguard is evaluated, and refuses by name.`,
            button: "Retrain",
            path: `${path}/retrain`,
          }),
      },
      "Retrain…",
    ),
    h(
      "button",
      {
        onclick: () =>
          command({
            heading: `Accept the present of ${model}`,
            text: `Its baseline begins again today and its open drift alert ends. Nothing is compared until ${view.rules.initial_baseline_days} days from today and the ${view.rules.recent_days} recent ones after them are closed.`,
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
        onclick: () => rollBack(model, view, versions, path),
      },
      "Roll back…",
    ),
  );
}

function rollBack(model, view, versions, path) {
  const to = h(
    "select",
    {},
    versions.map((v) => h("option", { value: v }, v)),
  );
  const sure = h("input", { type: "checkbox", required: true });
  command({
    heading: `Roll back ${model}`,
    danger: true,
    button: "Roll back",
    path: `${path}/rollback`,
    body: () => ({ model_version: to.value }),
    text: `The deployer puts another version in place of ${view.active_version}. Whatever job the model has ends.`,
    more: [
      h("label", { class: "field" }, h("span", {}, "Version to activate"), to),
      h("label", { class: "row" }, sure, h("span", {}, `I mean ${model}.`)),
    ],
  });
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
        : verdictTag(
            view.drift.quality_as_of ? { verdict: "no_drift", as_of: view.drift.quality_as_of } : null,
          ),
      "completeness, volume, intervals",
    ),
    fact("Job", jobTag(view.job), [
      view.job?.failure ? [h("span", { class: "problem" }, failed(view.job.failure)), " "] : null,
      h("a", { href: `/retraining/${modelPath(view.model)}` }, "safeguards"),
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
