/**
 * Reads a socket into one buffer. By itself Node makes a buffer for each read, outside of V8's heap: at the speed of
 * an upload the collector then took two fifths of the agent's CPU.
 */
import type { OnReadOpts, Socket } from "node:net";
import { KIB } from "../../base/units.ts";

/** One read takes a few DATA frames at most. */
const READ_BYTES = 256 * KIB;

export class SocketReads {
  /** An option of `net.connect` and `tls.connect`. */
  readonly onread: OnReadOpts;
  #socket: Socket | undefined;
  #take: ((bytes: Buffer) => void) | undefined;

  constructor() {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    this.onread = {
      buffer,
      callback: (length) => this.#onRead(buffer.subarray(0, length)),
    };
  }

  /** The socket has been made. Its bytes are `data` events, as other sockets', until `start`. */
  belongTo(socket: Socket): void {
    this.#socket = socket;
  }

  /** From here on `take` gets the bytes. They are valid until it returns. */
  start(take: (bytes: Buffer) => void): void {
    this.#take = take;
    const early = this.#socket?.read() as Buffer | null | undefined;
    if (early !== null && early !== undefined) take(early);
    // Nothing is buffered any more, but the end is an event only of a socket that flows.
    this.#socket?.resume();
  }

  #onRead(bytes: Buffer): boolean {
    if (this.#take === undefined) return this.#socket?.push(Buffer.from(bytes)) ?? true;
    this.#take(bytes);
    return true;
  }
}
