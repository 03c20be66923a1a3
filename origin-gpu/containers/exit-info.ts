/** How a process ended. */
export interface ExitInfo {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** How a process ended, in words: `code 1`, `signal SIGKILL`. */
export function describeExit({ code, signal }: ExitInfo): string {
  return signal === null ? `code ${code}` : `signal ${signal}`;
}
