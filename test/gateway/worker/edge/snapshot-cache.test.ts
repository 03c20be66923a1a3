/** An isolate's memory of snapshots: who loads, who shares, what goes when it is full. */
import { createExecutionContext } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { SnapshotCache } from "../../../../gateway/worker/edge/snapshot-cache.ts";

const env = {} as Env;
const context = createExecutionContext();

afterEach(() => {
  vi.useRealTimers();
});

test("1,000 requests for a cold key are one load", async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const load = vi.fn(async () => await promise);
  const cache = new SnapshotCache(load, 10);
  const lookups = Array.from(
    { length: 1_000 },
    async () => await cache.lookup(env, context, "cold"),
  );
  resolve("value");
  expect(new Set((await Promise.all(lookups)).map((found) => JSON.stringify(found)))).toEqual(
    new Set(['{"snapshot":"value"}']),
  );
  expect(load).toHaveBeenCalledOnce();
});

test("a load that breaks fails those who wait for it, and the next request loads again", async () => {
  const load = vi.fn(async (): Promise<string> => {
    if (load.mock.calls.length === 1) throw new Error("the object was reset");
    return "value";
  });
  const cache = new SnapshotCache(load, 10);
  const lookups = [1, 2].map(async () => await cache.lookup(env, context, "key"));
  expect(await Promise.all(lookups)).toEqual([{ unavailable: true }, { unavailable: true }]);
  expect(await cache.lookup(env, context, "key")).toEqual({ snapshot: "value" });
});

test("a load that never ends is not shared for ever", async () => {
  const load = vi.fn(async () => await new Promise<string>(() => undefined));
  const cache = new SnapshotCache(load, 10);
  void cache.lookup(env, context, "key");
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + 2_000);
  void cache.lookup(env, context, "key");
  expect(load).toHaveBeenCalledTimes(2);
});

test("keys in rotation, one more than the table holds, still hit", async () => {
  let seed = 1;
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const load = vi.fn(async (_env: Env, key: string) => key);
  const cache = new SnapshotCache<string>(load, 100, undefined, random);
  for (let index = 0; index < 101 * 20; index += 1) {
    await cache.lookup(env, context, `key-${index % 101}`);
  }
  expect(load.mock.calls.length).toBeLessThan(101 * 4);
});
