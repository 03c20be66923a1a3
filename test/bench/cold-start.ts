/**
 * What a cold start costs besides the app's own: from the request to the first byte, less the time from the start of the
 * app's process until it listens. Each round waits until the endpoint has come down to zero. Several callers at a time
 * give two figures: that of the median one, and that of the one that is answered last.
 *
 *   node test/bench/cold-start.ts [--rounds 9]
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { startGateway, startServe } from "../support/harness.ts";
import { type Address, send } from "../support/http-client.ts";
import { median } from "./small-requests.ts";

const { values: flags } = parseArgs({ options: { rounds: { type: "string", default: "9" } } });
const ROUNDS = Number(flags.rounds);
const COLD_APP = fileURLToPath(new URL("cold-app.ts", import.meta.url));
const CALLERS = [1, 50];

interface Answer {
  readonly pid: number;
  readonly listensAfterMs: number;
}

/** Milliseconds that Postern adds for the median one and for the last one of so many callers. */
async function coldStart(
  address: Address,
  callers: number,
): Promise<{ mid: number; last: number }> {
  const begunAtMs = performance.now();
  const answers = await Promise.all(
    Array.from({ length: callers }, async () => {
      const { status, text } = await send(address, "/");
      if (status !== 200) throw new Error(`a caller got ${status}: ${text}`);
      return { tookMs: performance.now() - begunAtMs, ...(JSON.parse(text) as Answer) };
    }),
  );
  const tookMs = answers.map((answer) => answer.tookMs);
  const ownMs = Math.max(...answers.map(({ listensAfterMs }) => listensAfterMs));
  await Promise.all(answers.map(async ({ pid }) => await untilGone(pid)));
  return { mid: median(tookMs) - ownMs, last: Math.max(...tookMs) - ownMs };
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

const gateway = await startGateway({ flags: ["--rate-limit", "0"] });
const agent = await startServe(gateway, [
  {
    function: "web",
    web_server: ["node", COLD_APP, "$PORT"],
    max_inputs: 100,
    scaledown_window: 2,
  },
]);
try {
  const address = gateway.address("web", "-dev");
  // The first start is the one that proves the version.
  await coldStart(address, 1);
  for (const callers of CALLERS) {
    const added: { mid: number; last: number }[] = [];
    for (let round = 0; round < ROUNDS; round++) added.push(await coldStart(address, callers));
    const mid = shown(added.map((round) => round.mid));
    const last = shown(added.map((round) => round.last));
    console.log(`cold start, ${callers} waiting: Postern adds ${mid}; for the last caller ${last}`);
  }
} finally {
  await agent.stop();
  await gateway.stop();
}
