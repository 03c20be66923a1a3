/**
 * A directory for temporary files that lives as long as its process. A process that was killed leaves it; the next one
 * of the same kind and user removes it. Its lock is the kernel's: it ends with its process, whatever ended that.
 */
import { lstatSync, rmSync } from "node:fs";
import { mkdtemp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryLock } from "../base/node/file-lock.ts";
import { MINUTE_MS } from "../base/units.ts";

/** Of the random end of its name. */
const SUFFIX_CHARACTERS = 6;

const LOCK = "lock";

/** @param prefix says whose kind it is, e.g. `postern-serve-` */
export async function scratchDirectory(prefix: string, parent = tmpdir()): Promise<string> {
  await removeLeft(prefix, parent);
  const scratch = await mkdtemp(join(parent, prefix));
  tryLock(join(scratch, LOCK), "exclusive");
  process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
  return scratch;
}

async function removeLeft(prefix: string, parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix) || name.length !== prefix.length + SUFFIX_CHARACTERS) continue;
    try {
      removeUnused(join(parent, name));
    } catch {
      // Another start removes it too, or it is no directory of ours.
    }
  }
}

/** @throws where it has no lock, or can't be removed */
function removeUnused(path: string): void {
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) return;
  // Another start may not have taken its lock yet.
  if (Date.now() - found.mtimeMs < MINUTE_MS) return;
  const file = join(path, LOCK);
  lstatSync(file);
  const lock = tryLock(file, "exclusive");
  if (lock === undefined) return;
  rmSync(path, { recursive: true, force: true });
  lock.release();
}
