// How many hourly alarms may be false this month and how many were, beside how often each rule was right by what people
// said of its alarms: in few words beside the heading of the first page.
import { get, offered } from "../api.js";
import { count, h, percent, replace, words } from "../dom.js";

/** The budget of hourly alarms, and of each rule and type the precision with its bounds. */
export function budget(current) {
  const box = h("details", { class: "facet budget", hidden: true });
  fill(box, current).catch(() => {});
  return box;
}

async function fill(box, current) {
  if (!(await offered("/precision"))) return;
  const [{ rules }, found] = await Promise.all([get("/precision"), (await offered("/budget")) ? get("/budget") : null]);
  if (!current()) return;
  const real = rules.reduce((sum, rule) => sum + rule.real, 0),
    wrong = rules.reduce((sum, rule) => sum + rule.false, 0);
  const judged = real + wrong ? `${wrong} of ${real + wrong} judged alarms were false` : "no alarm was judged yet";
  const told = found ? budgetWords(found) : null;
  box.hidden = false;
  replace(
    box,
    h("summary", {}, told ? `${told.head}; ${judged}` : judged.replace(/^n/, "N")),
    h(
      "div",
      { class: "choices" },
      told ? [h("h2", {}, "False-alarm budget of hourly alarms"), told.lines.map((line) => h("p", { class: "small" }, line))] : null,
      h("h2", {}, "Measured precision, all alarms of 90 days"),
      rules.length
        ? rules.map((rule) =>
            h(
              "p",
              { class: "small" },
              h("b", {}, `${rule.model_type}, ${words(rule.rule)}: `),
              `${rule.real} real, ${rule.false} false`,
              rule.precision === null || rule.precision === undefined ? "" : `, precision ${percent(rule.precision)} (${percent(rule.lower)} to ${percent(rule.upper)})`,
              rule.advice ? h("span", { class: "soft" }, ` ${rule.advice}`) : null,
            ),
          )
        : h("p", { class: "small soft" }, "Say on an alert's page whether it was real or false; the precision of each rule stands here then."),
    ),
  );
}

/** A small number of alarms a month, so that it can be read: 0.036, and how many months one takes. */
export const amount = (value) => (value >= 10 ? count(Math.round(value)) : value >= 1 ? value.toFixed(1) : value === 0 ? "0" : String(Number(value.toPrecision(2))));
const rate = (value) => `${amount(value)} a month${value > 0 && value < 1 ? `, one in ${count(Math.round(1 / value))} months` : ""}`;
const models = (n) => `${count(n)} ${n === 1 ? "model" : "models"}`;

/** What an answer of `/budget` says: a head for the closed box, and sentences. */
export function budgetWords(found) {
  const { on, shadow, off } = found.models;
  const month = found.month ? new Date(`${found.month}-15T00:00:00Z`).toLocaleDateString("en-GB", { month: "long", year: "numeric", timeZone: "UTC" }) : "this month";
  const lines = [];
  if (on) {
    lines.push(`Allowed: ${models(on)} with hourly alarms may have ${rate(found.allowed.on)} that are false, all together (setting false_alert_budget).`);
    const unsaid = found.not_judged ? `, ${count(found.not_judged)} not judged yet` : "";
    lines.push(`Spent in ${month}: ${count(found.false)} of ${count(found.alarms)} hourly ${found.alarms === 1 ? "alarm was" : "alarms were"} said to be false, ${count(found.real)} real${unsaid}.`);
  }
  if (shadow) lines.push(`In shadow: ${models(shadow)} record hourly alarms as drift events and alert nobody, so nothing can be spent. Switched on (setting hourly_alerts), ${rate(found.allowed.shadow)} might be false.`);
  if (off) lines.push(`Off: ${models(off)}, whose hours are not looked at.`);
  if (!lines.length) lines.push("No model is watched yet.");
  const head = on ? `${count(found.false)} false hourly ${found.false === 1 ? "alarm" : "alarms"} this month, ${amount(found.allowed.on)} allowed` : shadow ? "Hourly alarms in shadow: nobody is alerted" : "No hourly alarms";
  return { head, lines };
}
