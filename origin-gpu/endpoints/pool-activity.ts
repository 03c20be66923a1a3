/** An endpoint's containers and waiting requests, without its name, and its load. */
import {
  type EndpointActivity,
  MAX_REPORTED_LINE_CHARACTERS,
} from "../../routing/wire/deployments.ts";
import type { PoolLoad } from "../../routing/wire/pool-load.ts";
import type { PoolCounts } from "../core/pool.ts";

export type PoolActivity = Omit<EndpointActivity, "endpoint">;

export const NO_ACTIVITY: PoolActivity = {
  ready: 0,
  starting: 0,
  failed: 0,
  asleep: 0,
  draining: 0,
  waiting: 0,
  error: "",
};

/** @param failure why no container is there; empty where one is */
export function activityOf(
  { ready, starting, failed, asleep, ending: draining, waiting }: PoolCounts,
  failure: string,
): PoolActivity {
  const error = failure.slice(0, MAX_REPORTED_LINE_CHARACTERS);
  return { ready, starting, failed, asleep, draining, waiting, error };
}

export function joinedActivity(one: PoolActivity, other: PoolActivity): PoolActivity {
  return {
    ready: one.ready + other.ready,
    starting: one.starting + other.starting,
    failed: one.failed + other.failed,
    asleep: one.asleep + other.asleep,
    draining: one.draining + other.draining,
    waiting: one.waiting + other.waiting,
    error: one.error || other.error,
  };
}

/** The load of all of them together. */
export function joinedLoad(loads: readonly PoolLoad[]): PoolLoad {
  const sum = (of: (load: PoolLoad) => number | undefined): number =>
    loads.reduce((total, load) => total + (of(load) ?? 0), 0);
  const [reported, sessions] = [sum((load) => load.reported), sum((load) => load.sessions)];
  return {
    running: sum(({ running }) => running),
    waiting: sum(({ waiting }) => waiting),
    room: sum(({ room }) => room),
    coming: sum(({ coming }) => coming),
    ...(reported > 0 && { reported }),
    ...(sessions > 0 && { sessions }),
  };
}
