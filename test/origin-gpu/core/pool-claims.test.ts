/** Which claims of a pool are waited for, so that others yield, and which are only to be there in advance. */
import { expect, test } from "vitest";
import type { PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import { Pool } from "../../../origin-gpu/core/pool.ts";
import { SETTINGS } from "./pool-world.ts";

function poolOf(settings: Partial<PoolSettings>, isProved = true): Pool<string> {
  const pool = new Pool<string>({ ...SETTINGS, maxContainers: 9, ...settings }, { isProved });
  pool.tick(0);
  return pool;
}

function makeReady(pool: Pool<string>, container: number): void {
  pool.granted(container, 0);
  pool.prepared(container, 0);
  pool.ready(container, 0);
}

const neededOf = (pool: Pool<string>): number[] => [...pool.neededClaims];
const claimsOf = ({ containers }: Pool<string>): number[] =>
  containers.filter(({ isClaiming }) => isClaiming).map(({ number }) => number);

test.each([
  ["buffer_containers", { bufferContainers: 2 }, [1, 2, 3]],
  ["min_containers", { minContainers: 3 }, [1, 2, 3]],
])("%s are there in advance", (_, settings, claims) => {
  const pool = poolOf(settings);
  expect(neededOf(pool)).toEqual([]);
  pool.request("a", 0);
  expect([claimsOf(pool), neededOf(pool)]).toEqual([claims, [1]]);
  makeReady(pool, 1);
  expect([claimsOf(pool), neededOf(pool)]).toEqual([claims.slice(1), []]);
  pool.request("b", 0);
  expect(neededOf(pool)).toEqual([2]);
});

test("each container that calls need is waited for", () => {
  const pool = poolOf({ targetInputs: 2, maxInputs: 2, bufferContainers: 1 });
  for (const call of ["a", "b", "c"]) pool.request(call, 0);
  expect([claimsOf(pool), neededOf(pool)]).toEqual([
    [1, 2, 3],
    [1, 2],
  ]);
});

test("a container that starts is counted on, and not any more when it fails", () => {
  const pool = poolOf({ bufferContainers: 1 });
  pool.request("a", 0);
  pool.granted(1, 0);
  expect([claimsOf(pool), neededOf(pool)]).toEqual([[2], []]);
  pool.failed(1, { code: "starting_failed", isPermanent: false }, 0);
  expect(neededOf(pool)).toEqual([2]);
});

test("the start that proves a version is waited for", () => {
  const pool = poolOf({ minContainers: 2 }, false);
  pool.prove(0);
  expect([claimsOf(pool), neededOf(pool)]).toEqual([[1, 2], [1]]);
});

test.each<[string, (pool: Pool<string>) => unknown]>([
  ["hung", (pool) => pool.unhealthy(1, 0)],
  ["asked to be replaced", (pool) => pool.drainAsked(1, 0)],
])("the successor of a container that %s is there in advance", (_, lose) => {
  const pool = poolOf({});
  pool.request("a", 0);
  makeReady(pool, 1);
  pool.finished("a", 0);
  lose(pool);
  expect([claimsOf(pool), pool.claimSinceMs(2)]).toEqual([[2], undefined]);
  pool.request("b", 5);
  expect(pool.claimSinceMs(2)).toBe(5);
});

/** A container that has a session sleeps. */
function withSleeper(settings: Partial<PoolSettings>) {
  const pool = poolOf({ canSleep: true, ...settings });
  const session = { keys: ["header:x=1"] };
  pool.request("a", 0, { session });
  makeReady(pool, 1);
  // Another one starts where there may be two.
  const other = { keys: ["header:x=2"] };
  pool.request("b", 0, { session: other });
  makeReady(pool, 2);
  pool.finished("a", 0);
  pool.finished("b", 0);
  pool.yieldAsked(1, 0);
  pool.slept(1, 0);
  return { pool, session, other };
}

test("a container that sleeps is waited for by its session's calls, where another one serves the others", () => {
  const { pool, session, other } = withSleeper({ maxContainers: 2 });
  pool.request("c", 20, { session });
  expect([pool.oldestCallFor(1), pool.oldestCallFor(2)]).toEqual([20, undefined]);
  pool.request("d", 20, { session: other });
  pool.request("e", 20, { arrivedAtMs: 10 });
  // Nor does it matter that others wait for that one alone.
  pool.request("f", 20, { session: other });
  expect(pool.claimSinceMs(1)).toBe(20);
  expect([pool.oldestCallFor(1), pool.oldestCallFor(2)]).toEqual([10, 10]);
});

test("a container that sleeps is waited for by all calls, where there is no other one", () => {
  const { pool, session } = withSleeper({ maxContainers: 1 });
  pool.request("c", 10);
  pool.request("d", 20, { session });
  expect(pool.claimSinceMs(1)).toBe(10);
});

test("a container that sleeps wakes in the place of one that only claims: it may have what that one waits for", () => {
  const pool = poolOf({ canSleep: true, minContainers: 2, maxContainers: 2 });
  makeReady(pool, 1);
  pool.yieldAsked(1, 0);
  pool.failed(2, { code: "starting_failed", isPermanent: false }, 0);
  // After a failure there is one start at a time.
  pool.tick(pool.notBeforeMs);
  expect(claimsOf(pool)).toEqual([3]);
  pool.slept(1, pool.notBeforeMs);
  pool.request("a", pool.notBeforeMs);
  expect([claimsOf(pool), neededOf(pool)]).toEqual([[1, 4], [1]]);
});

test("the container that a call's session sleeps in is waited for, and no other one", () => {
  const pool = poolOf({ canSleep: true, minContainers: 2 });
  const session = { keys: ["header:x=1"] };
  pool.request("a", 0, { session });
  makeReady(pool, 1);
  makeReady(pool, 2);
  pool.request("b", 0);
  pool.finished("a", 0);
  pool.finished("b", 0);
  for (const container of [1, 2]) {
    pool.yieldAsked(container, 0);
    pool.slept(container, 0);
  }
  expect([claimsOf(pool), neededOf(pool)]).toEqual([[1, 2], []]);
  pool.request("c", 0, { session });
  expect(neededOf(pool)).toEqual([1]);
  pool.request("d", 0);
  expect(neededOf(pool)).toEqual([1, 2]);
});
