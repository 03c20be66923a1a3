import { expect, test } from "vitest";
import { SessionMemory } from "../../../../gateway/worker/edge/session-memory.ts";

test("a key leads to the box that was last said, at its own endpoint alone", () => {
  const memory = new SessionMemory();
  memory.remember("a", ["s=1", "s=2"], "box-1");
  memory.remember("a", ["s=2"], "box-2");
  expect(memory.boxOf("a", "s=1")).toBe("box-1");
  expect(memory.boxOf("a", "s=2")).toBe("box-2");
  expect(memory.boxOf("b", "s=1")).toBeUndefined();
});

test("the keys that were used longest ago are forgotten first", () => {
  const memory = new SessionMemory(3);
  memory.remember("a", ["1", "2", "3"], "box");
  expect(memory.boxOf("a", "1")).toBe("box");
  memory.remember("a", ["4", "5"], "box");
  const known = ["1", "2", "3", "4", "5"].filter((key) => memory.boxOf("a", key) !== undefined);
  expect(known).toEqual(["1", "4", "5"]);
});
