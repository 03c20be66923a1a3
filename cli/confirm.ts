/** Asks a person before something that can't be undone. */

import { createInterface } from "node:readline/promises";
import { CommandFailure, UsageError } from "./failure.ts";

export const YES_OPTION = {
  yes: { type: "boolean", short: "y", summary: "do it without asking" },
} as const;

/** Goes on after a `y`, or with --yes, which a script needs. @param what the command would do, e.g. `delete x` */
export async function confirm(what: string, yes: boolean | undefined): Promise<void> {
  if (yes !== true && !process.stdin.isTTY) {
    throw new UsageError(`nobody is there to confirm: ${what}; add --yes`);
  }
  await confirmAtTerminal(what, yes);
}

/** Asks a person, but not a script: as `modal app stop` does. */
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
