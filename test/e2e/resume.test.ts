/** What breaks between gateway and agent is a pause for the client: never a loss, never a repetition. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { type CuttableProxy, startCuttableProxy } from "../support/cuttable-proxy.ts";
import { APPS, type Gateway, startGateway, startServe, upstream } from "../support/harness.ts";
import { digest, events, open, send } from "../support/http-client.ts";
import { Notes } from "../support/notes.ts";
import type { ManagedProcess } from "../support/processes.ts";
import { type WebApp, startWebApp } from "../support/web-app.ts";

const PATIENCE = { timeout: 30_000 };
/** A counted call takes so long, so that a cut meets it. */
const WORKS_FOR_MS = 300;

const counted = new Notes();
let app: WebApp;
let gateway: Gateway;
let proxy: CuttableProxy;
let agent: ManagedProcess;
beforeAll(async () => {
  app = await startWebApp();
  gateway = await startGateway();
  proxy = await startCuttableProxy(gateway.port);
  const endpoints = [
    upstream(app.port),
    {
      function: "counted",
      web_server: ["node", join(APPS, "noting-server.ts")],
      env: { NOTES: counted.file, WORK_MS: `${WORKS_FOR_MS}` },
      max_inputs: 20,
    },
  ];
  agent = await startServe(gateway, endpoints, proxy.port);
});
afterAll(async () => {
  await agent.stop();
  await proxy.close();
  await gateway.stop();
  await app.stop();
});

test("one connection sees 1,000 events once and in order through five cuts", async () => {
  const faults = new Map<number, () => unknown>([
    [100, () => proxy.cut()],
    [340, () => proxy.cut()],
    [480, () => proxy.cut()],
    [720, () => proxy.cut()],
    [850, () => proxy.cut()],
  ]);
  const response = await open(gateway.address("web", "-dev"), "/events?count=1000&interval_ms=5", {
    timeoutMs: 90_000,
  });
  const received: number[] = [];
  for await (const event of events(response)) {
    received.push(Number(event));
    await faults.get(received.length)?.();
  }
  expect(received).toEqual(Array.from({ length: 1000 }, (_, number) => number));
});

test("a download that outruns the ring is cut where it cannot resume, or arrives whole", async () => {
  const size = 64 * 1024 * 1024;
  const response = await open(gateway.address("web", "-dev"), `/download?size=${size}`, {
    timeoutMs: 60_000,
  });
  response.once("data", () => proxy.cut());
  const outcome = await digest(response).catch(() => "cut" as const);
  if (outcome !== "cut") expect(outcome.bytes).toBe(size);
});

test("a request that comes while the link is down is answered once it is back", async () => {
  expect(proxy.cut()).toBe(1);
  expect((await send(gateway.address("web", "-dev"), "/json")).status).toBe(200);
});

test("of 20 POSTs while the link is cut five times none is refused, and none runs twice", async () => {
  const address = gateway.address("counted", "-dev");
  const calls: Promise<number>[] = [];
  const post = (): void => {
    const call = send(address, `/${calls.length}`, { method: "POST", timeoutMs: 60_000 });
    calls.push(call.then(({ status }) => status));
  };
  for (let cuts = 1; cuts <= 5; cuts += 1) {
    post();
    await expect.poll(() => counted.paths.length, PATIENCE).toBe(calls.length);
    post();
    expect(proxy.cut()).toBe(1);
    post();
    post();
    // All of them have come, so that the next cut has a link.
    await expect.poll(() => counted.paths.length, PATIENCE).toBe(calls.length);
  }
  expect(await Promise.all(calls)).toEqual(calls.map(() => 200));
  expect(counted.paths.toSorted()).toEqual(calls.map((_, number) => `/${number}`).toSorted());
});

test("requests that have joined a call under their key go on after a cut, before its response and in it", async () => {
  const headers = { "idempotency-key": "through-cuts" };
  const post = async () => {
    const how = { method: "POST", headers, timeoutMs: 60_000 };
    return (await send(gateway.address("counted", "-dev"), "/keyed", how)).status;
  };
  const joined = [post(), post(), post()];
  await expect.poll(() => counted.paths, PATIENCE).toContain("/keyed");
  proxy.cut();
  expect(await Promise.all(joined)).toEqual([200, 200, 200]);
  expect(counted.paths.filter((path) => path === "/keyed")).toHaveLength(1);

  const path = "/events?count=200&interval_ms=10";
  const read = async () => {
    const response = await open(gateway.address("web", "-dev"), path, { headers });
    const received: number[] = [];
    for await (const event of events(response)) {
      received.push(Number(event));
      if (received.length === 50) proxy.cut();
    }
    return received;
  };
  const whole = Array.from({ length: 200 }, (_, number) => number);
  expect(await Promise.all([read(), read()])).toEqual([whole, whole]);
});

test("a half-open link is noticed within 15 s and the box serves again", async () => {
  proxy.freeze();
  const deadlineMs = performance.now() + 17_000;
  let status = 0;
  while (status !== 200) {
    expect(performance.now()).toBeLessThan(deadlineMs);
    const answer = await send(gateway.address("web", "-dev"), "/json", {
      timeoutMs: 2_000,
    }).catch(() => undefined);
    status = answer?.status ?? 0;
  }
});
