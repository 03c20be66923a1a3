/**
 * A listening socket that this process holds and never accepts from: workerd inherits it, and connections wait in
 * the kernel while workerd restarts. Node accepts on each socket that it listens on, as soon as its event loop turns.
 * So a thread of its own listens, and then blocks for good.
 */

import { Worker } from "node:worker_threads";
import { limitUnsent } from "./unsent-limit.ts";

export interface HeldSocket {
  readonly port: number;
  /** The descriptor, for a child to inherit. */
  readonly fd: number;
  /** Closes the socket here. A child that inherited it goes on listening. */
  close(): Promise<void>;
}

/** The thread tells where it listens, or why it does not. */
type ListeningMessage =
  | { readonly port: number; readonly fd: number }
  | { readonly code: string | undefined; readonly message: string };

/** The thread is started with these. */
interface ListeningOrder {
  readonly host: string;
  readonly port: number;
  /** Never notified: the thread waits on it. */
  readonly gate: Int32Array<SharedArrayBuffer>;
}

/**
 * Listens.
 * @param port 0 lets the system choose
 * @param notice hears what the operator should know of the socket
 * @throws the system's error, such as `EADDRINUSE` or `EACCES`
 */
export async function holdSocket(
  host: string,
  port: number,
  notice: (line: string) => void,
): Promise<HeldSocket> {
  const gate = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const order: ListeningOrder = { host, port, gate };
  const thread = new Worker(new URL("./held-socket-thread.js", import.meta.url), {
    workerData: order,
  });
  const { promise, resolve, reject } = Promise.withResolvers<ListeningMessage>();
  thread.once("message", resolve);
  thread.once("error", reject);
  const told = await promise;
  if ("message" in told) {
    await thread.terminate();
    throw Object.assign(new Error(told.message), { code: told.code });
  }
  thread.unref();
  limitUnsent(told.fd, notice);
  return {
    ...told,
    async close() {
      await thread.terminate();
    },
  };
}
