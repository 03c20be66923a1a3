/** Many slow streams at once over one link: none lost, none reordered, none expensive. */
import { afterAll, beforeAll, expect, test } from "vitest";

import { startBareWorkerd } from "../support/bare-workerd.ts";
import { type Gateway, startGateway, startServe, upstream } from "../support/harness.ts";
import { type Address, events, open } from "../support/http-client.ts";
import { type ManagedProcess, memoryBytes } from "../support/processes.ts";
import { type WebApp, startWebApp } from "../support/web-app.ts";

const STREAMS = 1_000;
const KIB = 1024;

let app: WebApp;
let gateway: Gateway;
let agent: ManagedProcess;
beforeAll(async () => {
  app = await startWebApp();
  gateway = await startGateway({ flags: ["--rate-limit", "0"] });
  agent = await startServe(gateway, [upstream(app.port)]);
});
afterAll(async () => {
  await agent.stop();
  await gateway.stop();
  await app.stop();
});

interface Outcome {
  /** The numbers that each stream delivered. */
  readonly numbers: readonly number[][];
  /** By which each of `pids`' memory stood higher per stream, in the middle of the streams' life. */
  readonly bytesPerStream: readonly number[];
}

/** Holds `STREAMS` streams of `seconds` events, one a second, and measures these processes half-way. */
async function holdStreams(
  address: Address,
  seconds: number,
  pids: readonly number[],
): Promise<Outcome> {
  // One stream first: what a process allocates once is no cost per stream.
  for await (const _ of events(await open(address, "/events?count=1"))) continue;
  const before = pids.map((pid) => memoryBytes([pid]));
  let bytesPerStream: number[] = [];
  let halfway = 0;
  const numbers = await Promise.all(
    Array.from({ length: STREAMS }, async () => {
      const received: number[] = [];
      const response = await open(address, `/events?count=${seconds}&interval_ms=1000`, {
        timeoutMs: (seconds + 30) * 1000,
      });
      for await (const event of events(response)) {
        received.push(Number(event));
        if (received.length === Math.ceil(seconds / 2) && ++halfway === STREAMS) {
          bytesPerStream = pids.map(
            (pid, index) => (memoryBytes([pid]) - (before[index] ?? 0)) / STREAMS,
          );
        }
      }
      return received;
    }),
  );
  return { numbers, bytesPerStream };
}

test("1,000 event streams live for 30 s over one link, each whole and in order", async () => {
  const bare = await startBareWorkerd(app.port);
  const plain = await holdStreams({ port: bare.port, host: "app.localhost" }, 4, [
    bare.process.pid,
  ]);
  await bare.stop();

  const seconds = 30;
  const through = await holdStreams(gateway.address("web", "-dev"), seconds, [
    gateway.workerdPid,
    gateway.process.pid,
    agent.pid,
  ]);
  const expected = Array.from({ length: seconds }, (_, number) => number);
  const broken = through.numbers.filter((received) => received.join() !== expected.join());
  expect(broken).toEqual([]);

  const [workerdBytes = 0, frontBytes = 0, agentBytes = 0] = through.bytesPerStream;
  const [bareBytes = 0] = plain.bytesPerStream;
  const kib = (bytes: number) => `${(bytes / KIB).toFixed(1)} KiB`;
  console.log(
    `memory per stream: gateway's workerd ${kib(workerdBytes)}, its front ${kib(frontBytes)}, ` +
      `agent ${kib(agentBytes)}; bare workerd pass-through ${kib(bareBytes)}`,
  );
  // A window or a ring of its own for each stream would be 1 MiB.
  for (const bytes of through.bytesPerStream) expect(bytes).toBeLessThan(512 * KIB);
}, 120_000);

test("a reader that stops reading does not delay another stream", async () => {
  const address = gateway.address("web", "-dev");
  const stuck = await open(address, "/download?size=200000000", { timeoutMs: 60_000 });
  stuck.pause();
  const arrivals: number[] = [];
  for await (const _ of events(await open(address, "/events?count=20&interval_ms=50"))) {
    arrivals.push(performance.now());
  }
  stuck.destroy();
  expect(arrivals).toHaveLength(20);
  const gaps = arrivals.slice(1).map((time, index) => time - (arrivals[index] ?? 0));
  expect(Math.max(...gaps)).toBeLessThan(1_000);
});
