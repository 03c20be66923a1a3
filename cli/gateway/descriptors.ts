/** How many descriptors a process has left, as Linux tells it. */
import { readFile, readdir, stat } from "node:fs/promises";

/** The part of its descriptors that a process has open, from 0 to 1; 0 where the kernel does not tell. */
export async function descriptorsInUse(pid: number): Promise<number> {
  try {
    const limits = await readFile(`/proc/${pid}/limits`, "latin1");
    const limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
    return (await openDescriptors(`/proc/${pid}/fd`)) / limit;
  } catch {
    // It has ended, or there is no such list here.
    return 0;
  }
}

async function openDescriptors(directory: string): Promise<number> {
  // From Linux 6.2 on; before it says 0.
  const { size } = await stat(directory);
  return size > 0 ? size : (await readdir(directory)).length;
}
