/** A pool's share, where an earlier agent left containers of it. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { EndpointLease } from "../../../origin-gpu/endpoints/endpoint-lease.ts";
import type {
  JoinLeases,
  LeasedPool,
  PoolNeeds,
} from "../../../origin-gpu/endpoints/pool-terms.ts";

const IDLE: PoolNeeds = { min: 0, max: 2, buffer: 0, needs: 0, has: 1, proved: true };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** The pool as those see it who share out containers. */
function joined(left: number, needs: PoolNeeds): LeasedPool {
  let pool: LeasedPool | undefined;
  const join: JoinLeases = (given) => {
    pool = given;
    return { changed: () => undefined, leave: () => undefined };
  };
  new EndpointLease(join, left).begin({ needs: () => needs, onTerms: () => undefined });
  return pool as LeasedPool;
}

test("containers that were taken over are needed for a moment, since the clients of their calls come back", () => {
  const pool = joined(1, IDLE);
  expect(pool.needs()).toEqual({ ...IDLE, needs: 1 });
  vi.advanceTimersByTime(4_999);
  expect(pool.needs().needs).toBe(1);
  vi.advanceTimersByTime(1);
  expect(pool.needs()).toEqual(IDLE);
});

test("calls that need more say so, and a pool that has taken over nothing says what it needs", () => {
  expect(joined(1, { ...IDLE, needs: 2 }).needs().needs).toBe(2);
  expect(joined(0, IDLE).needs()).toEqual(IDLE);
});
