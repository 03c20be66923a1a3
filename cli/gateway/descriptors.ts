/** The descriptors of a process, as Linux tells them. */
import { readFile, readdir, stat } from "node:fs/promises";

/** The descriptors that a process has open, and how many it may have; undefined where the system does not tell. */
export async function descriptorsOf(
  pid: number,
): Promise<{ readonly open: number; readonly limit: number } | undefined> {
  try {
    const limits = await readFile(`/proc/${pid}/limits`, "latin1");
    const limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
    const open = await openDescriptors(`/proc/${pid}/fd`);
    // "unlimited" is no number.
    return Number.isNaN(limit) ? undefined : { open, limit };
  } catch {
    // It has ended, or there is no such list here.
    return undefined;
  }
}

async function openDescriptors(directory: string): Promise<number> {
  // From Linux 6.2 on; before it says 0.
  const { size } = await stat(directory);
  return size > 0 ? size : (await readdir(directory)).length;
}
