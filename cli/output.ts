/** A command's output: results go to stdout, for scripts; progress and notices go to stderr, for people. */
import { observer } from "./observer.ts";

/** Prints a result: one line on stdout. */
export function printResult(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Prints a result as JSON: one line on stdout. */
export function printJson(value: unknown): void {
  printResult(JSON.stringify(value));
}

/** Prints progress, a notice or an error: one line on stderr. */
export function printNotice(line: string): void {
  observer.notice(line);
}

/** Resolves when all results have left, or their reader has closed its end: a pipe takes them as it is read. */
export async function resultsWritten(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  process.stdout.write("", () => resolve());
  await promise;
}

/** Ignores a reader that has closed its end (`postern url … | head -1`): that is no failure of the command. */
export function tolerateClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
}
