/** Words for the operator, in the container's log. */
import { inspect } from "node:util";

/** One line, behind what was thrown where something was. */
export function report(text: string, thrown?: unknown): void {
  const lines = thrown === undefined ? "" : `${inspect(thrown)}\n`;
  process.stderr.write(`${lines}postern: ${text}\n`);
}
