/**
 * More calls than an endpoint can do: how many its app finishes of those that it finishes when there are not too many, and
 * how long afterwards until a call is as quick as it was. Calls come evenly, each on its own, whatever becomes of those
 * before: a client that got 429 does not come again.
 */
import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { type EndpointTable, type Gateway, startUp } from "./harness.ts";

const APP = fileURLToPath(new URL("../bench/app.ts", import.meta.url));
const TICK_MS = 5;
/** A call is as quick as before when it takes no longer than this many times. */
const AS_QUICK = 1.5;
/** How long it is waited for. */
const RECOVERY_MS = 60_000;

export const LEAST_GOODPUT = 0.9;
export const MOST_RECOVERY_S = 5;

export interface OverloadOptions {
  /** Of its capacity, as it is measured for some time before. */
  readonly times: number;
  readonly seconds: number;
  readonly calibrationSeconds: number;
  readonly workMs: number;
  readonly places: number;
  readonly pending: number;
}

export interface OverloadReport {
  /** Calls a second that finish when there are not too many. */
  readonly capacity: number;
  /** How often each status came; 0 stands for a connection that broke. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Of the capacity. */
  readonly goodput: number;
  readonly idleMs: number;
  readonly recoveredS: number;
}

/** Starts an endpoint, and gives it too many calls. */
export async function measureOverload(options: OverloadOptions): Promise<OverloadReport> {
  const { times, seconds, calibrationSeconds, workMs, places, pending } = options;
  const work: EndpointTable = {
    function: "work",
    web_server: ["node", APP],
    max_inputs: places,
    max_pending: pending,
  };
  const postern = await startUp([work], { flags: ["--rate-limit", "0"] });
  const caller = new Caller(postern, `/wait?${workMs}`);
  try {
    const idleMs = await caller.median();
    const capacity = await caller.capacity(places, calibrationSeconds);
    const statuses = await caller.flood(capacity * times, seconds);
    const goodput = (statuses.get(200) ?? 0) / seconds / capacity;
    const recoveredS = (await caller.recovery(AS_QUICK * idleMs)) / 1_000;
    return { capacity, statuses, goodput, idleMs, recoveredS };
  } finally {
    caller.stop();
    await postern.stop();
  }
}

class Caller {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4_000 });
  readonly #postern: Gateway;
  readonly #path: string;

  constructor(postern: Gateway, path: string) {
    this.#postern = postern;
    this.#path = path;
  }

  stop(): void {
    this.#agent.destroy();
  }

  async median(): Promise<number> {
    const took: number[] = [];
    for (let index = 0; index < 5; index += 1) took.push((await this.#call()).tookMs);
    return took.toSorted((one, other) => one - other)[2] ?? 0;
  }

  /** Calls a second that finish while just as many are under way as there are places. */
  async capacity(places: number, seconds: number): Promise<number> {
    const until = performance.now() + seconds * 1_000;
    let finished = 0;
    const callOn = async (): Promise<void> => {
      while (performance.now() < until) {
        const { status } = await this.#call();
        if (status === 200) finished += 1;
      }
    };
    await Promise.all(Array.from({ length: places }, callOn));
    return finished / seconds;
  }

  async flood(perSecond: number, seconds: number): Promise<Map<number, number>> {
    const statuses = new Map<number, number>();
    const count = (status: number) => statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const began = performance.now();
    let sent = 0;
    while (performance.now() - began < seconds * 1_000) {
      const due = ((performance.now() - began) / 1_000) * perSecond;
      for (; sent < due; sent += 1) {
        void this.#call().then(
          ({ status }) => void count(status),
          () => void count(0),
        );
      }
      await sleep(TICK_MS);
    }
    // Those that wait when the time is over are not counted: they were finished later.
    return new Map(statuses);
  }

  /** Milliseconds until a call is so quick; infinite where none was for a minute. */
  async recovery(quickMs: number): Promise<number> {
    const began = performance.now();
    while (performance.now() - began < RECOVERY_MS) {
      const { status, tookMs } = await this.#call();
      if (status === 200 && tookMs <= quickMs) return performance.now() - began;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** The status of a call, and how long it took. */
  async #call(): Promise<{ status: number; tookMs: number }> {
    const { port, host } = this.#postern.address("work");
    const begun = performance.now();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const options = { port, path: this.#path, agent: this.#agent, headers: { host } };
    get(options, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    }).once("error", reject);
    return { status: await promise, tookMs: performance.now() - begun };
  }
}
