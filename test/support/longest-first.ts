/** Runs the files that take longest before the others, so that no core waits for one of them at the end. */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Seconds on two cores, beside others. A file that is not named here takes less than a minute. */
const SECONDS: ReadonlyMap<string, number> = new Map([
  ["test/e2e/fault-matrix.test.ts", 190],
  ["test/e2e/readme.test.ts", 170],
  ["test/e2e/take-over.test.ts", 105],
  ["test/e2e/gradio.test.ts", 100],
  ["test/e2e/api-document.test.ts", 100],
  ["test/e2e/bodies.test.ts", 90],
  ["test/e2e/run-as.test.ts", 90],
]);

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => secondsOf(other) - secondsOf(one));
  }
}

function secondsOf({ moduleId }: TestSpecification): number {
  for (const [file, seconds] of SECONDS) if (moduleId.endsWith(file)) return seconds;
  return 0;
}
