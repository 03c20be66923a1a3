/** Several pools that share a box under random histories: docs/gpus.md's promises, after each event and at the end. */
import fc from "fast-check";
import { test } from "vitest";
import { runs, runsTimeoutMs } from "../../support/runs.ts";
import { historyOf, worldAfter } from "./box-history.ts";
import { rests, serves, servesAllInTurns } from "./good-end.ts";

test.each([
  { length: 40, count: 5_000 },
  { length: 120, count: 400 },
])(
  "pools that share a box keep its promises, and no call waits for ever: histories of up to $length events",
  async ({ length, count }) => {
    await fc.assert(
      fc.asyncProperty(historyOf(length), async (history) => {
        const world = await worldAfter(history);
        await serves(world);
        if (history.isBusy) await servesAllInTurns(world);
        await rests(world);
      }),
      { numRuns: runs(count) },
    );
  },
  runsTimeoutMs() * 6,
);
