/** Prints more results than a pipe holds, and ends as commands do. */
import { printResult, resultsWritten } from "../../../cli/output.ts";

for (let count = 0; count < 1_000; count += 1) printResult("x".repeat(999));
await resultsWritten();
process.exit();
