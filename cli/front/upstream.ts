/**
 * Connections of the front to workerd, each announced for one client. A read fills a buffer of its connection, and the
 * client's kernel nearly always takes these bytes before the next read. So a download costs no allocation.
 */

import { Socket } from "node:net";
import { AnswerReader } from "./announcement.ts";
import { replacementFor } from "./bare-responses.ts";

/** Size of a read. Larger reads need fewer system calls, but queue more for a slow client. */
const LANDING_BYTES = 64 * 1024;

/** The result of an attempt to reach workerd. `none`: nothing listens, or workerd died before it answered. */
export type Upstream =
  | { readonly kind: "none" }
  | { readonly kind: "refused"; readonly statusLine: string }
  | ({ readonly kind: "announced" } & AnnouncedSocket);

export interface AnnouncedSocket {
  /** Its errors are ignored so far. It emits no `data`. */
  readonly socket: UpstreamSocket;
  /** Writes all further bytes to the client, and pauses the socket while the client takes none. */
  readonly forwardTo: (client: Socket) => void;
  /** After the socket's end: the response that replaces a bare one of workerd's, which was held back. */
  readonly lastResponse: () => string | undefined;
}

/**
 * A socket whose incoming bytes can be read to their end after a write has failed. workerd answers some requests before
 * it has read their bodies, and then closes. The unread bytes turn that close into a reset, so our next write fails
 * while the response still waits in our kernel's buffer. Node would destroy the socket, and the response with it.
 */
export class UpstreamSocket extends Socket {
  /** Bytes of responses that were passed on. */
  forwardedBytes = 0;
  #isUnwritable = false;

  /** A write has failed. Reading goes on until `end` or an error; nothing may be written. */
  get isUnwritable(): boolean {
    return this.#isUnwritable;
  }

  override destroy(error?: NodeJS.ErrnoException): this {
    if (error?.syscall !== "write" || this.#isUnwritable) return super.destroy(error);
    this.#isUnwritable = true;
    // A paused socket would never learn of its end.
    this.resume();
    return this;
  }

  /** With `onread` Node pushes nothing but the end. It does not emit `end` after a failed write, so we do. */
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
  /** Takes bytes that are valid until it returns. Returns false to pause the connection. */
  let sink = (chunk: Buffer): boolean => {
    const progress = answer.push(chunk);
    if (progress.kind === "refused") resolve(progress);
    if (progress.kind === "accepted")
      resolve({ kind: "announced", socket, forwardTo, lastResponse });
    return true;
  };
  /** A whole bare response of workerd's, unless more bytes follow. */
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
      // The chunk waits behind other bytes, but not in the buffer that the next read fills.
      if (client.writableLength > 0) return client.write(Buffer.from(chunk));
      const goesOn = client.write(chunk);
      // The kernel has not taken all. The rest is written from this buffer, so the next read gets another.
      if (client.writableLength > 0) landing = Buffer.allocUnsafeSlow(LANDING_BYTES);
      return goesOn;
    };
  };
  const socket = new UpstreamSocket({
    allowHalfOpen: true,
    onread: {
      // Node asks for the next read's buffer after each callback.
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
