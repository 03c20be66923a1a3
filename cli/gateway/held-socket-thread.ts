/** The thread of held-socket.ts: listens, tells the descriptor, and blocks before its event loop accepts anything. */

import { createServer, type AddressInfo } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import type { ListeningMessage, ListeningOrder } from "./held-socket.ts";

/** Connections that wait in the kernel. It cuts the number to its own limit. */
const LISTEN_BACKLOG = 4096;

/** TCP asks after a silent peer after this time, and so notices one that vanished. Accepted sockets inherit it. */
const TCP_KEEPALIVE_S = 30;

/** The part of Node's own handle of a socket that has the descriptor. */
interface SocketHandle {
  readonly fd: number;
  setKeepAlive(enable: boolean, delayS: number): number;
}

const { host, port, gate } = workerData as ListeningOrder;
const server = createServer();

function tell(message: ListeningMessage): void {
  parentPort?.postMessage(message);
}

server.on("error", (error: NodeJS.ErrnoException) => {
  tell({ code: error.code, message: error.message });
});
server.listen({ host, port, backlog: LISTEN_BACKLOG }, () => {
  const { _handle: handle } = server as unknown as { _handle: SocketHandle };
  handle.setKeepAlive(true, TCP_KEEPALIVE_S);
  tell({ port: (server.address() as AddressInfo).port, fd: handle.fd });
  Atomics.wait(gate, 0, 0);
});
