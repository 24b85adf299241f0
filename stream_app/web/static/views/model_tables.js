// Tables of a model: confusion, drift events, versions, snapshots.
import { count, h, metricName, percent, ratio, when, words } from "../dom.js";
import { days } from "../time.js";
import { severityTag, table } from "../parts.js";

export function matrix(snapshots, version) {
  const of = (name) => snapshots.filter((s) => s.model_version === name);
  const own = of(version);
  // counts of two versions are no model's: where the active one has no closed day, the newest that has
  const used = (own.length ? own : of(snapshots.at(-1)?.model_version)).slice(-7);
  const sum = (name) => used.reduce((all, s) => all + s[name], 0);
  const cells = {
    tp: sum("true_positives"),
    fp: sum("false_positives"),
    fn: sum("false_negatives"),
    tn: sum("true_negatives"),
  };
  const all = cells.tp + cells.fp + cells.fn + cells.tn;
  if (!all) return h("p", { class: "soft" }, "No labelled predictions yet.");
  const cell = (name, good) =>
    h(
      "div",
      {
        class: "cell num",
        style: {
          background: `color-mix(in srgb, var(--${good ? "good" : "critical"}) ${Math.round(8 + (42 * cells[name]) / all)}%, var(--card))`,
        },
      },
      h("b", {}, count(cells[name])),
      percent(cells[name] / all, 1),
    );
  return h(
    "div",
    {},
    h(
      "div",
      {
        class: "matrix",
        role: "img",
        "aria-label": `${cells.tp} true positives, ${cells.fp} false positives, ${cells.fn} false negatives, ${cells.tn} true negatives`,
      },
      h("div"),
      h("div", { class: "head" }, "actually positive"),
      h("div", { class: "head" }, "actually negative"),
      h("div", { class: "head" }, "said positive"),
      cell("tp", true),
      cell("fp", false),
      h("div", { class: "head" }, "said negative"),
      cell("fn", false),
      cell("tn", true),
    ),
    h("p", { class: "small soft" }, `${used[0].model_version}, ${days(used[0].date, used.at(-1).date)} (${used.length} ${used.length === 1 ? "day" : "days"} of UTC)`),
  );
}

export const eventTable = (events) =>
  table(
    [
      ["Check", (e) => when(e.as_of), { label: "check" }],
      ["Severity", (e) => severityTag(e.severity), { class: "right" }],
      [
        "What",
        (e) => [
          words(e.check ?? e.kind),
          e.revises ? h("span", { class: "small soft" }, " recomputed") : null,
          h("div", { class: "small soft" }, e.model_version),
        ],
        { class: "wide" },
      ],
      [
        "Size",
        (e) =>
          e.kind === "statistical"
            ? e.check === "hourly"
              ? `${ratio(e.statistic, 1)} points of the scores`
              : `D ${ratio(e.statistic)}`
            : e.kind === "performance"
              ? `${metricName(e.metric)} −${ratio(e.statistic, 1)} points`
              : ratio(e.statistic),
        { class: "num" },
      ],
    ],
    events,
    "Drift events",
  );

export function versionTable({ view, snapshots }) {
  const rows = (view.versions ?? []).slice().reverse();
  if (!rows.length) return h("p", { class: "soft", style: { paddingBottom: "1rem" } }, "None seen yet.");
  const days = (version) => snapshots.filter((s) => s.model_version === version).length;
  return table(
    [
      ["Version", (v) => h("b", { class: "wrap" }, v.active_version)],
      ["Since", (v) => when(v.since), { class: "right" }],
      ["How", (v) => words(v.how), { label: "how" }],
      ["Closed days", (v) => count(days(v.active_version)), { class: "right num", label: "closed days" }],
    ],
    rows,
    "Versions",
  );
}

export function snapshotTable(snapshots, open) {
  const rows = [...open, ...snapshots.slice().reverse()];
  return table(
    [
      ["Day", (r) => [r.date, r.state === "open" ? [" ", h("span", { class: "tag info" }, "so far")] : null]],
      ["Version", (r) => r.model_version, { class: "right" }],
      [
        "Rev.",
        (r) =>
          r.revision > 1
            ? h("span", { class: "tag info", title: "later labels changed this day" }, r.revision)
            : r.revision,
        { class: "right num", label: "revision" },
      ],
      ["Predictions", (r) => count(r.predictions), { class: "right num", label: "predictions" }],
      ["Labelled", (r) => percent(r.coverage, 1), { class: "right num", label: "labelled" }],
      ["Accuracy", (r) => ratio(r.accuracy), { class: "right num", label: "accuracy" }],
      ["Precision", (r) => ratio(r.precision), { class: "right num", label: "precision" }],
      ["Recall", (r) => ratio(r.recall), { class: "right num", label: "recall" }],
      ["PR-AUC", (r) => ratio(r.pr_auc), { class: "right num", label: "PR-AUC" }],
      ["Brier", (r) => ratio(r.brier), { class: "right num", label: "Brier" }],
    ],
    rows,
    "Snapshots",
  );
}

export function noneFound(checks) {
  const judged = checks.filter((check) => check.verdict !== "insufficient_evidence");
  if (!judged.length) return "Nothing could be compared in these days.";
  return `None in ${count(judged.length)} comparisons on ${days(judged[0].date, judged.at(-1).date)}.`;
}
