// What may be said of quality: the server's judgement, and whether the page still shows what the server knows.
import { get } from "./api.js";
import { soon, time } from "./dom.js";
import { listen, state } from "./live.js";
import { zoneName } from "./time.js";

// The judgement also changes by time alone: no tick, no check.
const ASKED_MS = 15_000,
  ANSWER_MS = 10_000,
  AGAIN_MS = 2_000;
const watchers = new Set();
let told = null,
  lost = null,
  asking = 0,
  timer = null;

/** Call `watcher` whenever what may be said has changed; returns a function that ends it. */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Why the page shows what it last knew, and since when: `{ why, since }`; null while it is up to date. */
export const outdated = () => lost;

/** Whether a good word about a check of that day may be said: it is of the newest one, and nothing speaks against it. */
export const maySay = (close) =>
  !lost && state.connected && !!told && !told.withheld.length && close.slice(0, 10) >= told.as_of.slice(0, 10);

/** The sentence about the quality of all models; the only place where a page says that it is good. */
export function quality() {
  if (told?.withheld.length) return told.sentence;
  if (!told) return "What can be said of quality is being loaded.";
  if (lost || !state.connected) return "Nothing is said of quality until the page has loaded again.";
  return told.sentence;
}

/** The newest daily check of performance; null before the first. */
export const newestCheck = () => told?.as_of ?? null;

/** What is shown, and from when, for the notice. */
export const shownFrom = () => (lost?.since ? `What is shown was known at ${time(lost.since)} ${zoneName()}.` : "");

const tell = () => watchers.forEach((watcher) => watcher());

function lose(why, since) {
  if (lost?.why === why) return;
  lost = { why, since: lost?.since ?? since };
  tell();
}

async function load() {
  const mine = ++asking;
  clearTimeout(timer);
  try {
    const found = await get("/judgement", {}, { signal: AbortSignal.timeout(ANSWER_MS) });
    if (mine !== asking) return;
    const changed = JSON.stringify(found) !== JSON.stringify(told);
    const back = lost && state.connected && !state.degraded;
    told = found;
    if (back) lost = null;
    if (changed || back) tell();
  } catch (error) {
    if (mine !== asking || !state.connected) return;
    lose(error.message, new Date(state.heard).toISOString());
    timer = setTimeout(load, AGAIN_MS);
  }
}

const urgent = soon(load, 150, 600),
  later = soon(load, 1_500, 3_000);

listen((message) => {
  if (message.type === "ready" || message.type === "reset") load();
  else if (message.type === "closed") lose("this page is not connected", new Date(state.heard).toISOString());
  else if (message.type === "degraded") {
    if (message.degraded) lose(message.reason, message.updated_at);
    load();
  } else if (message.type === "signed-out") told = lost = null;
  else if (message.type === "change" && message.topic !== "audit")
    (["metric-snapshots", "drift-events"].includes(message.topic) ? later : urgent)();
});

setInterval(() => state.connected && load(), ASKED_MS);
