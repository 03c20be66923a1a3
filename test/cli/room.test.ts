import { expect, test } from "vitest";
import { connectionsAtFront, sharedConnections, waitingRequests } from "../../cli/gateway/room.ts";

test("the front has a place for each four descriptors, and 40,000 at most", () => {
  expect(connectionsAtFront(128 + 4 * 39_999)).toBe(39_999);
  expect(connectionsAtFront(128 + 4 * 40_000)).toBe(40_000);
  expect(connectionsAtFront(128 + 4 * 40_001)).toBe(40_000);
  expect(connectionsAtFront(Number.POSITIVE_INFINITY)).toBe(40_000);
});

test("without it so many requests may wait, and 10,000 at most", () => {
  expect(waitingRequests(128 + 4 * 9_999)).toBe(9_999);
  expect(waitingRequests(128 + 4 * 10_000)).toBe(10_000);
  expect(waitingRequests(128 + 4 * 10_001)).toBe(10_000);
});

test("workspaces share three quarters of what the descriptors allow", () => {
  expect(sharedConnections(128 + 800)).toBe(300);
});

test("a few clients are let in with hardly a descriptor", () => {
  expect([connectionsAtFront(64), waitingRequests(64), sharedConnections(64)]).toEqual([
    16, 16, 16,
  ]);
});
