/** An endpoint's containers and waiting requests, without its name. */
import type { EndpointActivity } from "../../routing/wire/deployments.ts";

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
