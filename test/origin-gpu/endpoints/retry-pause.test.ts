/** How long a call waits whose request could not be sent. */
import { expect, test } from "vitest";
import { pauseBeforeRetryMs } from "../../../origin-gpu/endpoints/retry-pause.ts";

test("the pause doubles from one second up to half a minute, and stays there for days", () => {
  const pauses = [0, 1, 2, 3, 4, 5, 6].map(pauseBeforeRetryMs);
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  // A week of tries: 2 to this power is no number any more.
  expect(pauseBeforeRetryMs(20_000)).toBe(30_000);
});
