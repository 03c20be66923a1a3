/**
 * Goodput at three times what an endpoint can do: calls that its app finished, of those that it finishes when nobody is too
 * many. Afterwards the time until a call is as quick as it was.
 *
 *   node test/bench/overload.ts [--times 3] [--seconds 60] [--work-ms 50] [--places 8] [--pending 100]
 *
 * Calls come evenly, each on its own, whatever becomes of those before: a client that got 429 does not come again. The exit
 * code is 1 where the goodput is below 90 %, or where the recovery takes more than 5 s.
 */
import { Agent, get } from "node:http";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { type Gateway, startUp } from "../support/harness.ts";

const { values: flags } = parseArgs({
  options: {
    times: { type: "string", default: "3" },
    seconds: { type: "string", default: "60" },
    "work-ms": { type: "string", default: "50" },
    places: { type: "string", default: "8" },
    pending: { type: "string", default: "100" },
  },
});

const APP = fileURLToPath(new URL("app.ts", import.meta.url));
const PLACES = Number(flags.places);
const WORK_MS = Number(flags["work-ms"]);
const SECONDS = Number(flags.seconds);
const CALIBRATION_MS = 10_000;
const TICK_MS = 5;
/** A call is as quick as before when it takes no longer than this many times. */
const AS_QUICK = 1.5;
/** How long it is waited for. */
const RECOVERY_MS = 60_000;
const LEAST_GOODPUT = 0.9;
const MOST_RECOVERY_S = 5;

const agent = new Agent({ keepAlive: true, maxSockets: 4_000 });

const sleep = async (milliseconds: number): Promise<void> =>
  await new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The status of a call, and how long it took. */
async function call(postern: Gateway): Promise<{ status: number; tookMs: number }> {
  const { port, host } = postern.address("work");
  const begun = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const options = { port, path: `/wait?${WORK_MS}`, agent, headers: { host } };
  get(options, (response) => {
    response.resume().once("end", () => resolve(response.statusCode ?? 0));
  }).once("error", reject);
  return { status: await promise, tookMs: performance.now() - begun };
}

/** Calls a second that the endpoint finishes while just as many are under way as it has places. */
async function capacity(postern: Gateway): Promise<number> {
  const until = performance.now() + CALIBRATION_MS;
  let finished = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      const { status } = await call(postern);
      if (status === 200) finished += 1;
    }
  };
  await Promise.all(Array.from({ length: PLACES }, caller));
  return finished / (CALIBRATION_MS / 1_000);
}

async function overload(postern: Gateway, perSecond: number): Promise<Map<number, number>> {
  const statuses = new Map<number, number>();
  const count = (status: number) => statuses.set(status, (statuses.get(status) ?? 0) + 1);
  const began = performance.now();
  const calls: Promise<void>[] = [];
  while (performance.now() - began < SECONDS * 1_000) {
    const due = ((performance.now() - began) / 1_000) * perSecond;
    while (calls.length < due) {
      // 0: the connection broke.
      calls.push(
        call(postern).then(
          ({ status }) => void count(status),
          () => void count(0),
        ),
      );
    }
    await sleep(TICK_MS);
  }
  // Those that wait when the time is over are not counted: they were finished later.
  const counted = new Map(statuses);
  void Promise.all(calls);
  return counted;
}

async function median(postern: Gateway): Promise<number> {
  const took: number[] = [];
  for (let index = 0; index < 5; index += 1) took.push((await call(postern)).tookMs);
  return took.toSorted((one, other) => one - other)[2] ?? 0;
}

const postern = await startUp(
  [
    {
      function: "work",
      web_server: ["node", APP],
      max_inputs: PLACES,
      max_pending: Number(flags.pending),
    },
  ],
  { flags: ["--rate-limit", "0"] },
);
try {
  const idleMs = await median(postern);
  const can = await capacity(postern);
  const offered = can * Number(flags.times);
  console.log(
    `${can.toFixed(0)} calls a second finish; ${offered.toFixed(0)} a second come for ${SECONDS} s`,
  );
  const statuses = await overload(postern, offered);
  const over = performance.now();
  const goodput = (statuses.get(200) ?? 0) / SECONDS;
  let recoveredMs = Number.POSITIVE_INFINITY;
  while (performance.now() - over < RECOVERY_MS) {
    const { status, tookMs } = await call(postern);
    if (status === 200 && tookMs <= AS_QUICK * idleMs) {
      recoveredMs = performance.now() - over;
      break;
    }
  }
  const shown = [...statuses].toSorted(([one], [other]) => one - other);
  console.log(`statuses: ${shown.map(([status, count]) => `${count} × ${status}`).join(", ")}`);
  const share = goodput / can;
  const recoveredS = recoveredMs / 1_000;
  console.log(
    `goodput ${goodput.toFixed(0)} a second, ${share.toFixed(2)} of what it can; ` +
      `a call takes ${idleMs.toFixed(0)} ms again after ${recoveredS.toFixed(1)} s`,
  );
  const isGood = share >= LEAST_GOODPUT;
  const isSoon = recoveredS <= MOST_RECOVERY_S;
  const met = (isMet: boolean) => (isMet ? "met" : "not met");
  console.log(
    `at least ${LEAST_GOODPUT} of what it can: ${met(isGood)}; ` +
      `as quick again within ${MOST_RECOVERY_S} s: ${met(isSoon)}`,
  );
  if (!isGood || !isSoon) process.exitCode = 1;
} finally {
  agent.destroy();
  await postern.stop();
}
