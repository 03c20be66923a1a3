/** Numbers by owner, and who may have one more. */
import fc from "fast-check";
import { expect, test } from "vitest";

import { Counts, mayHaveOneMore } from "../../routing/counts.ts";

/** Gives owners what they ask for, as far as they may have it; returns what each has. */
function share(max: number, asked: readonly (readonly [owner: string, count: number])[]): Counts {
  const counts = new Counts();
  for (const [owner, count] of asked) {
    for (let index = 0; index < count; index += 1) {
      if (mayHaveOneMore(counts.of(owner), counts.total, max)) counts.add(owner);
    }
  }
  return counts;
}

test("one owner alone has three quarters, and the next one a share of the rest", () => {
  const counts = share(100, [
    ["greedy", 1_000],
    ["other", 1_000],
  ]);
  expect([counts.of("greedy"), counts.of("other")]).toEqual([75, 19]);
});

test("each owner may have a sixteenth, whatever others have", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d"), fc.nat(200)), { maxLength: 20 }),
      fc.nat(15),
      (asked, own) => {
        const { total } = share(256, asked);
        expect(mayHaveOneMore(own, total, 256)).toBe(true);
      },
    ),
  );
});

test("what was counted is taken out once", () => {
  const counts = new Counts();
  const uncount = counts.add("a");
  counts.add("a");
  counts.add("b");
  uncount();
  uncount();
  expect([counts.of("a"), counts.of("b"), counts.of("c"), counts.total]).toEqual([1, 1, 0, 2]);
});

test("without a limit everybody may have more", () => {
  expect(mayHaveOneMore(1e6, 1e6, Number.POSITIVE_INFINITY)).toBe(true);
});
