/** A fallback, as its server and the endpoint's clients see it: while the only place is taken, and when it is free again. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type Gateway, ROOT, startGateway, startServe, webServer } from "../support/harness.ts";
import { open, send } from "../support/http-client.ts";
import type { ManagedProcess } from "../support/processes.ts";

interface Asked {
  readonly target: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: unknown;
}

const asked: Asked[] = [];
const outside = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    asked.push({ target: request.url ?? "", headers: request.headers, body });
    response.writeHead(200, { "content-type": "application/json", "set-cookie": "theirs=1" });
    response.end('{"from":"outside"}');
  });
});
let gateway: Gateway;
let box: ManagedProcess;

beforeAll(async () => {
  await new Promise<void>((resolve) => outside.listen(0, "127.0.0.1", resolve));
  const { port } = outside.address() as AddressInfo;
  const before = process.env["NODE_OPTIONS"] ?? "";
  gateway = await startGateway({
    env: {
      NODE_OPTIONS: `${before} --import=${join(ROOT, "test/support/outside.ts")}`,
      OUTSIDE_PORT: String(port),
    },
  });
  box = await startServe(gateway, [
    webServer({
      max_inputs: 1,
      max_pending: 0,
      fallback: {
        url: "https://api.example.com/base",
        headers: { authorization: "Bearer of-the-operator" },
        models: { ours: "vendor/theirs" },
      },
    }),
  ]);
});
afterAll(async () => {
  await box.stop();
  await gateway.stop();
  outside.close();
});

const ask = async (path: string, body: object, headers: Record<string, string> = {}) =>
  await send(gateway.address("web", "-dev"), path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });

test("while the only place is taken, a model is asked for outside by its name there", async () => {
  const address = gateway.address("web", "-dev");
  expect((await ask("/json", { model: "ours" })).json()).toEqual({ received: { model: "ours" } });
  const taken = await open(address, "/events?count=100000&interval_ms=1000");
  await new Promise((resolve) => taken.once("data", resolve));

  const credentials = { authorization: "Bearer of-the-client", cookie: "a=b", "x-api-key": "k" };
  const answer = await ask("/v1/chat?a=%2F", { model: "ours", n: 1 }, credentials);
  expect(answer.json()).toEqual({ from: "outside" });
  expect(answer.headers).toMatchObject({ "postern-fallback": "1" });
  expect(answer.headers["set-cookie"]).toBe(undefined);
  const [first] = asked;
  expect(first).toMatchObject({
    target: "/base/v1/chat?a=%2F",
    headers: { host: "api.example.com", authorization: "Bearer of-the-operator" },
    body: { model: "vendor/theirs", n: 1 },
  });
  expect(Object.keys(first?.headers ?? {})).not.toContain("cookie");
  expect(Object.keys(first?.headers ?? {})).not.toContain("x-api-key");

  // A model that the map does not have keeps its name; a call under a key stays here, and one above the path.
  await ask("/v1/chat", { model: "constructor" });
  expect(asked[1]?.body).toEqual({ model: "constructor" });
  expect((await ask("/v1/chat", {}, { "idempotency-key": "k-1" })).status).toBe(429);
  expect((await ask("/v1/../../keys", {})).status).toBe(429);
  expect((await ask("/%2e%2e/keys", {})).status).toBe(429);
  expect(asked).toHaveLength(2);

  taken.destroy();
  await expect
    .poll(async () => (await ask("/json", { model: "ours" })).text)
    .toBe('{"received":{"model":"ours"}}');
});
