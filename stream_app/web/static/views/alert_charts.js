// Charts of an alert: its metric beside its baseline and thresholds, hourly evidence, coverage, and scores.
import { draw, faded, instead } from "../charts.js";
import { count, metricName, span, wilson } from "../dom.js";
import { daysOf, shifted } from "../time.js";
import { LIMITS, SHARES, dayAxis, estimatedLines, lines, withGaps } from "./model_charts.js";
import { finding, windowOf } from "./alert_words.js";

/** A label on a line across the chart. */
const named = (y, text, colour, c) => ({
  x: 1,
  xref: "paper",
  xanchor: "right",
  y,
  yanchor: "bottom",
  text,
  showarrow: false,
  font: { size: 11, color: colour },
  bgcolor: faded(c.card, 0.7),
});

const across = (y, colour, dash = "dash") => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color: colour, width: 1, dash } });

/** A metric by day and the onset; with the baseline's band and where each severity begins, if the alert's check compared it. */
export function metricChart(figure, { alert, metric, snapshots, rules, since, range, choose }) {
  const window = windowOf(finding(alert), metric);
  if (!snapshots.length) return instead(figure, "No closed day in this range.");
  const baseline = window?.baseline ?? null;
  return draw(
    figure,
    (c) => {
      const versions = [...new Set(snapshots.map((s) => s.model_version))];
      const palette = [c.accent, c.good, c.medium, c.high];
      const data = versions.flatMap((version, n) =>
        lines(snapshots.filter((s) => s.model_version === version), version, metric, palette[n % palette.length]),
      );
      data.push(...estimatedLines(snapshots, metric, c));
      const shapes = [],
        annotations = [];
      if (baseline !== null) {
        const [low, high] = SHARES[metric] && window.baseline_rows ? wilson(baseline * window.baseline_rows, window.baseline_rows) : [baseline, baseline];
        shapes.push({ type: "rect", xref: "paper", x0: 0, x1: 1, y0: low, y1: high, line: { width: 0 }, fillcolor: faded(c.baseline, 0.25), layer: "below" }, across(baseline, c.baseline, "solid"));
        annotations.push(named(baseline, "baseline", c.baseline, c));
        const worse = metric === "brier" ? 1 : -1;
        LIMITS.performance.forEach((name, n) => {
          const y = baseline + (worse * rules[name]) / 100;
          if (y > 0 && y < 1) {
            shapes.push(across(y, [c.medium, c.high, c.critical][n]));
            annotations.push(named(y, ["MEDIUM", "HIGH", "CRITICAL"][n], [c.medium, c.high, c.critical][n], c));
          }
        });
      }
      onsetMark(since, range, c, shapes, annotations);
      return { data, layout: { xaxis: dayAxis(figure, range.from, range.to), yaxis: { tickformat: metric === "predictions" ? ",d" : ".2f" }, shapes, annotations } };
    },
    `${metricName(metric)} by day beside its baseline`,
    choose,
  );
}

function onsetMark(since, range, c, shapes, annotations) {
  if (since < range.from || since > range.to) return;
  shapes.push({ type: "line", x0: since, x1: since, yref: "paper", y0: 0, y1: 1, line: { color: c.critical, width: 1.5, dash: "dot" } });
  annotations.push({ x: since, yref: "paper", y: 1, yanchor: "top", xanchor: "right", text: "onset", showarrow: false, font: { size: 11, color: c.critical }, bgcolor: faded(c.card, 0.8) });
}

/** Evidence by the hour beside the threshold at which it speaks; log10. */
export function evidenceChart(figure, rows, { since, range, choose }) {
  const kinds = [...new Set(rows.map((row) => row.kind))];
  return draw(
    figure,
    (c) => {
      const shapes = [],
        annotations = [];
      const thresholds = [...new Set(rows.map((row) => row.threshold).filter((value) => value !== null && value !== undefined))];
      for (const y of thresholds) {
        shapes.push(across(y, c.critical));
        annotations.push(named(y, "speaks from here", c.critical, c));
      }
      onsetMark(since, range, c, shapes, annotations);
      return {
        data: kinds.map((kind, n) => {
          const own = rows.filter((row) => row.kind === kind);
          return {
            type: "scatter",
            // of an alarm that was just raised there is one hour, which no line can show
            mode: own.length < 48 ? "lines+markers" : "lines",
            marker: { size: 5 },
            name: kind,
            x: own.map((row) => row.at.slice(0, 16)),
            y: own.map((row) => row.evidence),
            line: { color: [c.accent, c.recent, c.good, c.medium][n % 4], width: 1.5 },
            hovertemplate: "10^%{y:.1f} : 1",
          };
        }),
        layout: { xaxis: dayAxis(figure, range.from, range.to, 26), yaxis: { title: { text: "log10 of evidence" }, rangemode: "tozero" }, shapes, annotations },
      };
    },
    "Evidence by the hour",
    choose,
  );
}

/** The share of each day's predictions that have their outcome. */
export function coverageChart(figure, { snapshots, since, range, choose }) {
  if (!snapshots.length) return instead(figure, "No closed day in this range.");
  const byDay = new Map();
  for (const row of snapshots) {
    const sum = byDay.get(row.date) ?? { date: row.date, predictions: 0, outcomes: 0 };
    byDay.set(row.date, { ...sum, predictions: sum.predictions + row.predictions, outcomes: sum.outcomes + row.outcomes });
  }
  const rows = [...byDay.values()];
  return draw(
    figure,
    (c) => {
      const shapes = [],
        annotations = [];
      onsetMark(since, range, c, shapes, annotations);
      return {
        data: [
          {
            type: "bar",
            name: "labelled",
            ...withGaps(rows, (row) => (row.predictions ? row.outcomes / row.predictions : null), (row) => `${count(row.outcomes)} of ${count(row.predictions)}`),
            marker: { color: c.accent },
            textposition: "none",
            hovertemplate: "%{y:.0%} (%{text})",
          },
        ],
        layout: { xaxis: dayAxis(figure, range.from, range.to), yaxis: { tickformat: ".0%", range: [0, 1.05] }, shapes, annotations, bargap: 0.25 },
      };
    },
    "Labelled share of each day",
    choose,
  );
}

/** How many of the predictions of each age have their outcome: by age in days, over the days shown. */
export function labelsByAge(snapshots, newest) {
  const groups = /** @type {[string, number, number][]} */ ([["1 day", 1, 1], ["2 days", 2, 2], ["3–4 days", 3, 4], ["5–7 days", 5, 7], ["8–14 days", 8, 14], ["15–30 days", 15, 30]]);
  return groups.map(([name, least, most]) => {
    const first = shifted(newest, 1 - most),
      last = shifted(newest, 1 - least);
    const found = snapshots.filter((row) => row.date >= first && row.date <= last);
    return {
      name,
      first,
      last,
      predictions: found.reduce((sum, row) => sum + row.predictions, 0),
      outcomes: found.reduce((sum, row) => sum + row.outcomes, 0),
    };
  }).filter((row) => row.predictions);
}

/** How long a window is, as its line in a chart is named. */
export function lengthOf({ from, to }) {
  const found = daysOf(from, to);
  if (!found) return `${Math.round((Date.parse(to) - Date.parse(from)) / 3_600_000)} h`;
  return found.days > 1 ? `${found.days} days` : "last day";
}

/** Each metric before and now, with the interval that its drop stands in. */
export function dropChart(figure, event) {
  const rows = event.windows.filter((w) => w.recent !== null && w.baseline !== null);
  const name = (w) => `${metricName(w.metric)}, ${lengthOf(w)}`;
  return draw(
    figure,
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
          text: rows.map((w) => `${count(w.recent_rows)} rows of ${span(w.from, w.to)}`),
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

