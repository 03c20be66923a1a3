/**
 * The memory of clients that wait at an endpoint whose only place is taken: the gateway's and the agent's, for each one.
 * Each client has a connection of its own, which is there before and is counted by itself, and sends some header lines.
 *
 *   node test/bench/waiting-calls.ts [--waiters 1000,4000] [--header-bytes 2000] [--by memory,requests] [--at-once]
 *
 * workerd closes a connection that is silent for 15 s. With `--at-once` each client sends its request when it is connected,
 * for more clients than come in that time; their connections are counted with them then. A client takes two of workerd's
 * descriptors, so that `ulimit -n` bounds their number.
 */
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { parseArgs } from "node:util";

import { memoryOf, startBox } from "../support/box.ts";
import { CallClient } from "../support/call-client.ts";
import { APPS, type Gateway, startGateway } from "../support/harness.ts";
import { send } from "../support/http-client.ts";
import { type ManagedProcess, memoryBytes } from "../support/processes.ts";
import { Stages } from "../support/stages.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const { values: flags } = parseArgs({
  options: {
    waiters: { type: "string", default: "1000,4000" },
    "header-bytes": { type: "string", default: "2000" },
    by: { type: "string", default: "memory,requests" },
    "at-once": { type: "boolean", default: false },
  },
});
const HEADER_BYTES = Number(flags["header-bytes"]);
const isAtOnce = flags["at-once"];
const AT_A_TIME = 50;
/** What is under way has come to rest. */
const REST_MS = 3_000;

const rest = async (): Promise<void> =>
  await new Promise((resolve) => setTimeout(resolve, REST_MS));

/** Calls the function so often, some at a time. */
async function repeat(count: number, begin: () => Promise<void>): Promise<void> {
  for (let done = 0; done < count; done += AT_A_TIME) {
    await Promise.all(Array.from({ length: Math.min(AT_A_TIME, count - done) }, begin));
  }
}

interface Held {
  /** Bytes. */
  readonly gateway: number;
  readonly agent: number;
}

/** @param time which one it is that this agent is asked */
async function held(gateway: Gateway, agent: ManagedProcess, time: number): Promise<Held> {
  await rest();
  const { heapUsed, external } = await memoryOf(agent, time);
  return { gateway: memoryBytes([gateway.workerdPid]), agent: heapUsed + external };
}

async function measure(waiters: number, by: string): Promise<void> {
  const gateway = await startGateway({
    flags: ["--rate-limit", "0", "--request-timeout", "600"],
    isFaulty: true,
    manyIsolates: by === "requests",
  });
  started.push(gateway.process);
  const server = { web_server: ["node", `${APPS}/staged-server.ts`], env: { STAGES: stages.url } };
  const place = {
    gateway,
    throughPort: gateway.workerdPort,
    stateDirectory: temporaryDirectory(),
  };
  const agent = await startBox(place, [
    { function: "work", ...server, max_inputs: 1, max_pending: 20_000 },
  ]);
  started.push(agent);
  const key = `${by}/${waiters}`;
  stages.hold(key, "running");
  const first = new CallClient(gateway.address("work"), key, { body: "question" });
  await stages.reached([first.key], "running", 60_000);
  const { port, host } = gateway.address("work");

  const sockets: Socket[] = [];
  let ended = 0;
  const nothing = await held(gateway, agent, 1);
  const connectOne = async (): Promise<Socket> => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => undefined);
    socket.on("close", () => (ended += 1));
    sockets.push(socket);
    await once(socket, "connect");
    return socket;
  };
  if (!isAtOnce) await repeat(waiters, async () => void (await connectOne()));
  const connected = isAtOnce ? nothing : await held(gateway, agent, 2);
  const lines = `x-filler: ${"x".repeat(HEADER_BYTES)}\r\n`;
  const request = `GET /work?key=waits HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`;
  let next = 0;
  await repeat(waiters, async () => {
    const socket = isAtOnce ? await connectOne() : sockets[next];
    next += 1;
    socket?.write(request);
    // An answer of the gateway says that it has read what was written before.
    if (next % AT_A_TIME === 0) await send(gateway.base, "/api/v1/health");
  });
  const waiting = await held(gateway, agent, isAtOnce ? 2 : 3);
  if (ended > 0) throw new Error(`${ended} of ${waiters} clients wait no more`);
  const each = (bytes: number): string => `${(bytes / waiters / 1024).toFixed(1)} KiB`;
  const connection = isAtOnce
    ? "with its connection"
    : `connection ${each(connected.gateway - nothing.gateway)} of workerd;`;
  console.log(
    `${waiters} waiters by ${by}, each: ${connection} ` +
      `waiting ${each(waiting.gateway - connected.gateway)} of workerd, ` +
      `${each(waiting.agent - connected.agent)} of the agent`,
  );
  for (const socket of sockets) socket.destroy();
}

const stages = await Stages.start();
/** What is to be ended, whatever happens. */
const started: ManagedProcess[] = [];
try {
  for (const by of flags.by.split(",")) {
    for (const waiters of flags.waiters.split(",")) await measure(Number(waiters), by);
  }
} finally {
  for (const process of started.toReversed()) process.killTree();
  await stages.close();
}
