// Commands about a model: what each does, and the dialog that sends it. A viewer sees why there are none.
import { modelPath } from "../api.js";
import { h, when } from "../dom.js";
import { command, mayCommand } from "../parts.js";
import { ago, short, zoneName } from "../time.js";

/** @typedef {{ name: string, does: any, open: () => void, look?: string, off?: string }} Offer a command that is possible now:
 * the text of its button, its consequence, and why it is off where it is */

/** When a request that waits for approval lapses, as RFC 3339; null where none waits. */
export function deadline(view) {
  if (view.job?.state !== "awaiting_approval") return null;
  return new Date(Date.parse(view.job.since) + view.rules.approval_lapses_h * 3_600_000).toISOString();
}

/** @returns {Offer[]} */
export function offers(model, view) {
  const path = `/models/${modelPath(model)}`;
  const versions = [...new Set((view.versions ?? []).flatMap((v) => [v.active_version, v.previous_version]))]
    .filter((v) => v && v !== view.active_version)
    .reverse();
  const lapses = deadline(view);
  const ask = (heading, text, button, action) => () => command({ heading, text, button, model, path: `${path}/${action}` });
  const found = /** @type {(Offer | false | null | undefined)[]} */ ([
    lapses && {
      name: "Approve…",
      look: "primary",
      does: ["The training that waits goes on; the other safeguards are evaluated again. Lapses ", when(lapses), ` ${zoneName()}, ${ago(lapses)}.`],
      open: ask(
        `Approve ${model}`,
        `What waits goes on; the other safeguards are evaluated again. Without an answer it lapses ${short(lapses)} ${zoneName()}.`,
        "Approve",
        "approve",
      ),
    },
    lapses && {
      name: "Reject…",
      does: "The training that waits is turned down, and counts for nothing.",
      open: ask(`Reject ${model}`, "What waits is turned down and counts for nothing.", "Reject", "reject"),
    },
    view.job?.circuit === "open" && {
      name: "Reset circuit…",
      does: `Trainings are allowed again after ${view.rules.circuit_failures} that failed or were taken back.`,
      open: ask(
        `Reset the circuit of ${model}`,
        `Trainings are allowed again after ${view.rules.circuit_failures} that failed or were taken back.`,
        "Reset the circuit",
        "reset_circuit",
      ),
    },
    view.job?.failure &&
      view.job.state !== "halted" && {
        name: "Dismiss failure…",
        does: "The failure is shown no longer. The back-off goes on, and it counts for the circuit.",
        open: ask(
          `Dismiss the failure of ${model}`,
          "It is shown no longer. The back-off goes on, and the failure counts for the circuit.",
          "Dismiss the failure",
          "dismiss",
        ),
      },
    {
      name: "Retrain…",
      does: `Trains on the last ${view.rules.retrain_range_days} days. Needs no drift and no approval; every other safeguard may refuse.`,
      open: ask(
        `Retrain ${model}`,
        `Trains on the last ${view.rules.retrain_range_days} days, needs no drift and no approval. Every other safeguard is evaluated, and refuses by name.`,
        "Retrain",
        "retrain",
      ),
    },
    {
      name: "Accept as normal…",
      does: `The baseline begins again today and the open drift alert ends. Nothing is compared for ${view.rules.initial_baseline_days} days and the ${view.rules.recent_days} after them.`,
      open: ask(
        `Accept the present of ${model}`,
        `Its baseline begins again today and its open drift alert ends. Nothing is compared until ${view.rules.initial_baseline_days} days from today and the ${view.rules.recent_days} recent ones after them are closed.`,
        "Accept as normal",
        "rebaseline",
      ),
    },
    {
      name: "Roll back…",
      look: "danger",
      does: "The deployer puts another version in place of the active one. Whatever job the model has ends.",
      off: versions.length ? "" : "there is no version to go back to",
      open: () => rollBack(model, view, versions, path),
    },
  ]);
  return /** @type {Offer[]} */ (found.filter(Boolean));
}

/** One command as a button. */
export const button = (offer) =>
  h("button", { class: offer.look ?? "", disabled: Boolean(offer.off), title: offer.off || null, onclick: offer.open, "data-key": offer.name }, offer.name);

/** Commands with what each does. */
export const withConsequences = (list) =>
  h(
    "ul",
    { class: "offers" },
    list.map((offer) =>
      h("li", { "data-key": offer.name }, button(offer), h("span", { class: "small" }, offer.does, offer.off ? ` Not now: ${offer.off}.` : "")),
    ),
  );

/** Buttons of a model; a viewer sees why there are none. */
export function actions(model, view) {
  if (!mayCommand()) return h("span", { class: "small soft" }, "Signed in as a viewer: commands need the operator role.");
  return h("div", { class: "row actions" }, offers(model, view).map(button));
}

function rollBack(model, view, versions, path) {
  const to = h(
    "select",
    {},
    versions.map((v) => h("option", { value: v }, v)),
  );
  const sure = h("input", { type: "checkbox", required: true });
  command({
    heading: `Roll back ${model}`,
    danger: true,
    button: "Roll back",
    model,
    path: `${path}/rollback`,
    body: () => ({ model_version: to.value }),
    text: `The deployer puts another version in place of ${view.active_version}. Whatever job the model has ends.`,
    more: [
      h("label", { class: "field" }, h("span", {}, "Version to activate"), to),
      h("label", { class: "row" }, sure, h("span", {}, `I mean ${model}.`)),
    ],
  });
}
