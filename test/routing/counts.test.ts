/** Numbers by owner, and who may have one more. */
import fc from "fast-check";
import { expect, test } from "vitest";

import { Counts, mayHaveOneMore, YoungCounts } from "../../routing/counts.ts";

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

test("the young count until they end, and for one to two periods where nobody hears of it", () => {
  const young = new YoungCounts(100);
  const of = (nowMs: number) => [
    young.at(nowMs).of("a"),
    young.at(nowMs).of("b"),
    young.at(nowMs).total,
  ];
  const end = young.add("a", 1_000);
  young.add("a", 1_000);
  young.add("b", 1_099);
  expect(of(1_099)).toEqual([2, 1, 3]);
  end();
  end();
  expect(of(1_100)).toEqual([1, 1, 2]);
  const late = young.add("b", 1_199);
  expect(of(1_199)).toEqual([1, 2, 3]);
  expect(of(1_200)).toEqual([0, 1, 1]);
  expect(of(1_300)).toEqual([0, 0, 0]);
  // It was forgotten before it ended.
  late();
  expect(of(1_300)).toEqual([0, 0, 0]);
  young.add("a", 1_350);
  expect(of(9_000)).toEqual([0, 0, 0]);
});

test("each owner may have a sixteenth, whatever others have", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d"), fc.nat(200)), {
        maxLength: 20,
        size: "max",
      }),
      fc.nat(15),
      (asked, own) => {
        const { total } = share(256, asked);
        expect(mayHaveOneMore(own, total, 256)).toBe(true);
      },
    ),
  );
});

test("an owner has a sixteenth where nothing is free, and not one more", () => {
  const may = (own: number) => mayHaveOneMore(own, 256, 256);
  expect([may(14), may(15), may(16)]).toEqual([true, true, false]);
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
