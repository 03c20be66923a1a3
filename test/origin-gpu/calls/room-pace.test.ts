import { expect, test } from "vitest";

import { RoomPace } from "../../../origin-gpu/calls/room-pace.ts";

test("room is free again after what the calls that leave need to free it", () => {
  const pace = new RoomPace();
  expect(pace.retryAfterS(1_000, 0)).toBe(1);
  // 100 bytes a second.
  pace.onFreed(1_000);
  expect(pace.retryAfterS(1_000, 10_000)).toBe(10);
  expect(pace.retryAfterS(3_000, 10_000)).toBe(30);
  expect(pace.retryAfterS(1, 10_000)).toBe(1);
  expect(pace.retryAfterS(1_000_000, 10_000)).toBe(600);
});

test("where nothing becomes free, the time grows with the wait so far", () => {
  const pace = new RoomPace();
  const seconds = [0, 1, 4, 30, 55].map((atS) => pace.retryAfterS(1_000, atS * 1_000));
  expect(seconds).toEqual([1, 1, 4, 30, 55]);
});

test("a later pace counts more, and one that nobody asked for is forgotten", () => {
  const pace = new RoomPace();
  for (let second = 0; second <= 60; second += 1) {
    pace.retryAfterS(1_000, second * 1_000);
    pace.onFreed(1_000);
  }
  // Now ten times as slow.
  for (let second = 61; second <= 361; second += 1) {
    pace.retryAfterS(1_000, second * 1_000);
    pace.onFreed(100);
  }
  expect(pace.retryAfterS(1_000, 362_000)).toBeGreaterThan(8);
  expect(pace.retryAfterS(1_000, 500_000)).toBe(1);
});
