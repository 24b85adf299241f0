// Charts of a line over time.
import { draw, faded, severityColour } from "../charts.js";
import { h, metricName, replace, wilson } from "../dom.js";

export const SERIES = [
  "accuracy",
  "precision",
  "recall",
  "f1",
  "pr_auc",
  "precision_at_80_recall",
  "brier",
  "calibration_score",
  "coverage",
  "predictions",
];

/** Hits and rows of metrics that are shares, for their intervals. */
const SHARES = {
  accuracy: (s) => [
    s.true_positives + s.true_negatives,
    s.true_positives + s.true_negatives + s.false_positives + s.false_negatives,
  ],
  precision: (s) => [s.true_positives, s.true_positives + s.false_positives],
  recall: (s) => [s.true_positives, s.true_positives + s.false_negatives],
  coverage: (s) => [s.outcomes, s.predictions],
};

/** Metric by day and version, with intervals, activations and drift. */
export function seriesChart(element, { snapshots, events, model }, metric) {
  if (!snapshots.length)
    return replace(element, h("p", { class: "soft" }, "No closed day yet: the first closes at 02:00 UTC after it."));
  return draw(
    element,
    (c) => {
      const palette = [c.accent, c.good, c.medium, c.high, c.baseline];
      const versions = [...new Set(snapshots.map((s) => s.model_version))];
      const data = versions.flatMap((version, n) =>
        lines(
          snapshots.filter((s) => s.model_version === version),
          version,
          metric,
          palette[n % palette.length],
        ),
      );
      const values = snapshots.map((s) => s[metric]).filter((v) => v !== null && v !== undefined);
      const top = Math.max(...values, 0),
        bottom = Math.min(...values, 1);
      const from = snapshots[0].date,
        to = snapshots.at(-1).date;
      const found = events.filter((e) => e.kind !== "quality" && e.close.slice(0, 10) >= from);
      const mark =
        metric === "predictions" ? top * 1.06 : Math.min(1.06, top + 0.06 * Math.max(0.1, top - bottom) + 0.02);
      if (found.length)
        data.push({
          type: "scatter",
          mode: "markers",
          name: "drift",
          x: found.map((e) => e.close.slice(0, 10)),
          y: found.map(() => mark),
          marker: { symbol: "triangle-down", size: 11, color: found.map((e) => severityColour(c, e.severity)) },
          text: found.map((e) => `${e.severity} ${e.check ?? e.kind} drift`),
          hovertemplate: "%{text}<extra></extra>",
        });
      const activations = (model.versions ?? []).filter(
        (v) => v.since.slice(0, 10) > from && v.since.slice(0, 10) <= to,
      );
      return {
        data,
        layout: {
          xaxis: { type: "date", tickformat: "%-d %b" },
          yaxis: { tickformat: metric === "predictions" ? ",d" : ".2f" },
          shapes: activations.map((v) => ({
            type: "line",
            x0: v.since.slice(0, 16),
            x1: v.since.slice(0, 16),
            y0: 0,
            y1: 1,
            yref: "paper",
            line: { color: c.faint, width: 1.5, dash: "dot" },
          })),
          annotations: activations.map((v) => ({
            x: v.since.slice(0, 16),
            y: 0,
            yref: "paper",
            yanchor: "bottom",
            xanchor: "left",
            text: v.active_version,
            showarrow: false,
            font: { size: 11, color: c.soft },
            bgcolor: c.card,
          })),
        },
      };
    },
    `${metricName(metric)} by day`,
  );
}

function lines(rows, version, metric, colour) {
  const x = rows.map((r) => r.date),
    y = rows.map((r) => r[metric]);
  const out = [];
  if (SHARES[metric]) {
    const limits = rows.map((r) => wilson(...SHARES[metric](r)));
    out.push({
      type: "scatter",
      mode: "lines",
      x: [...x, ...x.slice().reverse()],
      y: [...limits.map((l) => l[1]), ...limits.map((l) => l[0]).reverse()],
      fill: "toself",
      fillcolor: faded(colour, 0.14),
      line: { width: 0 },
      hoverinfo: "skip",
      showlegend: false,
    });
  }
  out.push({
    type: "scatter",
    mode: "lines+markers",
    name: version,
    x,
    y,
    line: { color: colour, width: 2 },
    marker: { size: 6 },
    text: rows.map((r) => `${version}, ${r.outcomes} of ${r.predictions} labelled, revision ${r.revision}`),
    hovertemplate: `%{y:.${metric === "predictions" ? 0 : 3}f} (%{text})<extra></extra>`,
  });
  return out;
}

/** What the comparisons measured, with their bounds: D, or the drop of a metric in points. */
export function checksChart(element, checks, kind, metric = "") {
  const rows = checks.filter((c) => c.kind === kind && c.windows.length);
  const pick = (row, oneDay) =>
    row.windows.find((w) => w.one_day === oneDay && (kind === "statistical" || w.metric === metric));
  const week = rows.map((row) => [row, pick(row, false)]).filter(([, w]) => w && w.value !== null);
  if (!week.length)
    return replace(
      element,
      h(
        "p",
        { class: "soft" },
        "No comparison in the last 90 days: a version is compared once it has seven closed days that the recent ones do not overlap.",
      ),
    );
  const scale = kind === "statistical" ? 1 : 100;
  return draw(
    element,
    (c) => {
      const x = week.map(([row]) => row.date);
      const one = rows.map((row) => [row, pick(row, true)]).filter(([, w]) => w && w.value !== null);
      const bounded = week.filter(([, w]) => w.low !== null);
      const bx = bounded.map(([row]) => row.date);
      const limits =
        kind === "statistical"
          ? [
              [0.05, c.medium],
              [0.1, c.high],
              [0.2, c.critical],
            ]
          : [
              [5, c.medium],
              [10, c.high],
              [20, c.critical],
            ];
      return {
        data: [
          {
            type: "scatter",
            mode: "lines",
            x: [...bx, ...bx.slice().reverse()],
            y: [...bounded.map(([, w]) => w.high * scale), ...bounded.map(([, w]) => w.low * scale).reverse()],
            fill: "toself",
            fillcolor: faded(c.accent, 0.14),
            line: { width: 0 },
            hoverinfo: "skip",
            name: "99 % bounds",
            showlegend: true,
          },
          {
            type: "scatter",
            mode: "lines+markers",
            name: "7 days",
            x,
            y: week.map(([, w]) => w.value * scale),
            line: { color: c.accent, width: 2 },
            marker: { size: 5 },
            hovertemplate: "%{y:.2f}",
          },
          {
            type: "scatter",
            mode: "markers",
            name: "last day alone",
            x: one.map(([row]) => row.date),
            y: one.map(([, w]) => w.value * scale),
            marker: { size: 6, symbol: "diamond-open", color: c.recent },
            hovertemplate: "%{y:.2f}",
          },
        ],
        layout: {
          xaxis: { type: "date", tickformat: "%-d %b", dtick: x.length <= 8 ? 86_400_000 : null },
          yaxis: { title: { text: kind === "statistical" ? "D" : `${metricName(metric)}, points` } },
          shapes: limits.map(([y, color]) => ({
            type: "line",
            x0: 0,
            x1: 1,
            xref: "paper",
            y0: y,
            y1: y,
            line: { color, width: 1, dash: "dash" },
          })),
        },
      };
    },
    kind === "statistical" ? "Distance of scores by close" : "Drop of the metric by close",
  );
}
