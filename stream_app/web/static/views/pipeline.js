// The pipeline: who works, what stands still and why, how old the newest tick is, what was set aside, and what repairs it.
import { get, offered } from "../api.js";
import { age, capital, count, h, prose, when, whole, words } from "../dom.js";
import { command, empty, kept, mayCommand, table } from "../parts.js";
import { ago, zoneName } from "../time.js";

/** Without a sign of life for so long, a worker counts as away. How often the page asks: what could not be used is to be
 * seen within five seconds. */
const AWAY_MS = 30_000,
  ASKED_MS = 2_000;

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

/** Whether a process works: it is in its group now, or was once and is not, or never was. */
const working = (process) =>
  h(
    "span",
    {},
    process.running ? h("span", { class: "tag good" }, "running") : process.last_seen ? h("span", { class: "tag bad" }, "stopped") : h("span", { class: "tag" }, "not running"),
    process.running || !process.last_seen ? null : [" since ", when(process.last_seen), " ", age(process.last_seen)],
  );

function content(found) {
  if (!found)
    return h("div", { class: "stack" }, h("h1", {}, "Pipeline"), h("div", { class: "card" }, empty("This server cannot say it yet", h("p", {}, prose("`plumbline doctor` says what works and what does not.")))));
  const now = found.at;
  return h(
    "div",
    { class: "stack" },
    h("div", {}, h("h1", {}, "Pipeline"), h("p", { class: "soft" }, "As it was ", when(now), ` ${zoneName()} (`, age(now), "). ", prose("`plumbline doctor` looks at more, from where it runs."))),
    problems(found.problems ?? []),
    facts(found),
    found.dead_letters?.reasons?.length ? section("Dead-lettered records", letters(found.dead_letters.reasons)) : null,
    section("Workers", found.workers?.length ? workers(found.workers, now) : none("No worker was seen.")),
    h(
      "div",
      { class: "columns" },
      h(
        "div",
        { class: "column" },
        section("Daily checks today", found.checks_today?.length ? checks(found.checks_today) : none("No check was due yet.")),
        found.dead_letters?.reasons?.length ? null : section("Dead-lettered records", none("No record was set aside.")),
      ),
      h("div", { class: "column" }, section("Lanes", found.lanes?.length ? lanes(found.lanes) : none("No lane is known."))),
    ),
  );
}

const none = (text) => h("p", { class: "soft padded" }, text);
const section = (title, content) => h("section", { class: "card flush", "data-key": title }, h("h2", {}, title), content);

const problems = (rows) =>
  rows.length
    ? h(
        "section",
        { class: "card", "data-key": "problems" },
        h("h2", {}, rows.length === 1 ? "One thing needs a hand" : `${rows.length} things need a hand`),
        h("ul", { class: "plain" }, rows.map((row) => h("li", {}, h("b", {}, prose(row.sentence)), row.remedy ? h("div", { class: "small" }, prose(row.remedy)) : null))),
      )
    : h("section", { class: "card", "data-key": "problems" }, h("p", {}, "Nothing that this page looks at needs a hand."));

function facts(found) {
  const fact = (name, value, more) => h("div", {}, h("dt", {}, name), h("dd", {}, value, more ? h("small", {}, more) : null));
  const { tick, bridge, trainer, deployer } = found;
  return h(
    "dl",
    { class: "card facts" },
    fact("Newest tick", tick?.at ? when(tick.at) : "none yet", tick?.at ? `Written ${age_s(tick.age_s)}, ${words(tick.mode ?? "")}.` : "Without ticks nothing is checked."),
    fact("Bridge", h("span", { class: "small" }, working(bridge)), bridge.deliveries === null ? "No destination is set here." : `${count(bridge.deliveries)} handled, ${count(bridge.failed)} refused by a destination.`),
    fact("Trainer", h("span", { class: "small" }, working(trainer)), "The reference trainer."),
    fact("Deployer", h("span", { class: "small" }, working(deployer)), "The reference predictor."),
  );
}

const age_s = (seconds) => (seconds === null || seconds === undefined ? "at an unknown time" : ago(new Date(Date.now() - seconds * 1000).toISOString()));

function workerTag(row, now) {
  if (row.ready && !away(row.last_seen ?? now, now)) return h("span", { class: "tag good" }, "ready");
  return h("span", { class: "tag bad" }, row.running ? "not ready" : row.last_seen ? "stopped" : "away");
}

const workers = (rows, now) =>
  table(
    [
      ["Worker", (row) => [h("b", { class: "wrap" }, row.address), row.host ? h("div", { class: "small soft" }, `on ${row.host}`) : null]],
      ["State", (row) => workerTag(row, now), { label: "state" }],
      ["Why", (row) => (row.reasons?.length ? whole(row.reasons.join("; ")) : null), { class: "wide wrap" }],
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
      ["Why", (row) => (row.sentence ? prose(row.sentence) : null), { class: "wide wrap" }],
      ["Worker", (row) => row.worker ?? "–", { label: "worker", class: "wrap" }],
    ],
    // what stands still comes first
    rows.map((row) => ({ id: `${row.stage} ${row.partition}`, ...row })).sort((a, b) => Number(a.state === "open") - Number(b.state === "open")),
    "Lanes",
  );

const doneTag = ({ done, expected }) =>
  h("span", { class: `tag ${!expected ? "" : done >= expected ? "good" : "warn"}` }, !expected ? "no model yet" : done >= expected ? "done" : "not all");

const checks = (rows) =>
  table(
    [
      ["Check", (row) => capital(words(row.check))],
      ["Done", (row) => `${count(row.done)} of ${count(row.expected)}`, { class: "right num" }],
      ["", doneTag],
    ],
    rows.map((row) => ({ id: row.check, ...row })),
    "Daily checks",
  );

function letters(rows) {
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
                  h("span", { class: "wrap" }, prose(row.sample.message)),
                  h("div", { class: "small soft mono wrap" }, `${row.sample.topic}[${row.sample.partition}]@${row.sample.offset}`, row.sample.at ? [" ", age(row.sample.at)] : null),
                  row.sample.fields ? h("details", { class: "small", "data-key": `sample ${row.reason}` }, h("summary", {}, "Fields of this record"), h("p", { class: "mono wrap" }, row.sample.fields.join(", ")), h("p", { class: "soft" }, prose("Values may be personal; `plumbline dead-letters list --show-payload` shows them."))) : null,
                ]
              : "–",
          { class: "wide" },
        ],
        ["Send again", (row) => again(row), { label: "send again" }],
      ],
      rows.map((row) => ({ id: row.reason, ...row })),
      "Dead-lettered records",
    ),
    h(
      "p",
      { class: "small soft padded" },
      mayCommand()
        ? "Repair the cause first: what fails again comes back here. Each record is sent once, however often it is asked for. Records that need another field, name or time are repaired on the way by "
        : "Sending them again needs the operator role, or, where this runs, ",
      h("span", { class: "mono" }, "plumbline dead-letters redrive --reason REASON --help"),
      ".",
    ),
  );
}

/** Reasons whose records cannot be sent: their bytes are not there whole, or came from no input. */
const STAYS = ["oversized", "unreadable_record", "unreadable_batch", "unmappable", "refused_by_destination"];

function again(row) {
  if (STAYS.includes(row.reason)) return h("span", { class: "small soft" }, "Cannot be sent: it is not whole, or is from no input.");
  if (!mayCommand()) return h("span", { class: "small soft" }, "Operators can.");
  const open = () =>
    command({
      heading: `Send again: ${words(row.reason)}`,
      text: `Every dead-lettered record with the reason ${words(row.reason)} goes to the topic it came from, as it is, once. What was sent before is not sent twice; what fails again comes back.`,
      button: "Send again",
      model: "*",
      path: "/dead-letters/redrive",
      body: () => ({ dead_letter_reason: row.reason }),
    });
  return h("button", { onclick: open, "data-key": `redrive ${row.reason}` }, "Redrive…");
}
