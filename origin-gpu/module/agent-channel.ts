/** The channel to the agent: a socket, or a pipe to read whose next descriptor is one to write. One line a message. */
import { fstatSync } from "node:fs";
import { Socket } from "node:net";
import { createInterface } from "node:readline";

export interface AgentChannel {
  readonly tell: (line: string) => void;
  readonly onLine: (listener: (line: string) => void) => void;
}

/** @param descriptor undefined: there is nobody to speak to */
export function openChannel(descriptor: number | undefined): AgentChannel {
  if (descriptor === undefined) return { tell: () => undefined, onLine: () => undefined };
  const isSocket = fstatSync(descriptor).isSocket();
  const reads = new Socket({ fd: descriptor, readable: true, writable: isSocket });
  const writes = isSocket
    ? reads
    : new Socket({ fd: descriptor + 1, readable: false, writable: true });
  // An agent that is gone ends this process by other means.
  for (const stream of new Set([reads, writes])) stream.on("error", () => stream.destroy());
  return {
    tell: (line) => {
      if (writes.writable) writes.write(`${line}\n`);
    },
    onLine: (listener) => createInterface({ input: reads }).on("line", listener),
  };
}
