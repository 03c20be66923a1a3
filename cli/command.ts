/** A command as main.ts runs it: its description and its function. */

import type { Arguments, CommandDescription, Options } from "./arguments.ts";

export interface Command<O extends Options = Options> {
  readonly description: CommandDescription<O>;
  /** Resolves with the exit code. @throws {CommandFailure} for an end with one line */
  readonly run: (args: Arguments<O>) => Promise<number>;
}

/** Several commands under one name: `postern token create`. Each is described as `token create`. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  /** By their second word. */
  readonly commands: Readonly<Record<string, Command>>;
}
