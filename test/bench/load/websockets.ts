/** Round trips of short WebSocket messages, one in flight on each socket. */
import type { Socket } from "node:net";

import type { Address } from "../../support/http-client.ts";
import { dial, dialMany, head } from "./connection.ts";
import { type LoadResult, type ServerPids, UsageWindow } from "./usage.ts";

const PAYLOAD_BYTES = 64;
const ECHO_BYTES = 2 + PAYLOAD_BYTES;
/** A masked text frame whose mask is zero. */
const FRAME = Buffer.alloc(6 + PAYLOAD_BYTES, "x");
FRAME.set([0x81, 0x80 | PAYLOAD_BYTES, 0, 0, 0, 0]);

async function upgrade(socket: Socket, target: Address): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("data", (chunk) => {
      if (chunk.toString("latin1", 0, 12) === "HTTP/1.1 101") resolve();
      else reject(new Error(`no WebSocket: ${chunk.toString("latin1")}`));
    });
    socket.write(
      head(
        target,
        "GET /ws",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
      ),
    );
  });
}

/** A WebSocket that is idle between its messages. */
export class EchoSocket {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    // Else a socket that breaks while nobody waits for it would end the process.
    socket.on("error", () => undefined);
  }

  static async open(target: Address): Promise<EchoSocket> {
    const socket = await dial(target);
    await upgrade(socket, target);
    return new EchoSocket(socket);
  }

  /** Sends a message, and resolves when it has come back; rejects where the WebSocket is closed. */
  async echo(): Promise<void> {
    const socket = this.#socket;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let received = 0;
    socket.on("data", (chunk: Buffer) => {
      received += chunk.length;
      if (received === ECHO_BYTES) resolve();
    });
    socket.once("close", () => reject(new Error("a WebSocket was closed")));
    if (socket.destroyed) reject(new Error("a WebSocket was closed"));
    else socket.write(FRAME);
    await promise;
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

export async function websockets(
  target: Address,
  pids: ServerPids,
  { connections, forMs }: { readonly connections: number; readonly forMs: number },
): Promise<LoadResult> {
  const sockets = await dialMany(target, connections);
  await Promise.all(sockets.map(async (socket) => await upgrade(socket, target)));
  const latenciesMs: number[] = [];
  const window = new UsageWindow(pids);
  await Promise.all(
    sockets.map(
      async (socket) =>
        await new Promise<void>((resolve, reject) => {
          let sentMs = performance.now();
          let received = 0;
          socket.on("error", reject);
          socket.on("close", () => reject(new Error("a WebSocket was closed under load")));
          socket.on("data", (chunk: Buffer) => {
            received += chunk.length;
            if (received < ECHO_BYTES) return;
            received -= ECHO_BYTES;
            const nowMs = performance.now();
            latenciesMs.push(nowMs - sentMs);
            if (nowMs - window.beganMs >= forMs) {
              socket.removeAllListeners("close").destroy();
              resolve();
              return;
            }
            sentMs = nowMs;
            socket.write(FRAME);
          });
          socket.write(FRAME);
        }),
    ),
  );
  return window.result(latenciesMs);
}
