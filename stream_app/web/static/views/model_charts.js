// Charts of a model over time.
import { draw, faded, instead, severityColour } from "../charts.js";
import { metricName, wilson } from "../dom.js";

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
export const SHARES = {
  accuracy: (s) => [
    s.true_positives + s.true_negatives,
    s.true_positives + s.true_negatives + s.false_positives + s.false_negatives,
  ],
  precision: (s) => [s.true_positives, s.true_positives + s.false_positives],
  recall: (s) => [s.true_positives, s.true_positives + s.false_negatives],
  coverage: (s) => [s.outcomes, s.predictions],
};

const DAY_MS = 86_400_000;
const RANK = { MEDIUM: 1, HIGH: 2, CRITICAL: 3 };
const dayNumber = (date) => Math.round(Date.parse(`${date}T00:00:00Z`) / DAY_MS);
const dateOf = (number) => new Date(number * DAY_MS).toISOString().slice(0, 10);
const known = (value) => value !== null && value !== undefined;

/** Ticks at whole days, one label a day, as many as stand side by side: eight at most. Half a day of room at each end;
 * `after`: hours from the beginning of the last day to the end of the axis, where there are values of its hours. */
export function dayAxis(element, first, last, after = 12) {
  const edge = (date, hours) => new Date(Date.parse(`${date}T00:00:00Z`) + hours * 3_600_000).toISOString().slice(0, 16);
  const days = dayNumber(last) - dayNumber(first) + 1,
    labels = Math.min(8, Math.max(2, Math.floor(element.clientWidth / 60)));
  return {
    type: "date",
    tickformat: "%-d %b",
    tick0: first,
    dtick: Math.max(1, Math.ceil(days / labels)) * DAY_MS,
    range: [edge(first, -12), edge(last, after)],
  };
}

/** The day that an event judges: the newest of its first window, which ends before `to`. */
const dayJudged = (event) =>
  event.windows?.length
    ? new Date(Date.parse(event.windows[0].to) - 1).toISOString().slice(0, 10)
    : event.as_of.slice(0, 10);

/** One marker for each check and day, its worst; of several on one day the worst lies on top. */
function driftMarks(events, from, to) {
  const worst = new Map();
  for (const event of events) {
    const day = dayJudged(event),
      check = event.check ?? event.kind;
    if (event.kind === "quality" || day < from || day > to) continue;
    const before = worst.get(`${check} ${day}`);
    if (!before || RANK[event.severity] > RANK[before.severity]) worst.set(`${check} ${day}`, { ...event, day, check });
  }
  const marks = [...worst.values()].sort((a, b) => (RANK[a.severity] ?? 0) - (RANK[b.severity] ?? 0));
  const on = new Map();
  return marks.map((mark) => {
    const level = on.get(mark.day) ?? 0;
    on.set(mark.day, level + 1);
    return { ...mark, level };
  });
}

/** Runs of rows on consecutive days that have a value: what lies between two of them is not known. */
export function unbroken(rows, value) {
  /** @type {any[][]} */
  const runs = [];
  /** @type {number | null} */
  let before = null;
  for (const row of rows) {
    const day = dayNumber(row.date);
    if (known(value(row))) {
      if (before === null || day !== before + 1) runs.push([]);
      runs.at(-1)?.push(row);
      before = day;
    } else before = null;
  }
  return runs;
}

/** A band between two limits for each unbroken run, so that no day without a value is shaded; a day alone is a bar. */
export function bands(rows, limits, style) {
  return unbroken(rows, (row) => limits(row)?.[0]).map((run, n) => {
    const x = run.map((row) => row.date);
    return {
      type: "scatter",
      mode: "lines",
      x: [...x, ...x.slice().reverse()],
      y: [...run.map((row) => limits(row)[1]), ...run.map((row) => limits(row)[0]).reverse()],
      fill: "toself",
      line: { width: run.length > 1 ? 0 : 5, color: style.fillcolor },
      hoverinfo: "skip",
      showlegend: false,
      ...style,
      ...(n && style.showlegend ? { showlegend: false } : {}),
    };
  });
}

/** Points of the rows, with a gap wherever a day is missing. */
export function withGaps(rows, value, text = (_row) => "") {
  const x = [],
    y = [],
    told = [];
  let before = null;
  for (const row of rows) {
    const day = dayNumber(row.date);
    if (before !== null && day > before + 1) {
      x.push(dateOf(before + 1));
      y.push(null);
      told.push("");
    }
    x.push(row.date);
    y.push(value(row) ?? null);
    told.push(text(row));
    before = day;
  }
  return { x, y, text: told };
}

/** Metric by day and version, with intervals, activations and drift. */
export function seriesChart(element, { snapshots, events, view }, metric, range, choose) {
  if (!snapshots.length)
    return instead(element, range ? "No closed day in this range." : "No closed day yet: the first closes at 02:00 UTC after it.");
  const values = snapshots.map((s) => s[metric]).filter(known);
  if (!values.length && !snapshots.some((s) => known(estimated(s, metric))))
    return instead(
      element,
      snapshots.some((s) => s.outcomes)
        ? `No ${metricName(metric)} yet: none of these days has the outcomes it needs.`
        : "No labels: no outcome has come for any of these days.",
    );
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
      data.push(...estimatedLines(snapshots, metric, c));
      const edges = [...values, ...snapshots.map((s) => estimated(s, metric)), ...snapshots.flatMap((s) => interval(s, metric) ?? [])].filter(known);
      const top = Math.max(...edges),
        bottom = Math.min(...edges);
      const { from, to } = range ?? { from: snapshots[0].date, to: snapshots.at(-1).date };
      const step = 0.08 * (top - bottom || top || 1);
      const marks = driftMarks(events, from, to);
      if (marks.length)
        data.push({
          type: "scatter",
          mode: "markers",
          name: "drift",
          x: marks.map((mark) => mark.day),
          y: marks.map((mark) => top + (mark.level + 1) * step),
          marker: { symbol: "triangle-down", size: 11, color: marks.map((mark) => severityColour(c, mark.severity)) },
          text: marks.map((mark) => `${mark.severity} ${mark.check} drift`),
          hovertemplate: "%{text}<extra></extra>",
        });
      const activations = (view.versions ?? []).filter(
        (v) => v.since.slice(0, 10) > from && v.since.slice(0, 10) <= to,
      );
      return {
        data,
        layout: {
          xaxis: dayAxis(element, from, to),
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
    choose,
  );
}

/** The metric as the day's scores alone have it. */
const estimated = (row, metric) => row.estimated?.[metric]?.value;

/** One dashed line, grey where outcomes contradict such estimates; of several versions on a day the last. */
export function estimatedLines(snapshots, metric, c) {
  const rows = [...new Map(snapshots.map((s) => [s.date, s])).values()].filter((s) => known(estimated(s, metric)));
  return [false, true]
    .filter((muted) => rows.some((row) => row.estimated.muted === muted))
    .map((muted) => ({
      type: "scatter",
      mode: "lines",
      name: muted ? "estimated, muted" : "estimated",
      line: { color: muted ? c.faint : c.soft, width: 1.5, dash: "dash" },
      ...withGaps(rows, (row) => (row.estimated.muted === muted ? estimated(row, metric) : null)),
      hovertemplate: `%{y:.3f} by scores alone${muted ? ", contradicted by outcomes" : ""}<extra></extra>`,
    }));
}

/** The 95 % interval of a day's metric; null where it is no share, or has no value. */
const interval = (row, metric) => (SHARES[metric] && known(row[metric]) ? wilson(...SHARES[metric](row)) : null);

export function lines(rows, version, metric, colour) {
  return [
    ...bands(rows, (row) => interval(row, metric), { fillcolor: faded(colour, 0.14) }),
    {
      type: "scatter",
      mode: "lines+markers",
      name: version,
      line: { color: colour, width: 2 },
      marker: { size: 6 },
      ...withGaps(
        rows,
        (row) => row[metric],
        (r) => `${version}, ${r.outcomes} of ${r.predictions} labelled, revision ${r.revision}`,
      ),
      hovertemplate: `%{y:.${metric === "predictions" ? 0 : 3}f} (%{text})<extra></extra>`,
    },
  ];
}

/** Rules that say from where on a comparison is MEDIUM, HIGH and CRITICAL. */
export const LIMITS = {
  statistical: ["ks_min_distance", "ks_high_bound", "ks_critical_bound"],
  performance: ["drop_points", "drop_high_points", "drop_critical_points"],
};

/**
 * What the comparisons measured, with their bounds: D, or the drop of a metric in points. `rules`: the model's own.
 * @param {{ range?: { from: string, to: string } | null, choose?: any, metric?: string }} [shown] which days, and of which metric
 */
export function checksChart(element, checks, kind, rules, shown = {}) {
  const { range, choose = null, metric = "" } = shown;
  const rows = checks.filter((c) => c.kind === kind && c.windows.length);
  const scale = kind === "statistical" ? 1 : 100;
  const pick = (row, oneDay) =>
    row.windows.find((w) => w.one_day === oneDay && (kind === "statistical" || w.metric === metric));
  const windows = (oneDay) =>
    rows
      .map((row) => ({ date: row.date, window: pick(row, oneDay) }))
      .filter(({ window }) => window && known(window.value));
  const week = windows(false),
    one = windows(true);
  if (!week.length)
    return instead(
      element,
      `No comparison in these days: a version is compared once it has ${rules.initial_baseline_days} closed days that the recent ones do not overlap.`,
    );
  const bounds = ({ window }) => (known(window.low) ? [window.low * scale, window.high * scale] : null);
  const value = ({ window }) => window.value * scale;
  return draw(
    element,
    (c) => ({
      data: [
        ...bands(week, bounds, { fillcolor: faded(c.accent, 0.14), name: "99 % bounds", showlegend: true }),
        {
          type: "scatter",
          mode: "lines+markers",
          name: `${rules.recent_days} days`,
          line: { color: c.accent, width: 2 },
          marker: { size: 5 },
          ...withGaps(week, value),
          hovertemplate: "%{y:.2f}",
        },
        {
          type: "scatter",
          mode: "markers",
          name: "last day alone",
          x: one.map((row) => row.date),
          y: one.map(value),
          marker: { size: 6, symbol: "diamond-open", color: c.recent },
          hovertemplate: "%{y:.2f}",
        },
      ],
      layout: {
        xaxis: dayAxis(element, range?.from ?? week[0].date, range?.to ?? week.at(-1).date),
        yaxis: { title: { text: kind === "statistical" ? "D" : `${metricName(metric)}, points` } },
        shapes: LIMITS[kind].map((name, n) => ({
          type: "line",
          x0: 0,
          x1: 1,
          xref: "paper",
          y0: rules[name],
          y1: rules[name],
          line: { color: [c.medium, c.high, c.critical][n], width: 1, dash: "dash" },
        })),
      },
    }),
    kind === "statistical" ? "Distance of scores by daily check" : "Drop of the metric by daily check",
    choose,
  );
}
