// What several views share: tags, sparklines, dialogs, orders, messages.
import { ApiError, newKey, post } from "./api.js";
import { maySay, outdated, watch } from "./judgement.js";
import { follow } from "./commands.js";
import { listen, state } from "./live.js";
import { capital, ended, h, marked, s, replace, soon, when, words } from "./dom.js";
import { patch } from "./patch.js";

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
    ended(failure.reason),
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
    h("p", {}, marked(told)),
    again && h("p", {}, h("button", { onclick: () => again() }, "Try again")),
  );
  if (again && ![401, 403, 404, 422].includes(error.status))
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
  const before = document.activeElement;
  box.addEventListener("close", () => {
    box.remove();
    if (before instanceof HTMLElement && before.isConnected) before.focus();
  });
  document.body.append(box);
  box.showModal();
  return box;
}

/**
 * Ask for a reason and send a command.
 * @param {object} asked
 * @param {string} asked.heading
 * @param {string} asked.text what it does
 * @param {string} asked.button
 * @param {boolean} [asked.danger]
 * @param {string} asked.model that it is about; `*` for all
 * @param {string} asked.path of the request
 * @param {() => object} [asked.body] of the request, but for the words
 * @param {Element[]} [asked.more] further fields
 * @param {{ name: string, label: string, required: boolean, most?: number }} [asked.words] what is asked for in words
 */
export function command({ heading, text, button, danger = false, model, path, body = () => ({}), more = [], words: asked = REASON }) {
  const key = newKey();
  dialog(heading, (close) => {
    const said = h("textarea", { required: asked.required, maxlength: asked.most ?? 1000, name: asked.name, autofocus: true });
    const fault = h("p", { class: "problem", role: "alert" });
    const send = h("button", { class: `primary ${danger ? "danger" : ""}`, type: "submit" }, button);
    const submit = async (event) => {
      event.preventDefault();
      send.disabled = true;
      replace(fault);
      try {
        const written = said.value.trim();
        const { command_id } = await post(path, { ...body(), ...(written ? { [asked.name]: written } : {}) }, key);
        close();
        follow(command_id, heading, model);
      } catch (error) {
        replace(fault, error.status === 404 && error.code === "http" ? "This server does not take this command." : error.message);
        send.disabled = false;
      }
    };
    return h(
      "form",
      { onsubmit: submit },
      h("p", {}, text),
      state.degraded ? h("p", { class: "problem" }, `At present nothing answers (${state.reason}). The command is kept, and takes effect when a worker goes on.`) : null,
      ...more,
      h("label", { class: "field" }, h("span", {}, asked.label), said),
      fault,
      h("div", { class: "row end" }, h("button", { type: "button", onclick: close }, "Cancel"), send),
    );
  });
}

const REASON = { name: "reason", label: "Reason, kept in the audit", required: true };

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
            { "data-key": row.id ?? row.model ?? null },
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
        h("span", { class: "soft" }, capital(guard.reason)),
      ),
    ),
  );

/**
 * A view that is loaded, patched when something of it changes, and loaded again where that failed. What was loaded stays
 * meanwhile; the notice says from when it is.
 * @param {object} view
 * @param {Element} view.main
 * @param {() => boolean} view.current whether it is still what the address shows
 * @param {() => Promise<any>} view.fetch
 * @param {(found: any) => any} view.draw what to show of it
 * @param {(found: any) => void} [view.after] called once that stands in the page
 * @param {(message: any) => boolean} view.wanted whether a change concerns it
 */
export function kept({ main, current, fetch, draw, after = () => {}, wanted }) {
  let found = null,
    timer = null;
  function paint() {
    patch(main, draw(found));
    after(found);
  }
  async function load() {
    clearTimeout(timer);
    try {
      const answer = await fetch();
      if (!current()) return;
      found = answer;
      paint();
    } catch (error) {
      if (error.status === 401) throw error;
      if (!current()) return;
      if (!found || error.status === 404) patch(main, problem(error, load));
      else timer = setTimeout(again, RETRY_MS);
    }
  }
  const again = soon(() => current() && load(), 150, 1_000);
  const ends = [
    watch(() => current() && (outdated() ? found && paint() : again())),
    listen((message) => {
      if (message.type === "reset" || (message.type === "change" && wanted(message))) again();
    }),
  ];
  replace(main, skeleton());
  const close = () => {
    clearTimeout(timer);
    ends.forEach((end) => end());
  };
  return { load, again, paint: () => found && current() && paint(), close };
}

/** A list that grows by pages: `fetch` asks for one, `draw` shows all rows. Returns `load`, which begins anew, and
 * `again`, which loads as many rows as are shown. */
export function paged({ list, more, current, fetch, draw }) {
  let rows = [],
    loaded = false,
    asked = 0,
    aim = 0,
    ends = true,
    timer = null;
  const show = (next) => {
    ends = !next;
    patch(list, draw(rows));
    patch(more, next ? h("button", { onclick: () => load(next) }, "Show more") : null);
  };
  /** @param {string | null} [cursor] where to go on @param {number} [least] rows to load at least */
  async function load(cursor = null, least = 0) {
    const mine = ++asked;
    clearTimeout(timer);
    // a change that arrives before the answer begins anew, and must not lose the rows that were asked for
    aim = cursor ? rows.length + 50 : least;
    try {
      let found = cursor ? rows : [],
        at = cursor,
        page;
      do {
        page = await fetch({ cursor: at, limit: Math.min(500, Math.max(50, least - found.length)) });
        if (!current() || mine !== asked) return;
        found = [...found, ...page.items];
        at = page.next;
      } while (at && found.length < least);
      rows = found;
      loaded = true;
      aim = 0;
      show(at);
    } catch (error) {
      if (!current() || mine !== asked) return;
      // what was loaded stays; it is asked for again
      if (loaded && least) timer = setTimeout(again, RETRY_MS);
      else patch(list, problem(error, () => load()));
    }
  }
  const again = () => {
    if (outdated()) return loaded && patch(list, draw(rows));
    // of a list that was shown to its end, what has been added to it belongs to it too
    return load(null, Math.max(aim, rows.length + (ends ? 50 : 0)) || 1);
  };
  return { load: () => load(), again };
}
