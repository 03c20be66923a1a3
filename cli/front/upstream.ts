/**
 * The front's side of workerd: connections that have heard whose they are. What workerd sends lands in
 * a buffer of its connection and nearly always goes on to the client before the next read, so that a
 * download costs no allocation.
 */

import { Socket } from "node:net";
import { AnswerReader } from "./announcement.ts";
import { replacementFor } from "./bare-responses.ts";

/** One read. Larger ones move more bytes for a system call, and more would be queued for a slow client. */
const LANDING_BYTES = 64 * 1024;

/** What came of an attempt to reach workerd; `none`: nothing listens, or it died before it answered. */
export type Upstream =
  | { readonly kind: "none" }
  | { readonly kind: "refused"; readonly statusLine: string }
  | ({ readonly kind: "announced" } & AnnouncedSocket);

export interface AnnouncedSocket {
  /** Has no listener for errors but one that ignores them, and emits no `data`. */
  readonly socket: UpstreamSocket;
  /** Writes what comes from now on to the client, and pauses while it doesn't take it. */
  readonly forwardTo: (client: Socket) => void;
  /** When the socket has ended: the response in place of a bare one of workerd's that was held back. */
  readonly lastResponse: () => string | undefined;
}

/**
 * A connection to workerd whose answer can be read to its end when nothing more can be written. workerd answers some
 * requests before it has read their bodies, and then closes. The unread bytes make that a reset, so a write fails
 * while the answer still waits in our kernel's buffer. Node would destroy the socket and the answer with it.
 */
export class UpstreamSocket extends Socket {
  /** Of workerd's answers, announcement excluded. */
  forwardedBytes = 0;
  #isUnwritable = false;

  /** A write has failed: reading goes on until `end` or an error, and nothing may be written. */
  get isUnwritable(): boolean {
    return this.#isUnwritable;
  }

  override destroy(error?: NodeJS.ErrnoException): this {
    if (error?.syscall !== "write" || this.#isUnwritable) return super.destroy(error);
    this.#isUnwritable = true;
    // Where it was paused it must read on, or it would never learn of the end.
    this.resume();
    return this;
  }

  /** With `onread` Node pushes nothing but the end, which it does not emit after a failed write. */
  override push(chunk: unknown): boolean {
    if (chunk !== null || !this.#isUnwritable) return super.push(chunk);
    this.emit("end");
    return false;
  }
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
    if (progress.kind === "accepted")
      resolve({ kind: "announced", socket, forwardTo, lastResponse });
    return true;
  };
  /** Bytes that are workerd's own words to the letter; they are, if nothing follows them. */
  let held: { bytes: Buffer; replacement: string } | undefined;
  const lastResponse = (): string | undefined => held?.replacement;
  const forwardTo = (client: Socket): void => {
    sink = (chunk) => {
      socket.forwardedBytes += chunk.length;
      if (held !== undefined) client.write(held.bytes);
      held = undefined;
      const replacement = replacementFor(chunk);
      if (replacement !== undefined) {
        held = { bytes: Buffer.from(chunk), replacement };
        return true;
      }
      // Behind other bytes it waits, and must not wait in the buffer that the next read fills.
      if (client.writableLength > 0) return client.write(Buffer.from(chunk));
      const goesOn = client.write(chunk);
      // The kernel has not taken all of it: the rest is written from where it lies.
      if (client.writableLength > 0) landing = Buffer.allocUnsafeSlow(LANDING_BYTES);
      return goesOn;
    };
  };
  const socket = new UpstreamSocket({
    allowHalfOpen: true,
    onread: {
      // Asked for after each callback, for the next read.
      buffer: () => landing,
      callback: (length) => sink(landing.subarray(0, length)),
    },
  });
  socket.setNoDelay(true).connect(port, "127.0.0.1");
  const onGone = (): void => resolve({ kind: "none" });
  socket.on("error", () => undefined);
  socket.on("end", onGone).on("close", onGone);
  socket.write(announcement);
  const upstream = await promise;
  socket.off("end", onGone).off("close", onGone);
  if (upstream.kind !== "announced") socket.destroy();
  return upstream;
}
