/** Asks before what can't be undone. Only a person can answer. */

import { createInterface } from "node:readline/promises";
import { CommandFailure, UsageError } from "./failure.ts";

export const YES_OPTION = {
  yes: { type: "boolean", short: "y", summary: "do it without asking" },
} as const;

/** Goes on after a y or --yes, which a script must say. @param what it would do, e.g. `delete x` */
export async function confirm(what: string, yes: boolean | undefined): Promise<void> {
  if (yes !== true && !process.stdin.isTTY) {
    throw new UsageError(`nobody is there to confirm: ${what}; add --yes`);
  }
  await confirmAtTerminal(what, yes);
}

/** The same for what a script may do without saying --yes, as with `modal app stop`. */
export async function confirmAtTerminal(what: string, yes: boolean | undefined): Promise<void> {
  if (yes === true || !process.stdin.isTTY) return;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${what}? [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim()))
      throw new CommandFailure("not confirmed; nothing has changed");
  } finally {
    terminal.close();
  }
}
