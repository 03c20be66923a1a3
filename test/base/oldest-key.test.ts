import fc from "fast-check";
import { expect, test } from "vitest";
import { OldestKey } from "../../base/oldest-key.ts";

test("the oldest key is the one that stands first, whatever was added and removed", () => {
  const step = fc.oneof(
    fc.record({ adds: fc.integer({ min: 1, max: 1_500 }) }),
    fc.record({ removesOldest: fc.integer({ min: 1, max: 1_500 }) }),
    fc.record({ removesAt: fc.nat(2_000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12, size: "max" }), (steps) => {
      const table = new Set<string>();
      const oldest = new OldestKey(table);
      let added = 0;
      for (const taken of steps) {
        if ("adds" in taken) {
          for (let count = 0; count < taken.adds; count += 1) table.add(`${(added += 1)}`);
        } else if ("removesOldest" in taken) {
          for (let count = 0; count < taken.removesOldest && table.size > 0; count += 1) {
            table.delete(oldest.find() as string);
          }
        } else table.delete([...table][taken.removesAt] ?? "");
        const [first] = table;
        expect(oldest.find()).toBe(first);
      }
    }),
    { numRuns: 50 },
  );
});

test("a thousand removals take one iteration of the table", () => {
  const keys = new Set(Array.from({ length: 5_000 }, (_, index) => index));
  let iterations = 0;
  const oldest = new OldestKey({
    has: (key: number) => keys.has(key),
    keys: () => {
      iterations += 1;
      return keys.keys();
    },
  });
  for (let removed = 0; removed < 3_000; removed += 1) keys.delete(oldest.find() as number);
  expect([iterations, oldest.find()]).toEqual([3, 3_000]);
});
