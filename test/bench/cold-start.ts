/**
 * What a cold start costs besides the app's own: from the request to the first byte, less the time from the start of the
 * app's process until it listens. Each round waits until the endpoint has come down to zero. Several callers at a time
 * give two figures: that of the median one, and that of the one that is answered last. They are bare sockets, since what
 * a client costs the two cores would count as Postern's. In turns with that, the same of
 * the app started by hand and asked directly, which is what no gateway can go below.
 *
 * The app serves by Node's own HTTP server, and by a bare one. What the first one's answers cost a process that has just
 * started counts as Postern's here: a third of what it takes by hand, and more beside others that need the cores.
 *
 *   npm run bench:cold-start -- [--rounds 9] [--load MS]
 *
 * The app waits for `--load` before it listens. Where that is more than a moment, the calls are parked meanwhile.
 *
 * On a shared machine, `chrt -r 1` before it gives the bench and all that it starts the cores before any other process. That
 * needs root. docs/pools.md has the figures.
 */
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { startGateway, startServe } from "../support/harness.ts";
import type { Address } from "../support/http-client.ts";
import { RawConnection } from "../support/raw-http.ts";
import { startByHand } from "./by-hand.ts";
import { median } from "./small-requests.ts";

const { values: flags } = parseArgs({
  options: { rounds: { type: "string", default: "9" }, load: { type: "string", default: "0" } },
});
const ROUNDS = Number(flags.rounds);
const COLD_APP = fileURLToPath(new URL("cold-app.ts", import.meta.url));
const SERVERS = ["http", "bare"];
const CALLERS = [1, 50];
const PATIENCE_MS = 30_000;

interface Answer {
  readonly pid: number;
  readonly listensAfterMs: number;
}

/** Milliseconds besides the app's own, for the median one and for the last one of so many callers. */
interface Added {
  readonly mid: number;
  readonly last: number;
}

/** A caller that has asked, and the milliseconds from `begunAtMs` to the first byte of its answer. */
async function caller({ port, host }: Address, begunAtMs: number) {
  const connection = await RawConnection.connect(port);
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const firstByteMs = once(connection.socket, "data", { signal }).then(
    () => performance.now() - begunAtMs,
  );
  connection.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  return { connection, firstByteMs };
}

/** @param begunAtMs when the callers asked, or the app was started for them */
async function ask(
  address: Address,
  callers: number,
  begunAtMs = performance.now(),
): Promise<Added & { pids: readonly number[] }> {
  const asked = await Promise.all(
    Array.from({ length: callers }, async () => await caller(address, begunAtMs)),
  );
  const tookMs = await Promise.all(asked.map(async ({ firstByteMs }) => await firstByteMs));
  // Not before: what is done with one answer would be done while others are awaited.
  const answers = await Promise.all(
    asked.map(async ({ connection }) => {
      const { status, body } = await connection.response("GET", PATIENCE_MS);
      connection.reset();
      if (status !== 200) throw new Error(`a caller got ${status}: ${body.toString()}`);
      return JSON.parse(body.toString()) as Answer;
    }),
  );
  const ownMs = Math.max(...answers.map(({ listensAfterMs }) => listensAfterMs));
  const pids = answers.map(({ pid }) => pid);
  return { mid: median(tookMs) - ownMs, last: Math.max(...tookMs) - ownMs, pids };
}

async function throughPostern(address: Address, callers: number): Promise<Added> {
  const added = await ask(address, callers);
  await Promise.all(added.pids.map(untilGone));
  return added;
}

async function byHand(server: string, callers: number): Promise<Added> {
  const begunAtMs = performance.now();
  const app = await startByHand(["node", COLD_APP], environmentOf(server));
  const added = await ask(app.address, callers, begunAtMs);
  await app.end();
  return added;
}

/** The median of rounds, and their range. */
function shown(roundsMs: readonly number[]): string {
  const [least, most] = [Math.min(...roundsMs), Math.max(...roundsMs)].map((ms) => ms.toFixed(0));
  return `${median(roundsMs).toFixed(0)} ms (${least} to ${most})`;
}

/** Until the process has ended: its endpoint has come down to zero. */
async function untilGone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
}

function environmentOf(server: string): Record<string, string> {
  return { LOAD_MS: flags.load, SERVER: server };
}

const gateway = await startGateway({ flags: ["--rate-limit", "0"] });
const agent = await startServe(
  gateway,
  SERVERS.map((server) => ({
    function: server,
    web_server: ["node", COLD_APP, "$PORT"],
    max_inputs: 100,
    env: environmentOf(server),
    scaledown_window: 2,
  })),
);
try {
  for (const server of SERVERS) {
    const address = gateway.address(server, "-dev");
    // The first start is the one that proves the version.
    await throughPostern(address, 1);
    for (const callers of CALLERS) {
      const ways = { Postern: [] as Added[], "by hand": [] as Added[] };
      for (let round = 0; round < ROUNDS; round++) {
        ways["by hand"].push(await byHand(server, callers));
        ways.Postern.push(await throughPostern(address, callers));
      }
      for (const [way, added] of Object.entries(ways)) {
        const mid = shown(added.map((round) => round.mid));
        const last = shown(added.map((round) => round.last));
        console.log(
          `cold start, ${server} server, ${callers} waiting, ${way}: ${mid}; for the last caller ${last}`,
        );
      }
    }
  }
} finally {
  await agent.stop();
  await gateway.stop();
}
