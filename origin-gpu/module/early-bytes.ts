/**
 * Reads a connection while its handshake has no answer yet, so that a client that leaves is noticed. A client says
 * nothing in that time; what one sends all the same is kept, and not read on.
 */
import type { Socket } from "node:net";

export class EarlyBytes {
  readonly #connection: Socket;
  readonly #chunks: Buffer[];
  readonly #onData = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#connection.pause();
  };
  readonly #onEnd = (): void => {
    this.#connection.destroy();
  };

  constructor(connection: Socket, head: Buffer) {
    this.#connection = connection;
    this.#chunks = [head];
    connection.on("data", this.#onData);
    connection.on("end", this.#onEnd);
    // The close that follows tells it.
    connection.on("error", () => undefined);
  }

  /** Gives the bytes that have come so far. From here on somebody else reads. */
  take(): Buffer {
    this.#connection.off("data", this.#onData);
    this.#connection.off("end", this.#onEnd);
    return Buffer.concat(this.#chunks.splice(0));
  }
}
