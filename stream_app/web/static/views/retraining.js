// Retraining: which models have a job, and for one of them its state, its safeguards and why not.
import { get, modelPath } from "../api.js";
import { h, prose, span, when, whole, words } from "../dom.js";
import { actions } from "./actions.js";
import { decisions } from "./audit.js";
import { empty, failed, guards, jobTag, kept, table } from "../parts.js";

export function open(main, model, current) {
  return opened(model === undefined ? overview(main, current) : ofModel(main, model, current));
}

async function opened(view) {
  await view.load();
  return view;
}

function overview(main, current) {
  return kept({
    main,
    current,
    fetch: () =>
      Promise.all([
        get("/trainings", { limit: 500 }),
        get("/audit", { action: "train", decision: "refused", limit: 10 }),
      ]),
    wanted: (message) => ["training-jobs", "audit"].includes(message.topic),
    draw: ([{ items }, refused]) => {
      /** @type {import("../parts.js").Column[]} */
      const columns = [
        [
          "Model",
          (row) => [
            h("a", { class: "name", href: `/retraining/${modelPath(row.model)}` }, row.model),
            h("div", { class: "small soft" }, row.active_version ?? ""),
          ],
          { class: "named" },
        ],
        [
          "Job",
          (row) => [
            jobTag(row.job),
            row.job.failure ? h("div", { class: "small soft wrap" }, failed(row.job.failure)) : null,
          ],
        ],
        ["Candidate", (row) => row.job.candidate_version ?? "–", { label: "candidate" }],
        ["Since", (row) => when(row.job.since), { label: "since" }],
        [
          "Circuit",
          (row) => h("span", { class: `tag ${row.job.circuit === "open" ? "bad" : "good"}` }, row.job.circuit),
          { label: "circuit" },
        ],
      ];
      return h(
          "div",
          { class: "stack" },
          h("h1", {}, "Retraining"),
          h(
            "div",
            { class: "card flush" },
            items.length
              ? table(columns, items, "Jobs")
              : empty(
                  "Nothing was ever retrained",
                  h(
                    "p",
                    {},
                    prose("A drift at HIGH or above asks for it, if the flags allow; `plumbline retrain MODEL` commands one manually."),
                  ),
                ),
          ),
          h(
            "section",
            { class: "card" },
            h("h2", {}, "Why not, most recently"),
            refused.items.length ? decisions(refused.items) : h("p", { class: "soft" }, "No training was refused."),
          ),
        );
    },
  });
}

function ofModel(main, model, current) {
  return kept({
    main,
    current,
    fetch: () =>
      Promise.all([get(`/models/${modelPath(model)}`), get("/trainings", { model }), get("/audit", { model, limit: 100 })]),
    wanted: (message) =>
      message.model === model &&
      ["training-jobs", "audit", "training-commands", "model-lifecycle"].includes(message.topic),
    draw: ([view, trainings, audit]) => shown(model, view, trainings.items[0], audit.items),
  });
}

function shown(model, view, training, audit) {
  const asked = audit.find((row) => ["train", "recalibrate"].includes(row.action) && row.safeguards.length);
  const refused = audit.filter((row) => row.action === "train" && row.decision === "refused");
  const job = training.job;
  return h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "row spread" },
        h(
          "div",
          {},
          h("h1", {}, "Retraining of ", h("a", { href: `/models/${modelPath(model)}` }, model)),
          h("p", { class: "soft" }, view.active_version ? `${view.active_version} is active.` : "No version is active."),
        ),
        actions(model, view),
      ),
      h(
        "section",
        { class: "card" },
        h(
          "div",
          { class: "row" },
          h("h2", { style: { margin: 0 } }, "State"),
          jobTag(job),
          job ? ["since ", when(job.since)] : null,
          job?.circuit === "open" ? h("span", { class: "tag bad" }, "circuit open") : null,
        ),
        steps(job),
        job?.failure ? h("p", { class: "problem" }, failed(job.failure)) : null,
        h("p", { class: "soft" }, explain(job?.state ?? "idle", view.rules)),
        job?.asked ? h("p", {}, "What waits: ", h("b", {}, words(job.asked))) : null,
        job?.candidate_version ? h("p", {}, "Candidate: ", h("b", {}, job.candidate_version)) : null,
        job?.recalibration ? h("p", { class: "small" }, expected(job.recalibration)) : null,
      ),
      h(
        "div",
        { class: "columns" },
        h(
          "div",
          { class: "column" },
          h(
            "section",
            { class: "card" },
            h("h2", {}, asked ? ["Safeguards, evaluated ", when(asked.at)] : "Safeguards"),
            asked
              ? [
                  h(
                    "p",
                    {},
                    h("span", { class: `tag ${asked.decision === "refused" ? "warn" : "good"}` }, words(asked.decision)),
                    " ",
                    prose(asked.reason),
                  ),
                  guards(asked.safeguards),
                ]
              : h("p", { class: "soft" }, "They are evaluated at the first drift, or by ", h("code", {}, "plumbline retrain"), "."),
          ),
          h(
            "section",
            { class: "card" },
            h("h2", {}, "Jobs"),
            training.history.length ? history(training.history) : h("p", { class: "soft" }, "None yet."),
          ),
        ),
        h(
          "div",
          { class: "column" },
          h(
            "section",
            { class: "card" },
            h("h2", {}, "Why not"),
            refused.length
              ? decisions(refused.slice(0, 8), false)
              : h("p", { class: "soft" }, "No training of this model was refused."),
          ),
          h(
            "section",
            { class: "card" },
            h("h2", {}, "Commands to trainer and deployer"),
            training.commands.length ? commands(training.commands) : h("p", { class: "soft" }, "None yet."),
          ),
        ),
      ),
      h(
        "section",
        { class: "card" },
        h("h2", {}, "Decisions"),
        audit.length ? decisions(audit.slice(0, 25), false) : h("p", { class: "soft" }, "None yet."),
      ),
  );
}

const PATH = ["requested", "training", "validating", "activating", "probation"];

const explain = (state, rules) => {
  const text = EXPLAIN[state] ?? "";
  return typeof text === "function" ? text(rules) : text;
};

const EXPLAIN = {
  idle: "Nothing is under way.",
  awaiting_approval: (rules) => `A person has to approve or reject it within ${rules.approval_lapses_h} hours.`,
  repairing:
    "The deployer has the command to recalibrate the active version: its scores moved and kept their order, so nothing need be trained.",
  requested: "The command was sent, and no trainer has accepted it yet.",
  training: "The trainer is at work.",
  validating: "The candidate is judged on rows it has not seen, beside the active version.",
  activating: "The deployer has the command to activate the candidate.",
  probation:
    "The new version is watched beside the last days of the one before; it is taken back if it is clearly worse.",
  rolling_back: "The deployer has the command to put the version before back.",
  failed:
    "This stands until a command of its kind succeeds or an operator dismisses it. After the back-off the next training may begin.",
  halted: "Trainings of this model are halted until an operator resets the circuit, which ends the failure too.",
};

const points = (share) => `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)}`;

/** What a repair is, and what it is expected to win back. */
const expected = ({ a, b, threshold, expected: { metric, gain, lower, upper } }) =>
  `Recalibration: slope ${a}, intercept ${b}, threshold ${threshold}. ` +
  `Expected: ${points(gain)} points of ${words(metric)}, 95 % between ${points(lower)} and ${points(upper)}.`;

function steps(job) {
  const now = PATH.indexOf(job?.state);
  const odd = job && now < 0 && job.state !== "idle";
  return h(
    "ol",
    { class: "steps", "aria-label": "Steps of a retraining" },
    odd ? h("li", { class: ["awaiting_approval", "repairing"].includes(job.state) ? "now" : "stop" }, words(job.state)) : null,
    PATH.map((name, n) =>
      h("li", { class: n === now ? "now" : n < now ? "done" : "", "aria-current": n === now ? "step" : null }, name),
    ),
  );
}

/** The newest twenty as a timeline: `head` beside the time, `body` below it. */
const timeline = (rows, head, body) =>
  h(
    "ul",
    { class: "timeline" },
    rows.slice(0, 20).map((row) => h("li", { "data-key": row.id }, h("div", { class: "row" }, when(row.at), head(row)), body(row))),
  );

const history = (rows) =>
  timeline(
    rows,
    (row) => [jobTag(row), row.attempt > 1 ? h("span", { class: "small soft" }, `attempt ${row.attempt}`) : null],
    (row) => (row.candidate_version ? h("div", { class: "small wrap" }, row.candidate_version) : null),
  );

const commands = (rows) =>
  timeline(
    rows,
    (row) => [
      h("b", {}, row.command),
      h("span", { class: "small soft wrap" }, row.candidate_version ?? row.model_version),
    ],
    (row) => [
      row.trigger ? h("div", { class: "small" }, whole(row.trigger.reason)) : null,
      row.data
        ? h(
            "div",
            { class: "small soft" },
            `Rows of ${span(row.data.train.from, row.data.train.to)}, ` +
              `judged on ${span(row.data.holdout.from, row.data.holdout.to)}.`,
          )
        : null,
      row.recalibration ? h("div", { class: "small soft" }, expected(row.recalibration)) : null,
    ],
  );
