/** Round trips of short WebSocket messages, one in flight on each socket. */
import type { Socket } from "node:net";

import type { Address } from "../../support/http-client.ts";
import { dialMany, head } from "./connection.ts";
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
