// What can be done about an alert: each command with its consequence, by dialogs that keys alone can use.
import { h, prose, when } from "../dom.js";
import { command, mayCommand } from "../parts.js";
import { short, zoneName } from "../time.js";
import { offers, withConsequences } from "./actions.js";

const HOUR_MS = 3_600_000;

/**
 * The section "Do next". `able` says which commands about alerts this server takes.
 * @param {{ alert: any, view: any, mutes: any[] | null, able: Record<string, boolean> }} found
 */
export function doNext({ alert, view, mutes, able }) {
  const open = alert.status !== "resolved";
  const said = alert.verdict
    ? h("p", { class: "small" }, h("b", {}, `Said to be ${alert.verdict.verdict === "real" ? "a real alarm" : "a false alarm"}`), ` by ${alert.verdict.actor} `, when(alert.verdict.at), alert.verdict.note ? `: ${alert.verdict.note}` : "")
    : null;
  return h(
    "section",
    { class: "card half", "data-key": "do-next" },
    h("h2", {}, "Do next"),
    h("p", { class: "advice" }, prose(alert.recommendation)),
    alert.acknowledged_by ? h("p", {}, h("b", {}, `Taken by ${alert.acknowledged_by}`)) : open ? h("p", {}, "Nobody has taken it.") : null,
    said,
    muted(alert, mutes),
    mayCommand()
      ? withConsequences([...ofAlert(alert, open, able, running(mutes)), ...(open && view ? offers(alert.model, view) : [])])
      : h("p", { class: "small soft" }, "Signed in as a viewer: acknowledging and every other command needs the operator role."),
    missing(able) && mayCommand() ? h("p", { class: "small soft" }, missing(able)) : null,
  );
}

const NAMES = { unacknowledge: "taking back", verdict: "saying real or false", note: "notes", mutes: "muting" };
const missing = (able) => {
  const lacking = Object.keys(NAMES).filter((name) => !able[name]).map((name) => NAMES[name]);
  return lacking.length ? `This server does not offer yet: ${lacking.join(", ")}.` : "";
};

const running = (mutes) => mutes?.find((mute) => mute.until > new Date().toISOString()) ?? null;

function muted(alert, mutes) {
  const until = alert.muted_until ?? running(mutes)?.until;
  return until ? h("p", {}, h("b", {}, "Muted"), " until ", when(until), ` ${zoneName()}.`) : null;
}

/** @returns {import("./actions.js").Offer[]} */
function ofAlert(alert, open, able, current) {
  const path = `/alerts/${alert.id}`;
  const ask = (heading, text, button, action, more = {}) => () =>
    command({ heading, text, button, model: alert.model, path: `${path}/${action}`, ...more });
  const note = { name: "note", label: "Note, kept with the alert", required: true, most: 500 };
  const found = /** @type {(import("./actions.js").Offer | false)[]} */ ([
    open &&
      !alert.acknowledged_by && {
        name: "Acknowledge…",
        look: "primary",
        does: "You take it: no more reminders and no escalation. It stays open until the model is well.",
        open: ask("Take this alert", "No more reminders and no escalation; it stays open until the model is well.", "Take it", "acknowledge"),
      },
    open &&
      Boolean(alert.acknowledged_by) &&
      able.unacknowledge && {
        name: "Give back…",
        does: "It belongs to nobody again: reminders and escalation go on.",
        open: ask("Give this alert back", "It belongs to nobody again: reminders and escalation go on.", "Give it back", "unacknowledge"),
      },
    able.verdict && {
      name: "Real alarm…",
      does: "Counts for the precision of the rules that raised it. Nothing else changes.",
      open: ask("This alarm is real", "It counts for the precision of the rules that raised it. Nothing else changes.", "Say it is real", "verdict", {
        body: () => ({ verdict: "real" }),
        words: { ...note, required: false },
      }),
    },
    able.verdict && {
      name: "False alarm…",
      does: "Counts against the rules that raised it. The alert stays open until the checks are quiet.",
      open: ask("This alarm is false", "It counts against the rules that raised it. The alert stays open until the checks are quiet.", "Say it is false", "verdict", {
        body: () => ({ verdict: "false" }),
        words: { ...note, required: false },
      }),
    },
    able.note && {
      name: "Note…",
      does: "Words for whoever comes after you; they stay with the alert.",
      open: ask("Add a note", "It stays with the alert, for whoever comes after you.", "Add it", "note", { words: note }),
    },
    able.mutes &&
      current && {
        name: "Lift the mute…",
        does: "People are told of its alerts again, from the next daily check on.",
        open: () =>
          command({
            heading: "Lift the mute",
            text: "People are told of its alerts again, from the next daily check on.",
            button: "Lift it",
            model: alert.model,
            path: "/mutes/lift",
            body: () => (current.model ? { model: current.model } : { model_type: current.model_type }),
          }),
      },
    able.mutes && {
      name: "Mute until…",
      does: "No alert of this model, or of its type, is told to people until then. It is still recorded.",
      open: () => mute(alert),
    },
  ]);
  return /** @type {import("./actions.js").Offer[]} */ (found.filter(Boolean));
}

/** Ends of a mute that are usual: a day, the weekend, a week. */
export function muteEnds(now) {
  const monday = new Date(now);
  monday.setUTCHours(9, 0, 0, 0);
  do monday.setUTCDate(monday.getUTCDate() + 1);
  while (monday.getUTCDay() !== 1);
  return /** @type {[string, string][]} */ ([
    ["for 24 hours", new Date(now + 24 * HOUR_MS).toISOString()],
    ["over the weekend", monday.toISOString()],
    ["for 7 days", new Date(now + 168 * HOUR_MS).toISOString()],
  ]);
}

function mute(alert) {
  const [type] = alert.model.split(":");
  const about = h("select", {}, h("option", { value: "model" }, alert.model), h("option", { value: "type" }, `every model of type ${type}`));
  const until = h("select", {}, muteEnds(Date.now()).map(([name, at]) => h("option", { value: at }, `${name}, until ${short(at)} ${zoneName()}`)));
  command({
    heading: "Mute until",
    text: "Nobody is told of alerts until then; they are still recorded, and shown here. It can be lifted at any time.",
    button: "Mute",
    model: alert.model,
    path: "/mutes",
    body: () => ({ ...(about.value === "model" ? { model: alert.model } : { model_type: type }), until: until.value }),
    more: [
      h("label", { class: "field" }, h("span", {}, "What"), about),
      h("label", { class: "field" }, h("span", {}, "How long"), until),
    ],
  });
}

