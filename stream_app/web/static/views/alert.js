// An alert: the report in words, the evidence in pictures, and a way to take it.
import { get, modelPath } from "../api.js";
import { listen } from "../live.js";
import { count, day, h, metricName, ratio, replace, soon, when, words } from "../dom.js";
import { draw, histograms } from "../charts.js";
import { guards, mayCommand, command, problem, severityTag, skeleton, verdictTag } from "../parts.js";

export async function open(main, id, current) {
  async function load() {
    try {
      const found = await get(`/alerts/${encodeURIComponent(id)}`);
      if (current()) paint(main, found);
    } catch (error) {
      if (error.status === 401) throw error;
      if (current()) replace(main, problem(error, load));
    }
  }
  replace(main, skeleton());
  const again = soon(load, 100, 500);
  const end = listen((message) => {
    if (
      message.type === "reset" ||
      (message.type === "change" && message.topic === "alerts" && message.record.id === id)
    )
      again();
  });
  await load();
  return { close: end };
}

function paint(main, { alert, revisions, events }) {
  const resolved = alert.status === "resolved";
  const newest = (kind) => events.filter((e) => e.kind === kind).at(-1);
  const scores = newest("statistical"),
    labels = newest("performance"),
    quality = events.filter((e) => e.kind === "quality").at(-1);
  const bins = h("div", { class: "chart" }),
    drops = h("div", { class: "chart" });
  // of the week and the last day alone, the one that moved further
  const histogram = scores?.windows.filter((w) => w.histograms).sort((a, b) => b.statistic - a.statistic)[0] ?? null;
  replace(
    main,
    h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row spread" },
        h(
          "div",
          {},
          h(
            "div",
            { class: "row" },
            severityTag(alert.severity),
            resolved
              ? h("span", { class: "tag good" }, alert.resolution)
              : h("span", { class: "tag bad" }, "open"),
            alert.escalation_level ? h("span", { class: "tag warn" }, "escalated") : null,
          ),
          h("h1", {}, h("a", { href: `/models/${modelPath(alert.model)}` }, alert.model)),
          h(
            "p",
            { class: "soft" },
            `${alert.type === "ML_DRIFT_DETECTED" ? "Drift" : "Outcomes incomplete"}, ${alert.model_version}, opened `,
            when(alert.opened_at),
          ),
        ),
        take(alert, resolved),
      ),
      h(
        "section",
        { class: "card" },
        h("p", { class: "lead" }, alert.summary),
        h("p", { class: "advice" }, alert.recommendation),
        alert.report.faults?.length
          ? h("p", {}, h("b", {}, "The data is broken too: "), alert.report.faults.join("; "))
          : null,
      ),
      h(
        "div",
        { class: "grid" },
        scores
          ? h(
              "section",
              { class: `card ${labels ? "half" : ""}` },
              h("h2", {}, "Scores"),
              histogram ? bins : null,
              evidence(scores),
              windowsOfScores(scores),
            )
          : null,
        labels
          ? h("section", { class: `card ${scores ? "half" : ""}` }, h("h2", {}, "Performance"), drops, evidence(labels))
          : null,
        quality
          ? h(
              "section",
              { class: "card half" },
              h("h2", {}, "Data"),
              evidence(quality),
              h(
                "p",
                {},
                `${words(quality.check)}: ${ratio(quality.windows[0]?.recent)} recently, ${ratio(quality.windows[0]?.baseline)} before`,
              ),
            )
          : null,
        h("section", { class: "card half" }, h("h2", {}, "What happened"), timeline(revisions)),
        h(
          "section",
          { class: "card half" },
          h(
            "h2",
            {},
            ["retrained", "recalibrated"].includes(alert.replaced_by?.how)
              ? `It was ${alert.replaced_by.how}; what the safeguards said`
              : alert.auto_retrain.eligible
                ? "May be retrained without a person"
                : "Why it is not retrained by itself",
          ),
          alert.auto_retrain.safeguards.length
            ? guards(alert.auto_retrain.safeguards)
            : h("p", { class: "soft" }, "The safeguards were not evaluated."),
          h(
            "p",
            { class: "small" },
            h("a", { href: `/retraining/${modelPath(alert.model)}` }, "Retraining of this model"),
          ),
        ),
        h(
          "section",
          { class: "card" },
          h("h2", {}, "Work it out again"),
          h("p", {}, "The same windows, numbers and settings, read back from the topics:"),
          h("p", { class: "mono wrap" }, `plumbline explain ${alert.id}`),
        ),
      ),
    ),
  );
  if (histogram) histograms(bins, histogram.histograms, [`${day(histogram.from)} to ${day(histogram.to)}`, "baseline"]);
  if (labels) dropChart(drops, labels);
}

function take(alert, resolved) {
  if (alert.acknowledged_by) return h("span", { class: "soft" }, `taken by ${alert.acknowledged_by}`);
  if (resolved) return null;
  if (!mayCommand()) return h("span", { class: "small soft" }, "signed in as a viewer: acknowledging needs the operator role");
  return h(
    "button",
    {
      class: "primary",
      onclick: () =>
        command({
          heading: "Take this alert",
          text: "No more reminders and no escalation; it stays open until the model is well.",
          button: "Take it",
          path: `/alerts/${alert.id}/acknowledge`,
        }),
    },
    "Acknowledge…",
  );
}

const evidence = (event) =>
  h(
    "p",
    {},
    verdictTag(event),
    ` at the daily check of `,
    when(event.as_of),
    event.baseline_kind ? `, beside ${words(event.baseline_kind)} baseline of ${event.baseline_version}` : "",
    event.revises ? ", recomputed after later labels" : "",
  );

const windowsOfScores = (event) =>
  h(
    "p",
    { class: "small soft" },
    event.windows.map((w) =>
      h(
        "span",
        { style: { display: "block" } },
        `${day(w.from)} to ${day(w.to)}: D ${ratio(w.statistic)} (${ratio(w.interval?.[0] ?? null)} to ${ratio(w.interval?.[1] ?? null)}), ${count(w.recent_rows)} scores beside ${count(w.baseline_rows)}; mean ${ratio(w.recent)}, was ${ratio(w.baseline)}`,
      ),
    ),
  );

const NOTIFY = {
  opened: "Opened",
  severity: "Severity rose",
  reminder: "Reminder",
  escalated: "Escalated",
  resolved: "Resolved",
};

const timeline = (revisions) =>
  h(
    "ul",
    { class: "timeline" },
    revisions
      .slice()
      .reverse()
      .filter((r, n, all) => r.notify || r.acknowledged_by !== all[n + 1]?.acknowledged_by || n === 0)
      .map((r) =>
        h(
          "li",
          {},
          h(
            "div",
            { class: "row" },
            when(r.at),
            h("b", {}, NOTIFY[r.notify] ?? (r.acknowledged_by ? `Taken by ${r.acknowledged_by}` : "Refreshed")),
            severityTag(r.severity),
          ),
          h("div", { class: "small" }, r.summary),
        ),
      ),
  );

/** Each metric before and now, with the interval that its drop stands in. */
function dropChart(element, event) {
  const rows = event.windows.filter((w) => w.recent !== null && w.baseline !== null);
  const days = (w) => Math.round((Date.parse(w.to) - Date.parse(w.from)) / 86_400_000);
  const name = (w) => `${metricName(w.metric)}, ${days(w) > 1 ? `${days(w)} days` : "last day"}`;
  return draw(
    element,
    (c) => ({
      data: [
        ...rows.map((w) => ({
          type: "scatter",
          mode: "lines",
          x: [w.baseline, w.recent],
          y: [name(w), name(w)],
          line: { color: c.faint, width: 3 },
          hoverinfo: "skip",
          showlegend: false,
        })),
        {
          type: "scatter",
          mode: "markers",
          name: "baseline",
          x: rows.map((w) => w.baseline),
          y: rows.map(name),
          marker: { size: 12, color: c.baseline },
          text: rows.map((w) => `${count(w.baseline_rows)} rows`),
          hovertemplate: "%{x:.3f} on %{text}<extra>baseline</extra>",
        },
        {
          type: "scatter",
          mode: "markers",
          name: "recent, with the drop's 99 % bounds",
          x: rows.map((w) => w.recent),
          y: rows.map(name),
          marker: { size: 12, color: c.recent, symbol: "diamond" },
          error_x: {
            type: "data",
            symmetric: false,
            array: rows.map((w) => (w.interval ? w.baseline - w.interval[0] - w.recent : 0)),
            arrayminus: rows.map((w) => (w.interval ? w.recent - (w.baseline - w.interval[1]) : 0)),
            color: c.recent,
            thickness: 1.5,
          },
          text: rows.map((w) => `${count(w.recent_rows)} rows`),
          hovertemplate: "%{x:.3f} on %{text}<extra>recent</extra>",
        },
      ],
      layout: {
        hovermode: "closest",
        margin: { l: 140, r: 12, t: 12, b: 32 },
        yaxis: { autorange: "reversed" },
        xaxis: { tickformat: ".2f" },
      },
    }),
    "Metrics before and now",
  );
}
