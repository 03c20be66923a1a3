/** The room for waiting heads and bodies: one endpoint takes most of it alone, and never another one's part. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { GIB, MIB } from "../../../base/units.ts";
import { SharedRoom } from "../../../origin-gpu/calls/shared-room.ts";
import { runs } from "../../support/runs.ts";

test("one endpoint has three quarters, and each further one finds room beside it", () => {
  const room = new SharedRoom(1_000);
  expect(room.take("a", 751)).toBe(false);
  expect(room.take("a", 750)).toBe(true);
  expect(room.take("a", 1)).toBe(false);
  expect(room.take("b", 187)).toBe(true);
  expect(room.take("b", 1)).toBe(false);
  expect(room.take("c", 40)).toBe(true);
  room.giveBack("a", 700);
  expect(room.take("b", 300)).toBe(true);
  expect(room.usedBytes).toBe(577);
});

test.each([
  ["heads", 256 * MIB],
  ["bodies", 10 * GIB],
])("the %s of one endpoint's waiting requests have three quarters to the byte", (_what, bytes) => {
  const most = (bytes * 3) / 4;
  const room = new SharedRoom(bytes);
  expect(room.take("a", most + 1)).toBe(false);
  expect(room.take("a", most)).toBe(true);
  expect(room.take("a", 1)).toBe(false);
  room.giveBack("a", most);
  expect(room.take("a", most - 1)).toBe(true);
  expect(room.take("a", 1)).toBe(true);
});

test("what is refused is told by what has been given back", () => {
  const room = new SharedRoom(1_000);
  expect(room.take("a", 700)).toBe(true);
  expect(room.take("a", 150)).toBe(false);
  expect(room.retryAfterS("a", 150, 0)).toBe(1);
  room.giveBack("a", 50);
  expect(room.take("a", 150)).toBe(false);
  // 50 more are missing, and 50 took 5 s.
  expect(room.retryAfterS("a", 150, 5_000)).toBe(5);
  room.giveBack("a", 50);
  expect(room.take("a", 150)).toBe(true);
});

const step = fc.record({
  endpoint: fc.constantFrom("a", "b", "c", "d"),
  bytes: fc.integer({ min: 1, max: 300 }),
  does: fc.constantFrom("take" as const, "owe" as const, "give" as const),
});

test("the limit holds for all that is not owed, and there is room for an endpoint that has none", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100, size: "max" }), (steps) => {
      const room = new SharedRoom(1_000);
      const taken: [endpoint: string, bytes: number, isOwed: boolean][] = [];
      const sum = (of: (entry: (typeof taken)[number]) => boolean) =>
        taken.filter(of).reduce((total, [, bytes]) => total + bytes, 0);
      for (const { endpoint, bytes, does } of steps) {
        if (does === "give") {
          const [held] = taken.splice(bytes % Math.max(1, taken.length), 1);
          if (held !== undefined) room.giveBack(held[0], held[1]);
        } else if (room.take(endpoint, bytes, does === "owe")) {
          taken.push([endpoint, bytes, does === "owe"]);
        } else expect(does).toBe("take");
        expect(room.usedBytes).toBe(sum(() => true));
        expect(sum(([, , isOwed]) => !isOwed)).toBeLessThan(1_000);
        const free = 1_000 - room.usedBytes;
        if (free >= 2) {
          expect(room.take("new", Math.floor(free / 2))).toBe(true);
          room.giveBack("new", Math.floor(free / 2));
        }
      }
      for (const [endpoint, bytes] of taken) room.giveBack(endpoint, bytes);
      expect([room.usedBytes, room.take("a", 750)]).toEqual([0, true]);
    }),
    { numRuns: runs(1_000) },
  );
});
