/** Arrivals of calls, as traffic brings them: each trace is the same in each run. */
import { HOUR_MS, MINUTE_MS, SECOND_MS } from "../../../base/units.ts";

/** A call of a trace. */
export interface TraceCall {
  readonly atMs: number;
  /** How long a container works on it. */
  readonly serviceMs: number;
}

export interface Trace {
  readonly name: string;
  readonly calls: readonly TraceCall[];
}

/** The mean of the times that a container works on a call. */
const MEAN_SERVICE_MS = 2 * SECOND_MS;

export function traces(): Trace[] {
  return [
    trace("steady: 2 calls a second", HOUR_MS, () => 2),
    trace("step: 0.2 calls a second, then 5", HOUR_MS, (ms) => (ms < HOUR_MS / 2 ? 0.2 : 5)),
    trace("burst: 50 calls in a second, every 5 minutes", HOUR_MS, (ms) =>
      ms % (5 * MINUTE_MS) < SECOND_MS ? 50 : 0.02,
    ),
    trace("diurnal: up to 3 calls a second by day, none by night", 24 * HOUR_MS, (ms) =>
      Math.max(0, 3 * Math.sin((2 * Math.PI * ms) / (24 * HOUR_MS))),
    ),
    trace("silence: a call every 10 minutes", 24 * HOUR_MS, () => 1 / 600),
  ];
}

/** @param rate calls a second at a time, at most 50 */
function trace(name: string, durationMs: number, rate: (ms: number) => number): Trace {
  const random = randomNumbers(name.length);
  const exponential = (mean: number) => -Math.log(1 - random()) * mean;
  const calls: TraceCall[] = [];
  // Lewis' thinning: arrivals at the highest rate, of which each stays by the rate of its time.
  const mostPerS = 50;
  for (let atMs = 0; ;) {
    atMs += exponential(SECOND_MS / mostPerS);
    if (atMs >= durationMs) return { name, calls };
    if (random() * mostPerS >= rate(atMs)) continue;
    calls.push({ atMs, serviceMs: exponential(MEAN_SERVICE_MS) });
  }
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
