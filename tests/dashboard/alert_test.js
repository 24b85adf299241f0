// What an alert says of itself: of every kind, open and over, and never more certain than its interval.
import { deepStrictEqual as same, match, ok } from "node:assert";
import { decided, standing } from "../../stream_app/web/static/commands.js";
import { labelsByAge, lengthOf } from "../../stream_app/web/static/views/alert_charts.js";
import { muteEnds } from "../../stream_app/web/static/views/alert_todo.js";
import { alsoMoved, caused, certainty, headline, onset } from "../../stream_app/web/static/views/alert_words.js";
import { entries } from "../../stream_app/web/static/views/timeline.js";

const RULES = { drop_points: 5, drop_high_points: 10, drop_critical_points: 20, ks_high_bound: 0.1 };
const window = (more) => ({
  from: "2026-01-11T00:00:00.000Z",
  to: "2026-01-18T00:00:00.000Z",
  metric: "recall",
  recent: 0.6,
  baseline: 0.82,
  recent_rows: 700,
  baseline_rows: 3000,
  interval: [0.21, 0.25],
  ...more,
});
const found = (more) => ({ verdict: "drift", metric: "recall", day: "2026-01-16", since: "2026-01-12", as_of: "2026-01-18T04:00:00.000Z", windows: [window({})], ...more });
const HOURS = { from: "2026-01-17T10:00:00.000Z", to: "2026-01-18T12:00:00.000Z" };
const hourly = (more) => found({ check: "hourly", since: "2026-01-17", as_of: HOURS.to, windows: [window(HOURS)], ...more });
const alert = (report, more = {}) => ({
  id: "a",
  at: "2026-01-20T04:00:00.000Z",
  type: "ML_DRIFT_DETECTED",
  status: "open",
  severity: "CRITICAL",
  summary: "As it was told",
  opened_at: "2026-01-17T04:00:00.000Z",
  drift_event_ids: ["e1"],
  report,
  ...more,
});

Deno.test("a headline says what fell, by how much, since when, and how it stands", () => {
  const cases = /** @type {[any, RegExp][]} */ ([
    [alert({ performance: found({}) }), /^Recall fell by 22\.0 points, from 0\.820 to 0\.600, since 12 Jan.*; still so at the check of 18 Jan.* 04:00 UTC\.$/],
    [alert({ performance: found({ verdict: "no_drift" }), last_drift: { performance: found({}) } }), /fell by 22\.0 .*not seen any more/],
    [alert({ performance: found({ verdict: "insufficient_evidence" }), last_drift: { performance: found({}) } }), /could not be judged at the check/],
    [alert({ performance: found({}) }, { status: "resolved", resolution: "accepted as normal" }), /over since 20 Jan.* 04:00 UTC: accepted as normal\.$/],
    [alert({ performance: found({ metric: "brier", windows: [window({ metric: "brier", recent: 0.3, baseline: 0.1 })] }) }), /^Brier score rose, which is worse, by 20\.0 points/],
    [alert({ statistical: found({ statistic: 0.31, windows: [window({ statistic: 0.31 })] }) }), /^Scores moved away from their baseline by D = 0\.31 since 12 Jan/],
    [alert({ completeness: found({ windows: [window({ recent: 0.26 })] }) }, { type: "ML_OUTCOMES_INCOMPLETE" }), /^Outcomes are missing since 12 Jan.*26 % of the predictions of 16 Jan.* have one/],
    [alert({ performance: found({ verdict: "no_drift" }), hourly_performance: hourly({}) }), /^Recall fell by 22\.0 points, .*, since 17 Jan.* 10:00 UTC; still so at the full hour 18 Jan.* 12:00 UTC\.$/],
    [alert({ performance: found({}), hourly_performance: hourly({}) }), /since 12 Jan.*; still so at the check of 18 Jan/],
    [alert({ hourly_performance: hourly({ verdict: "no_drift" }), last_drift: { hourly_performance: hourly({}) } }), /fell by 22\.0 .*not seen any more at the full hour/],
    [alert({ hourly_statistical: hourly({ windows: [window({ ...HOURS, recent: 0.3, baseline: 0.1 })] }) }), /^Scores moved since 17 Jan.* 10:00 UTC: a part of their range that held 10 % of them holds 30 %; still so/],
    [alert({ performance: found({ verdict: "insufficient_evidence" }), hourly_performance: hourly({ as_of: "2026-01-17T18:00:00.000Z" }), last_drift: { performance: found({}) } }), /fell by 22\.0 .*, since 12 Jan.*; could not be judged at the check/],
    [alert({ performance: found({ verdict: "no_drift" }), hourly_performance: hourly({}), last_drift: { performance: found({}) } }), /, since 17 Jan.* 10:00 UTC; still so at the full hour/],
    [alert({}), /^As it was told; still open\.$/],
  ]);
  for (const [given, said] of cases) match(headline(given, [given]), said);
});

Deno.test("certainty never goes beyond the interval", () => {
  const of = (interval) => certainty(alert({ performance: found({ windows: [window({ interval })] }) }), RULES);
  match(of([0.21, 0.25]), /^Almost certainly CRITICAL: with 99 % certainty the drop is at least 21\.0 points, .* at most 25\.0; 700 rows of 11–17 Jan.*\(7 days\)/);
  match(of([0.04, 0.4]), /^It did fall, but how far is less sure/);
  match(of([-0.01, 0.4]), /^It may be chance/);
  for (let low = -10; low < 30; low++) ok(/Almost certainly/.test(of([low / 100, 0.4])) === low >= 20);
  match(certainty(alert({ performance: found({ windows: [window({ interval: null })] }) }), RULES), /^No interval is known/);
  match(certainty(alert({ hourly_performance: hourly({}) }), RULES), /^Almost certainly CRITICAL.*700 rows of 17 Jan.* 10:00 to 18 Jan.* 12:00 UTC/);
  match(certainty(alert({ hourly_statistical: hourly({}) }), RULES), /^It is certain that scores moved: .* at least 21\.0 points, .* at most 25\.0 points; 700 rows/);
});

Deno.test("a window is named by its length, and one of hours is none of a day", () => {
  same(lengthOf(window({})), "7 days");
  same(lengthOf({ from: "2026-01-17T00:00:00.000Z", to: "2026-01-18T00:00:00.000Z" }), "last day");
  same(lengthOf(HOURS), "26 h");
});

Deno.test("the onset is the run's first day, or the day that the first revision judged", () => {
  const first = alert({ performance: found({ since: null, day: "2026-01-15" }) });
  same(onset(alert({ performance: found({}) }), [first]), "2026-01-12");
  same(onset(alert({ performance: found({ since: null }) }), [first]), "2026-01-15");
  same(onset(alert({}), []), "2026-01-17");
});

Deno.test("what else moved lies within three days before the onset, and is not the alert's own", () => {
  const event = (id, day) => ({ id, kind: "statistical", severity: "HIGH", as_of: `${day}T03:00:00.000Z` });
  const events = ["2026-01-08", "2026-01-09", "2026-01-12", "2026-01-13"].map((day, n) => event(`x${n}`, day));
  const moved = alsoMoved({
    alert: alert({}),
    since: "2026-01-12",
    events: [...events, event("e1", "2026-01-12")],
    versions: [{ since: "2026-01-10T07:00:00.000Z", active_version: "v2", how: "observed" }],
    audit: [
      { action: "set", at: "2026-01-11T07:00:00.000Z", actor: "olga", reason: "less noise" },
      { action: "train", at: "2026-01-11T08:00:00.000Z", actor: "x", reason: "y" },
    ],
  });
  same(moved.map((row) => row.at.slice(0, 10)), ["2026-01-09", "2026-01-10", "2026-01-11", "2026-01-12"]);
});

Deno.test("reminders in a row are one entry, and every note stays", () => {
  const row = (n, notify) => ({ revision: n, at: `2026-01-${10 + n}T04:00:00.000Z`, notify, summary: "s" });
  const rows = [row(1, "opened"), row(2, "reminder"), row(3, undefined), row(4, "reminder"), row(6, "reminder"), row(7, "resolved")];
  const shown = entries(rows, [{ at: "2026-01-15T04:00:00.000Z", actor: "olga", note: "seen" }]);
  same(shown.map((entry) => [entry.kind, entry.rows.length]), [["revision", 1], ["reminder", 1], ["note", 1], ["reminder", 2], ["revision", 1]]);
});

Deno.test("trainings that an alert caused are those whose trigger names one of its events", () => {
  const rows = [{ id: 1, trigger: { drift_event_ids: ["e1", "e9"] } }, { id: 2, trigger: { drift_event_ids: ["e2"] } }, { id: 3 }];
  same(caused(rows, alert({})).map((row) => row.id), [1]);
});

Deno.test("labels by age count every day once", () => {
  const snapshots = Array.from({ length: 30 }, (_, n) => ({ date: `2026-01-${String(n + 1).padStart(2, "0")}`, predictions: 10, outcomes: 5 }));
  const groups = labelsByAge(snapshots, "2026-01-30");
  same(groups.reduce((sum, row) => sum + row.predictions, 0), 300);
  same([groups[0].first, groups[0].last], ["2026-01-30", "2026-01-30"]);
});

Deno.test("a mute over the weekend ends on a Monday, whatever day it is", () => {
  for (let day = 0; day < 14; day++) {
    const now = Date.parse("2026-01-05T15:00:00Z") + day * 86_400_000;
    const [, [, at]] = muteEnds(now);
    const end = new Date(at);
    same([end.getUTCDay(), end.getTime() > now, end.getTime() - now <= 7 * 86_400_000], [1, true, true]);
  }
});

Deno.test("where a command stands, by its answer or by the audit", () => {
  match(standing({ state: "written" }), /not answered yet/);
  match(standing({ state: "waiting" }), /with the next tick/);
  same(standing({ state: "done", effects: [{ stage: "alerts", effect: "acknowledged" }] }), "Done: alerts: acknowledged.");
  const taken = { stage: "alerts", effect: "caff01e0-a661-5619-80ac-2ec0f023bf42: I have it" };
  same(standing({ state: "done", effects: [taken] }), "Done: alerts: I have it.");
  same(standing({ state: "refused", refused_because: "cooldown" }), "Refused: cooldown");
  const row = (decision) => ({ inputs: { ids: ["c1"] }, action: "train", decision, reason: "because" });
  same(decided([row("refused")], "c1"), { state: "refused", told: "train refused: because" });
  same(decided([row("ordered")], "c1")?.state, "done");
  same(decided([row("ordered")], "c2"), null);
});
