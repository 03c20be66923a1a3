/**
 * An HTTP server in a thread of its own, so that the test's thread can stand still while the server acts. It keeps the
 * connection of its first request until it is told to end that, and counts its requests.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

/** How it ends the connection; `gone`: and listens no more. */
const ENDINGS = ["reset", "closed", "gone"] as const;
export type KeptEnding = (typeof ENDINGS)[number];

/** What the threads share, by its place: the order to end the connection, that it was done, and requests that came. */
const ORDER = 0;
const DONE = 1;
const REQUESTS = 2;
const PATIENCE_MS = 30_000;

export class ResettingServer {
  readonly #worker: Worker;
  readonly #shared: Int32Array;
  readonly port: number;

  private constructor(worker: Worker, shared: Int32Array, port: number) {
    this.#worker = worker;
    this.#shared = shared;
    this.port = port;
  }

  static async start(): Promise<ResettingServer> {
    const shared = new Int32Array(new SharedArrayBuffer(12));
    const worker = new Worker(new URL(import.meta.url), { workerData: shared });
    const port = await new Promise<number>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    return new ResettingServer(worker, shared, port);
  }

  /** Requests that it began to work on. */
  get requests(): number {
    return Atomics.load(this.#shared, REQUESTS);
  }

  /** Has the kept connection end while this thread stands still, which learns of it afterwards. */
  endConnection(how: KeptEnding): void {
    Atomics.store(this.#shared, ORDER, 1 + ENDINGS.indexOf(how));
    Atomics.notify(this.#shared, ORDER);
    if (Atomics.wait(this.#shared, DONE, 0, PATIENCE_MS) === "timed-out") throw new Error("late");
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

function serve(shared: Int32Array): void {
  let kept: Socket | undefined;
  const server = createServer((request, response) => {
    Atomics.add(shared, REQUESTS, 1);
    kept ??= request.socket;
    request.resume().on("end", () => response.end("done"));
  });
  server.listen(0, "127.0.0.1", () => {
    parentPort?.postMessage((server.address() as AddressInfo).port);
  });
  const { value } = Atomics.waitAsync(shared, ORDER, 0);
  void Promise.resolve(value).then(async () => {
    const how = ENDINGS[Atomics.load(shared, ORDER) - 1];
    const closed = kept === undefined || once(kept, "close");
    if (how === "closed") kept?.destroy();
    else kept?.resetAndDestroy();
    await closed;
    if (how === "gone") await new Promise((resolve) => server.close(resolve));
    Atomics.store(shared, DONE, 1);
    Atomics.notify(shared, DONE);
  });
}

if (!isMainThread && workerData instanceof Int32Array) serve(workerData);
