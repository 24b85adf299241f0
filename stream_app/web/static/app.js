// The shell: sign-in, navigation, the live dot, and which view an address shows.
import { get, signIn, signOut, token } from "./api.js";
import { newestCheck, outdated, shownFrom, watch } from "./judgement.js";
import { forget, resume } from "./commands.js";
import { connect, disconnect, listen, state } from "./live.js";
import { ago, ended, h, prose, replace, soon } from "./dom.js";
import { patch } from "./patch.js";
import { inAddress } from "./range.js";
import { localZone, setZone, short, zone, zoneName } from "./time.js";
import { dialog, empty, problem, session, severityTag, skeleton, toast } from "./parts.js";

/** @type {[RegExp, string, string][]} addresses, the script of the view, its title */
const ROUTES = [
  [/^\/$/, "models", "Models"],
  [/^\/models\/([^/]+)$/, "model", "Model"],
  [/^\/alerts$/, "alerts", "Alerts"],
  [/^\/alerts\/([^/]+)$/, "alert", "Alert"],
  [/^\/retraining(?:\/([^/]+))?$/, "retraining", "Retraining"],
  [/^\/settings$/, "settings", "Settings"],
  [/^\/audit$/, "audit", "Audit"],
  [/^\/pipeline$/, "pipeline", "Pipeline"],
];
const NAVIGATION = [
  ["/", "Models", "m"],
  ["/alerts", "Alerts", "a"],
  ["/retraining", "Retraining", "r"],
  ["/settings", "Settings", "s"],
  ["/audit", "Audit", "u"],
  ["/pipeline", "Pipeline", "p"],
];

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
let view = null,
  shown = 0;

/** Go to an address of this page. */
export function go(path) {
  history.pushState(null, "", path);
  return show();
}

async function show() {
  const mine = ++shown;
  view?.close?.();
  view = null;
  zoneOfAddress();
  bar();
  const path = location.pathname;
  const route = ROUTES.find(([p]) => p.test(path));
  if (!route) {
    document.title = "No such page · Plumbline";
    const on = h("p", {}, "Nothing stands at this address. ", h("a", { href: "/" }, "All models"), ".");
    replace(main, empty("There is no such page", on));
    return;
  }
  const [pattern, name, title] = route;
  const part = pattern.exec(path)?.[1];
  document.title = `${part ? decodeURIComponent(part) : title} · Plumbline`;
  replace(main, skeleton());
  scrollTo(0, 0);
  try {
    const module = await import(`./views/${name}.js`);
    if (mine !== shown) return;
    view = await module.open(main, part === undefined ? undefined : decodeURIComponent(part), () => mine === shown);
    if (mine === shown) announce();
  } catch (error) {
    if (mine === shown) failed(error);
  }
}

let opened = false;

/** Whoever followed a link stands at the new heading, and hears it; the first page is not taken from the browser. */
function announce() {
  const heading = main.querySelector("h1");
  if (opened && heading && !main.contains(document.activeElement)) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
  opened = true;
}

function failed(error) {
  if (error.status === 401) return signedOut();
  replace(main, problem(error, show));
}

function bar() {
  const path = location.pathname;
  const at = (to) => (to === "/" ? path === "/" || path.startsWith("/models") : path.startsWith(to));
  const dot = !state.connected ? "off" : state.degraded ? "degraded" : "live";
  const checked = newestCheck();
  patch(
    document.getElementById("bar"),
    h(
      "div",
      { class: "inner" },
      h("a", { class: "brand", href: "/" }, h("img", { src: "/static/mark.svg", alt: "" }), h("span", {}, "Plumbline")),
      session.actor
        ? h(
            "nav",
            { "aria-label": "Views" },
            NAVIGATION.map(([to, text]) =>
              h(
                "a",
                { href: to, "aria-current": at(to) ? "page" : null },
                text,
                to === "/alerts" && alerts.open
                  ? h("span", { class: "count", "aria-label": `${alerts.open} open` }, alerts.open)
                  : null,
              ),
            ),
          )
        : h("span", { class: "grow" }),
      session.actor &&
        h(
          "span",
          { class: "live", "data-state": dot, role: "status" },
          h("i"),
          h("span", {}, { live: "live", degraded: "degraded", off: "connecting" }[dot]),
        ),
      session.actor && checked
        ? h("span", { class: "asof small soft nowrap", title: `The newest daily check, ${ago(checked)}` }, `as of ${short(checked)}`)
        : null,
      session.actor &&
        h(
          "button",
          { class: "plain zone", onclick: otherZone, title: `Times are shown in ${zoneName()}; days are days of UTC` },
          zoneName(),
        ),
      h("button", { class: "plain", onclick: theme, "aria-label": "Dark or light", title: "Dark or light" }, "◐"),
      session.actor &&
        h(
          "button",
          { class: "plain who", onclick: who, title: "Who is signed in" },
          `${session.actor} · ${session.role}`,
        ),
    ),
  );
  const notice = document.getElementById("notice");
  patch(
    notice,
    session.actor && outdated()
      ? h("p", {}, h("b", {}, state.connected ? "Degraded: " : "Not connected: "), `${ended(outdated().why)} `, shownFrom())
      : null,
  );
}

const alerts = { open: 0 };
const countAlerts = soon(async () => {
  const status = await get("/status").catch(() => null);
  if (status && status.open_alerts !== null && status.open_alerts !== alerts.open) {
    alerts.open = status.open_alerts;
    bar();
  }
}, 200);

/** UTC, or the zone of this browser; kept for this browser, and in the address for whoever it is sent to. */
function otherZone() {
  setZone(zone() === "UTC" ? localZone() : "UTC");
  localStorage.setItem("plumbline-zone", zone());
  history.replaceState(history.state, "", location.pathname + inAddress(location.search, { tz: zone() === "UTC" ? null : zone() }));
  show();
}

function zoneOfAddress() {
  const named = new URLSearchParams(location.search).get("tz");
  if (!(named && setZone(named))) setZone(localStorage.getItem("plumbline-zone") ?? "UTC");
}

function theme() {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("plumbline-theme", root.dataset.theme);
  dispatchEvent(new Event("themechange"));
}

function who() {
  dialog("Signed in", (close) =>
    h(
      "div",
      {},
      h(
        "p",
        {},
        h("b", {}, session.actor),
        ` is ${session.role === "operator" ? "an operator: can look and send commands" : "a viewer: can look, and send no commands"}.`,
      ),
      h(
        "div",
        { class: "row end" },
        h(
          "button",
          {
            onclick: () => {
              close();
              signOut();
              forget();
              disconnect();
              signedOut();
            },
          },
          "Sign out",
        ),
        h("button", { class: "primary", onclick: close, autofocus: true }, "Close"),
      ),
    ),
  );
}

function signedOut(text = "") {
  view?.close?.();
  view = null;
  shown += 1;
  session.actor = "";
  bar();
  const field = h("input", { type: "password", autocomplete: "off", required: true, autofocus: true });
  const submit = (event) => {
    event.preventDefault();
    signIn(field.value);
    start();
  };
  replace(
    main,
    h(
      "form",
      { class: "card signin", onsubmit: submit },
      h("h1", {}, "Sign in"),
      h("p", { class: "soft" }, prose("With a token of PLUMBLINE_WEB_TOKENS, or the address that `plumbline web` printed.")),
      h("label", { class: "field" }, h("span", {}, "Token"), field),
      text && h("p", { class: "problem", role: "alert" }, text),
      h("button", { class: "primary", type: "submit" }, "Sign in"),
    ),
  );
  field.focus();
}

async function start() {
  if (!token()) return signedOut();
  try {
    Object.assign(session, await get("/me"));
  } catch (error) {
    if (error.status === 401) {
      signOut();
      return signedOut("This token is not known here.");
    }
    return replace(main, problem(error, start));
  }
  connect();
  resume();
  countAlerts();
  show();
}

listen((message) => {
  if (message.type === "signed-out") return signedOut("This token is not known here any more.");
  if (["ready", "degraded", "closed"].includes(message.type)) bar();
  if (message.type === "reset" || message.type === "ready" || (message.type === "change" && message.topic === "alerts"))
    countAlerts();
  if (
    message.type === "change" &&
    message.topic === "alerts" &&
    ["opened", "severity", "escalated"].includes(message.record.notify)
  ) {
    const { id, model, severity, summary } = message.record;
    toast(
      severity,
      h("p", {}, severityTag(severity), " ", h("a", { href: `/alerts/${id}` }, model)),
      h("p", { class: "small" }, prose(summary)),
    );
  }
});

watch(bar);

setInterval(() => {
  for (const element of document.querySelectorAll("[data-age]")) element.textContent = ago(element.getAttribute("data-age"));
}, 15_000);

document.addEventListener("click", (event) => {
  const link = event.target instanceof Element && event.target.closest("a[href^='/']");
  if (
    !link ||
    event.defaultPrevented ||
    event.button ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey ||
    event.altKey
  )
    return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
addEventListener("popstate", show);

/** To the page's own search; from a page without one, to that of all models. */
async function search() {
  const field = () => /** @type {HTMLElement | null} */ (main.querySelector("input[type=search]"));
  if (!field()) await go("/");
  field()?.focus();
}

let pending = null;
document.addEventListener("keydown", (event) => {
  if (
    !session.actor ||
    event.metaKey ||
    event.ctrlKey ||
    event.altKey ||
    (event.target instanceof Element && event.target.closest("input, textarea, select, dialog"))
  )
    return;
  if (pending === "g") {
    const found = NAVIGATION.find(([, , key]) => key === event.key);
    if (found) go(found[0]);
  } else if (event.key === "?") {
    dialog("Keys", (close) =>
      h(
        "div",
        {},
        [
          ["/", "search"],
          ["j k", "next and previous row"],
          ...NAVIGATION.map(([, text, key]) => [`g ${key}`, text]),
        ].map(([key, text]) => h("p", {}, h("kbd", {}, key), " ", text)),
        h("div", { class: "row end" }, h("button", { class: "primary", onclick: close, autofocus: true }, "Close")),
      ),
    );
  } else if (event.key === "/") {
    event.preventDefault();
    search();
  } else if (event.key === "j" || event.key === "k") {
    const links = /** @type {HTMLElement[]} */ ([...main.querySelectorAll("table.rows a.name")]);
    const next = links.findIndex((link) => link === document.activeElement) + (event.key === "j" ? 1 : -1);
    links[Math.max(0, Math.min(next, links.length - 1))]?.focus();
  }
  pending = event.key === "g" ? "g" : null;
});

document.documentElement.dataset.theme =
  localStorage.getItem("plumbline-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
start();
