/**
 * Reads a request's body to its end and drops it. workerd closes the connection of a client whose body it has not
 * read. The unread bytes turn that into a reset, and the client loses a response that was already sent to it. Many
 * clients read no response before their upload has ended (RFC 9112, 9.6).
 */
import { within } from "../../base/runtime/within.ts";

/** How long a client may send nothing, and how long it may go on sending. */
export const DRAIN_IDLE_MS = 2_000;
const MAX_MS = 60_000;

/** The buffer is small, because a stranger may hold many; it grows while reads fill it. */
const FIRST_BUFFER_BYTES = 1024;
const MAX_BUFFER_BYTES = 64 * 1024;

/** Bodies that are drained at a time in one isolate. Under a flood of uploads, further clients may lose responses. */
const MAX_DRAINS = 256;
let drains = 0;

/**
 * Never rejects: a client that breaks off needs nothing more.
 * @param signal of the request, in the Worker: a client that leaves ends the invocation, and no code of it runs on
 */
export async function drainBody(
  reader: ReadableStreamBYOBReader,
  signal?: AbortSignal,
): Promise<void> {
  if (drains >= MAX_DRAINS) {
    await reader.cancel().catch(() => undefined);
    return;
  }
  drains += 1;
  let isCounted = true;
  const uncount = (): void => {
    if (isCounted) drains -= 1;
    isCounted = false;
  };
  signal?.addEventListener("abort", uncount);
  await drain(reader).finally(uncount);
}

async function drain(reader: ReadableStreamBYOBReader): Promise<void> {
  const until = Date.now() + MAX_MS;
  let buffer = new ArrayBuffer(FIRST_BUFFER_BYTES);
  try {
    while (Date.now() < until) {
      const read = await within(DRAIN_IDLE_MS, reader.read(new Uint8Array(buffer)));
      if (read === undefined || read.done) break;
      const { buffer: used } = read.value;
      const isFull = read.value.length === used.byteLength && used.byteLength < MAX_BUFFER_BYTES;
      buffer = isFull ? new ArrayBuffer(used.byteLength * 2) : used;
    }
    await reader.cancel();
  } catch {
    // The client broke off.
  }
}
