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

/** Draw into `element`; `make(colours)` gives {data, layout}. It is drawn anew when the theme changes. */
export async function draw(element, make, label) {
  if (!element.drawing) replace(element);
  element.drawing = make;
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", label);
  let plotly;
  try {
    plotly = await load();
  } catch (error) {
    return instead(element, String(error.message));
  }
  // another drawing, or words, may have taken the place while the library came
  if (element.drawing === make) paint(plotly, element);
}

/** Words in the place of a chart that has nothing to draw; nothing of one that stood there stays. */
export function instead(element, text) {
  element.drawing = null;
  globalThis.Plotly?.purge(element);
  element.removeAttribute("role");
  element.removeAttribute("aria-label");
  replace(element, h("p", { class: "soft" }, text));
}

function paint(plotly, element) {
  if (!element.isConnected) return;
  const c = colours();
  const { data, layout } = element.drawing(c);
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
      ...layout,
      xaxis: { ...axis, ...layout.xaxis },
      yaxis: { ...axis, ...layout.yaxis },
    },
    { displayModeBar: false, responsive: true },
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
