/** Where a command's words go: results to stdout, for scripts; progress and notices to stderr, for people. */
import { observer } from "./observer.ts";

/** A result: one line on stdout. */
export function printResult(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A result as JSON: one line on stdout. */
export function printJson(value: unknown): void {
  printResult(JSON.stringify(value));
}

/** Progress, a notice or an error: one line on stderr. */
export function printNotice(line: string): void {
  observer.notice(line);
}

/** A reader that closed its end (`postern url … | head -1`) is no failure of the command. */
export function tolerateClosedOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
}
