/** Reads what boxes keep of a log, in the order of the lines' times. */
import { CommandFailure } from "../failure.ts";
import type { BoxLog } from "./box-log.ts";
import type { BoxLine } from "./log-line.ts";

/**
 * Yields the lines of all boxes, oldest first.
 * @param tail the last lines alone
 * @param onFailure hears why a box's lines, or the rest of them, are missing
 */
export async function* readLogs(
  logs: readonly BoxLog[],
  tail: number | undefined,
  onFailure: (box: string, error: CommandFailure) => void,
): AsyncGenerator<BoxLine> {
  const heads: { line: BoxLine; rest: AsyncGenerator<BoxLine> }[] = [];
  await Promise.all(
    logs.map(async (log) => {
      const rest = linesOf(log, onFailure);
      const first = await rest.next();
      if (first.done !== true) heads.push({ line: first.value, rest });
    }),
  );
  let lines: BoxLine[] = [];
  while (heads.length > 0) {
    const head = heads.reduce((one, other) => (other.line.time < one.line.time ? other : one));
    if (tail === undefined) yield head.line;
    else lines.push(head.line);
    if (tail !== undefined && lines.length > 2 * tail) lines = lines.slice(-tail);
    const next = await head.rest.next();
    if (next.done === true) heads.splice(heads.indexOf(head), 1);
    else head.line = next.value;
  }
  if (tail !== undefined) yield* lines.slice(lines.length - Math.min(tail, lines.length));
}

async function* linesOf(
  log: BoxLog,
  onFailure: (box: string, error: CommandFailure) => void,
): AsyncGenerator<BoxLine> {
  try {
    for await (const line of log.lines(false)) if (line !== undefined) yield line;
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    onFailure(log.box, error);
  }
}
