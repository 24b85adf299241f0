// What became of commands: each is shown from when it was sent until it is answered, also after the page was loaded anew.
import { get, modelPath } from "./api.js";
import { h, sentence, words } from "./dom.js";
import { listen } from "./live.js";
import { patch } from "./patch.js";

const KEY = "plumbline-commands";
/** How often is asked while one is not answered, how long an answer stays, and how many are remembered. */
const ASKED_MS = 4_000,
  ANSWER_MS = 30_000,
  MOST = 20;

/** @typedef {{ id: string, heading: string, model: string, sent: number, state: string, told: string, ended?: number }} Sent */
let sent = /** @type {Sent[]} */ ([]);
let timer = null,
  asking = false;

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}: /;
const FINAL = ["done", "refused"];
const open = () => sent.filter((command) => !FINAL.includes(command.state));

/** Where a command stands, in words: of an answer of `/commands/{id}`. */
export function standing(answer) {
  if (answer.state === "refused") return `Refused: ${sentence(answer.refused_because ?? "the audit says why")}`;
  if (answer.state === "done") {
    // which alert it was, whoever sent it knows
    const effects = (answer.effects ?? []).map((effect) => `${words(effect.stage)}: ${words(effect.effect).replace(ID, "")}`);
    return `Done${effects.length ? `: ${effects.join("; ")}` : ""}.`;
  }
  if (answer.state === "waiting") return "Read by the pipeline; it takes effect with the next tick.";
  return "Written, and not answered yet: it takes effect with the next tick.";
}

/** The same where a server cannot be asked about commands: the decision in the audit that names it, if there is one. */
export function decided(records, id) {
  const record = records.find((row) => row.inputs?.ids?.includes(id));
  if (!record) return null;
  const refused = ["refused", "rejected"].includes(record.decision);
  return { state: refused ? "refused" : "done", told: `${words(record.action)} ${words(record.decision)}: ${sentence(record.reason)}` };
}

function save() {
  sessionStorage.setItem(KEY, JSON.stringify(sent));
  const box = document.getElementById("commands");
  if (!box) return;
  patch(
    box,
    sent.map((command) =>
      h(
        "div",
        { class: `sent ${command.state}`, "data-key": command.id },
        h("b", {}, command.heading),
        h("span", { class: "grow" }, ` ${command.told}`),
        h("button", { class: "plain", "aria-label": `Hide: ${command.heading}`, onclick: () => drop(command.id) }, "✕"),
      ),
    ),
  );
}

function drop(id) {
  sent = sent.filter((command) => command.id !== id);
  save();
}

/** Follow a command that was just written. */
export function follow(id, heading, model) {
  const told = standing({ state: "written" });
  sent = [{ id, heading, model, sent: Date.now(), state: "written", told }, ...sent.filter((c) => c.id !== id)].slice(0, MOST);
  save();
  ask();
}

async function ask() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  for (const command of open()) {
    const found = await answer(command).catch(() => null);
    if (found) Object.assign(command, found, FINAL.includes(found.state) ? { ended: Date.now() } : {});
  }
  // a refusal stays until somebody has seen it
  sent = sent.filter((command) => command.state !== "done" || Date.now() - (command.ended ?? 0) < ANSWER_MS);
  asking = false;
  save();
  if (sent.some((command) => command.state !== "refused")) timer = setTimeout(ask, ASKED_MS);
}

async function answer(command) {
  try {
    const found = await get(`/commands/${command.id}`);
    return { state: found.state, told: standing(found) };
  } catch (error) {
    if (error.status !== 404) throw error;
    const { items } = await get("/audit", { model: command.model === "*" ? null : modelPath(command.model), limit: 100 });
    return decided(items, command.id);
  }
}

/** Take up what was sent before the page was loaded. */
export function resume() {
  try {
    sent = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
  } catch {
    sent = [];
  }
  save();
  if (sent.length) ask();
}

/** Nothing of whoever signed out stays. */
export function forget() {
  sent = [];
  save();
}

listen((message) => {
  if (message.type === "change" && ["audit", "command", "command-outcomes"].includes(message.topic) && open().length) ask();
});
