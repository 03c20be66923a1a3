/**
 * Locks of a file, shared by many or held by one, between the processes of a machine. They are the
 * kernel's, by way of SQLite: they end with their holder, even one that was killed. Nothing is ever
 * written into the file, and it is never removed: two who look at different files of one name would
 * both hold it.
 */
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";

/** The kernel tells nobody that a lock is free. */
const ASK_AGAIN_MS = 200;

const SQLITE_BUSY = 5;

/** Held until they are let go of: the garbage collector would close what nobody refers to. */
const held = new Set<DatabaseSync>();

export type LockMode = "shared" | "exclusive";

export interface FileLock {
  release(): void;
}

/** Undefined where others hold it. */
export function tryLock(path: string, mode: LockMode): FileLock | undefined {
  const database = new DatabaseSync(path, { timeout: 0 });
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

/** Waits for it. @throws the signal's reason */
export async function lock(path: string, mode: LockMode, signal: AbortSignal): Promise<FileLock> {
  for (;;) {
    signal.throwIfAborted();
    const taken = tryLock(path, mode);
    if (taken !== undefined) return taken;
    await untilAskedAgain(signal);
  }
}

/** How long to wait before a lock that others hold is worth asking for again. @throws the signal's reason */
export async function untilAskedAgain(signal: AbortSignal): Promise<void> {
  await delay(ASK_AGAIN_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
}
