/** The memory of the machine, as far as containers that sleep depend on it. */
import { freemem, totalmem } from "node:os";

/** Below this part the kernel may soon kill a process, and it chooses which. */
const LEAST_FREE_PART = 0.1;

/** Whether less than a tenth could be given to processes; caches of files that can be dropped count as free. */
export function isMemoryShort(): boolean {
  return freemem() < LEAST_FREE_PART * totalmem();
}
