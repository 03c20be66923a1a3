/** Errors that end a command with one clear line instead of a stack trace, and with their exit code. */

/** The command was refused or failed: exit code 1. The user reads the message, without a prefix. */
export class CommandFailure extends Error {
  readonly exitCode: number = 1;
  override name = "Failure";
}

/** The command line itself is wrong: exit code 2. */
export class UsageError extends CommandFailure {
  override readonly exitCode = 2;
  override name = "UsageError";
}

/** The system's words for an errno ("permission denied"), or the error's message. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Node's messages read "EACCES: permission denied, mkdir '/x'". The middle is for people.
  return /^E[A-Z0-9]+: ([^,]+)/.exec(error.message)?.[1] ?? error.message;
}

/** The `code` of a system error, e.g. `EADDRINUSE`. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
