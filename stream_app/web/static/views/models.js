// Every model, the one that needs people most first.
import { get, modelPath } from "../api.js";
import { maySay, outdated, quality, watch } from "../judgement.js";
import { listen } from "../live.js";
import { count, h, metricName, percent, ratio, replace, soon, when, words } from "../dom.js";
import { empty, jobTag, meter, problem, severityTag, skeleton, sparkline, table, verdictTag } from "../parts.js";

const STATES = [
  ["", "All"],
  ["alert", "Alerts"],
  ["drift", "Drift"],
  ["job", "Jobs"],
  ["quiet", "No findings"],
];

export async function open(main, _part, current) {
  const query = new URLSearchParams(location.search);
  const asked = { q: query.get("q") ?? "", state: query.get("state") ?? "" };
  let rows = [],
    next = null,
    total = 0,
    loaded = false;
  const heading = h("p", { class: "soft" });
  const list = h("div", { class: "card flush" }, skeleton());
  const more = h("p", {});
  const search = h("input", {
    type: "search",
    placeholder: "Model or version",
    "aria-label": "Search models",
    value: asked.q,
    oninput: soon(() => {
      asked.q = search.value.trim();
      remember();
      load();
    }, 200),
  });
  const segments = h("div", { class: "segments", role: "group", "aria-label": "Show" });
  const choose = (state) => {
    asked.state = state;
    remember();
    buttons();
    load();
  };
  const buttons = () =>
    replace(
      segments,
      STATES.map(([state, text]) =>
        h("button", { "aria-pressed": String(asked.state === state), onclick: () => choose(state) }, text),
      ),
    );

  function remember() {
    const kept = new URLSearchParams(Object.entries(asked).filter(([, value]) => value));
    history.replaceState(null, "", kept.size ? `/?${kept}` : "/");
  }

  async function load(cursor = null, kept = false) {
    const limit = cursor ? 50 : Math.min(200, Math.max(50, rows.length));
    try {
      const page = await get("/models", { ...asked, cursor, limit });
      if (!current()) return;
      rows = cursor ? [...rows, ...page.items] : page.items;
      ({ next, total } = page);
      loaded = true;
      paint();
    } catch (error) {
      // what was loaded stays while the read model is away; the notice says from when it is
      if (current() && !(kept && loaded && error.status === 503))
        replace(
          list,
          problem(error, () => load()),
        );
    }
  }

  function paint() {
    const found = `${count(total)} ${total === 1 ? "model" : "models"}${asked.q || asked.state ? " found" : ""}. `;
    replace(heading, total ? found : "", h("span", { class: "quality" }, quality()));
    replace(list, rows.length ? fleet(rows) : nothing(asked));
    replace(
      more,
      next ? h("button", { onclick: () => load(next) }, `Show more (${count(total - rows.length)} left)`) : null,
    );
  }

  buttons();
  replace(
    main,
    h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row spread" },
        h("div", {}, h("h1", {}, "Models"), heading),
        h("div", { class: "row" }, search, segments),
      ),
      list,
      more,
    ),
  );
  const again = () => load(null, true);
  const urgent = soon(again, 150, 600),
    later = soon(again, 1_500, 3_000);
  const ends = [
    watch(() => current() && (outdated() ? loaded && paint() : again())),
    listen((message) => {
      if (message.type === "reset") urgent();
      if (message.type !== "change") return;
      if (["alerts", "training-jobs", "model-lifecycle"].includes(message.topic)) urgent();
      else if (["metric-snapshots", "drift-events"].includes(message.topic)) later();
    }),
  ];
  await load();
  return { close: () => ends.forEach((end) => end()) };
}

function fleet(rows) {
  return table(
    [
      [
        "Model",
        (row) => [
          h("a", { class: "name", href: `/models/${modelPath(row.model)}` }, row.model),
          h("div", { class: "small soft" }, row.traffic.sentence),
        ],
      ],
      ["Needs", needs, { class: "wide needs" }],
      [
        "Metric, 7 days",
        (row) => [
          h("span", { class: "num" }, `${metricName(row.metric.name)} ${ratio(row.metric.value)}`),
          row.metric.low === null
            ? null
            : h("div", { class: "small soft num" }, `${ratio(row.metric.low)} to ${ratio(row.metric.high)}`),
        ],
        {},
      ],
      ["30 days", (row) => sparkline(row.trend, metricName(row.metric.name)), {}],
      [
        "Labelled",
        (row) => [
          meter(row.coverage),
          h("span", { class: "num" }, percent(row.coverage)),
          h(
            "div",
            { class: "small soft num" },
            row.date ? [`of ${count(row.predictions)} on `, when(row.date)] : "no closed day",
          ),
          row.so_far.map((day) =>
            h("div", { class: "small soft num" }, `${count(day.predictions)} so far on `, when(day.date)),
          ),
        ],
        { label: "labelled" },
      ],
      ["Scores", (row) => verdictTag(row.drift.statistical), { label: "scores" }],
      ["Performance", (row) => verdictTag(row.drift.performance), { label: "performance" }],
      ["Job", (row) => jobTag(row.job), { label: "job" }],
    ],
    rows,
    "Models",
  );
}

function needs(row) {
  if (!row.reasons.length) return unneeding(row);
  return h(
    "div",
    { class: "row" },
    row.alert
      ? h(
          "a",
          { href: `/alerts/${row.alert.id}`, title: row.alert.summary },
          severityTag(row.alert.severity),
          row.alert.acknowledged_by
            ? h("span", { class: "small soft" }, ` taken by ${row.alert.acknowledged_by}`)
            : null,
        )
      : null,
    row.reasons
      .filter((reason) => !reason.includes("alert"))
      .map((reason) => h("span", { class: `tag ${SEVERITY.exec(reason)?.[0] ?? "warn"}` }, reason)),
  );
}

const SEVERITY = /^(MEDIUM|HIGH|CRITICAL)(?= )/;

/** A model without a finding: nothing of what was judged, or why it was not judged. */
function unneeding(row) {
  const close = row.standing === "judged" ? row.drift.performance.as_of : null;
  if (close && maySay(close)) return h("span", { class: "faint small" }, "nothing");
  return h("span", { class: "soft small" }, close ? ["no finding on ", when(close, false)] : words(row.standing));
}

function nothing(asked) {
  if (asked.q || asked.state) return empty("No model fits", h("p", {}, "Search for less, or choose All."));
  return empty(
    "No models yet",
    h("p", {}, "Models appear with their first closed hour of predictions."),
    h(
      "p",
      {},
      "Start a worker with `plumbline worker`, and send predictions to the topic ml.predictions, or try `make demo`.",
    ),
  );
}
