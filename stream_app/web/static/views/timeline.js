// What happened to an alert, newest first; what was only said again is folded.
import { h, prose, when } from "../dom.js";
import { severityTag } from "../parts.js";

const NOTIFY = {
  opened: "Opened",
  severity: "Severity rose",
  reminder: "Reminder",
  escalated: "Escalated",
  resolved: "Resolved",
};

/**
 * Revisions that are news, with notes between them; reminders in a row are one entry.
 * @param {any[]} revisions oldest first
 * @param {any[]} notes
 * @returns {{ at: string, kind: string, rows: any[] }[]} newest first
 */
export function entries(revisions, notes) {
  const news = revisions
    .filter((row, n) => row.notify || n === 0 || row.acknowledged_by !== revisions[n - 1].acknowledged_by)
    .map((row) => ({ at: row.at, kind: row.notify === "reminder" ? "reminder" : "revision", row }));
  const all = [...news, ...notes.map((row) => ({ at: row.at, kind: "note", row }))].sort((a, b) => a.at.localeCompare(b.at));
  const out = /** @type {{ at: string, kind: string, rows: any[] }[]} */ ([]);
  for (const { at, kind, row } of all) {
    const last = out[out.length - 1];
    if (kind === "reminder" && last?.kind === "reminder") Object.assign(last, { at, rows: [...last.rows, row] });
    else out.push({ at, kind, rows: [row] });
  }
  return out.reverse();
}

/** The timeline of an alert. */
export const ofAlert = (revisions, notes) =>
  h(
    "ul",
    { class: "timeline" },
    entries(revisions, notes).map(({ kind, at, rows }) =>
      h("li", { "data-key": `${kind} ${rows[0].at}` }, kind === "reminder" && rows.length > 1 ? reminders(rows) : kind === "note" ? note(rows[0]) : revision(rows[0], at)),
    ),
  );

const revision = (row, at) => [
  h(
    "div",
    { class: "row" },
    when(at),
    h("b", {}, NOTIFY[row.notify] ?? (row.acknowledged_by ? `Taken by ${row.acknowledged_by}` : row.revision === 1 ? "Opened" : "Given back")),
    severityTag(row.severity),
  ),
  h("div", { class: "small" }, prose(row.summary)),
];

const reminders = (rows) =>
  h(
    "details",
    {},
    h("summary", {}, h("b", {}, `${rows.length} reminders`), " from ", when(rows[0].at), " to ", when(rows[rows.length - 1].at)),
    h("ul", { class: "plain small" }, rows.map((row) => h("li", {}, when(row.at), " ", prose(row.summary)))),
  );

const note = (row) => [h("div", { class: "row" }, when(row.at), h("b", {}, `Note by ${row.actor}`)), h("div", { class: "small wrap" }, row.note)];
