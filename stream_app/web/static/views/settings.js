// Settings: what holds, what it means, who changed it, and what another threshold would have done.
import { get } from "../api.js";
import { listen } from "../live.js";
import { count, h, replace, soon, when, words } from "../dom.js";
import { patch } from "../patch.js";
import { decisions } from "./audit.js";
import { dialog, mayCommand, command, problem, severityTag, skeleton } from "../parts.js";
import { remember } from "../range.js";

/** Range of the slider of a threshold: least, most, step. */
const RANGES = {
  drop_points: [1, 20, 0.5],
  drop_high_points: [2, 40, 0.5],
  drop_critical_points: [5, 60, 1],
  drop_min_denominator: [1, 500, 1],
  ks_min_distance: [0, 0.5, 0.01],
  ks_high_bound: [0, 0.5, 0.01],
  ks_critical_bound: [0.02, 0.8, 0.01],
  ks_one_day_bound: [0, 0.9, 0.01],
  ks_p_value: [0.0001, 0.2, 0.0005],
  ks_min_samples: [2, 2000, 10],
};

export async function open(main, _part, current) {
  let items = [],
    audit = [],
    filter = (new URLSearchParams(location.search).get("q") ?? "").trim().toLowerCase();
  const list = h("div", {}),
    trail = h("div", {});
  const search = h("input", {
    type: "search",
    placeholder: "Name or meaning",
    "aria-label": "Search settings",
    value: filter,
    oninput: soon(() => {
      if (!current()) return;
      filter = search.value.trim().toLowerCase();
      remember({ q: filter });
      paint();
    }, 120),
  });

  async function load() {
    try {
      const [found, changes] = await Promise.all([get("/settings"), get("/audit", { action: "set", limit: 20 })]);
      if (!current()) return;
      items = found.items;
      audit = changes.items;
      paint();
    } catch (error) {
      if (error.status === 401) throw error;
      if (!current()) return;
      if (items.length) setTimeout(() => current() && load(), 5_000);
      else replace(list, problem(error, load));
    }
  }

  function paint() {
    const rows = items.filter(
      (item) => !filter || `${item.key} ${item.doc} ${item.model}`.toLowerCase().includes(filter),
    );
    /** @type {[string, any[]][]} */
    const groups = [
      ["Changed", rows.filter(changed)],
      ["Thresholds with a preview", rows.filter((r) => !changed(r) && r.previewable)],
      ["Others that can change while it runs", rows.filter((r) => !changed(r) && !r.previewable && r.changeable)],
      ["Fixed when the workers start", rows.filter((r) => !changed(r) && !r.changeable)],
    ];
    patch(
      list,
      groups
        .filter(([, group]) => group.length)
        .map(([name, group]) =>
          h(
            "section",
            { class: "card", style: { marginBottom: "1rem" }, "data-key": name },
            h(
              "details",
              { open: Boolean(filter) || group[0].previewable || changed(group[0]) },
              h("summary", {}, h("h2", { style: { display: "inline" } }, `${name} (${group.length})`)),
              h("div", { style: { marginTop: ".6rem" } }, group.map(row)),
            ),
          ),
        ),
      rows.length ? null : h("p", { class: "soft" }, "No setting fits."),
    );
    patch(trail, h("h2", {}, "Changes"), audit.length ? decisions(audit) : h("p", { class: "soft" }, "None yet."));
  }

  replace(
    main,
    h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row spread" },
        h(
          "div",
          {},
          h("h1", {}, "Settings"),
          h("p", { class: "soft" }, "Changes hold from the next tick on, survive restarts, and stand in the audit."),
        ),
        search,
      ),
      h("div", { class: "grid" }, h("div", { class: "two" }, list), h("section", { class: "card third short" }, trail)),
    ),
  );
  replace(list, skeleton());
  const again = soon(load, 150, 600);
  const end = listen((message) => {
    if (
      message.type === "reset" ||
      (message.type === "change" &&
        (message.topic === "settings" || (message.topic === "audit" && message.record.action === "set")))
    )
      again();
  });
  await load();
  return { close: end };
}

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const changed = (item) => item.actor !== null && (item.model !== "*" || text(item.value) !== text(item.default));

function row(item) {
  return h(
    "div",
    { "data-key": `${item.model}|${item.key}`, style: { borderTop: "1px solid var(--rule)", padding: ".6rem 0" } },
    h(
      "div",
      { class: "row spread" },
      h(
        "span",
        {},
        h("b", { class: "mono wrap" }, item.key),
        item.model === "*" ? null : h("span", { class: "tag info" }, item.model),
        " = ",
        h("span", { class: "mono wrap" }, text(item.value)),
        text(item.value) === text(item.default)
          ? null
          : h("span", { class: "small soft" }, ` default ${text(item.default)}`),
      ),
      item.changeable
        ? h(
            "span",
            { class: "row" },
            item.previewable && RANGES[item.key] ? h("button", { onclick: () => preview(item) }, "Preview…") : null,
            mayCommand() ? h("button", { onclick: () => change(item) }, "Change…") : null,
          )
        : null,
    ),
    h("p", { class: "small soft" }, item.doc),
    item.actor ? h("p", { class: "small" }, `${item.actor}, `, when(item.at), `: ${item.reason}`) : null,
  );
}

function change(item, value = item.value) {
  const input = h("input", { value: text(value), required: true });
  const model = h("input", { value: item.model, required: true, disabled: !item.per_model || item.key.includes(".") });
  command({
    heading: `Change ${item.key}`,
    text: item.doc,
    button: "Change it",
    path: "/settings",
    model: item.model,
    body: () => ({ model: model.value.trim(), key: item.key, value: parse(input.value.trim()) }),
    more: [
      h("label", { class: "field" }, h("span", {}, "Value, as JSON; null takes a change back"), input),
      h("label", { class: "field" }, h("span", {}, "For: * is all models, or TYPE:TENANT"), model),
    ],
  });
}

function parse(value) {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** Move a threshold and see which alerts would have come and gone. */
function preview(item) {
  const [least, most, step] = RANGES[item.key];
  dialog(`What if ${item.key} stood elsewhere`, (close) => {
    const out = h("div", { role: "status", "aria-live": "polite" }, skeleton());
    const slider = h("input", {
      type: "range",
      min: least,
      max: most,
      step,
      value: item.value,
      "aria-label": item.key,
    });
    const number = h("input", {
      type: "number",
      min: least,
      max: most,
      step: "any",
      value: item.value,
      "aria-label": `${item.key}, as a number`,
    });
    let mine = 0;
    const load = soon(
      async () => {
        const asked = ++mine;
        try {
          const found = await get("/settings/impact", {
            key: item.key,
            value: number.value,
            model: item.model === "*" ? null : item.model,
          });
          if (asked === mine) replace(out, outcome(found));
        } catch (error) {
          if (asked === mine) replace(out, h("p", { class: "problem" }, error.message));
        }
      },
      200,
      800,
    );
    slider.addEventListener("input", () => {
      number.value = slider.value;
      load();
    });
    number.addEventListener("input", () => {
      slider.value = number.value;
      load();
    });
    load();
    return h(
      "div",
      {},
      h("p", { class: "small soft" }, item.doc),
      h("div", { class: "row" }, h("div", { class: "grow" }, slider), number),
      out,
      h(
        "p",
        { class: "small soft" },
        "Stored comparisons of the last 90 days are judged again. What the threshold would have done to later baselines is not followed.",
      ),
      h(
        "div",
        { class: "row end" },
        h("button", { onclick: close }, "Close"),
        mayCommand()
          ? h(
              "button",
              {
                class: "primary",
                onclick: () => {
                  close();
                  change(item, Number(number.value));
                },
              },
              "Change to this…",
            )
          : null,
      ),
    );
  });
}

function outcome(found) {
  const list = (rows, total, word) =>
    total
      ? h(
          "details",
          { open: rows.length <= 6 },
          h("summary", {}, `${count(total)} ${word}`),
          rows.map((e) =>
            h(
              "p",
              { class: "small" },
              severityTag(e.severity),
              ` ${e.model}, `,
              when(e.first),
              e.first === e.last ? "" : [" to ", when(e.last)],
              h("span", { class: "soft" }, ` ${e.kinds.map(words).join(" and ")}`),
            ),
          ),
        )
      : h("p", { class: "soft" }, `None ${word}.`);
  return h(
    "div",
    { class: "stack" },
    h(
      "p",
      { class: "lead num" },
      `${count(found.before)} ${found.before === 1 ? "alert" : "alerts"} at ${found.current}, ${count(found.after)} at ${found.value}`,
    ),
    h("p", { class: "small soft" }, `${count(found.events)} comparisons of ${count(found.models)} models`),
    list(found.come, found.come_total, "would have come"),
    list(found.gone, found.gone_total, "would not have been"),
  );
}
