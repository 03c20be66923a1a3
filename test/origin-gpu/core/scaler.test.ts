/** How many containers calls need. */
import { expect, test } from "vitest";
import { wantedContainers } from "../../../origin-gpu/core/scaler.ts";
import { SETTINGS } from "./pool-world.ts";

test.each([
  [0, {}, 0],
  [0, { minContainers: 2 }, 2],
  [0, { bufferContainers: 2 }, 0],
  [1, { bufferContainers: 2 }, 3],
  [4, { targetInputs: 4 }, 1],
  [5, { targetInputs: 4 }, 2],
  [100, { maxContainers: 8 }, 8],
] as const)("%s calls with %j: %s", (calls, more, wanted) => {
  const settings = { ...SETTINGS, maxContainers: 10, ...more };
  expect(wantedContainers(calls, settings)).toBe(wanted);
});
