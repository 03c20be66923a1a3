/**
 * Many open event streams: the delay of each chunk from the app's write to the read here, and the memory
 * that streams take. All sockets share one read buffer, for at 25,000 chunks a second one of its own for
 * each read would make the generator the bottleneck.
 */
import { type Socket, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import { type Address, send } from "../../support/http-client.ts";
import { ChunkReader, sharedClockUs } from "../chunks.ts";
import { head } from "./connection.ts";
import {
  type LoadResult,
  type ServerPids,
  UsageWindow,
  difference,
  memoryOfServers,
} from "./usage.ts";

/** In which every stream of a job must have had its first chunk. */
const OPEN_TIMEOUT_MS = 30_000;
/** In which the app must know that the clients of a job have left. */
const IDLE_TIMEOUT_MS = 15_000;
const READ_BUFFER = Buffer.alloc(64 * 1024);

/** What a job of streams has in common with the others of its kind. */
export interface StreamLoad {
  readonly streams: number;
  readonly intervalMs: number;
  /** Streams are open for this time before anything is measured. */
  readonly settleMs: number;
}

/** Open streams of the app; the first one that fails, fails them all. */
class OpenStreams {
  readonly failed: Promise<never>;
  readonly fail: (error: Error) => void;
  readonly #onDelay: (delayMs: number) => void;
  readonly #sockets: Socket[] = [];
  #closing = false;

  constructor(onDelay: (delayMs: number) => void) {
    const { promise, reject } = Promise.withResolvers<never>();
    this.failed = promise;
    this.fail = reject;
    this.#onDelay = onDelay;
  }

  /** Resolves at the first chunk. */
  async open(target: Address, intervalMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let readAtUs = 0;
    const reader = new ChunkReader((writtenAtUs) => {
      resolve();
      this.#onDelay((readAtUs - writtenAtUs) / 1000);
    });
    const onread = {
      buffer: READ_BUFFER,
      callback: (bytes: number) => {
        readAtUs = sharedClockUs();
        try {
          reader.read(READ_BUFFER, bytes);
        } catch (error) {
          this.fail(error as Error);
        }
        return true;
      },
    };
    const socket = connect({ port: target.port, host: "127.0.0.1", noDelay: true, onread });
    this.#sockets.push(socket);
    socket.on("error", this.fail).on("close", () => {
      if (!this.#closing) this.fail(new Error("a stream was cut"));
    });
    socket.write(head(target, `GET /chunks?${intervalMs}`));
    await promise;
  }

  /** Leaves, and waits until the app knows: what still flows would be in the next job's figures. */
  async close(app: Address): Promise<void> {
    this.#closing = true;
    for (const socket of this.#sockets) socket.destroy();
    await send(app, "/idle", { timeoutMs: IDLE_TIMEOUT_MS }).catch((cause: unknown) => {
      const after = `${IDLE_TIMEOUT_MS} ms after their clients left`;
      throw new Error(`the app still had open streams ${after}`, { cause });
    });
  }
}

/** Opens the streams of a job, measures while they are open, and closes them. */
async function whileOpen(
  target: Address,
  app: Address,
  load: StreamLoad,
  onDelay: (delayMs: number) => void,
  measure: () => Promise<LoadResult>,
): Promise<LoadResult> {
  const streams = new OpenStreams(onDelay);
  let waiting = load.streams;
  const opened = Array.from({ length: load.streams }, async () => {
    await streams.open(target, load.intervalMs);
    waiting--;
  });
  const timer = setTimeout(() => {
    if (waiting > 0)
      streams.fail(new Error(`${waiting} streams had no chunk in ${OPEN_TIMEOUT_MS} ms`));
  }, OPEN_TIMEOUT_MS);
  const measured = async (): Promise<LoadResult> => {
    await Promise.all(opened);
    await sleep(load.settleMs);
    return await measure();
  };
  let result: LoadResult;
  try {
    result = await Promise.race([streams.failed, measured()]);
  } catch (error) {
    // What the streams died of is the news, and not that some may have stayed open behind them.
    await streams.close(app).catch(() => undefined);
    throw error;
  } finally {
    clearTimeout(timer);
  }
  await streams.close(app);
  return result;
}

/** Every chunk of every stream that is read within the time. */
export async function chunkDelays(
  target: Address,
  pids: ServerPids,
  app: Address,
  load: StreamLoad & { readonly forMs: number },
): Promise<LoadResult> {
  let delaysMs: number[] = [];
  const onDelay = (delayMs: number): void => {
    delaysMs.push(delayMs);
  };
  return await whileOpen(target, app, load, onDelay, async () => {
    delaysMs = [];
    const window = new UsageWindow(pids);
    await sleep(load.forMs);
    return window.result(delaysMs);
  });
}

/** How much more memory each server holds once the streams have been open for a while. */
export async function streamMemory(
  target: Address,
  pids: ServerPids,
  app: Address,
  load: StreamLoad,
): Promise<LoadResult> {
  const before = memoryOfServers(pids);
  const window = new UsageWindow(pids);
  const ignore = (): void => undefined;
  return await whileOpen(target, app, load, ignore, async () =>
    window.result([], load.streams, difference(memoryOfServers(pids), before)),
  );
}
