/**
 * Directories that one process at a time may use: their owner alone can read them, and a lock in each
 * refuses the second one. What is in them is their users' business.
 */

import { mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { codeOf, CommandFailure, reasonOf } from "./failure.ts";

/** How long a start waits for the lock: a process that was just killed lets go of it within this time. */
const LOCK_WAIT_MS = 1_000;

const SQLITE_BUSY = 5;

/** Held until they are let go of: a lock that nobody refers to would be closed by the garbage collector. */
const held = new Set<DatabaseSync>();

export interface DirectoryLock {
  /** Lets go of it; the process's end does so too. */
  release(): void;
}

/**
 * Makes the directory where it is missing and locks it.
 * @param holder who has it, as words for the refusal, e.g. `the gateway with pid 7`
 * @throws CommandFailure when that can't be
 */
export function lockDirectory(path: string, holder: () => string): DirectoryLock {
  const lock = writing(path, () => {
    makePrivateDirectory(path);
    return new DatabaseSync(join(path, "lock"), { timeout: LOCK_WAIT_MS });
  });
  try {
    take(lock, path, holder);
  } catch (error) {
    lock.close();
    throw error;
  }
  held.add(lock);
  return {
    release() {
      if (held.delete(lock)) lock.close();
    },
  };
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
    // Another start may have made it in between; whose it is, the lock decides.
    if (codeOf(error) !== "EEXIST") throw error;
  }
}

/** Does what writes into a state directory; what goes wrong there becomes a CommandFailure that names it. */
export function writing<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof CommandFailure ? error : cannotWrite(path, error);
  }
}

/**
 * SQLite's exclusive lock is the kernel's: it ends with its holder, even one that was killed, and two
 * that start at once can't both have it. Nothing is ever written into the file.
 */
function take(lock: DatabaseSync, path: string, holder: () => string): void {
  try {
    lock.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    if (!(error instanceof Error) || !("errcode" in error) || error.errcode !== SQLITE_BUSY) {
      throw cannotWrite(path, error);
    }
    throw new CommandFailure(
      `${path} is in use by ${holder()}; stop it, or choose another with --state`,
    );
  }
}

function cannotWrite(path: string, error: unknown): CommandFailure {
  return new CommandFailure(
    `can't write the state directory ${path}: ${reasonOf(error)}; choose another with --state`,
  );
}
