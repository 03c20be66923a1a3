/**
 * The memory of connections on which nothing happens: event streams, and WebSockets beside them. Says how many of them are
 * still whole at the end, after a message on each WebSocket.
 *
 *   node test/bench/idle-connections.ts [--websockets 10000] [--streams 2000] [--seconds 30]
 *
 * workerd takes four descriptors for a WebSocket and two for a stream, and one workspace holds a share of them
 * (docs/limits.md). Where `ulimit -n` allows fewer WebSockets, the gateway refuses one, and no more are opened. 10,000
 * need 131,072. The exit code is 1 where fewer than asked for are whole at the end.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { messageOf } from "../../base/thrown.ts";
import { memoryOf, startBox } from "../support/box.ts";
import { type Gateway, startGateway } from "../support/harness.ts";
import type { Address } from "../support/http-client.ts";
import { type ManagedProcess, memoryBytes } from "../support/processes.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { dial, head } from "./load/connection.ts";
import { EchoSocket } from "./load/websockets.ts";

const { values: flags } = parseArgs({
  options: {
    websockets: { type: "string", default: "10000" },
    streams: { type: "string", default: "2000" },
    seconds: { type: "string", default: "30" },
  },
});

const APP = fileURLToPath(new URL("app.ts", import.meta.url));
const AT_A_TIME = 50;
/** Memory that is let go has gone by then. */
const REST_MS = 3_000;
/** The app writes a chunk into each stream after this time. */
const CHUNK_MS = 5_000;
const sleep = async (milliseconds: number): Promise<void> =>
  await new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Opens so many, some at a time; fewer where one is refused, and says why. */
async function openMany<Opened>(count: number, open: () => Promise<Opened>): Promise<Opened[]> {
  const opened: Opened[] = [];
  while (opened.length < count) {
    const batch = Math.min(AT_A_TIME, count - opened.length);
    const tried = await Promise.allSettled(Array.from({ length: batch }, open));
    opened.push(...tried.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])));
    const refused = tried.find((one) => one.status === "rejected");
    if (refused === undefined) continue;
    console.log(`${opened.length} in place of ${count}: ${messageOf(refused.reason)}`);
    break;
  }
  return opened;
}

/** An event stream whose head has come. */
class Stream {
  /** Pieces since it was last asked. */
  #pieces = 0;
  #isWhole = true;

  static async open(target: Address): Promise<Stream> {
    const socket = await dial(target);
    const stream = new Stream();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.on("data", () => {
      stream.#pieces += 1;
      resolve();
    });
    socket.on("error", reject);
    socket.on("close", () => {
      stream.#isWhole = false;
      reject(new Error("a stream was closed"));
    });
    socket.write(head(target, `GET /chunks?${CHUNK_MS}`));
    await promise;
    return stream;
  }

  /** Whether it is open and something came since this was last asked. */
  isAlive(): boolean {
    const isAlive = this.#isWhole && this.#pieces > 0;
    this.#pieces = 0;
    return isAlive;
  }
}

interface Held {
  /** Bytes. */
  readonly gateway: number;
  readonly agent: number;
}

async function held(gateway: Gateway, agent: ManagedProcess, time: number): Promise<Held> {
  await sleep(REST_MS);
  const { heapUsed, external } = await memoryOf(agent, time);
  return { gateway: memoryBytes([gateway.workerdPid]), agent: heapUsed + external };
}

function print(what: string, count: number, before: Held, after: Held): void {
  if (count === 0) return;
  const each = (bytes: number): string => `${(bytes / count / 1024).toFixed(1)} KiB`;
  const gateway = each(after.gateway - before.gateway);
  const agent = each(after.agent - before.agent);
  console.log(`${count} ${what}, each: ${gateway} of workerd, ${agent} of the agent`);
}

const gateway = await startGateway({ flags: ["--rate-limit", "0"] });
const started: ManagedProcess[] = [gateway.process];
try {
  const place = {
    gateway,
    throughPort: gateway.workerdPort,
    stateDirectory: temporaryDirectory(),
    links: 2,
  };
  const agent = await startBox(place, [
    { function: "idle", web_server: ["node", APP], max_inputs: 100_000 },
  ]);
  started.push(agent);
  const target = gateway.address("idle");
  // The container is there before anything is measured.
  const first = await EchoSocket.open(target);
  first.destroy();
  const nothing = await held(gateway, agent, 1);
  const streams = await openMany(Number(flags.streams), async () => await Stream.open(target));
  const withStreams = await held(gateway, agent, 2);
  print("event streams", streams.length, nothing, withStreams);
  const sockets = await openMany(Number(flags.websockets), async () => {
    return await EchoSocket.open(target);
  });
  const withSockets = await held(gateway, agent, 3);
  print("WebSockets beside them", sockets.length, withStreams, withSockets);
  for (const stream of streams) stream.isAlive();
  await sleep(Number(flags.seconds) * 1_000);
  const echoed = await Promise.allSettled(sockets.map(async (socket) => await socket.echo()));
  const answered = echoed.filter(({ status }) => status === "fulfilled").length;
  const whole = streams.filter((stream) => stream.isAlive()).length;
  console.log(
    `after ${flags.seconds} s: ${answered} of ${sockets.length} WebSockets echo a message, ${whole} of ${streams.length} streams go on`,
  );
  if (answered < Number(flags.websockets) || whole < Number(flags.streams)) process.exitCode = 1;
} finally {
  for (const one of started.toReversed()) one.killTree();
}
