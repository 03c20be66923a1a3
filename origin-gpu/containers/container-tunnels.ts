/**
 * Opens public URLs for ports of a container, which asks for them over its channel (python/postern_container/tunnels.py):
 *
 *   from the container   forward ID PORT         opens a tunnel; ID is the container's own number for it
 *                        close ID                ends it
 *   to the container     forwarded ID JSON       `{"url": …}`, or `{"error": …}` with the reason in words
 *
 * The end of the container ends its tunnels.
 */
import type { Writable } from "node:stream";
import { messageOf } from "../../base/thrown.ts";

export interface OpenedTunnel {
  readonly url: string;
  /** Resolves when the URL leads nowhere any more. */
  close(): Promise<void>;
}

/** Rejects with the reason in words. */
export type OpenTunnel = (port: number) => Promise<OpenedTunnel>;

const FORWARD = /^forward (\d{1,15}) (\d{1,5})$/;
const CLOSE = /^close (\d{1,15})$/;

/**
 * Returns what takes the container's lines; those of others are passed over.
 * @param open undefined where this agent opens none
 */
export function tunnelLines(
  writes: Writable,
  open: OpenTunnel | undefined,
  ended: Promise<unknown>,
): (line: string) => void {
  /** By the container's number, what closes each. */
  const tunnels = new Map<string, () => void>();

  const forward = async (id: string, port: number): Promise<void> => {
    const closing = Promise.withResolvers<void>();
    tunnels.set(id, closing.resolve);
    let answer: object;
    try {
      if (open === undefined) throw new Error("this agent forwards no ports");
      const tunnel = await open(port);
      void closing.promise.then(async () => await tunnel.close()).catch(() => undefined);
      answer = { url: tunnel.url };
    } catch (error) {
      tunnels.delete(id);
      answer = { error: messageOf(error) };
    }
    if (writes.writable) writes.write(`forwarded ${id} ${JSON.stringify(answer)}\n`);
  };

  const close = (id: string): void => {
    tunnels.get(id)?.();
    tunnels.delete(id);
  };

  void ended.then(() => {
    for (const id of tunnels.keys()) close(id);
  });
  return (line) => {
    const [, opened, port] = FORWARD.exec(line) ?? [];
    if (opened !== undefined && !tunnels.has(opened)) void forward(opened, Number(port));
    const [, closed] = CLOSE.exec(line) ?? [];
    if (closed !== undefined) close(closed);
  };
}
