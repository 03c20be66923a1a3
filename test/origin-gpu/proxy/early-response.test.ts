/** Responses that an app sends, and closes its connection after, before it has read the request. */
import { Readable } from "node:stream";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import { AppConnections } from "../../../origin-gpu/proxy/app-connections.ts";

/** Answers each connection with 401 at its first byte and closes it with bytes unread, which resets it. */
const APP = `
const { createServer } = require("node:net");
const { parentPort, workerData } = require("node:worker_threads");
const closed = new Int32Array(workerData);
const server = createServer({ pauseOnConnect: true }, (socket) => {
  socket.on("error", () => {});
  socket.once("close", () => {
    Atomics.store(closed, 0, 1);
    Atomics.notify(closed, 0);
  });
  socket.write("HTTP/1.1 401 Unauthorized\\r\\ncontent-length: 2\\r\\n\\r\\nno", () => socket.destroy());
});
server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
`;

test("a response that comes before its upload ends is delivered", async () => {
  const closed = new Int32Array(new SharedArrayBuffer(4));
  const app = new Worker(APP, { eval: true, workerData: closed.buffer });
  const [port] = (await once(app, "message")) as [number];
  const connections = new AppConnections({ origin: `http://127.0.0.1:${port}` });
  try {
    const ended = Promise.withResolvers<string>();
    let response = "";
    async function* upload() {
      yield new Uint8Array(10_000);
      await Promise.resolve();
      // The loop stands still until the app has gone, so that the next write fails before anything is read.
      Atomics.wait(closed, 0, 0, 5_000);
      for (let index = 0; index < 20; index++) yield new Uint8Array(99_500);
    }
    const call = {
      head: { method: "POST", target: "/", headers: ["host", "app", "content-length", "2000000"] },
      isDurable: false,
      body: {
        whole: () => undefined,
        arrivedAt: 0,
        incomplete: true,
        readable: () => Readable.from(upload(), { objectMode: false }),
      },
      start: () => undefined,
      withdraw: () => undefined,
      respond: ({ status }: { status: number }) => {
        response += `${status} `;
      },
      append: (bytes: Uint8Array) => {
        response += Buffer.from(bytes).toString();
      },
      complete: () => ended.resolve(response),
      fail: ({ code, detail }: { code: string; detail: string }) =>
        ended.resolve(`${code}: ${detail}`),
    };
    connections.send({
      call: call as unknown as Call,
      waited: { queue: 0, start: 0 },
      limits: { timeoutMs: 10_000, maxDurationMs: 10_000 },
    });
    expect(await ended.promise).toBe("401 no");
  } finally {
    await connections.close();
    await app.terminate();
  }
});
