/** How often property tests run: `POSTERN_TEST_RUNS=100` tries a hundred times as many random histories as usual. */
import { SECOND_MS } from "../../base/units.ts";

const FACTOR = Number(process.env["POSTERN_TEST_RUNS"] ?? "1");

/** @param usual the number of histories that a usual run tries */
export function runs(usual: number): number {
  return Math.ceil(usual * FACTOR);
}

/** For a test that tries `runs`. */
export function runsTimeoutMs(): number {
  return 20 * SECOND_MS * Math.max(1, FACTOR);
}
