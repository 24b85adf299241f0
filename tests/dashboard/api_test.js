// Requests of the page: what is sent, and errors that can be shown as they are.
import { deepStrictEqual as same, rejects } from "node:assert";
import { ApiError, get, modelPath, newKey, post } from "../../stream_app/web/static/api.js";

/** Answer every request with `answer`, and give what was asked. */
async function asking(answer, ask) {
  const asked = [];
  const { fetch } = globalThis;
  Object.defineProperty(globalThis, "location", { value: { hash: "", pathname: "/", search: "" }, configurable: true });
  sessionStorage.setItem("plumbline-token", "t0");
  globalThis.fetch = (path, options) => {
    asked.push([path, options]);
    return answer === null ? Promise.reject(new TypeError("no route")) : Promise.resolve(answer);
  };
  try {
    await ask();
  } finally {
    globalThis.fetch = fetch;
    sessionStorage.clear();
  }
  return asked;
}

Deno.test("parameters that are null or empty are left out, and the token goes along", async () => {
  const [[path, options]] = await asking(Response.json({}), () => get("/alerts", { a: "x y", b: null, c: "", d: 0 }));
  same(path, "/api/v1/alerts?a=x+y&d=0");
  same(options.headers.authorization, "Bearer t0");
});

Deno.test("a command carries its key and its body", async () => {
  const [[path, options]] = await asking(Response.json({}), () => post("/retrain", { reason: "why" }, "k1"));
  same([path, options.method, options.body, options.headers["idempotency-key"]], ["/api/v1/retrain", "POST", '{"reason":"why"}', "k1"]);
});

/** @type {[string, Response | null, [number, string, string]][]} */
const failing = [
  ["the server's own words", Response.json({ error: { code: "gone", message: "It is gone." } }, { status: 404 }), [404, "gone", "It is gone."]],
  ["no JSON", new Response("<html>", { status: 502 }), [502, "http", "The server answered 502."]],
  ["no server", null, [0, "unreachable", "This server does not answer. Is `plumbline web` still running?"]],
];
for (const [name, answer, [status, code, message]] of failing)
  Deno.test(`an error is told in a sentence: ${name}`, async () => {
    await asking(answer, () =>
      rejects(get("/alerts"), (/** @type {any} */ error) => {
        same(error instanceof ApiError, true);
        same([error.status, error.code, error.message], [status, code, message]);
        return true;
      }));
  });

Deno.test("a model in a path keeps its colon and nothing else that means something there", () => {
  same(modelPath("fraud:a/b?c#d e"), "fraud:a%2Fb%3Fc%23d%20e");
});

Deno.test("keys of commands differ", () => {
  const keys = new Set(Array.from({ length: 1000 }, newKey));
  same(keys.size, 1000);
  same([...keys].every((key) => /^[0-9a-f]{32}$/.test(key)), true);
});
