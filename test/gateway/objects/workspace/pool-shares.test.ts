/** Two boxes share the containers of an app's endpoint, by leases from the workspace's object. */
import { env as bindings, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Env } from "../../../../gateway/contracts/env.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { content, type DeployBox, Deploying } from "./deploying.ts";

const env = bindings as unknown as Env;

const LEASE_MS = 60_000;

let workspaces = 0;
let here: Deploying;
let one: DeployBox;
let two: DeployBox;
let app: string;

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  workspaces += 1;
  here = new Deploying(`shares-${workspaces}`);
  one = await here.box("gpu-1");
  two = await here.box("gpu-2");
  await here.box("cpu-1");
  await here.stage("shop", content({ f: { boxes: ["gpu-*"] } }));
  await here.start("shop", 1);
  app = (await one.assignments()).apps[0]?.id ?? "";
});
afterEach(() => {
  vi.useRealTimers();
});

function pass(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

async function written(): Promise<number> {
  const stub = workspaceStub(env, here.workspace);
  return await runInDurableObject(stub, (_instance, { storage }) => {
    const [row] = storage.sql.exec<{ changes: number }>("SELECT total_changes() AS changes");
    return row?.changes ?? 0;
  });
}

/** The rows, by box and set of parameters. */
async function setsOf(): Promise<string[]> {
  const stub = workspaceStub(env, here.workspace);
  return await runInDurableObject(stub, (_instance, { storage }) =>
    storage.sql
      .exec<{ box: string; parameters: string }>("SELECT box, parameters FROM pool_shares")
      .toArray()
      .map(({ box, parameters }) => `${box} ${parameters}`),
  );
}

test("an assignment names the pools that more than one box may run", async () => {
  expect((await one.assignments()).apps).toMatchObject([{ candidate: { sharedPools: ["f"] } }]);
  await here.stage("solo", content({ f: { boxes: ["cpu-1"] }, g: { boxes: ["*"] } }));
  await here.start("solo", 1);
  const solo = (await one.assignments()).apps.find((each) => each.app === "solo");
  expect(solo?.candidate?.sharedPools).toEqual(["g"]);
});

test("boxes get the numbers that were changed, also before they have heard of the change", async () => {
  const report = [{ app, version: 1, state: "ready" as const }];
  await one.report(report);
  await two.report(report);
  const bounds = { app, max: 2 };
  expect(await one.lease([{ ...bounds, needs: 2 }])).toMatchObject({ pools: [{ most: 2 }] });
  await two.lease([{ ...bounds, needs: 2 }]);
  const change = { min_containers: 4, max_containers: 4 };
  const path = "/apps/shop/functions/f/scaling?environment=main";
  expect((await here.call("PATCH", path, change)).status).toBe(200);
  expect(await two.lease([{ ...bounds, needs: 2 }])).toMatchObject({
    pools: [{ least: 2, most: 2 }],
  });
  await here.call("PATCH", path, { min_containers: 0, max_containers: 2 });
  expect(await one.lease([{ ...bounds, needs: 2, has: 2 }])).toMatchObject({
    pools: [{ least: 0, most: 1 }],
  });
});

test("two boxes never get more than max_containers, and share it when both need it", async () => {
  expect(await one.lease([{ app, needs: 3 }])).toMatchObject({
    pools: [{ app, version: 1, pool: "f", most: 3, elsewhere: false }],
    leaseMs: LEASE_MS,
  });
  const waiting = await two.lease([{ app, needs: 3 }]);
  expect(waiting).toMatchObject({ pools: [{ most: 0, elsewhere: true }] });
  // The one that has too much is told to ask, and the other one when there is room.
  await vi.waitFor(() => expect(one.shareNotifications).toBe(1));
  expect(await one.lease([{ app, needs: 3, has: 3 }])).toMatchObject({ pools: [{ most: 2 }] });
  expect(two.shareNotifications).toBe(0);
  expect(await one.lease([{ app, needs: 3, has: 2 }])).toMatchObject({ pools: [{ most: 2 }] });
  await vi.waitFor(() => expect(two.shareNotifications).toBe(1));
  expect(await two.lease([{ app, needs: 3 }])).toMatchObject({
    pools: [{ most: 1, elsewhere: false }],
  });
});

test("a smaller share is given to others when the box has confirmed it", async () => {
  const bounds = { app, max: 1 };
  const first = await one.lease([{ ...bounds, needs: 1, grant: 0 }]);
  const grant = first?.pools[0]?.grant ?? 0;
  expect(first).toMatchObject({ pools: [{ most: 1, confirm: false }] });
  // It needs nothing any more, and may start one all the same until it has this answer.
  await two.lease([{ ...bounds, needs: 1, grant: 0 }]);
  const smaller = await one.lease([{ ...bounds, grant }]);
  expect(smaller).toMatchObject({ pools: [{ most: 0, confirm: true }] });
  expect(await two.lease([{ ...bounds, needs: 1, grant: 0 }])).toMatchObject({
    pools: [{ most: 0 }],
  });
  // A request that was on its way for long has the old number.
  expect(await one.lease([{ ...bounds, grant }])).toMatchObject({ pools: [{ confirm: true }] });
  const now = smaller?.pools[0]?.grant ?? 0;
  expect(now).toBeGreaterThan(grant);
  expect(await one.lease([{ ...bounds, grant: now }])).toMatchObject({
    pools: [{ most: 0, confirm: false }],
  });
  expect(await two.lease([{ ...bounds, needs: 1, grant: 0 }])).toMatchObject({
    pools: [{ most: 1 }],
  });
});

test("each set of parameters has shares of its own, and none is left when a box names it no more", async () => {
  const set = (parameters: string, more = {}) => ({ app, max: 1, parameters, ...more });
  await one.lease([set("fox", { needs: 1 })]);
  expect(await two.lease([set("fox", { needs: 1 }), set("owl", { needs: 1 })])).toMatchObject({
    pools: [
      { parameters: "fox", most: 0, elsewhere: true },
      { parameters: "owl", most: 1, elsewhere: false },
    ],
  });
  await one.lease([]);
  expect(await two.lease([set("fox", { needs: 1 })])).toMatchObject({ pools: [{ most: 1 }] });
  expect(await setsOf()).toEqual(["gpu-2 fox"]);
});

test("min_containers of a set hold where a box was asked for it, whatever was changed", async () => {
  const report = [{ app, version: 1, state: "ready" as const }];
  await one.report(report);
  await two.report(report);
  const path = "/apps/shop/functions/f/scaling?environment=main";
  const change = { min_containers: 2, max_containers: 3 };
  expect((await here.call("PATCH", path, change)).status).toBe(200);
  const set = { app, max: 3, parameters: "fox" };
  expect(await one.lease([{ ...set, min: 0 }])).toMatchObject({ pools: [{ least: 0, most: 0 }] });
  expect(await two.lease([{ ...set, min: 2 }])).toMatchObject({ pools: [{ least: 1 }] });
  expect(await one.lease([{ ...set, min: 0 }])).toMatchObject({ pools: [{ least: 1 }] });
});

test("a box has shares of so many sets of a pool, and of no more", async () => {
  const sets = Array.from({ length: 70 }, (_, number) => ({ app, parameters: `set-${number}` }));
  const lease = await one.lease([...sets, { app }]);
  expect(lease?.pools).toHaveLength(65);
  expect(lease?.pools.at(-1)).not.toHaveProperty("parameters");
  expect(await setsOf()).toHaveLength(65);
});

test("calls are sent elsewhere only where the other boxes have all containers", async () => {
  await one.lease([{ app, max: 2, has: 1, needs: 1 }]);
  expect(await two.lease([{ app, max: 2 }])).toMatchObject({ pools: [{ elsewhere: false }] });
  await one.lease([{ app, max: 2, has: 1, needs: 2 }]);
  expect(await two.lease([{ app, max: 2 }])).toMatchObject({ pools: [{ elsewhere: true }] });
});

test("a box is told when other boxes have got all containers, and when one is free again", async () => {
  await two.lease([{ app, max: 1 }]);
  await one.lease([{ app, max: 1, needs: 1 }]);
  await vi.waitFor(() => expect(two.shareNotifications).toBe(1));
  expect(await two.lease([{ app, max: 1 }])).toMatchObject({ pools: [{ elsewhere: true }] });
  await one.lease([{ app, max: 1 }]);
  await vi.waitFor(() => expect(two.shareNotifications).toBe(2));
  expect(await two.lease([{ app, max: 1 }])).toMatchObject({ pools: [{ elsewhere: false }] });
});

test("min_containers are spread over the boxes that ask", async () => {
  const bounds = { min: 2, max: 2 };
  expect(await one.lease([{ app, ...bounds }])).toMatchObject({ pools: [{ least: 2 }] });
  await two.lease([{ app, ...bounds }]);
  await vi.waitFor(() => expect(one.shareNotifications).toBe(1));
  expect(await one.lease([{ app, ...bounds, has: 1 }])).toMatchObject({ pools: [{ least: 1 }] });
  expect(await two.lease([{ app, ...bounds }])).toMatchObject({ pools: [{ least: 1, most: 1 }] });
});

test("a lost box's share comes back when its lease ends, and not before", async () => {
  await one.lease([{ app, needs: 3 }]);
  one.agent?.cut();
  // Calls need not be sent to a box without a link.
  await vi.waitFor(async () => {
    const lease = await two.lease([{ app, needs: 2 }]);
    expect(lease?.pools).toMatchObject([{ most: 0, elsewhere: false }]);
  });
  pass(LEASE_MS - 1_000);
  const lease = await two.lease([{ app, needs: 2 }]);
  expect(lease).toMatchObject({ pools: [{ most: 0 }] });
  expect(lease?.askAgainMs).toBeLessThanOrEqual(3_000);
  pass(1_001);
  expect(await two.lease([{ app, needs: 2 }])).toMatchObject({ pools: [{ most: 2 }] });
});

test("an agent that says goodbye gives its share back at once", async () => {
  await one.lease([{ app, needs: 3 }]);
  await two.lease([{ app, needs: 3 }]);
  await vi.waitFor(() => expect(one.shareNotifications).toBe(1));
  one.agent?.close();
  await vi.waitFor(() => expect(two.shareNotifications).toBe(1));
  expect(await two.lease([{ app, needs: 3 }])).toMatchObject({ pools: [{ most: 3 }] });
});

test("a box that has sent its calls elsewhere is told when nobody is there any more", async () => {
  await one.lease([{ app, max: 1, needs: 1 }]);
  expect(await two.lease([{ app, max: 1 }])).toMatchObject({ pools: [{ elsewhere: true }] });
  one.agent?.close();
  await vi.waitFor(() => expect(two.shareNotifications).toBe(1));
  expect(await two.lease([{ app, max: 1 }])).toMatchObject({ pools: [{ elsewhere: false }] });
});

test("a box whose link is lost is expected for a moment; then the others are told, and when it is back", async () => {
  await one.lease([{ app, max: 1, needs: 1 }]);
  await two.lease([{ app, max: 1 }]);
  const lostAtMs = performance.now();
  one.agent?.cut();
  await vi.waitFor(() => expect(two.shareNotifications).toBe(1), { timeout: 10_000 });
  expect(performance.now() - lostAtMs).toBeGreaterThan(1_500);
  expect(await two.lease([{ app, max: 1 }])).toMatchObject({ pools: [{ elsewhere: false }] });
  await one.connect();
  await vi.waitFor(() => expect(two.shareNotifications).toBe(2));
  expect(await two.lease([{ app, max: 1 }])).toMatchObject({ pools: [{ elsewhere: true }] });
});

test("a box that is revoked gives its share back at once", async () => {
  await one.lease([{ app, needs: 3 }]);
  await two.lease([{ app, needs: 3 }]);
  expect((await here.call("DELETE", "/boxes/gpu-1")).status).toBe(204);
  await vi.waitFor(() => expect(two.shareNotifications).toBe(1));
  expect(await two.lease([{ app, needs: 3 }])).toMatchObject({ pools: [{ most: 3 }] });
});

test("a box that does not name a pool any more has let go of it", async () => {
  await one.lease([{ app, needs: 3 }]);
  await two.lease([{ app, needs: 1 }]);
  await one.lease([]);
  await vi.waitFor(() => expect(two.shareNotifications).toBe(1));
  expect(await two.lease([{ app, needs: 1 }])).toMatchObject({ pools: [{ most: 1 }] });
});

test("a version that one box has proved is proved for all", async () => {
  await one.lease([{ app, max: 1, needs: 1 }]);
  expect(await two.lease([{ app, max: 1, needs: 1 }])).toMatchObject({
    pools: [{ proved: false }],
  });
  await one.lease([{ app, max: 1, has: 1, proved: true }]);
  expect(await two.lease([{ app, max: 1, needs: 1 }])).toMatchObject({ pools: [{ proved: true }] });
});

test("where there are fewer containers than boxes that need one, each has its turn", async () => {
  await one.lease([{ app, max: 1, needs: 1 }]);
  await two.lease([{ app, max: 1, needs: 1 }]);
  // A link that nothing is heard of for 10 s is dead.
  pass(LEASE_MS / 2);
  await Promise.all([one.connect(), two.connect()]);
  await two.lease([{ app, max: 1, needs: 1 }]);
  await vi.waitFor(() => expect(one.shareNotifications).toBe(1));
  expect(await one.lease([{ app, max: 1, needs: 1, has: 0 }])).toMatchObject({
    pools: [{ most: 0 }],
  });
  await vi.waitFor(() => expect(two.shareNotifications).toBe(1));
  expect(await two.lease([{ app, max: 1, needs: 1 }])).toMatchObject({ pools: [{ most: 1 }] });
});

test("a pool that a box is not to run has no share", async () => {
  const cpu = await here.box("cpu-2");
  expect(await cpu.lease([{ app, needs: 1 }])).toMatchObject({ pools: [] });
  expect(
    await one.lease([{ app, pool: "g" }, { app, version: 2 }, { app: "ap-none" }]),
  ).toMatchObject({
    pools: [],
  });
});

test("a second agent of a box has none, while another one is connected", async () => {
  const second = { incarnation: "b".repeat(32) };
  expect(await one.lease([{ app, needs: 1 }], second)).toBeUndefined();
  expect(await one.lease([{ app, needs: 1 }])).toMatchObject({ pools: [{ most: 1 }] });
});

test("a request that comes behind a later one gives away nothing", async () => {
  const own = { incarnation: "a".repeat(32) };
  const bounds = { app, max: 1 };
  const needed = [{ ...bounds, needs: 1, has: 1 }];
  expect(await one.lease(needed, { ...own, number: 3 })).toMatchObject({ pools: [{ most: 1 }] });
  // Sent before the box had a container.
  expect(await one.lease([bounds], { ...own, number: 2 })).toBeUndefined();
  expect(await two.lease([{ ...bounds, needs: 1 }])).toMatchObject({ pools: [{ most: 0 }] });
  // One that arrives twice is answered twice: the first answer may be lost.
  expect(await one.lease(needed, { ...own, number: 3 })).toMatchObject({ pools: [{ most: 1 }] });
});

test("what has not changed is not written", async () => {
  await one.lease([{ app, needs: 1 }]);
  await one.lease([{ app, needs: 1, has: 1 }]);
  const before = await written();
  for (let times = 0; times < 5; times += 1) {
    pass(1_000);
    await one.lease([{ app, needs: 1, has: 1 }]);
  }
  expect(await written()).toBe(before);
  pass(LEASE_MS / 2);
  expect(await one.lease([{ app, needs: 1, has: 1 }])).toMatchObject({ leaseMs: LEASE_MS });
  expect(await written()).toBe(before + 1);
});
