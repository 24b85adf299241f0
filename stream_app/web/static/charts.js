// Charts by Plotly, loaded when the first one is needed, in the colours of the page.
import { h, replace } from "./dom.js";

let library = null;

function load() {
  library ??= new Promise((resolve, reject) => {
    const script = h("script", { src: "/static/plotly.js" });
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => {
      library = null;
      reject(new Error("the chart library could not be loaded"));
    };
    document.head.append(script);
  });
  return library;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Colours of the page as they are now. */
export const colours = () =>
  Object.fromEntries(
    ["ink", "soft", "faint", "rule", "card", "accent", "good", "medium", "high", "critical", "recent", "baseline"].map(
      (name) => [name, colour(name)],
    ),
  );

export const severityColour = (c, severity) =>
  ({ CRITICAL: c.critical, HIGH: c.high, MEDIUM: c.medium })[severity] ?? c.faint;

/** A colour with transparency, for bands. */
export function faded(hex, alpha) {
  const n = parseInt(hex.slice(1), 16);
  return `rgba(${n >> 16}, ${(n >> 8) & 255}, ${n & 255}, ${alpha})`;
}

/** A place for a chart, which stays as it is when the page around it is patched, and a table of what it shows. */
export function chart(key, tall = false) {
  const rows = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Values of the chart" });
  return h(
    "div",
    { class: "figure", "data-key": `chart-${key}`, "data-keep": true },
    h("div", { class: tall ? "chart tall" : "chart" }),
    h(
      "details",
      {
        class: "values small",
        hidden: true,
        ontoggle: (event) => event.target.open && replace(rows, valueTable(placeOf(event.target.parentElement))),
      },
      h("summary", { class: "soft" }, "Values as a table"),
      rows,
    ),
  );
}

/** The element that Plotly draws in; of a chart that was patched, the one that stands in the page. */
const placeOf = (figure) => (figure.kept ?? figure).querySelector(".chart");

/** Draw into a chart; `make(colours)` gives {data, layout}. It is drawn anew when the theme changes. With `onrange` its
 * days can be chosen by dragging, and its cursor goes along with those of the page's other charts. */
export async function draw(figure, make, label, onrange = null) {
  const element = placeOf(figure);
  if (!element.drawing) replace(element);
  element.drawing = make;
  element.onrange = onrange;
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", label);
  let plotly;
  try {
    plotly = await load();
  } catch (error) {
    return instead(figure, String(error.message));
  }
  // another drawing, or words, may have taken the place while the library came
  if (element.drawing === make) paint(plotly, element);
}

/** Words in the place of a chart that has nothing to draw; nothing of one that stood there stays. */
export function instead(figure, text) {
  const element = placeOf(figure);
  element.drawing = null;
  globalThis.Plotly?.purge(element);
  element.removeAttribute("role");
  element.removeAttribute("aria-label");
  element.nextElementSibling.hidden = true;
  replace(element, h("p", { class: "soft" }, text));
}

function paint(plotly, element) {
  if (!element.isConnected) return;
  const c = colours();
  const { data, layout } = element.drawing(c);
  const zooms = element.onrange && matchMedia("(pointer: fine)").matches;
  const axis = {
    gridcolor: c.rule,
    linecolor: c.rule,
    zerolinecolor: c.rule,
    tickcolor: c.rule,
    fixedrange: true,
    automargin: true,
  };
  plotly.react(
    element,
    data,
    {
      paper_bgcolor: c.card,
      plot_bgcolor: c.card,
      font: { color: c.soft, size: 12, family: "system-ui, sans-serif" },
      margin: { l: 44, r: 12, t: 12, b: 32 },
      hovermode: "x unified",
      showlegend: true,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 } },
      hoverlabel: { bgcolor: c.card, bordercolor: c.rule, font: { color: c.ink } },
      dragmode: zooms ? "zoom" : false,
      ...layout,
      xaxis: { ...axis, fixedrange: !zooms, ...layout.xaxis },
      yaxis: { ...axis, ...layout.yaxis },
    },
    { displayModeBar: false, responsive: true, doubleClick: false },
  );
  const values = element.nextElementSibling;
  values.hidden = false;
  if (values.open) replace(values.lastElementChild, valueTable(element));
  if (element.onrange && !element.linked) link(plotly, element);
}

/** The days that lie wholly between two places of an axis of time; null if there are none. */
export function daysBetween(begin, end) {
  const ms = (text) => Date.parse(`${String(text).replace(" ", "T").slice(0, 19).padEnd(10, "0")}${String(text).length > 10 ? "Z" : "T00:00:00Z"}`);
  const first = Math.ceil(ms(begin) / DAY_MS),
    last = Math.floor(ms(end) / DAY_MS);
  if (!(first <= last)) return null;
  const date = (number) => new Date(number * DAY_MS).toISOString().slice(0, 10);
  return { from: date(first), to: date(last) };
}

const DAY_MS = 86_400_000;

/** Days by dragging, all of them again by a double click, and one cursor for all charts over time. */
function link(plotly, element) {
  element.linked = true;
  element.on("plotly_relayout", (change) => {
    const found = "xaxis.range[0]" in change && daysBetween(change["xaxis.range[0]"], change["xaxis.range[1]"]);
    if (found) element.onrange?.(found);
  });
  element.on("plotly_doubleclick", () => element.onrange?.(null));
  const others = () =>
    /** @type {any[]} */ ([...document.querySelectorAll(".chart")]).filter((e) => e !== element && e.linked && e.drawing && e.onrange);
  element.on("plotly_hover", (event) => {
    if (!event.event) return; // it was moved by another chart
    const at = event.points[0]?.x;
    for (const other of others()) {
      const points = (other.data ?? []).flatMap((trace, curve) => {
        const number = trace.hoverinfo === "skip" ? -1 : [...(trace.x ?? [])].findIndex((x) => String(x).slice(0, 10) === String(at).slice(0, 10));
        return number < 0 || trace.y[number] === null ? [] : [{ curveNumber: curve, pointNumber: number }];
      });
      if (points.length) plotly.Fx.hover(other, points);
      else plotly.Fx.unhover(other);
    }
  });
  element.on("plotly_unhover", (event) => {
    if (event?.event) for (const other of others()) plotly.Fx.unhover(other);
  });
}

/** What a chart shows, as rows: its x, and a column for each trace that has a name. */
function valueTable(element) {
  const traces = (element.data ?? []).filter((trace) => trace.name && trace.fill !== "toself" && trace.x?.length);
  const xs = [...new Set(traces.flatMap((trace) => [...trace.x].map(String)))].sort((a, b) => (isNaN(+a) ? a.localeCompare(b) : +a - +b));
  const columns = traces.map((trace) => new Map([...trace.x].map((x, n) => [String(x), trace.text?.[n] && trace.mode === "markers" && trace.y[n] !== null ? trace.text[n] : trace.y[n]])));
  const shown = (value) => (value === null || value === undefined ? "–" : typeof value === "number" ? String(+value.toFixed(4)) : value);
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, element.layout?.xaxis?.title?.text ?? "day"), traces.map((trace) => h("th", { scope: "col", class: "right" }, trace.name)))),
    h("tbody", {}, xs.map((x) => h("tr", {}, h("th", { scope: "row" }, x), columns.map((column) => h("td", { class: "right num" }, shown(column.get(x))))))),
  );
}

addEventListener("themechange", () => {
  document
    .querySelectorAll(".chart")
    .forEach((/** @type {any} */ element) => element.drawing && library?.then((plotly) => paint(plotly, element)));
});

/** Two histograms of scores, each as shares of its rows, so that windows of different sizes can be compared. */
export function histograms(element, bins, names = ["recent", "baseline"]) {
  const share = (counts) => {
    const all = counts.reduce((a, b) => a + b, 0) || 1;
    return counts.map((n) => (100 * n) / all);
  };
  const x = bins.recent.map((_, n) => (n + 0.5) / bins.recent.length);
  return draw(
    element,
    (c) => ({
      data: [
        {
          type: "bar",
          x,
          y: share(bins.baseline),
          name: names[1],
          marker: { color: faded(c.baseline, 0.55) },
          hovertemplate: "%{y:.1f} %",
        },
        {
          type: "scatter",
          mode: "lines",
          line: { shape: "hvh", color: c.recent, width: 2 },
          x,
          y: share(bins.recent),
          name: names[0],
          hovertemplate: "%{y:.1f} %",
        },
      ],
      layout: {
        bargap: 0,
        xaxis: { title: { text: "score" }, range: [0, 1] },
        yaxis: { ticksuffix: " %", rangemode: "tozero" },
      },
    }),
    "Distribution of scores, recent beside baseline",
  );
}
