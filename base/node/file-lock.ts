/**
 * Locks of a file between the processes of a machine, shared by many or held by one. They are the kernel's, by way of
 * SQLite: a lock ends with its holder, even one that was killed. The file is never written or removed: two
 * processes that look at different files of one name would both hold the lock.
 */
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";

/** The kernel tells nobody that a lock is free. */
const ASK_AGAIN_MS = 200;

const SQLITE_BUSY = 5;

/** Keeps held locks from the garbage collector, which would close them. */
const held = new Set<DatabaseSync>();

export type LockMode = "shared" | "exclusive";

export interface FileLock {
  release(): void;
}

/**
 * Takes the lock; undefined where others hold it.
 * @param waitMs blocks this process for so long while others hold it
 */
export function tryLock(path: string, mode: LockMode, waitMs = 0): FileLock | undefined {
  const database = new DatabaseSync(path, { timeout: waitMs });
  try {
    database.exec("PRAGMA journal_mode = MEMORY");
    // A transaction locks the file when it first reads.
    database.exec(mode === "exclusive" ? "BEGIN EXCLUSIVE" : "BEGIN; SELECT 1 FROM sqlite_schema");
  } catch (error) {
    database.close();
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) return;
    throw error;
  }
  held.add(database);
  return {
    release() {
      if (held.delete(database)) database.close();
    },
  };
}

/** Waits for the lock. @throws the signal's reason */
export async function lock(path: string, mode: LockMode, signal: AbortSignal): Promise<FileLock> {
  for (;;) {
    signal.throwIfAborted();
    const taken = tryLock(path, mode);
    if (taken !== undefined) return taken;
    await untilAskedAgain(signal);
  }
}

/** Waits until a lock that others hold is worth another try. @throws the signal's reason */
export async function untilAskedAgain(signal: AbortSignal): Promise<void> {
  await delay(ASK_AGAIN_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
}
