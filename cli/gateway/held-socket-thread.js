/**
 * The thread of held-socket.ts: listens, tells the descriptor, and blocks before its event loop accepts anything. Plain
 * JavaScript, because a thread of an installed package has no loader for TypeScript.
 */
import { createServer } from "node:net";
import { parentPort, workerData } from "node:worker_threads";

/** Connections that wait in the kernel. It cuts the number to its own limit. */
const LISTEN_BACKLOG = 4096;

/** TCP asks after a silent peer after this time, and so notices one that vanished. Accepted sockets inherit it. */
const TCP_KEEPALIVE_S = 30;

const { host, port, gate } = workerData;
const server = createServer();

server.on("error", (error) => {
  parentPort?.postMessage({ code: error.code, message: error.message });
});
server.listen({ host, port, backlog: LISTEN_BACKLOG }, () => {
  // Node's own handle has the descriptor.
  const handle = server._handle;
  handle.setKeepAlive(true, TCP_KEEPALIVE_S);
  parentPort?.postMessage({ port: server.address().port, fd: handle.fd });
  Atomics.wait(gate, 0, 0);
});
