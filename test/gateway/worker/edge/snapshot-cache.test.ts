/** An isolate's memory of snapshots: who loads, who shares, what goes when it is full. */
import { createExecutionContext } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import {
  SnapshotCache,
  type SnapshotSource,
} from "../../../../gateway/worker/edge/snapshot-cache.ts";

const env = {} as Env;
const context = createExecutionContext();

afterEach(() => {
  vi.useRealTimers();
});

/** Each key is its own owner's, and is loaded alone. */
function ownersOfOne(load: (key: string) => Promise<string>): SnapshotSource<string> {
  return {
    ownerOf: (key) => key,
    load: async (_env, owner) => [await load(owner)],
  };
}

test("1,000 requests for a cold key are one load", async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const load = vi.fn(async () => await promise);
  const cache = new SnapshotCache(ownersOfOne(load), 10);
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
  const cache = new SnapshotCache(ownersOfOne(load), 10);
  const lookups = [1, 2].map(async () => await cache.lookup(env, context, "key"));
  expect(await Promise.all(lookups)).toEqual([{ unavailable: true }, { unavailable: true }]);
  expect(await cache.lookup(env, context, "key")).toEqual({ snapshot: "value" });
});

test("a load that never ends is not shared for ever", async () => {
  const load = vi.fn(async () => await new Promise<string>(() => undefined));
  const cache = new SnapshotCache(ownersOfOne(load), 10);
  void cache.lookup(env, context, "key");
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + 2_000);
  void cache.lookup(env, context, "key");
  await vi.waitFor(() => expect(load).toHaveBeenCalledTimes(2));
});

test("keys in rotation, one more than the table holds, still hit", async () => {
  let seed = 1;
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const load = vi.fn(async (key: string) => key);
  const cache = new SnapshotCache(ownersOfOne(load), 100, undefined, random);
  for (let index = 0; index < 101 * 20; index += 1) {
    await cache.lookup(env, context, `key-${index % 101}`);
  }
  expect(load.mock.calls.length).toBeLessThan(101 * 4);
});

/** A cache of keys such as `b2`, whose owner is `b`. Each question to an owner is in `asked`, and waits for `ready`. */
function cacheByOwners() {
  const asked: string[] = [];
  const owners = { ready: Promise.resolve() };
  const source: SnapshotSource<string> = {
    ownerOf: (key) => key.slice(0, 1),
    load: async (_env, owner, wanted) => {
      const at = Date.now();
      asked.push(`${owner}: ${wanted.map(({ key }) => key).join(" ")}`);
      await owners.ready;
      return wanted.map(({ key }) => (key === "a-unknown" ? undefined : `${key} at ${at}`));
    },
  };
  const cache = new SnapshotCache(source, 10);
  const use = async (...keys: string[]) => {
    const found = keys.map(async (key) => await cache.lookup(env, context, key));
    return (await Promise.all(found)).map((lookup) => "snapshot" in lookup && lookup.snapshot);
  };
  const doubt = async (key: string) => await cache.lookupAgain(env, context, key);
  return { asked, owners, use, doubt };
}

test("what requests use of one owner is refreshed by one question", async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: 0 });
  const { asked, use } = cacheByOwners();
  await use("a1", "a2", "a3", "b1");
  asked.length = 0;
  vi.setSystemTime(3_000);
  expect(await use("a2")).toEqual(["a2 at 0"]);
  await vi.waitFor(async () => expect(await use("a1", "a2")).toEqual(["a1 at 3000", "a2 at 3000"]));
  expect(asked).toEqual(["a: a1 a2 a3"]);
  // Behind a request and before one alike. Nobody has asked for a3 again.
  vi.setSystemTime(8_000);
  expect(await use("a1")).toEqual(["a1 at 8000"]);
  expect(await use("a2")).toEqual(["a2 at 8000"]);
  expect(asked).toEqual(["a: a1 a2 a3", "a: a1 a2"]);
});

test("a key that its owner does not have, or that a request doubts, takes no other along", async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: 0 });
  const { asked, use, doubt } = cacheByOwners();
  await use("a1", "a-unknown");
  asked.length = 0;
  vi.setSystemTime(3_000);
  await use("a-unknown");
  await doubt("a1");
  expect(asked).toEqual(["a: a-unknown", "a: a1"]);
  vi.setSystemTime(9_000);
  await use("a1");
  expect(asked).toEqual(["a: a-unknown", "a: a1", "a: a1"]);
});

test("a request waits for the question by which the refresh of another key asks for its own", async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: 0 });
  const { asked, owners, use } = cacheByOwners();
  await use("a1");
  vi.setSystemTime(1_500);
  await use("a2");
  asked.length = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  owners.ready = promise;
  vi.setSystemTime(4_600);
  expect(await use("a2")).toEqual(["a2 at 1500"]);
  vi.setSystemTime(5_100);
  const waiting = use("a1");
  resolve();
  expect(await waiting).toEqual(["a1 at 4600"]);
  expect(asked).toEqual(["a: a1 a2"]);
});
