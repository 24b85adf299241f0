// What a chart must not invent: a day without a value is neither drawn nor shaded.
import { deepStrictEqual as same } from "node:assert";
import { faded, severityColour } from "../../stream_app/web/static/charts.js";
import { bands, estimatedLines, unbroken, withGaps } from "../../stream_app/web/static/views/model_charts.js";

const ROWS = [
  { date: "2026-01-01", value: 0.5, limits: [0.4, 0.6] },
  { date: "2026-01-02", value: 0.6, limits: [0.5, 0.7] },
  { date: "2026-01-03", value: null, limits: [null, null] },
  { date: "2026-01-04", value: 0.7, limits: [0.6, 0.8] },
  { date: "2026-01-07", value: 0.8, limits: null },
  { date: "2026-01-08", value: 0.9, limits: [0.8, 1] },
];

Deno.test("runs end where a value or a day is missing", () => {
  const runs = unbroken(ROWS, (row) => row.value);
  same(runs.map((run) => run.map((row) => row.date.slice(8))), [["01", "02"], ["04"], ["07", "08"]]);
  same(unbroken([], (row) => row.value), []);
});

Deno.test("a band goes up on one side and back on the other, and is named in the legend once", () => {
  const drawn = bands(ROWS, (row) => row.limits, { fillcolor: "blue", name: "95 %", showlegend: true });
  same(drawn.map((band) => band.x.map((date) => date.slice(8))), [["01", "02", "02", "01"], ["04", "04"], ["08", "08"]]);
  same(drawn[0].y, [0.6, 0.7, 0.5, 0.4]);
  same(drawn.map((band) => band.showlegend), [true, false, false]);
  // a day alone has no area: it is drawn as a bar
  same(drawn.map((band) => band.line.width), [0, 5, 5]);
});

Deno.test("a missing day leaves one gap in a line, however many days are missing", () => {
  const line = withGaps(ROWS, (row) => row.value, (row) => row.date.slice(8));
  same(line.x.map((date) => date.slice(8)), ["01", "02", "03", "04", "05", "07", "08"]);
  same(line.y, [0.5, 0.6, null, 0.7, null, 0.8, 0.9]);
  same(line.text, ["01", "02", "03", "04", "", "07", "08"]);
});

Deno.test("an estimate is one dashed line, grey where it is muted, and none where there is no estimate", () => {
  const row = (day, value, muted) => ({
    date: `2026-01-0${day}`,
    model_version: "v1",
    estimated: value === null ? null : { accuracy: value && { value, lower: 0, upper: 1 }, muted },
  });
  const rows = [row(1, 0.8, false), row(2, 0.7, true), row(3, 0.6, true), row(4, null, false)];
  const drawn = estimatedLines(rows, "accuracy", { soft: "ink", faint: "grey" });
  same(drawn.map((line) => [line.name, line.line.color, line.line.dash]), [
    ["estimated", "ink", "dash"],
    ["estimated, muted", "grey", "dash"],
  ]);
  same(drawn.map((line) => line.y), [[0.8, null, null], [null, 0.7, 0.6]]);
  same(estimatedLines(rows, "brier", { soft: "ink", faint: "grey" }), []);
  same(estimatedLines([row(4, null, false)], "accuracy", { soft: "ink", faint: "grey" }), []);
});

Deno.test("colours", () => {
  same(faded("#0a80ff", 0.25), "rgba(10, 128, 255, 0.25)");
  same(severityColour({ critical: "red", faint: "grey" }, "CRITICAL"), "red");
  same(severityColour({ critical: "red", faint: "grey" }, null), "grey");
});
