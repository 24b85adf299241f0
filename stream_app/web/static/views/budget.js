// How many alarms were false, of those that somebody judged: in few words beside the heading of the first page.
import { get, offered } from "../api.js";
import { h, percent, replace, words } from "../dom.js";

/** Of each rule and type: how many were said to be real and false, and the precision with its bounds. */
export function budget(current) {
  const box = h("details", { class: "facet budget", hidden: true });
  fill(box, current).catch(() => {});
  return box;
}

async function fill(box, current) {
  if (!(await offered("/precision"))) return;
  const { rules } = await get("/precision");
  if (!current()) return;
  const real = rules.reduce((sum, rule) => sum + rule.real, 0),
    wrong = rules.reduce((sum, rule) => sum + rule.false, 0);
  box.hidden = false;
  replace(
    box,
    h("summary", {}, real + wrong ? `${wrong} of ${real + wrong} judged alarms were false` : "No alarm was judged yet"),
    h(
      "div",
      { class: "choices" },
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
