/**
 * The last resort of a command that keeps running: one fault that no code has handled must not end all calls
 * and containers of the box. It is said, with its stack.
 */
import type { Observer } from "../base/observer.ts";

/** Handles the faults of this process from here on. */
export function surviveFaults(observer: Observer, exit: () => Promise<void>): void {
  process.on("unhandledRejection", (reason) => {
    observer.notice(`postern: a fault that nothing handled: ${describe(reason)}`);
  });
  process.on("uncaughtException", (error) => {
    observer.notice(`postern: a fault that nothing handled: ${describe(error)}`);
    if (!isOfOneResource(error)) void exit();
  });
}

/**
 * Whether an error that was thrown past all handlers is of one file or socket: a full disk, no descriptors, a
 * connection that broke. After another one the state of the process is unknown.
 */
function isOfOneResource(error: unknown): boolean {
  return error instanceof Error && "syscall" in error && typeof error.syscall === "string";
}

function describe(reason: unknown): string {
  return reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
}
