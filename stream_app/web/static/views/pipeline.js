// The pipeline: who works, what stands still and why, how old the newest tick is, what was set aside, and what repairs it.
import { get, offered } from "../api.js";
import { age, count, h, sentence, when, words } from "../dom.js";
import { empty, kept, table } from "../parts.js";
import { ago, zoneName } from "../time.js";

/** Without a sign of life for so long, a process counts as away; it is asked for anew twice as often. */
const AWAY_MS = 30_000,
  ASKED_MS = 5_000;

export async function open(main, _part, current) {
  const view = kept({
    main,
    current,
    fetch: async () => ((await offered("/pipeline")) ? get("/pipeline") : null),
    wanted: () => false,
    draw: content,
  });
  await view.load();
  const timer = setInterval(() => document.visibilityState === "visible" && view.again(), ASKED_MS);
  return {
    close: () => {
      clearInterval(timer);
      view.close();
    },
  };
}

/** Whether somebody who was last seen then is away by now. */
export const away = (seen, now) => !seen || Date.parse(now) - Date.parse(seen) > AWAY_MS;

const seen = (at, now) => (at ? h("span", {}, away(at, now) ? h("span", { class: "tag bad" }, "away") : h("span", { class: "tag good" }, "seen"), " ", when(at), " ", age(at)) : h("span", { class: "tag" }, "never seen"));

function content(found) {
  if (!found)
    return h("div", { class: "stack" }, h("h1", {}, "Pipeline"), h("div", { class: "card" }, empty("This server cannot say it yet", h("p", {}, "`plumbline doctor` says what works and what does not."))));
  const now = found.at;
  return h(
    "div",
    { class: "stack" },
    h("div", {}, h("h1", {}, "Pipeline"), h("p", { class: "soft" }, "As it was ", when(now), ` ${zoneName()} (`, age(now), "). ", "`plumbline doctor` looks at more, from where it runs.")),
    problems(found.problems ?? []),
    facts(found, now),
    h(
      "div",
      { class: "grid" },
      section("Workers", found.workers?.length ? workers(found.workers, now) : none("No worker was seen.")),
      section("Lanes", found.lanes?.length ? lanes(found.lanes) : none("No lane is known.")),
      section("Daily checks today", found.checks_today?.length ? checks(found.checks_today) : none("No check was due yet.")),
      section("Dead-lettered records", letters(found.dead_letters?.reasons ?? [])),
    ),
  );
}

const none = (text) => h("p", { class: "soft padded" }, text);
const section = (title, content) => h("section", { class: "card flush half", "data-key": title }, h("h2", {}, title), content);

const problems = (rows) =>
  rows.length
    ? h(
        "section",
        { class: "card", "data-key": "problems" },
        h("h2", {}, rows.length === 1 ? "One thing needs a hand" : `${rows.length} things need a hand`),
        h("ul", { class: "plain" }, rows.map((row) => h("li", {}, h("b", {}, sentence(row.sentence)), row.remedy ? h("div", { class: "small" }, row.remedy) : null))),
      )
    : h("section", { class: "card", "data-key": "problems" }, h("p", {}, "Nothing that this page looks at needs a hand."));

function facts(found, now) {
  const fact = (name, value, more) => h("div", {}, h("dt", {}, name), h("dd", {}, value, more ? h("small", {}, more) : null));
  const { tick, bridge, trainer, deployer } = found;
  return h(
    "dl",
    { class: "card facts" },
    fact("Newest tick", tick?.at ? when(tick.at) : "none yet", tick?.at ? `written ${age_s(tick.age_s)}, ${words(tick.mode ?? "")}` : "without ticks nothing is checked"),
    fact("Bridge", bridge ? h("span", { class: "small" }, seen(bridge.last_seen, now)) : "not known", bridge ? `${count(bridge.deliveries)} delivered, ${count(bridge.failed)} failed` : null),
    fact("Trainer", h("span", { class: "small" }, seen(trainer?.last_seen, now))),
    fact("Deployer", h("span", { class: "small" }, seen(deployer?.last_seen, now))),
  );
}

const age_s = (seconds) => (seconds === null || seconds === undefined ? "at an unknown time" : ago(new Date(Date.now() - seconds * 1000).toISOString()));

const workers = (rows, now) =>
  table(
    [
      ["Worker", (row) => h("b", { class: "wrap" }, row.address)],
      ["State", (row) => (row.ready && !away(row.last_seen ?? now, now) ? h("span", { class: "tag good" }, "ready") : h("span", { class: "tag bad" }, row.ready ? "away" : "not ready")), { label: "state" }],
      ["Why", (row) => (row.reasons?.length ? row.reasons.map(sentence).join("; ") : "–"), { class: "wide wrap" }],
      ["Version", (row) => row.version ?? "–", { label: "version" }],
      ["Lag", (row) => count(row.lag), { class: "right num", label: "records behind" }],
      ["Last seen", (row) => [when(row.last_seen), " ", age(row.last_seen)], { label: "seen" }],
    ],
    rows.map((row) => ({ id: row.address, ...row })),
    "Workers",
  );

const lanes = (rows) =>
  table(
    [
      ["Stage", (row) => words(row.stage)],
      ["Partition", (row) => String(row.partition), { class: "right num", label: "partition" }],
      ["State", (row) => h("span", { class: `tag ${row.state === "open" ? "good" : row.state === "parked" ? "bad" : "warn"}` }, words(row.state)), { label: "state" }],
      ["Why", (row) => (row.sentence ? sentence(row.sentence) : "–"), { class: "wide wrap" }],
      ["Worker", (row) => row.worker ?? "–", { label: "worker", class: "wrap" }],
    ],
    // what stands still comes first
    rows.map((row) => ({ id: `${row.stage} ${row.partition}`, ...row })).sort((a, b) => Number(a.state === "open") - Number(b.state === "open")),
    "Lanes",
  );

const checks = (rows) =>
  table(
    [
      ["Check", (row) => words(row.check)],
      ["Done", (row) => `${count(row.done)} of ${count(row.expected)}`, { class: "right num" }],
      ["", (row) => h("span", { class: `tag ${row.done >= row.expected ? "good" : "warn"}` }, row.done >= row.expected ? "done" : "not all")],
    ],
    rows.map((row) => ({ id: row.check, ...row })),
    "Daily checks",
  );

function letters(rows) {
  if (!rows.length) return none("No record was set aside.");
  return h(
    "div",
    {},
    table(
      [
        ["Reason", (row) => h("b", {}, words(row.reason))],
        ["Records", (row) => count(row.count), { class: "right num", label: "records" }],
        [
          "For example",
          (row) =>
            row.sample
              ? [
                  row.sample.field ? [h("b", { class: "mono" }, row.sample.field), ": "] : null,
                  h("span", { class: "wrap" }, sentence(row.sample.message ?? "")),
                  h("div", { class: "small soft mono wrap" }, `${row.sample.topic} ${row.sample.partition} ${row.sample.offset}`, row.sample.at ? [" ", age(row.sample.at)] : null),
                ]
              : "–",
          { class: "wide" },
        ],
      ],
      rows.map((row) => ({ id: row.reason, ...row })),
      "Dead-lettered records",
    ),
    h("p", { class: "small soft padded" }, "Once what failed is repaired, ", h("span", { class: "mono" }, "plumbline dead-letters redrive --reason REASON --dry-run"), " sends them again."),
  );
}
