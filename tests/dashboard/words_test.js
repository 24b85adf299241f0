// Numbers, times and words as the pages show them.
import { deepStrictEqual as same } from "node:assert";
import { capital, count, day, ended, metricName, percent, ratio, sentence, soon, time, title, whole, wilson, words } from "../../stream_app/web/static/dom.js";

/** Each case as a test of its own, so that a failure names it. */
const table = (name, call, cases) =>
  cases.forEach(([given, shown]) => Deno.test(`${name} of ${JSON.stringify(given)}`, () => same(call(...given), shown)));

table("count", count, [
  [[0], "0"],
  [[1234567], "1,234,567"],
  [[null], "–"],
  [[undefined], "–"],
]);
table("ratio", ratio, [
  [[0], "0.000"],
  [[0.12345], "0.123"],
  [[0.5, 1], "0.5"],
  [[null], "–"],
]);
table("percent", percent, [
  [[0], "0 %"],
  [[0.123, 1], "12.3 %"],
  [[undefined], "–"],
]);
table("time", time, [
  [["2026-01-18T06:00:59.999Z"], "2026-01-18 06:00"],
  [[null], "–"],
]);
table("day", day, [
  [["2026-01-18T06:00:00.000Z"], "2026-01-18"],
  [[""], "–"],
]);
// values that stand in ids keep their bytes, and have the field's word on the screen
table("words", words, [
  [["ordered"], "commanded"],
  [["no_evidence"], "insufficient data"],
  [["too_little_data"], "insufficient data"],
  [["handover"], "version change"],
  [["not_yet_judged"], "not yet judged"],
  [[null], ""],
]);
table("title", title, [
  [["training_failed"], "Training failed"],
  [[""], ""],
]);
table("metricName", metricName, [
  [["pr_auc"], "PR-AUC"],
  [["a_metric_of_tomorrow"], "A metric of tomorrow"],
]);
table("sentence", sentence, [
  [["seen at 1999-01-18T06:00:00.000Z, not later"], "seen at 18 Jan 1999 06:00, not later"],
  [["no time here"], "no time here"],
  [[null], ""],
]);

// a name at the beginning keeps its letters, and a question its sign
table("capital", capital, [
  [["accuracy 0.82 → 0.59"], "Accuracy 0.82 → 0.59"],
  [["dead-lettered: 3 invalid"], "Dead-lettered: 3 invalid"],
  [["cooldown: trained yesterday"], "Cooldown: trained yesterday"],
  [["none"], "None"],
  [["fraud:acme has no labels"], "fraud:acme has no labels"],
  [["ks_min_distance is 2"], "ks_min_distance is 2"],
  [["v2 is active"], "v2 is active"],
  [["http://10.0.0.1:6066 answers"], "http://10.0.0.1:6066 answers"],
  [["`plumbline worker` starts one"], "`plumbline worker` starts one"],
  [["Already one"], "Already one"],
  [[""], ""],
  [[null], ""],
]);
table("whole", whole, [
  [["a training came to nothing"], "A training came to nothing."],
  [["is the address open?"], "Is the address open?"],
  [["over. "], "Over."],
  [[""], ""],
]);
table("ended", ended, [[["not accepted in 3 attempts"], "not accepted in 3 attempts."]]);

Deno.test("limits of a share are Wilson's, and stay within 0 and 1", () => {
  // Newcombe 1998, table I: 81 of 263, and 0 of 20
  same(wilson(81, 263).map((v) => v.toFixed(4)), ["0.2553", "0.3662"]);
  same(wilson(0, 20).map((v) => v.toFixed(4)), ["0.0000", "0.1611"]);
  same(wilson(20, 20)[1], 1);
  same(wilson(0, 0), [null, null]);
});

/** Time that passes by `pass` alone: gives back what `body` sees, with the real clock in place again. */
function atOwnTime(body) {
  const { setTimeout, clearTimeout } = globalThis, real = Date.now;
  let now = 1_000_000, next = 1;
  const due = new Map();
  const pass = (ms) => {
    for (const end = now + ms; now < end; now++)
      for (const [id, [at, call]] of due) if (at <= now) due.delete(id) && call();
  };
  try {
    Date.now = () => now;
    Object.assign(globalThis, {
      setTimeout: (call, ms) => (due.set(next, [now + ms, call]), next++),
      clearTimeout: (id) => due.delete(id),
    });
    return body(pass);
  } finally {
    Date.now = real;
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
}

Deno.test("what comes in quick succession is called once things are quiet", () =>
  atOwnTime((pass) => {
    let calls = 0;
    const call = soon(() => calls++, 40, 120);
    call();
    pass(30);
    call();
    pass(39);
    same(calls, 0);
    pass(2);
    same(calls, 1);
    pass(500);
    same(calls, 1);
  }));

Deno.test("where it never gets quiet it is called at the bound, each time", () =>
  atOwnTime((pass) => {
    let calls = 0;
    const call = soon(() => calls++, 40, 120);
    for (let n = 0; n < 10; n++) {
      call();
      pass(11);
    }
    same(calls, 0);
    call();
    pass(15);
    same(calls, 1);
    for (let n = 0; n < 12; n++) {
      call();
      pass(11);
    }
    same(calls, 2);
  }));
