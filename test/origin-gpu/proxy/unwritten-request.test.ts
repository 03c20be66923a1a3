/**
 * Requests on a kept connection that the app ended before they were written. No byte of them has left, so that they go
 * out again, whatever their method.
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import { RequestBody } from "../../../origin-gpu/calls/request-body.ts";
import { AppConnections } from "../../../origin-gpu/proxy/app-connections.ts";
import { type KeptEnding, ResettingServer } from "../../support/resetting-server.ts";

let server: ResettingServer;
let connections: AppConnections;
beforeEach(async () => {
  server = await ResettingServer.start();
  connections = new AppConnections({ origin: `http://127.0.0.1:${server.port}` });
});
afterEach(async () => {
  await connections.close();
  await server.stop();
});

/** Sends a call. Resolves with its status, the code of its failure, or `refused` where its endpoint is to choose. */
async function send(method: string, key?: string): Promise<number | string> {
  const { promise, resolve } = Promise.withResolvers<number | string>();
  let status = 0;
  const body = new RequestBody(undefined, new Uint8Array(method === "POST" ? 12_000 : 0), true);
  const call = {
    head: { method, target: "/", headers: ["host", "app"], ...(key !== undefined && { key }) },
    isDurable: false,
    body,
    start: () => undefined,
    withdraw: () => undefined,
    append: () => undefined,
    respond: (head: { status: number }) => (status = head.status),
    complete: () => resolve(status),
    fail: ({ code }: { code: string }) => resolve(code),
  };
  const waited = { queue: 0, start: 0 };
  const limits = { timeoutMs: 30_000, maxDurationMs: 30_000 };
  connections.send({ call: call as unknown as Call, waited, limits }, async () => {
    await Promise.resolve();
    resolve("refused");
  });
  return await promise;
}

/**
 * Sends a call over a connection that ends after the call has come.
 * @param isLate it ends when its end is not noticed any more before the request is written
 */
async function sendOverEnded(how: KeptEnding, method: string, { key = "", isLate = false } = {}) {
  expect(await send("GET")).toBe(200);
  const end = (): void => server.endConnection(how);
  setImmediate(() => (isLate ? setImmediate(end) : end()));
  return await send(method, key === "" ? undefined : key);
}

test.each([
  ["reset", "POST", { key: "" }],
  ["reset", "POST", { key: "key" }],
  ["reset", "GET", { key: "key" }],
  ["reset", "POST", { isLate: true }],
  ["reset", "GET", { key: "key", isLate: true }],
  ["closed", "POST", { key: "" }],
  ["closed", "POST", { key: "key" }],
  ["closed", "GET", { key: "key" }],
] as const)("%s: a %s (%j) goes out again, and runs once", async (how, method, traits) => {
  expect(await sendOverEnded(how, method, traits)).toBe(200);
  expect(server.requests).toBe(2);
});

test.each([
  ["POST", {}],
  ["POST", { isLate: true }],
  ["GET", {}],
  ["GET", { isLate: true }],
] as const)("a %s (%j) is its endpoint's where the app is gone", async (method, traits) => {
  expect(await sendOverEnded("gone", method, traits)).toBe("refused");
  expect(server.requests).toBe(1);
});

test("a POST that the system took does not go out again: nobody knows who read it", async () => {
  expect(await sendOverEnded("closed", "POST", { isLate: true })).toBe("origin_error");
  expect(server.requests).toBe(1);
});
