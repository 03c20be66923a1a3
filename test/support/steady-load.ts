/**
 * A steady number of requests per second, whatever becomes of them: an open-loop client, so that a
 * server that stalls is not asked less often.
 */
import { type Address, send } from "./http-client.ts";

const TICK_MS = 5;

export interface Outcome {
  /** Milliseconds since the load began. */
  readonly startedMs: number;
  readonly tookMs: number;
  /** The HTTP status, or what went wrong with the connection. */
  readonly result: number | string;
}

export interface SteadyLoad {
  readonly outcomes: readonly Outcome[];
  /** Sends no more requests and waits for the answers that are due. */
  stop(): Promise<void>;
}

/** Starts asking for `path`, `perSecond` times a second, each request bounded by `timeoutMs`. */
export function startSteadyLoad(
  address: Address,
  path: string,
  perSecond: number,
  timeoutMs: number,
): SteadyLoad {
  const outcomes: Outcome[] = [];
  const pending = new Set<Promise<void>>();
  const began = performance.now();
  const ask = async () => {
    const startedMs = performance.now() - began;
    let result: number | string;
    try {
      result = (await send(address, path, { timeoutMs })).status;
    } catch (error) {
      result = error instanceof Error ? error.name : "error";
    }
    outcomes.push({ startedMs, tookMs: performance.now() - began - startedMs, result });
  };
  let sent = 0;
  const timer = setInterval(() => {
    // A timer that comes late sends what became due meanwhile.
    const due = ((performance.now() - began) * perSecond) / 1000;
    for (; sent < due; sent += 1) {
      const asked = ask();
      pending.add(asked);
      void asked.finally(() => pending.delete(asked));
    }
  }, TICK_MS);
  return {
    outcomes,
    stop: async () => {
      clearInterval(timer);
      await Promise.all(pending);
    },
  };
}
