/**
 * The front's side of workerd: connections that have heard whose they are. What workerd sends lands in
 * a buffer of its connection and nearly always goes on to the client before the next read, so that a
 * download costs no allocation.
 */

import { connect, type Socket } from "node:net";
import { AnswerReader } from "./announcement.ts";

/** One read. Larger ones move more bytes for a system call, and more would be queued for a slow client. */
const LANDING_BYTES = 64 * 1024;

/** What came of an attempt to reach workerd; `none`: nothing listens, or it died before it answered. */
export type Upstream =
  | { readonly kind: "none" }
  | { readonly kind: "refused"; readonly statusLine: string }
  | ({ readonly kind: "announced" } & AnnouncedSocket);

export interface AnnouncedSocket {
  /** Has no listener for errors but one that ignores them, and emits no `data`. */
  readonly socket: Socket;
  /** Writes what comes from now on to the client, and pauses while it doesn't take it. */
  readonly forwardTo: (client: Socket) => void;
}

/** Connects to a port of this machine and announces the client there. Never rejects. */
export async function openUpstream(port: number, announcement: Buffer): Promise<Upstream> {
  const { promise, resolve } = Promise.withResolvers<Upstream>();
  const answer = new AnswerReader();
  let landing = Buffer.allocUnsafeSlow(LANDING_BYTES);
  /** Takes bytes that are valid until it returns; false pauses the connection. */
  let sink = (chunk: Buffer): boolean => {
    const progress = answer.push(chunk);
    if (progress.kind === "refused") resolve(progress);
    if (progress.kind === "accepted") resolve({ kind: "announced", socket, forwardTo });
    return true;
  };
  const forwardTo = (client: Socket): void => {
    sink = (chunk) => {
      // Behind other bytes it waits, and must not wait in the buffer that the next read fills.
      if (client.writableLength > 0) return client.write(Buffer.from(chunk));
      const goesOn = client.write(chunk);
      // The kernel has not taken all of it: the rest is written from where it lies.
      if (client.writableLength > 0) landing = Buffer.allocUnsafeSlow(LANDING_BYTES);
      return goesOn;
    };
  };
  const socket = connect({
    port,
    host: "127.0.0.1",
    noDelay: true,
    allowHalfOpen: true,
    onread: {
      // Asked for after each callback, for the next read.
      buffer: () => landing,
      callback: (length) => sink(landing.subarray(0, length)),
    },
  });
  const onGone = (): void => resolve({ kind: "none" });
  socket.on("error", () => undefined);
  socket.on("end", onGone).on("close", onGone);
  socket.write(announcement);
  const upstream = await promise;
  socket.off("end", onGone).off("close", onGone);
  if (upstream.kind !== "announced") socket.destroy();
  return upstream;
}
