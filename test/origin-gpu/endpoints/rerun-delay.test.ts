import { expect, test } from "vitest";
import { delayBeforeRerunMs } from "../../../origin-gpu/endpoints/rerun-delay.ts";

test("the delay grows by its coefficient, up to its maximum", () => {
  const policy = { maxRetries: 9, initialDelay: 1.5, backoffCoefficient: 2, maxDelay: 10 };
  const delays = [0, 1, 2, 3, 9].map((reruns) => delayBeforeRerunMs(policy, reruns));
  expect(delays).toEqual([1_500, 3_000, 6_000, 10_000, 10_000]);
});
