/** One pool under a trace in virtual time: the pool is the agent's own, its containers and calls are played. */
import { SECOND_MS } from "../../../base/units.ts";
import type { PoolEffect, PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import { Pool } from "../../../origin-gpu/core/pool.ts";
import type { Trace, TraceCall } from "./traces.ts";
import { VirtualTime } from "./virtual-time.ts";

export interface SimulationResult {
  /** Of each call, from its arrival until it has its container. */
  readonly waitsMs: readonly number[];
  /** From each start to each end, starts included. */
  readonly containerSeconds: number;
  readonly starts: number;
}

/** @param startMs from a container's start until it is ready */
export function simulate(
  { calls }: Trace,
  settings: PoolSettings,
  startMs: number,
): SimulationResult {
  const time = new VirtualTime();
  const pool = new Pool<TraceCall>(settings, { isProved: true });
  const begunAtMs = new Map<number, number>();
  const waitsMs: number[] = [];
  let containerMs = 0;
  let starts = 0;

  const apply = (effects: readonly PoolEffect<TraceCall>[]): void => {
    for (const effect of effects) applyOne(effect);
  };
  const applyOne = (effect: PoolEffect<TraceCall>): void => {
    if (effect.type === "assign") {
      const { call } = effect;
      waitsMs.push(time.nowMs - call.atMs);
      time.at(time.nowMs + call.serviceMs, () => apply(pool.finished(call, time.nowMs)));
    } else if (effect.type === "claim") {
      const { container } = effect;
      time.at(time.nowMs, () => apply(pool.granted(container, time.nowMs)));
    } else if (effect.type === "launch") {
      const { container } = effect;
      starts += 1;
      begunAtMs.set(container, time.nowMs);
      time.at(time.nowMs, () => apply(pool.prepared(container, time.nowMs)));
      time.at(time.nowMs + startMs, () => apply(pool.ready(container, time.nowMs)));
    } else if (effect.type === "stop") {
      const { container } = effect;
      containerMs += time.nowMs - (begunAtMs.get(container) ?? time.nowMs);
      begunAtMs.delete(container);
      time.at(time.nowMs, () => apply(pool.exited(container, time.nowMs)));
    } else if (effect.type === "wake_at") {
      time.at(effect.atMs, () => apply(pool.tick(time.nowMs)));
    }
  };

  apply(pool.tick(0));
  for (const call of calls) time.at(call.atMs, () => apply(pool.request(call, time.nowMs)));
  const lastMs = calls.at(-1)?.atMs ?? 0;
  // All calls are over by then, and all containers that may stop have stopped.
  time.runUntil(lastMs + 600 * SECOND_MS + settings.scaledownWindowMs);
  if (waitsMs.length !== calls.length) throw new Error("a call was lost");
  for (const sinceMs of begunAtMs.values()) containerMs += time.nowMs - sinceMs;
  return { waitsMs, containerSeconds: containerMs / SECOND_MS, starts };
}
