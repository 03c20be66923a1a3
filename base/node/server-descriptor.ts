import type { Server } from "node:net";

/** The descriptor of a server that listens, to set options of its socket or to have a child inherit it. */
export function descriptorOf(server: Server): number {
  // Node's own handle has it.
  const { _handle: handle } = server as unknown as { readonly _handle: { readonly fd: number } };
  return handle.fd;
}
