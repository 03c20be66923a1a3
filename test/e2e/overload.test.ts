/**
 * Three times what an endpoint can do. Its app only waits, and for long: so few calls need little of the machine, and other
 * work on it changes nothing. `node test/bench/overload.ts` has many short calls, for a minute.
 */
import { expect, test } from "vitest";

import { LEAST_GOODPUT, measureOverload, MOST_RECOVERY_S } from "../support/overload.ts";

test("three times as many calls as it can do cost an endpoint no tenth, and it is as quick again within 5 s", async () => {
  const { statuses, goodput, recoveredS } = await measureOverload({
    times: 3,
    seconds: 10,
    calibrationSeconds: 5,
    workMs: 400,
    places: 8,
    pending: 20,
  });
  expect(new Set(statuses.keys())).toEqual(new Set([200, 429]));
  expect(goodput).toBeGreaterThanOrEqual(LEAST_GOODPUT);
  expect(recoveredS).toBeLessThanOrEqual(MOST_RECOVERY_S);
});
