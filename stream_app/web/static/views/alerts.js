// Alerts: open ones first to see, resolved ones to look back at.
import { get, modelPath } from "../api.js";
import { quality, watch } from "../judgement.js";
import { listen } from "../live.js";
import { age, h, prose, replace, soon, title, when, whole } from "../dom.js";
import { empty, paged, severityTag, skeleton, table } from "../parts.js";
import { remember } from "../range.js";

/** @type {import("../parts.js").Column[]} */
const COLUMNS = [
  ["Severity", (row) => severityTag(row.severity)],
  [
    "Model",
    (row) => [
      h("a", { class: "name", href: `/alerts/${row.id}` }, row.model),
      h("div", { class: "small soft" }, h("a", { href: `/models/${modelPath(row.model)}` }, "Model"), ` ${row.model_version}`),
    ],
    { class: "wide named" },
  ],
  [
    "What",
    (row) => [
      h("div", {}, prose(row.summary)),
      row.status === "resolved" ? h("span", { class: "small soft" }, whole(row.resolution)) : null,
    ],
    { class: "wide" },
  ],
  ["Opened", (row) => [when(row.opened_at), h("div", { class: "small" }, age(row.opened_at))], { label: "opened" }],
  [
    "Taken by",
    (row) =>
      row.acknowledged_by ??
      h("span", { class: row.status === "resolved" ? "soft" : "tag warn" }, row.status === "resolved" ? "–" : "nobody"),
    { label: "taken by" },
  ],
];

export async function open(main, _part, current) {
  const named = new URLSearchParams(location.search).get("status") ?? "open";
  const asked = { status: named === "resolved" ? named : named === "all" ? "" : "open" };
  const list = h("div", { class: "card flush" }, skeleton()),
    more = h("p", {});
  const segments = h("div", { class: "segments", role: "group", "aria-label": "Show" });
  const buttons = () =>
    replace(
      segments,
      [
        ["open", "Open"],
        ["resolved", "Resolved"],
        ["", "All"],
      ].map(([status, text]) =>
        h(
          "button",
          {
            "aria-pressed": String(asked.status === status),
            onclick: () => {
              asked.status = status;
              remember({ status: status === "open" ? null : status || "all" });
              buttons();
              load();
            },
          },
          text,
        ),
      ),
    );

  const { load, again } = paged({
    list,
    more,
    current,
    fetch: (page) => get("/alerts", { ...asked, ...page }),
    draw: (rows) => (rows.length ? table(COLUMNS, rows, "Alerts") : nothing(asked)),
  });

  buttons();
  replace(
    main,
    h("div", { class: "stack" }, h("div", { class: "row spread" }, h("h1", {}, "Alerts"), segments), list, more),
  );
  const later = soon(again, 100, 400);
  const ends = [
    watch(() => current() && again()),
    listen((message) => {
      if (message.type === "reset" || (message.type === "change" && message.topic === "alerts")) later();
    }),
  ];
  await load();
  return { close: () => ends.forEach((end) => end()) };
}

const nothing = ({ status }) =>
  empty(
    status === "open" ? "No open alerts" : "No alerts",
    h(
      "p",
      {},
      status === "open"
        ? quality()
        : `${title(status || "such")} alerts of the last 90 days stand here.`,
    ),
  );
