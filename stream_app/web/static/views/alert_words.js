// What an alert says in one sentence, how sure it is, and what else moved. Words only: nothing is drawn in here.
import { capital, count, metricName, ratio, sentence, title, words } from "../dom.js";
import { short, span, zoneName } from "../time.js";

const DAY_MS = 86_400_000;
/** What else moved is looked for this many days before the onset. */
export const BEFORE_DAYS = 3;

/** Metrics of which less is better. */
const LOWER_IS_BETTER = new Set(["brier"]);

/** Findings of an alert, of performance before scores, and of each the daily check before the hours: it says more. */
const SLOTS = [["performance", "hourly_performance"], ["handover"], ["statistical", "hourly_statistical"], ["completeness"]];

/** The finding that an alert is about: its newest of drift. Hours say "drift" until another hour is judged, so they
 * count only while the daily check has not found the same since. */
export function finding(alert) {
  const report = alert.report ?? {},
    last = report.last_drift ?? {};
  for (const [daily, hourly] of SLOTS) {
    if (report[daily]?.verdict === "drift") return { slot: daily, ...report[daily] };
    const known = [
      { slot: daily, ...last[daily] },
      { slot: hourly, ...(report[hourly]?.verdict === "drift" ? report[hourly] : last[hourly]) },
    ].filter((found) => found.as_of);
    if (known.length) return known.reduce((newest, found) => (found.as_of > newest.as_of ? found : newest));
  }
  return null;
}

const isHourly = (found) => found.check === "hourly";

/** The window of a finding that says most: of the alert's metric, the longer one first. */
export function mainWindow(found) {
  const windows = found?.windows ?? [];
  return windows.find((w) => !found.metric || w.metric === found.metric) ?? windows[0] ?? null;
}

/** The longer window of a finding that compares a metric; null if none does. */
export const windowOf = (found, metric) => (found?.windows ?? []).find((w) => w.metric === metric) ?? null;

/** The day it began on, as far as the checks know. */
export function onset(alert, revisions) {
  const found = finding(alert);
  if (found?.since) return found.since;
  const first = revisions[0] && finding(revisions[0]);
  return first?.day ?? alert.opened_at.slice(0, 10);
}

const share = (value) => (value === null || value === undefined ? "an unknown share" : `${(value * 100).toFixed(0)} %`);
const points = (value) => `${Math.abs(value * 100).toFixed(1)} points`;

/** What fell, by how much, since which day, and whether it is still so. */
export function headline(alert, revisions) {
  const found = finding(alert),
    window = mainWindow(found),
    since = short(onset(alert, revisions), false);
  const state = stands(alert, found);
  if (alert.type === "ML_OUTCOMES_INCOMPLETE") {
    const share = window?.recent ?? found?.statistic;
    return `Outcomes ${alert.status === "resolved" ? "were" : "are"} missing since ${since}${share === null || share === undefined ? "" : `: ${(share * 100).toFixed(0)} % of the predictions of ${short(found.day, false)} have one`}; ${state}.`;
  }
  if (!found || !window) return `${told(alert)}; ${state}.`;
  const hour = `${short(window.from)} ${zoneName()}`;
  if (found.slot === "hourly_statistical")
    return `Scores moved since ${hour}: a part of their range that held ${share(window.baseline)} of them holds ${share(window.recent)}; ${state}.`;
  if (found.slot === "statistical")
    return `Scores moved away from their baseline by D = ${ratio(window.statistic ?? found.statistic, 2)} since ${since}; ${state}.`;
  const moved = window.recent - window.baseline;
  const verb = moved < 0 ? "fell" : LOWER_IS_BETTER.has(window.metric) ? "rose, which is worse," : "rose";
  return `${metricName(window.metric)} ${verb} by ${points(moved)}, from ${ratio(window.baseline)} to ${ratio(window.recent)}, since ${isHourly(found) ? hour : since}; ${state}.`;
}

/** What people were told of an alert, without a full stop. */
export const told = (alert) => capital(alert.summary).replace(/\.$/, "");

/** Whether it is still so, by the newest check. */
function stands(alert, found) {
  if (alert.status === "resolved") return `over since ${short(alert.at)} ${zoneName()}: ${alert.resolution}`;
  const newest = found && alert.report[found.slot];
  if (!newest) return "still open";
  const at = `the ${isHourly(newest) ? "full hour" : "check of"} ${short(newest.as_of)} ${zoneName()}`;
  if (newest.verdict === "drift") return `still so at ${at}`;
  return newest.verdict === "no_drift" ? `not seen any more at ${at}` : `could not be judged at ${at}`;
}

/** How sure it is, in words, with the interval behind. */
export function certainty(alert, rules) {
  const found = finding(alert),
    window = mainWindow(found);
  if (!found || !window) return "";
  if (alert.type === "ML_OUTCOMES_INCOMPLETE")
    return `It is a count, not an estimate: ${count(window.recent_rows)} predictions were looked at.`;
  const rows = `${count(window.recent_rows)} rows of ${span(window.from, window.to)} beside ${count(window.baseline_rows)} of the baseline`;
  if (!window.interval) return `No interval is known; ${rows}.`;
  const [low, high] = window.interval;
  if (found.slot === "statistical") {
    const sure = low >= rules.ks_high_bound ? "It is certain that scores moved far" : "It is certain that scores moved, less so how far";
    return `${sure}: with 99 % certainty D is at least ${ratio(low, 2)}, and with the same at most ${ratio(high, 2)}; ${rows}.`;
  }
  if (found.slot === "hourly_statistical")
    return `It is certain that scores moved: with 99 % certainty that part grew by at least ${points(low)}, and with the same by at most ${points(high)}; ${rows}.`;
  const bounds = `at least ${(low * 100).toFixed(1)} points, and with the same at most ${(high * 100).toFixed(1)}`;
  if (low <= 0) return `It may be chance: the drop lies between ${(low * 100).toFixed(1)} and ${(high * 100).toFixed(1)} points (99 % each side); ${rows}.`;
  const limits = { CRITICAL: rules.drop_critical_points, HIGH: rules.drop_high_points, MEDIUM: rules.drop_points };
  const clear = low * 100 >= (limits[alert.severity] ?? rules.drop_points);
  return `${clear ? `Almost certainly ${alert.severity}` : "It did fall, but how far is less sure"}: with 99 % certainty the drop is ${bounds}; ${rows}.`;
}

/**
 * What else moved in the three days before the onset, up to its end: other checks, versions, settings.
 * @returns {{ at: string, what: string }[]}
 */
export function alsoMoved({ alert, since, events, versions, audit }) {
  const from = Date.parse(`${since}T00:00:00Z`) - BEFORE_DAYS * DAY_MS,
    to = Date.parse(`${since}T00:00:00Z`) + DAY_MS;
  const near = (at) => Date.parse(at) >= from && Date.parse(at) < to;
  const own = new Set(alert.drift_event_ids);
  const moved = [
    ...events
      .filter((event) => !own.has(event.id) && near(dayOf(event)))
      .map((event) => ({ at: dayOf(event), what: `${title(event.check ?? event.kind)} drift, ${event.severity}` })),
    ...versions
      .filter((version) => near(version.since))
      .map((version) => ({ at: version.since, what: `Version ${version.active_version} became active (${words(version.how)})` })),
    ...audit
      .filter((row) => ["set", "rebaseline"].includes(row.action) && near(row.at))
      .map((row) => ({ at: row.at, what: `${row.action === "set" ? "Settings changed" : "Accepted as normal"} by ${row.actor}: ${sentence(row.reason)}` })),
  ];
  return moved.sort((a, b) => a.at.localeCompare(b.at));
}

/** The day that an event judges: the newest of its first window, which ends before `to`. */
export const dayOf = (event) =>
  event.windows?.length ? new Date(Date.parse(event.windows[0].to) - 1).toISOString().slice(0, 10) : event.as_of.slice(0, 10);

/** Trainings that an alert caused: commands whose trigger names one of its events, newest first. */
export function caused(commands, alert) {
  const own = new Set(alert.drift_event_ids);
  return commands.filter((row) => row.trigger?.drift_event_ids?.some((id) => own.has(id)));
}
