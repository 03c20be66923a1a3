/**
 * Directories that one process at a time may use. Their owner alone can read them, and a lock in each refuses the
 * second process.
 */

import { mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { type FileLock, tryLock } from "../base/node/file-lock.ts";
import { codeOf, CommandFailure, reasonOf } from "./failure.ts";

/** How long a start waits for the lock: a process that was just killed lets go of it within this time. */
const LOCK_WAIT_MS = 1_000;

/**
 * Makes the directory where it is missing and locks it, until `release` or the process's end.
 * @param holder who has it, as words for the refusal, e.g. `the gateway with pid 7`
 * @throws {CommandFailure} where another process has it or it can't be written
 */
export function lockDirectory(path: string, holder: () => string): FileLock {
  const lock = writing(path, () => {
    makePrivateDirectory(path);
    return tryLock(join(path, "lock"), "exclusive", LOCK_WAIT_MS);
  });
  if (lock !== undefined) return lock;
  throw new CommandFailure(
    `${path} is in use by ${holder()}; stop it, or choose another with --state`,
  );
}

/**
 * Makes a directory and those above it. Node's own `recursive` never returns where a parent exists and
 * takes no entries, as /proc does (Node 24).
 */
export function makePrivateDirectory(path: string): void {
  const present = statSync(path, { throwIfNoEntry: false });
  if (present?.isDirectory() === true) return;
  if (present !== undefined) throw new CommandFailure(`${path} is not a directory`);
  if (dirname(path) !== path) makePrivateDirectory(dirname(path));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another start may have made it in between. The lock decides whose it is.
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/** Runs what writes into a state directory. @throws {CommandFailure} that names the directory, for any error */
export function writing<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof CommandFailure ? error : cannotWrite(path, error);
  }
}

function cannotWrite(path: string, error: unknown): CommandFailure {
  return new CommandFailure(
    `can't write the state directory ${path}: ${reasonOf(error)}; choose another with --state`,
  );
}
