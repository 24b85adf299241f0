// What several views share: tags, sparklines, dialogs, orders, messages.
import { ApiError, newKey, post } from "./api.js";
import { maySay, outdated } from "./judgement.js";
import { listen } from "./live.js";
import { h, s, replace, sentence, when, words } from "./dom.js";

export const session = { actor: "", role: "viewer" };
export const mayCommand = () => session.role === "operator";

export const severityTag = (severity) => h("span", { class: `tag ${severity ?? ""}` }, severity ?? "none");

/** A verdict as a tag: drift with its severity, no drift, or what is missing. No drift is good news of the newest check
 * alone; of any other it says of when it is. */
export function verdictTag(brief) {
  if (!brief) return h("span", { class: "tag" }, "not yet");
  if (brief.verdict === "drift")
    return h("span", { class: `tag ${brief.severity ?? "MEDIUM"}` }, `drift ${brief.severity ?? ""}`);
  if (brief.verdict === "no_drift")
    return maySay(brief.as_of)
      ? h("span", { class: "tag good" }, "no drift")
      : h("span", { class: "tag" }, "no drift on ", when(brief.as_of, false));
  return h("span", { class: "tag", title: "not enough data to tell" }, "insufficient data");
}

const JOB_CLASS = {
  idle: "",
  awaiting_approval: "warn",
  failed: "bad",
  halted: "bad",
  rolling_back: "bad",
  probation: "info",
};
export const jobTag = (job) =>
  job
    ? h("span", { class: `tag ${JOB_CLASS[job.state] ?? "info"}` }, words(job.state))
    : h("span", { class: "tag" }, "idle");

const FAILED = { train: "Training", activate: "Activation", rollback: "Rollback" };

/** What failed, since when, at which attempt and why; it stands until a success or a person ends it. */
export const failed = (failure) =>
  h(
    "span",
    { class: "failure" },
    `${FAILED[failure.command]} failed `,
    when(failure.at),
    `, attempt ${failure.attempt}: `,
    sentence(failure.reason),
  );

/** Thirty days of a metric as a small picture; gaps stay gaps. */
export function sparkline(values, name) {
  const known = values.filter((v) => v !== null);
  if (known.length < 2) return h("span", { class: "faint small" }, known.length ? "one day" : "no labels");
  const low = Math.min(...known),
    high = Math.max(...known);
  const span = Math.max(high - low, 0.02),
    middle = (low + high) / 2;
  const x = (n) => 2 + (n * 128) / Math.max(values.length - 1, 1);
  const y = (v) => 17 - ((v - middle) / span) * 27;
  let path = "",
    pen = "M",
    end = [0, 0];
  values.forEach((value, n) => {
    if (value === null) {
      pen = "M";
      return;
    }
    path += `${pen}${x(n).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
    end = [x(n), y(value)];
  });
  return s(
    "svg",
    {
      class: "spark",
      viewBox: "0 0 132 34",
      role: "img",
      "aria-label": `${name}, ${values.length} days, ${low.toFixed(2)} to ${high.toFixed(2)}`,
    },
    s("path", { d: path }),
    s("circle", { cx: end[0], cy: end[1], r: 2.4 }),
  );
}

export const meter = (value) =>
  h(
    "span",
    { class: `meter ${value !== null && value < 0.5 ? "low" : ""}`, "aria-hidden": "true" },
    h("i", { style: { width: `${Math.round((value ?? 0) * 100)}%` } }),
  );

export const empty = (title, ...text) => h("div", { class: "empty" }, h("h2", {}, title), ...text);
export const skeleton = (text = "Loading…") => h("p", { class: "skeleton" }, text);

/** Milliseconds until what could not be loaded because something was away is tried again. */
const RETRY_MS = 5_000;

/** An error as people should see it, with a way on. What is away comes back: then it is loaded without a hand. */
export function problem(error, again) {
  const told = error instanceof ApiError ? error.message : String(error);
  const box = h(
    "div",
    { class: "empty", role: "alert" },
    h("h2", {}, error.status === 404 ? "Nothing here" : "This could not be loaded"),
    h("p", {}, told),
    again && h("p", {}, h("button", { onclick: () => again() }, "Try again")),
  );
  if (again && (error.status === 503 || error.status === 0))
    setTimeout(() => box.isConnected && again(), RETRY_MS);
  return box;
}

export function toast(kind, ...children) {
  const box = h("div", { class: `toast ${kind}` }, ...children);
  document.getElementById("toasts")?.append(box);
  setTimeout(() => box.remove(), 9_000);
}

/** A dialog; `fill` builds its content and gets a function that closes it. */
export function dialog(heading, fill) {
  const box = h("dialog", { "aria-label": heading });
  const close = () => box.close();
  replace(box, h("h2", {}, heading), fill(close));
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

/**
 * Ask for a reason and send a command.
 * @param {object} asked
 * @param {string} asked.heading
 * @param {string} asked.text
 * @param {string} asked.button
 * @param {boolean} [asked.danger]
 * @param {string} asked.path of the request
 * @param {() => object} [asked.body] of the request, but for the reason
 * @param {Element[]} [asked.more] further fields
 */
export function command({ heading, text, button, danger = false, path, body = () => ({}), more = [] }) {
  const key = newKey();
  dialog(heading, (close) => {
    const reason = h("textarea", { required: true, maxlength: 1000, name: "reason", autofocus: true });
    const fault = h("p", { class: "problem", role: "alert" });
    const send = h("button", { class: `primary ${danger ? "danger" : ""}`, type: "submit" }, button);
    const submit = async (event) => {
      event.preventDefault();
      send.disabled = true;
      replace(fault);
      try {
        const { command_id } = await post(path, { ...body(), reason: reason.value.trim() }, key);
        close();
        follow(command_id, heading);
      } catch (error) {
        replace(fault, error.message);
        send.disabled = false;
      }
    };
    return h(
      "form",
      { onsubmit: submit },
      h("p", {}, text),
      ...more,
      h("label", { class: "field" }, h("span", {}, "Reason, kept in the audit"), reason),
      fault,
      h("div", { class: "row end" }, h("button", { type: "button", onclick: close }, "Cancel"), send),
    );
  });
}

/** Tell what became of an order, once the audit says it. */
function follow(id, heading) {
  toast("", h("b", {}, heading), h("p", { class: "small soft" }, "Sent. It takes effect with the next tick, and the audit says what became of it."));
  const end = listen((message) => {
    if (message.type !== "change" || message.topic !== "audit" || !message.record.inputs.ids.includes(id)) return;
    end();
    const { action, decision, reason } = message.record;
    const refused = decision === "refused" || decision === "rejected";
    toast(
      refused ? "bad" : "good",
      h("b", {}, `${words(action)}: ${words(decision)}`),
      h("p", { class: "small" }, sentence(reason)),
    );
  });
  setTimeout(end, 300_000);
}

/** @typedef {[string, (row: any) => any, { class?: string, label?: string }?]} Column heading, cell of a row, looks */

/**
 * A table of rows.
 * @param {Column[]} columns
 * @param {any[]} rows
 * @param {string} name
 */
export function table(columns, rows, name) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "rows", "aria-label": name },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map(([text, , o = {}]) =>
            h("th", { class: o.class?.includes("right") ? "right" : "", scope: "col" }, text),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            columns.map(([, cell, o = {}]) =>
              h("td", { class: o.class ?? "", "data-label": o.label ?? null }, cell(row)),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Safeguards with their answers. */
export const guards = (list) =>
  h(
    "ul",
    { class: "guards" },
    list.map((guard) =>
      h(
        "li",
        {},
        h(
          "span",
          { class: guard.passed ? "yes" : "no", "aria-label": guard.passed ? "passed" : "refused" },
          guard.passed ? "✓" : "✗",
        ),
        h("span", {}, words(guard.name)),
        h("span", { class: "soft" }, sentence(guard.reason)),
      ),
    ),
  );

/** A list that grows by pages: `fetch` asks for one, `draw` shows all rows. Returns `load`, which loads it anew, and
 * `again` for when what may be said has changed. */
export function paged({ list, more, current, fetch, draw }) {
  let rows = [],
    loaded = false;
  async function load(cursor = null, kept = false) {
    try {
      const page = await fetch({ cursor, limit: 50 });
      if (!current()) return;
      rows = cursor ? [...rows, ...page.items] : page.items;
      loaded = true;
      replace(list, draw(rows));
      replace(more, page.next ? h("button", { onclick: () => load(page.next) }, "Show more") : null);
    } catch (error) {
      if (current() && !(kept && loaded && error.status === 503)) replace(list, problem(error, () => load()));
    }
  }
  // what was loaded stays while the read model is away; the notice says from when it is
  const again = () => (outdated() ? loaded && replace(list, draw(rows)) : load(null, true));
  return { load: () => load(), again };
}
