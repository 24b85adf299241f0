// Every decision with its grounds.
import { get, modelPath } from "../api.js";
import { listen } from "../live.js";
import { watch } from "../judgement.js";
import { h, prose, replace, soon, when, words } from "../dom.js";
import { empty, guards, paged, skeleton } from "../parts.js";
import { remember } from "../range.js";

export async function open(main, _part, current) {
  const query = new URLSearchParams(location.search);
  const asked = { model: query.get("model") ?? "", actor: query.get("actor") ?? "", action: query.get("action") ?? "" };
  const list = h("div", { class: "card" }, skeleton()),
    more = h("p", {});
  const field = (name, text) => {
    const input = h("input", {
      type: "search",
      placeholder: text,
      "aria-label": text,
      value: asked[name],
      oninput: soon(() => {
        if (!current()) return;
        asked[name] = input.value.trim();
        remember({ [name]: asked[name] });
        load();
      }, 300),
    });
    return input;
  };

  const { load, again } = paged({
    list,
    more,
    current,
    fetch: (page) => get("/audit", { ...asked, ...page }),
    draw: (rows) =>
      rows.length
        ? decisions(rows)
        : empty(
            "No such decision",
            h("p", {}, prose("The last 10,000 decisions stand here; `plumbline audit` reads all of them.")),
          ),
  });

  replace(
    main,
    h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row spread" },
        h("h1", {}, "Audit"),
        h("div", { class: "row" }, field("model", "Model"), field("action", "Action"), field("actor", "Actor")),
      ),
      list,
      more,
    ),
  );
  const later = soon(again, 200, 800);
  const ends = [
    watch(() => current() && again()),
    listen((message) => {
      if (message.type === "reset" || (message.type === "change" && message.topic === "audit")) later();
    }),
  ];
  await load();
  return { close: () => ends.forEach((end) => end()) };
}

/** Decisions as a timeline. */
export const decisions = (rows, withModel = true) =>
  h(
    "ul",
    { class: "timeline" },
    rows.map((row) =>
      h(
        "li",
        { "data-key": row.id },
        h(
          "div",
          { class: "row" },
          when(row.at),
          h("b", {}, words(row.action)),
          h("span", { class: `tag ${TONE[row.decision] ?? ""}` }, words(row.decision)),
          withModel &&
            (row.model === "*"
              ? h("span", { class: "soft" }, "all models")
              : h("a", { href: `/models/${modelPath(row.model)}` }, row.model)),
          h("span", { class: "soft small" }, `by ${row.actor}`),
        ),
        row.count > 1
          ? h("div", { class: "small soft" }, `${row.count} times since `, when(row.first_at), ", the last as above.")
          : null,
        h("div", { class: "wrap" }, prose(row.reason)),
        row.safeguards.length
          ? h(
              "details",
              {},
              h(
                "summary",
                { class: "small soft" },
                `${row.safeguards.length} safeguards, settings ${row.inputs.settings_hash}`,
              ),
              guards(row.safeguards),
            )
          : null,
      ),
    ),
  );

const TONE = {
  refused: "warn",
  rejected: "warn",
  failed: "bad",
  rolled_back: "bad",
  passed: "good",
  activated: "good",
  kept: "good",
  ordered: "info",
  applied: "info",
  approved: "good",
  dismissed: "info",
  resolved: "good",
};
