// An alert: what happened in one sentence, how sure it is, the pictures behind it, and what to do next.
import { get, modelPath, offered } from "../api.js";
import { chart, histograms } from "../charts.js";
import { age, count, h, metricName, percent, prose, ratio, sentence, span, title, when, whole, words } from "../dom.js";
import { guards, jobTag, kept, severityTag, verdictTag } from "../parts.js";
import { fromAddress, lastDays, rangeControls, remember, within } from "../range.js";
import { days, shifted, short, zoneName } from "../time.js";
import { coverageChart, dropChart, evidenceChart, labelsByAge, metricChart } from "./alert_charts.js";
import { SERIES } from "./model_charts.js";
import { doNext } from "./alert_todo.js";
import { alsoMoved, caused, certainty, finding, headline, mainWindow, onset, told } from "./alert_words.js";
import { ofAlert } from "./timeline.js";

/** Commands about alerts, and the routes that take them. */
const ROUTES = {
  unacknowledge: "/alerts/{id}/unacknowledge",
  verdict: "/alerts/{id}/verdict",
  note: "/alerts/{id}/note",
  mutes: "/mutes",
};

/** What is nice to have: null where this server has no such route, or knows nothing of it. */
const maybe = (asked) => asked.catch((error) => (error.status === 404 || error.status === 405 ? null : Promise.reject(error)));

export async function open(main, id, current) {
  const asked = fromAddress(location.search);
  const view = kept({
    main,
    current,
    fetch: () => fetchAll(id),
    wanted: (message) =>
      (message.topic === "alerts" && message.record.id === id) ||
      (message.model === view.model && ["training-commands", "training-jobs", "model-lifecycle", "metric-snapshots"].includes(message.topic)),
    draw: (found) => {
      view.model = found.alert.model;
      return content(found, state(found));
    },
    after: (found) => drawCharts(main, found, state(found)),
  });
  view.model = "";

  function state(found) {
    // hours are known of the day that has not closed yet
    const known = [found.snapshots.at(-1)?.date, found.alert.opened_at, ...found.evidence.map((row) => row.at)].map((at) => at?.slice(0, 10) ?? "");
    const newest = known.reduce((last, day) => (day > last ? day : last));
    // an alert of long ago is shown with the days around it
    const about = found.alert.status === "resolved" ? shifted(found.alert.at.slice(0, 10), 2) : newest;
    const usual = lastDays(about < newest ? about : newest, 30);
    const set = (changes) => {
      Object.assign(asked, changes);
      remember(changes);
      view.paint();
    };
    const own = mainWindow(finding(found.alert))?.metric ?? "accuracy";
    return {
      newest,
      range: asked.from ? { from: asked.from, to: asked.to } : usual,
      metric: asked.metric && SERIES.includes(asked.metric) ? asked.metric : own,
      choose: (range) => set(range ?? { from: null, to: null }),
      chooseMetric: (metric) => set({ metric: metric === own ? null : metric }),
    };
  }

  await view.load();
  return view;
}

async function fetchAll(id) {
  const { alert, revisions, events } = await get(`/alerts/${encodeURIComponent(id)}`);
  const model = alert.model,
    path = `/models/${modelPath(model)}`;
  const able = Object.fromEntries(await Promise.all(Object.entries(ROUTES).map(async ([name, route]) => [name, await offered(route)])));
  const [view, snapshots, moved, others, trainings, audit, open, evidence, mutes] = await Promise.all([
    maybe(get(path)),
    maybe(get(`${path}/snapshots`)),
    get("/drift-events", { model, limit: 500 }),
    get("/alerts", { model, limit: 50 }),
    maybe(get("/trainings", { model })),
    get("/audit", { model, limit: 500 }),
    get("/alerts", { status: "open", limit: 500 }),
    (await offered("/models/{model}/evidence")) ? maybe(get(`${path}/evidence`)) : null,
    able.mutes ? maybe(get("/mutes", { model })) : null,
  ]);
  const related = [...others.items, ...open.items.filter((row) => row.correlation_id === alert.correlation_id)];
  return {
    alert,
    revisions,
    events,
    able,
    view,
    snapshots: snapshots?.items ?? [],
    moved: moved.items,
    related: [...new Map(related.filter((row) => row.id !== alert.id && row.status !== "resolved").map((row) => [row.id, row])).values()],
    trainings: trainings?.items[0] ?? null,
    audit: audit.items,
    evidence: evidence?.items ?? [],
    mutes: mutes?.items ?? null,
  };
}

/** The newest event of a kind: of the daily checks, or where those found nothing yet the hourly alarm. */
const newestOf = (events, kind) => {
  const own = events.filter((event) => event.kind === kind);
  return own.filter((event) => event.check !== "hourly").at(-1) ?? own.at(-1);
};

/** Of the week and the last day alone, the window of scores that moved further. */
const furthest = (scores) => scores?.windows.filter((w) => w.histograms).sort((a, b) => b.statistic - a.statistic)[0] ?? null;

function drawCharts(main, found, { range, metric, choose }) {
  const place = (name) => main.querySelector(`[data-key=chart-${name}]`);
  const { alert, revisions, events, view } = found;
  const shared = { since: onset(alert, revisions), range, choose };
  const snapshots = within(found.snapshots, range);
  if (place("metric") && view) metricChart(place("metric"), { alert, metric, snapshots, rules: view.rules, ...shared });
  if (place("coverage")) coverageChart(place("coverage"), { snapshots, ...shared });
  if (place("evidence")) evidenceChart(place("evidence"), within(found.evidence, range, (row) => row.at.slice(0, 10)), shared);
  const scores = newestOf(events, "statistical"),
    labels = newestOf(events, "performance"),
    bins = furthest(scores);
  if (place("drops") && labels) dropChart(place("drops"), labels);
  if (place("bins") && bins) histograms(place("bins"), bins.histograms, [span(bins.from, bins.to), "baseline"]);
}

function content(found, { newest, range, metric, choose, chooseMetric }) {
  const { alert, revisions, events, view } = found;
  const incomplete = alert.type === "ML_OUTCOMES_INCOMPLETE";
  const scores = newestOf(events, "statistical"),
    labels = newestOf(events, "performance"),
    quality = newestOf(events, "quality");
  return h(
    "div",
    { class: "stack" },
    head(alert, revisions),
    h(
      "section",
      { class: "card" },
      h("p", { class: "lead" }, headline(alert, revisions)),
      view ? h("p", { class: "certainty" }, certainty(alert, view.rules)) : null,
      alert.report.faults?.length && !incomplete ? h("p", {}, h("b", {}, "The data is broken too: "), whole(alert.report.faults.join("; "))) : null,
      headline(alert, revisions).startsWith(told(alert)) ? null : h("p", { class: "small soft" }, "As told to people: ", prose(alert.summary)),
    ),
    rangeControls(range, newest, choose),
    picture(incomplete, metric, chooseMetric),
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        { class: "column" },
        doNext(found),
        whatElse(found),
        trainings(found),
        alert.auto_retrain.safeguards.length ? safeguards(alert) : null,
      ),
      h(
        "div",
        { class: "column" },
        incomplete ? ages(found.snapshots, found.snapshots.at(-1)?.date ?? newest) : null,
        found.evidence.length ? h("section", { class: "card", "data-key": "evidence" }, h("h2", {}, "Evidence by the hour"), chart("evidence")) : null,
        labels && !incomplete
          ? h("section", { class: "card", "data-key": "labels" }, h("h2", {}, "Performance"), chart("drops"), evidence(labels), windowsOfLabels(labels))
          : null,
        scores && !incomplete
          ? h("section", { class: "card", "data-key": "scores" }, h("h2", {}, "Scores"), furthest(scores) ? chart("bins") : null, evidence(scores), windowsOfScores(scores))
          : null,
        quality ? h("section", { class: "card", "data-key": "quality" }, h("h2", {}, "Data"), evidence(quality), h("p", {}, dataOf(quality))) : null,
        h("section", { class: "card", "data-key": "happened" }, h("h2", {}, "What happened"), ofAlert(revisions, alert.notes ?? [])),
        h(
          "section",
          { class: "card", "data-key": "explain" },
          h("h2", {}, "Recompute it"),
          h("p", {}, "The same windows, numbers and settings, read back from the topics:"),
          h("p", { class: "mono wrap" }, `plumbline explain ${alert.id}`),
        ),
      ),
    ),
  );
}

/** The metric by day, or the outcomes of each day where those are what the alert is about. */
const picture = (incomplete, metric, chooseMetric) =>
  h(
    "section",
    { class: "card", "data-key": "metric" },
    incomplete
      ? h("h2", {}, "Outcomes by day")
      : h(
          "div",
          { class: "row spread" },
          h("h2", {}, `${metricName(metric)} beside its baseline`),
          h(
            "select",
            { "aria-label": "Metric", onchange: (event) => chooseMetric(event.target.value) },
            SERIES.map((name) => h("option", { value: name, selected: name === metric }, metricName(name))),
          ),
        ),
    incomplete ? chart("coverage", true) : chart("metric", true),
    h(
      "p",
      { class: "small soft" },
      incomplete
        ? "The share of each day's predictions that have their outcome. Dotted: the onset."
        : "Shaded blue: the baseline with its 95 % interval, where the check compared this metric. Dashed lines across: where each severity begins. Dashed grey: estimated by scores alone. Dotted: the onset.",
    ),
  );

/** What a check of the data found on its day. */
function dataOf({ check, windows: [window] }) {
  if (!window) return `${title(check)}.`;
  const shown = check === "completeness" ? (value) => percent(value, 1) : ratio;
  const before = window.baseline === null || window.baseline === undefined ? "" : `, ${shown(window.baseline)} before`;
  return `${title(check)}: ${shown(window.recent)} on ${span(window.from, window.to)}${before}.`;
}

const TYPES = {
  ML_DRIFT_DETECTED: "Drift",
  ML_OUTCOMES_INCOMPLETE: "Outcomes incomplete",
  ML_APPROVAL_WANTED: "A training waits for approval",
  ML_TRAINING_FAILED: "Training failed",
  ML_ROLLED_BACK: "Rolled back",
  ML_CIRCUIT_OPEN: "Trainings are halted",
};
const typeName = (alert) => TYPES[alert.type] ?? words(alert.type);

function head(alert, revisions) {
  return h(
    "div",
    {},
    h(
      "div",
      { class: "row" },
      severityTag(alert.severity),
      alert.status === "resolved" ? h("span", { class: "tag good wrap" }, alert.resolution) : h("span", { class: "tag bad" }, "open"),
      alert.escalation_level ? h("span", { class: "tag warn" }, "escalated") : null,
      alert.muted_until ? h("span", { class: "tag info" }, "muted") : null,
    ),
    h("h1", {}, h("a", { href: `/models/${modelPath(alert.model)}` }, alert.model)),
    h(
      "p",
      { class: "soft" },
      `${typeName(alert)}, ${alert.model_version}, ${finding(alert) ? `onset ${short(onset(alert, revisions), false)}, ` : ""}opened `,
      when(alert.opened_at),
      " (",
      age(alert.opened_at),
      ")",
      alert.raised_by?.length ? `, raised by ${alert.raised_by.map(words).join(" and ")}` : "",
    ),
    h(
      "p",
      { class: "small" },
      alert.deadline ? [h("b", {}, "Answer until "), when(alert.deadline), ` ${zoneName()} (`, age(alert.deadline), "). "] : null,
      alert.owner ? [h("b", {}, "Owner: "), alert.owner] : h("span", { class: "soft" }, "No owner is set for this model."),
      " ",
      runbook(alert.runbook_url),
    ),
  );
}

/** A link to the runbook; only of the web, whatever a setting says. */
const runbook = (url) =>
  url && /^https?:\/\//.test(url)
    ? h("a", { href: url, rel: "noreferrer noopener", target: "_blank" }, "Runbook")
    : h("span", { class: "soft" }, "No runbook is set.");

function whatElse(found) {
  const { alert, revisions } = found;
  const since = onset(alert, revisions);
  const moved = alsoMoved({ alert, since, events: found.moved, versions: found.view?.versions ?? [], audit: found.audit });
  return h(
    "section",
    { class: "card", "data-key": "moved" },
    h("h2", {}, "What else moved"),
    h("p", { class: "small soft" }, `Within three days before the onset: ${days(shifted(since, -3), since)}, days of UTC.`),
    moved.length
      ? h("ul", { class: "plain" }, moved.map((row) => h("li", {}, when(row.at), ` ${row.what}`)))
      : h("p", { class: "soft" }, "No other check, no version and no setting of this model."),
    h("h3", {}, "Related open alerts"),
    found.related.length
      ? h(
          "ul",
          { class: "plain" },
          found.related.slice(0, 20).map((row) =>
            h("li", { "data-key": row.id }, severityTag(row.severity), " ", h("a", { href: `/alerts/${row.id}` }, row.model), " ", when(row.opened_at)),
          ),
        )
      : h("p", { class: "soft" }, "None: of this model, or of its type on the same day."),
    found.related.length > 20 ? h("p", { class: "small soft" }, `${count(found.related.length - 20)} more.`) : null,
  );
}

function trainings({ alert, trainings: known }) {
  const rows = caused(known?.commands ?? [], alert);
  const now = h("p", { class: "small" }, "Now: ", jobTag(known?.job ?? null), " ", h("a", { href: `/retraining/${modelPath(alert.model)}` }, "Retraining of this model"));
  // an alert about a training names no drift that could have caused one
  if (!alert.drift_event_ids.length) return h("section", { class: "card", "data-key": "trainings" }, h("h2", {}, "Training"), now);
  return h(
    "section",
    { class: "card", "data-key": "trainings" },
    h("h2", {}, "Trainings it caused"),
    rows.length
      ? h(
          "ul",
          { class: "plain" },
          rows.slice(0, 20).map((row) =>
            h("li", { "data-key": row.id }, when(row.at), " ", h("b", {}, row.command), ` ${row.candidate_version ?? ""} `, h("span", { class: "soft" }, sentence(row.trigger.reason))),
          ),
        )
      : h("p", { class: "soft" }, "None."),
    now,
  );
}

const safeguards = (alert) =>
  h(
    "section",
    { class: "card", "data-key": "safeguards" },
    h(
      "h2",
      {},
      ["retrained", "recalibrated"].includes(alert.replaced_by?.how)
        ? `It was ${alert.replaced_by.how}; what the safeguards said last`
        : alert.auto_retrain.eligible
          ? "May be retrained without a person"
          : "Why it is not retrained by itself",
    ),
    guards(alert.auto_retrain.safeguards),
  );

const ages = (snapshots, newest) =>
  h(
    "section",
    { class: "card", "data-key": "ages" },
    h("h2", {}, "Labels by age"),
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ["Age", "Days", "Labelled", "Predictions"].map((text, n) => h("th", { scope: "col", class: n > 1 ? "right" : "" }, text)))),
      h(
        "tbody",
        {},
        labelsByAge(snapshots, newest).map((row) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, row.name),
            h("td", { class: "days" }, days(row.first, row.last)),
            h("td", { class: "right num" }, percent(row.outcomes / row.predictions)),
            h("td", { class: "right num" }, count(row.predictions)),
          ),
        ),
      ),
    ),
    h("p", { class: "small soft" }, `Counted back from the newest closed day, ${short(newest, false)}.`),
  );

const evidence = (event) =>
  h(
    "p",
    {},
    verdictTag(event),
    event.check === "hourly" ? " at the full hour " : " at the daily check of ",
    when(event.as_of),
    event.baseline_kind ? `, beside ${words(event.baseline_kind)} baseline of ${event.baseline_version}` : "",
    event.revises ? ", recomputed after later labels" : "",
  );

const lines = (rows) => h("ul", { class: "plain small soft" }, rows.map((text) => h("li", {}, text)));

const windowsOfScores = (event) =>
  lines(
    event.windows.map(
      (w) =>
        event.check === "hourly"
          ? `${span(w.from, w.to)}: a part of the range holds ${percent(w.recent)} of ${count(w.recent_rows)} scores, and held ${percent(w.baseline)}`
          : `${span(w.from, w.to)}: D ${ratio(w.statistic)} (${ratio(w.interval?.[0] ?? null)} to ${ratio(w.interval?.[1] ?? null)}), ${count(w.recent_rows)} scores beside ${count(w.baseline_rows)}; mean ${ratio(w.recent)}, was ${ratio(w.baseline)}`,
    ),
  );

const windowsOfLabels = (event) =>
  lines(
    event.windows.map(
      (w) => `${span(w.from, w.to)}: ${metricName(w.metric)} ${ratio(w.recent)}, was ${ratio(w.baseline)}; ${count(w.recent_rows)} rows beside ${count(w.baseline_rows)}`,
    ),
  );
