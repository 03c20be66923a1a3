/** What has become of a pool's starts, as its world saw it, and how many containers there must be. */
import type { StartFailureCode } from "../../../origin-gpu/core/pool-effects.ts";
import { demand } from "./pool-refusal-rules.ts";
import type { PoolWorld } from "./pool-world.ts";

export class PoolStarts {
  isProved: boolean;
  /** A start was asked for, and none has become ready or failed since. */
  isAsked = false;
  /** The last start failed, or the last container was lost, and none has become ready since. */
  isFailing = false;
  lastCode: StartFailureCode | undefined;
  /** In all. */
  failures = 0;
  #wasPermanent = false;
  #hasFailed = false;

  constructor(isProved: boolean) {
    this.isProved = isProved;
  }

  /** The last start failed, and no later one is known to succeed: it can't, or all of some have failed. */
  get isHopeless(): boolean {
    const isCrashLoop = !this.isProved && this.failures >= 3;
    return this.#hasFailed && (this.#wasPermanent || isCrashLoop);
  }

  onReady(): void {
    this.isProved = true;
    this.isAsked = false;
    this.isFailing = false;
    this.#hasFailed = false;
  }

  onFailed(code: StartFailureCode, isPermanent: boolean): void {
    this.isAsked = false;
    this.isFailing = true;
    this.lastCode = code;
    this.failures += 1;
    this.#hasFailed = true;
    this.#wasPermanent = isPermanent;
  }

  /** A container that was ready is not there any more. */
  onLost(): void {
    this.isFailing = true;
    this.failures += 1;
  }

  assumeProved(): void {
    this.isProved = true;
    this.isAsked = false;
  }
}

/** @param isAnyNeeded a call waits that any container may take */
export function demandCounts(world: PoolWorld, isAnyNeeded: boolean): void {
  const { settings, pool, starts, nowMs } = world;
  let [present, starting, stopping, asleepSoon] = [0, 0, 0, 0];
  let [claims, isOnItsWay] = [0, false];
  for (const { number, state } of pool.containers) {
    const known = world.containers.get(number);
    const isStarting = state === "claiming" || state === "preparing" || state === "starting";
    const wakes = state === "asleep" && known?.claim === "asks";
    const fallsAsleep = state === "draining" && known?.drains?.sleeps === true;
    if (known?.claim === "asks") claims += 1;
    else if (isStarting || fallsAsleep) isOnItsWay = true;
    if (isStarting || wakes || state === "ready") present += 1;
    if (fallsAsleep) asleepSoon += 1;
    if (isStarting) starting += 1;
    if (state === "stopping") stopping += 1;
  }
  const { minContainers, maxContainers, mayStart } = settings;
  demand(present <= maxContainers, "there are at most max_containers");
  const isWaitedFor = claims === 0 || pool.neededClaims.size > 0;
  demand(!isAnyNeeded || isOnItsWay || isWaitedFor, "a call that waits makes others yield");
  if (!mayStart || pool.hasGivenUp || world.retired) return;
  if (nowMs < pool.notBeforeMs || (starts.isFailing && starting > 0)) return;
  // One that falls asleep wakes where it is needed.
  present += asleepSoon;
  if (present + stopping >= maxContainers) return;
  const least = Math.max(minContainers, isAnyNeeded || starts.isAsked ? 1 : 0);
  demand(present >= least, "there are at least min_containers, and one where a call waits");
}
