/**
 * Reads the JSON reports of vitest for .ci/run, on the machine's own Node.
 *
 *   node .ci/results.cjs failed REPORT              the files with a failure, one a line
 *   node .ci/results.cjs summary DIRECTORY N M      "N passed, M failed" over all reports and so many other steps
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

/** Results by file; none where vitest wrote no report. */
function read(path) {
  const { testResults } = existsSync(path)
    ? JSON.parse(readFileSync(path, "utf8"))
    : { testResults: [] };
  return new Map(testResults.map((result) => [result.name, result]));
}

const count = ({ assertionResults }, status) =>
  assertionResults.filter((test) => test.status === status).length;

/** A file that cannot be loaded, or whose setup fails, has no failed test: it counts as one. */
const failures = (result) =>
  result.status === "failed" ? Math.max(1, count(result, "failed")) : 0;

function summary(directory, passedSteps, failedSteps) {
  let passed = Number(passedSteps);
  let failed = Number(failedSteps);
  for (const name of ["unit", "e2e"]) {
    const first = read(join(directory, `${name}.json`));
    const again = read(join(directory, `${name}-again.json`));
    const results = [...new Map([...first, ...again]).values()];
    const failedTests = results.reduce((sum, result) => sum + failures(result), 0);
    passed += results.reduce((sum, result) => sum + count(result, "passed"), 0);
    failed += failedTests;
    for (const [file, result] of again) {
      if (failures(result) === 0)
        console.log(`failed first, and passed alone: ${relative(process.cwd(), file)}`);
    }
    // An unhandled error: no test failed, the run did.
    const hasFailed = readdirSync(directory).some(
      (file) => file.startsWith(name) && file.endsWith(".failed"),
    );
    if (hasFailed && failedTests === 0) failed += 1;
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

const [command, path, ...counts] = process.argv.slice(2);
if (command === "summary") summary(path, ...counts);
else for (const [file, result] of read(path)) if (failures(result) > 0) console.log(file);
