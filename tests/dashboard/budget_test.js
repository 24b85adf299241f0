// What the first page says of the budget of false hourly alarms: for every mix of settings, never as if shadow alerted.
import { deepStrictEqual as same, match, ok } from "node:assert";
import { amount, budgetWords } from "../../stream_app/web/static/views/budget.js";

const found = (on, shadow, off, more = {}) => ({ month: "2026-11", models: { on, shadow, off }, allowed: { on: on / 1000, shadow: shadow / 1000 }, alarms: 0, real: 0, false: 0, not_judged: 0, ...more });

Deno.test("small numbers of alarms can be read", () => {
  same([0, 0.001, 0.036, 0.5, 1, 2.34, 36, 1234.4].map(amount), ["0", "0.001", "0.036", "0.5", "1.0", "2.3", "36", "1,234"]);
});

Deno.test("every mix of settings says who may be alerted, and shadow never spends", () => {
  for (const on of [0, 1, 36])
    for (const shadow of [0, 1, 2000])
      for (const off of [0, 3]) {
        const { head, lines } = budgetWords(found(on, shadow, off, { alarms: on ? 3 : 0, false: on ? 1 : 0, not_judged: on ? 2 : 0 }));
        const text = lines.join(" ");
        ok(lines.length >= 1);
        ok(!text.includes("undefined") && !text.includes("NaN"), text);
        same(text.includes("alert nobody"), shadow > 0);
        same(text.includes("Allowed: "), on > 0);
        same(text.includes("Off: "), off > 0);
        same(head.startsWith("1 false hourly alarm this month, "), on > 0);
        if (!on && shadow) match(head, /in shadow/);
      }
});

Deno.test("what was spent stands beside what is allowed, in the month by name", () => {
  const { head, lines } = budgetWords(found(36, 0, 0, { alarms: 5, false: 2, real: 1, not_judged: 2 }));
  same(head, "2 false hourly alarms this month, 0.036 allowed");
  same(lines[0], "Allowed: 36 models with hourly alarms may have 0.036 a month, one in 28 months that are false, all together (setting false_alert_budget).");
  same(lines[1], "Spent in November 2026: 2 of 5 hourly alarms were said to be false, 1 real, 2 not judged yet.");
});
