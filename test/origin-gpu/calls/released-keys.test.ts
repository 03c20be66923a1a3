/** Whether a call may begin under a key that another box was given. */
import { expect, test } from "vitest";
import { ReleasedKeys } from "../../../origin-gpu/calls/released-keys.ts";

test("a key is released for a minute from its last release on", () => {
  const released = new ReleasedKeys();
  expect(released.has("k", 0)).toBe(false);
  released.add("k", 0);
  expect(released.has("k", 59_999)).toBe(true);
  expect(released.has("k", 60_000)).toBe(false);
  released.add("k", 30_000);
  expect(released.has("k", 89_999)).toBe(true);
  expect(released.has("other", 30_000)).toBe(false);
});

test("of more keys than fit the oldest are forgotten", () => {
  const released = new ReleasedKeys(2);
  for (const key of ["a", "b", "a", "c"]) released.add(key, 0);
  expect(["a", "b", "c"].map((key) => released.has(key, 1))).toEqual([true, false, true]);
});
