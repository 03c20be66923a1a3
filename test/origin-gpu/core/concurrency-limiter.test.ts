import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConcurrencyLimiter, type Permit } from "../../../origin-gpu/core/concurrency-limiter.ts";

describe("permits", () => {
  test("are granted at once while there are some, then in the order of arrival", () => {
    const limiter = new ConcurrencyLimiter(2, 10);
    const granted: string[] = [];
    const ask = (name: string) => limiter.acquire(() => granted.push(name)) as Permit;
    const [a, b] = [ask("a"), ask("b")];
    ask("c");
    ask("d");
    expect(granted).toEqual(["a", "b"]);
    b.release();
    expect(granted).toEqual(["a", "b", "c"]);
    a.release();
    expect(granted).toEqual(["a", "b", "c", "d"]);
  });

  test("are refused when the queue is full", () => {
    const limiter = new ConcurrencyLimiter(1, 1);
    limiter.acquire(() => undefined);
    expect(limiter.acquire(() => undefined)).toBeDefined();
    expect(limiter.acquire(() => undefined)).toBeUndefined();
  });

  test("of asynchronous calls wait within a bound of their own, in one order with the others", () => {
    const limiter = new ConcurrencyLimiter(1, 1, 2);
    const granted: string[] = [];
    const ask = (name: string, asynchronous: boolean) =>
      limiter.acquire(() => granted.push(name), asynchronous);
    const first = ask("first", false) as Permit;
    const asynchronous = [ask("a", true), ask("b", true)] as Permit[];
    expect(ask("c", true)).toBeUndefined();
    const waited = ask("d", false) as Permit;
    expect(ask("e", false)).toBeUndefined();
    first.release();
    expect(granted).toEqual(["first", "a"]);
    // One of the two left the queue for its place: there is room for another.
    expect(ask("f", true)).toBeDefined();
    expect(ask("g", true)).toBeUndefined();
    asynchronous[1]?.release();
    asynchronous[1]?.release();
    expect(ask("h", true)).toBeDefined();
    expect(ask("i", true)).toBeUndefined();
    asynchronous[0]?.release();
    waited.release();
    expect(granted).toEqual(["first", "a", "d", "f"]);
  });

  test("that left the queue are passed over", () => {
    const limiter = new ConcurrencyLimiter(1, 10);
    const granted: string[] = [];
    const a = limiter.acquire(() => granted.push("a")) as Permit;
    const b = limiter.acquire(() => granted.push("b")) as Permit;
    limiter.acquire(() => granted.push("c"));
    b.release();
    a.release();
    expect(granted).toEqual(["a", "c"]);
  });

  test("go to those who wait when there are more, and stay held when there are fewer", () => {
    const limiter = new ConcurrencyLimiter(2, 10);
    const granted: string[] = [];
    const ask = (name: string) => limiter.acquire(() => granted.push(name)) as Permit;
    const [a, b] = [ask("a"), ask("b"), ask("c"), ask("d")];
    limiter.resize(0);
    a.release();
    b.release();
    expect(granted).toEqual(["a", "b"]);
    expect(limiter.held).toBe(0);
    limiter.resize(1);
    expect(granted).toEqual(["a", "b", "c"]);
    limiter.resize(Infinity);
    expect(granted).toEqual(["a", "b", "c", "d"]);
  });

  test("are all released when `unused` resolves", async () => {
    const limiter = new ConcurrencyLimiter(1, 10);
    await limiter.unused();
    const first = limiter.acquire(() => undefined) as Permit;
    const second = limiter.acquire(() => undefined) as Permit;
    let unused = false;
    const told = limiter.unused().then(() => (unused = true));
    first.release();
    await Promise.resolve();
    expect(unused).toBe(false);
    second.release();
    await told;
    expect(unused).toBe(true);
  });

  test("are never granted twice and never lost, in any order of arrivals and releases", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 6 }),
        fc.array(fc.oneof(fc.constant("come" as const), fc.nat(20)), { maxLength: 60 }),
        (limit, maxPending, steps) => {
          const limiter = new ConcurrencyLimiter(limit, maxPending);
          const running = new Set<number>();
          const permits = new Map<number, Permit>();
          let next = 0;
          for (const step of steps) {
            if (step === "come") {
              const id = next++;
              const permit = limiter.acquire(() => running.add(id));
              if (permit !== undefined) permits.set(id, permit);
            } else {
              const ids = [...permits.keys()];
              const id = ids[step % Math.max(1, ids.length)];
              if (id === undefined) continue;
              const permit = permits.get(id);
              running.delete(id);
              permits.delete(id);
              permit?.release();
              permit?.release();
            }
            expect(running.size).toBeLessThanOrEqual(limit);
            expect(limiter.held).toBe(running.size);
            expect(limiter.waiting).toBe(permits.size - running.size);
            expect(limiter.waiting === 0 || limiter.held === limit).toBe(true);
          }
        },
      ),
    );
  });
});
