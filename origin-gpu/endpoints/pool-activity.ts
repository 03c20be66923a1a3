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
  stuck: 0,
  waiting: 0,
  error: "",
};

/** For the operator who asks why calls wait: the new container claims what the old one holds. */
const STUCK = "a container survived SIGKILL; what it holds is not given to others until it is gone";

/** @param failure why no container is there; empty where one is */
export function activityOf(counts: PoolCounts, failure: string): PoolActivity {
  const { ready, starting, failed, asleep, ending: draining, stuck, waiting } = counts;
  const said = failure.slice(0, MAX_REPORTED_LINE_CHARACTERS);
  const error = said || (stuck > 0 ? STUCK : "");
  return { ready, starting, failed, asleep, draining, stuck, waiting, error };
}

export function joinedActivity(one: PoolActivity, other: PoolActivity): PoolActivity {
  return {
    ready: one.ready + other.ready,
    starting: one.starting + other.starting,
    failed: one.failed + other.failed,
    asleep: one.asleep + other.asleep,
    draining: one.draining + other.draining,
    stuck: one.stuck + other.stuck,
    waiting: one.waiting + other.waiting,
    // A failure says more than a container that is stuck.
    error: (one.failed > 0 && one.error) || other.error || one.error,
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
