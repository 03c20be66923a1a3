/** What a command is to main.ts: its description, and the function that runs it. */

import type { Arguments, CommandDescription, Options } from "./arguments.ts";

export interface Command<O extends Options = Options> {
  readonly description: CommandDescription<O>;
  /** Resolves with the exit code; throws a Failure for what ends in one line. */
  readonly run: (args: Arguments<O>) => Promise<number>;
}

/** Several commands under one name: `postern token create`. Each is described as `token create`. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  /** By their second word. */
  readonly commands: Readonly<Record<string, Command>>;
  /** Second words that are named by the contract and not built yet: refused, whatever follows them. */
  readonly notYet?: readonly string[];
}
