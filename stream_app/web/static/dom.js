// Building blocks of the page: elements, numbers, times. Text always goes in as text, never as markup.
import { ago, short, time, zoneName } from "./time.js";

export { ago, day, span, time } from "./time.js";

/** An element: attributes, `on…` listeners, children (strings, nodes, arrays; null is left out). */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  apply(element, attributes);
  add(element, children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for SVG. */
export function s(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  apply(element, attributes);
  add(element, children);
  return element;
}

function apply(element, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) listenTo(element, key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value);
    else if (key in element && typeof value === "boolean") element[key] = value;
    else if (key === "value" && "value" in element) element.value = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
}

/** One listener of each kind, which can be exchanged when the element is patched. */
function listenTo(element, type, call) {
  element.calls ??= {};
  if (!element.calls[type]) element.addEventListener(type, (event) => element.calls[type]?.(event));
  element.calls[type] = call;
}

function add(element, children) {
  for (const child of children.flat(4)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

export function replace(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

const integers = new Intl.NumberFormat("en");

export const count = (value) => (value === null || value === undefined ? "–" : integers.format(value));
export const ratio = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
export const percent = (value, digits = 0) =>
  value === null || value === undefined ? "–" : `${(value * 100).toFixed(digits)} %`;

/** Values of the wire that have another word on the screen: their own stand in ids, and ids do not change. */
const SHOWN = { ordered: "commanded", no_evidence: "insufficient data", too_little_data: "insufficient data", handover: "version change" };
export const words = (name) => SHOWN[name] ?? (name ?? "").replaceAll("_", " ");
/** A sentence of the pipeline with its times to the minute, in the zone that the bar names. */
export const sentence = (text) => (text ?? "").trim().replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, (at) => short(at));
/** The same as it begins a sentence: with a capital, but for a name that has none (a model, a setting, an address). */
export const capital = (text) => sentence(text).replace(/^\p{Ll}(?=[\p{L}-]*[,:;.]?(\s|$))/u, (letter) => letter.toUpperCase());
/** The same as a whole sentence, from its capital to its full stop. */
export const whole = (text) => ended(capital(text));
/** A sentence with its full stop. */
export const ended = (text) => sentence(text).replace(/[^.?!…]$/, "$&.");
/** Text as children of an element: what stands between backticks is a command or a name of the machine. */
export const marked = (text) => text.split("`").map((part, n) => (n % 2 ? h("code", {}, part) : part));
/** The same of a whole sentence. */
export const prose = (text) => marked(whole(text));
export const title = (name) => words(name).replace(/^./, (c) => c.toUpperCase());

/** `18 Jan 06:00` in the zone that the bar names; the full time, the zone and the age in the tooltip. */
export function when(at, hours = true) {
  if (!at) return h("span", {}, "–");
  const full = at.length > 10 ? `${time(at)} ${zoneName()}, ${ago(at)}` : `${at}, a day of UTC`;
  return h("time", { datetime: at, title: full, class: "nowrap" }, short(at, hours));
}

/** How long ago it was; it goes on by itself (app.js). */
export const age = (at) => (at ? h("span", { class: "soft nowrap", "data-age": at }, ago(at)) : null);

/** Names of metrics as people write them. */
export const METRICS = {
  accuracy: "Accuracy",
  precision: "Precision",
  recall: "Recall",
  f1: "F1",
  pr_auc: "PR-AUC",
  precision_at_80_recall: "Precision at 80 % recall",
  brier: "Brier score",
  calibration_score: "Calibration score",
  coverage: "Coverage",
  predictions: "Predictions",
  avg_ci_width: "Interval width",
};
export const metricName = (name) => METRICS[name] ?? title(name);

/** Limits of a share at 95 % (Wilson 1927, without continuity correction). */
export function wilson(hits, rows) {
  if (!rows) return [null, null];
  const z2 = 1.959964 ** 2,
    p = hits / rows;
  const middle = (p + z2 / (2 * rows)) / (1 + z2 / rows);
  const half = (1.959964 / (1 + z2 / rows)) * Math.sqrt((p * (1 - p)) / rows + z2 / (4 * rows * rows));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** Call once things have been quiet for `ms`, and at the latest after `most`; with what it was given last. */
export function soon(call, ms = 150, most = 1000) {
  let timer = null,
    since = 0;
  let given = [];
  const run = () => {
    timer = null;
    since = 0;
    call(...given);
  };
  return (...last) => {
    given = last;
    const now = Date.now();
    since ||= now;
    clearTimeout(timer);
    timer = setTimeout(run, Math.max(0, Math.min(ms, most - (now - since))));
  };
}
