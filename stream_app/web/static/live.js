// The live feed: one WebSocket for the page, resumed where it broke off.
import { token } from "./api.js";

const listeners = new Set();
let socket = null,
  last = null,
  wait = 500,
  closing = false,
  timer = null;

/** `heard`: when the last message came, by this browser's clock. */
export const state = { connected: false, degraded: false, reason: null, heard: 0 };

/** Call `listener` with every message; returns a function that ends it. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const tell = (message) => listeners.forEach((listener) => listener(message));

export function connect() {
  if (socket) return;
  closing = false;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/ws`);
  socket.onopen = () => socket.send(JSON.stringify({ type: "auth", token: token(), after: last }));
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    state.heard = Date.now();
    if (message.type === "ready") {
      wait = 500;
      state.connected = true;
      // what was missed follows; without an id to resume from, whatever is shown is loaded anew
      if (last === null) last = message.id;
    } else if (message.id) last = message.id;
    const back = message.type === "degraded" && state.degraded && !message.degraded;
    if (message.type === "degraded") Object.assign(state, { degraded: message.degraded, reason: message.reason });
    tell(message);
    // what was opened or loaded meanwhile shows an error, or what held before: it is loaded anew
    if (back) tell({ type: "reset" });
  };
  socket.onclose = (event) => {
    socket = null;
    const was = state.connected;
    state.connected = false;
    if (was) tell({ type: "closed" });
    if (closing) return;
    if (event.code === 4401) return tell({ type: "signed-out" });
    timer = setTimeout(connect, event.code === 4429 ? 60_000 : wait + Math.random() * 250);
    wait = Math.min(wait * 2, 10_000);
  };
}

export function disconnect() {
  closing = true;
  clearTimeout(timer);
  socket?.close();
  socket = null;
  last = null;
}

// Heartbeats come every 15 s: a connection that is silent for longer is dead, whatever the browser thinks.
setInterval(() => {
  if (socket && state.connected && Date.now() - state.heard > 40_000) socket.close();
}, 5_000);
