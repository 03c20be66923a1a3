/** What a command is to main.ts: its description, and the function that runs it. */

import type { Arguments, CommandDescription, Options } from "./arguments.ts";

export interface Command<O extends Options = Options> {
  readonly description: CommandDescription<O>;
  /** Resolves with the exit code; throws a Failure for what ends in one line. */
  readonly run: (args: Arguments<O>) => Promise<number>;
}
