// The API: the token of this tab, requests, and errors that can be shown as they are.

const KEY = "plumbline-token";

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The token of this tab; one in the address is kept and taken out of sight. */
export function token() {
  const match = /^#token=(.+)$/.exec(location.hash);
  if (match) {
    sessionStorage.setItem(KEY, decodeURIComponent(match[1]));
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEY) ?? "";
}

export const signIn = (value) => sessionStorage.setItem(KEY, value.trim());
export const signOut = () => sessionStorage.removeItem(KEY);

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(`/api/v1${path}`, {
      ...options,
      headers: { authorization: `Bearer ${token()}`, ...options.headers },
    });
  } catch {
    throw new ApiError(0, "unreachable", "This server does not answer. Is `plumbline web` still running?");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = body.error ?? { code: "http", message: `The server answered ${response.status}.` };
    throw new ApiError(response.status, error.code, error.message);
  }
  return body;
}

/** GET; parameters that are null or empty are left out. `options` are fetch's. */
export function get(path, parameters = {}, options = {}) {
  const query = new URLSearchParams(
    Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== ""),
  ).toString();
  return call(query ? `${path}?${query}` : path, options);
}

let routes = null;

/** Whether this server has a route, as its own description names it; an older one lacks some. */
export async function offered(path) {
  routes ??= get("/openapi.json").then((found) => new Set(Object.keys(found.paths)));
  try {
    return (await routes).has(`/api/v1${path}`);
  } catch {
    routes = null;
    return false;
  }
}

/** POST an order. A key of its own lets a doubtful one be sent again without ordering twice. */
export function post(path, body, key) {
  return call(path, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": key },
    body: JSON.stringify(body),
  });
}

export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

/** A model as part of a path; its characters need no escape but the colon is kept readable. */
export const modelPath = (model) => encodeURIComponent(model).replaceAll("%3A", ":");
