/**
 * Decides how many containers a pool has: starts what its calls need, within the limits of start-backoff.ts, and ends
 * what has had no use for `scaledownWindowMs`. Pure.
 */
import { SECOND_MS } from "../../base/units.ts";
import { lastNeededFirst, preferredSleeper } from "./container-order.ts";
import { isComing, neededClaims } from "./needed-claims.ts";
import type { PoolContainers, TrackedContainer } from "./pool-containers.ts";
import type { PoolSettings } from "./pool-effects.ts";
import type { Waiting } from "./waiting.ts";
import {
  type FailureHistory,
  NO_FAILURES,
  afterCrash,
  afterFailedStart,
  afterReady,
} from "./start-backoff.ts";

/** A caller may come back at once, as a reloaded page does: a start that nobody needs goes on so long. */
const GIVE_UP_MS = 10 * SECOND_MS;

/** How many containers serve so many calls, the waiting ones included. */
export function wantedContainers(calls: number, settings: PoolSettings): number {
  const { minContainers, maxContainers, bufferContainers } = settings;
  const needed = calls === 0 ? 0 : neededContainers(calls, settings) + bufferContainers;
  return Math.min(maxContainers, Math.max(minContainers, needed));
}

/** How many containers so many calls need, whatever the pool's bounds. */
function neededContainers(calls: number, { targetInputs }: PoolSettings): number {
  return Math.ceil(calls / targetInputs);
}

export class Scaler {
  readonly #containers: PoolContainers;
  #history: FailureHistory = NO_FAILURES;
  #isFailing = false;
  /** Since when more containers start than are needed; Infinity where none does. */
  #needlessSinceMs = Infinity;
  /** A container is to be there although no call asks for one. */
  #isAsked = false;
  /** Since when the version is to prove itself by that one. */
  #proofSinceMs: number | undefined;

  constructor(containers: PoolContainers) {
    this.#containers = containers;
  }

  /** The last start failed, or the last container was lost, and none has become ready since. */
  get isFailing(): boolean {
    return this.#isFailing;
  }

  /** No start before this time. */
  get notBeforeMs(): number {
    return this.#history.notBeforeMs;
  }

  /** Failures without a container that was well between them. */
  get failures(): number {
    return this.#history.failures;
  }

  /** Nothing is started any more, unless a container that was on its way becomes ready. */
  hasGivenUp({ mostFailures = Infinity }: PoolSettings): boolean {
    return this.failures >= mostFailures && this.#history.readySinceMs === undefined;
  }

  /** Where none is ready, one is to become so whether or not calls need it: one on its way will do, and goes on. */
  askForOne(): void {
    const ready = this.#containers.count(({ state }) => state === "ready");
    if (ready === 0) this.#isAsked = true;
  }

  /** The same, for the version to prove itself: others may have to yield to it. */
  askForProof(nowMs: number): void {
    this.askForOne();
    if (this.#isAsked) this.#proofSinceMs ??= nowMs;
  }

  /** Since when a proof has been asked for; undefined where none is. */
  get proofSinceMs(): number | undefined {
    return this.#proofSinceMs;
  }

  /** No start is asked for any more. */
  forgetAsked(): void {
    this.#isAsked = false;
    this.#proofSinceMs = undefined;
  }

  /** How many containers calls, or the version's proof, need: the pool may have fewer. */
  needed(waiting: Waiting, settings: PoolSettings): number {
    const calls = waiting.calls + this.#containers.load().calls;
    const proofs = this.#proofSinceMs === undefined ? 0 : 1;
    const awaited = this.#containers.count((one) => isComing(one, waiting));
    return Math.max(neededContainers(calls, settings) + awaited, proofs);
  }

  /** Of the containers that claim, those that are needed so: the others are to be there in advance. */
  neededClaims(waiting: Waiting, settings: PoolSettings): ReadonlySet<number> {
    return neededClaims(this.#containers.all, this.needed(waiting, settings), waiting);
  }

  onReady(nowMs: number): void {
    this.#history = afterReady(this.#history, nowMs);
    this.#isFailing = false;
    this.forgetAsked();
  }

  onFailedStart(nowMs: number): void {
    this.#isFailing = true;
    this.forgetAsked();
    this.#history = afterFailedStart(this.#history, nowMs);
  }

  /** A container ended by itself, or had to be ended. */
  onLost({ state, sinceMs }: TrackedContainer, nowMs: number): void {
    if (state !== "ready") return;
    this.#isFailing = true;
    this.#history = afterCrash(this.#history, nowMs - sinceMs, nowMs);
  }

  /** Starts and ends containers for these calls and those that run. */
  scale(waiting: Waiting, settings: PoolSettings, nowMs: number): void {
    const load = this.#containers.load();
    const goal = this.#goal(waiting.calls + load.calls, settings);
    this.#forgetClaims(settings.mayStart ? goal : 0, waiting, settings, nowMs);
    this.#giveUpStarts(goal, waiting, settings, nowMs);
    this.#wakeAwaited(waiting, settings, nowMs);
    this.#preferSleepers(settings, nowMs);
    this.#start(goal, settings, nowMs);
    this.#drainAbove(settings.maxContainers, nowMs);
    const inUse = waiting.activeCalls + load.activeCalls;
    this.#endIdle(this.#goal(inUse, settings), waiting, settings, nowMs);
  }

  /** Of a pool that was retired: wakes the containers whose sessions have calls that wait, as long as they do. */
  scaleRetired(waiting: Waiting, settings: PoolSettings, nowMs: number): void {
    this.#forgetClaims(0, waiting, settings, nowMs);
    this.#wakeAwaited(waiting, settings, nowMs);
    this.#drainAbove(settings.maxContainers, nowMs);
  }

  /** When `scale` may do something that it can't do now; Infinity for never. */
  nextChangeMs(waiting: Waiting, settings: PoolSettings, nowMs: number): number {
    const load = this.#containers.load();
    const present = this.#containers.count(isPresent);
    const isShort =
      present < this.#goal(waiting.calls + load.calls, settings) ||
      this.#containers.count((one) => isUnwoken(one, waiting)) > 0 ||
      preferredSleeper(this.#containers.all) !== undefined;
    const isDueLater = isShort && nowMs < this.notBeforeMs && !this.hasGivenUp(settings);
    const startMs = isDueLater ? this.notBeforeMs : Infinity;
    const changeMs = Math.min(startMs, this.#needlessSinceMs + GIVE_UP_MS);
    if (present <= this.#goal(waiting.activeCalls + load.activeCalls, settings)) return changeMs;
    const isEndable = (one: TrackedContainer): boolean => isIdle(one, waiting);
    const idle = this.#containers.all.filter(isEndable).map(({ idleSinceMs }) => idleSinceMs);
    return Math.min(changeMs, Math.min(...idle) + settings.scaledownWindowMs);
  }

  #goal(calls: number, settings: PoolSettings): number {
    return Math.max(wantedContainers(calls, settings), this.#isAsked ? 1 : 0);
  }

  /** Withdraws claims that no call waits for any more, the newest first. */
  #forgetClaims(goal: number, waiting: Waiting, { mayStart }: PoolSettings, nowMs: number): void {
    let surplus = this.#containers.count(isPresent) - goal;
    if (surplus <= 0) return;
    for (const container of this.#containers.all.toReversed()) {
      if (surplus === 0) return;
      if (!container.isClaiming || (mayStart && waiting.isAwaited(container.number))) continue;
      this.#containers.withdraw(container, nowMs);
      surplus -= 1;
    }
  }

  #giveUpStarts(
    goal: number,
    waiting: Waiting,
    { givesUpStarts }: PoolSettings,
    nowMs: number,
  ): void {
    const surplus = givesUpStarts ? this.#containers.count(isPresent) - goal : 0;
    const isNeedless = (one: TrackedContainer): boolean =>
      one.isStarting && !waiting.isAwaited(one.number);
    const starting = surplus > 0 ? this.#containers.all.filter(isNeedless) : [];
    if (starting.length === 0) {
      this.#needlessSinceMs = Infinity;
      return;
    }
    this.#needlessSinceMs = Math.min(this.#needlessSinceMs, nowMs);
    if (nowMs < this.#needlessSinceMs + GIVE_UP_MS) return;
    for (const container of starting.slice(-surplus)) {
      this.#containers.giveUp(container, "not_needed", nowMs);
    }
    this.#needlessSinceMs = Infinity;
  }

  #start(goal: number, settings: PoolSettings, nowMs: number): void {
    while (this.#containers.count(isPresent) < goal && this.#mayStart(settings, nowMs)) {
      this.#containers.begin(nowMs);
    }
  }

  /** Wakes the containers whose sessions have calls that wait: no other one will do. */
  #wakeAwaited(waiting: Waiting, settings: PoolSettings, nowMs: number): void {
    for (const container of this.#containers.all) {
      if (!isUnwoken(container, waiting)) continue;
      const isForUse = waiting.isUseAwaited(container.number);
      this.#makeRoom(settings, nowMs, (one) => isForUse || isIdle(one, waiting));
      if (!this.#mayStart(settings, nowMs)) return;
      this.#containers.wake(container, nowMs);
    }
  }

  /** The one that sleeps is ready sooner, and may have the very port that the other one waits for. */
  #preferSleepers(settings: PoolSettings, nowMs: number): void {
    if (!settings.mayStart || this.hasGivenUp(settings) || nowMs < this.notBeforeMs) return;
    const { all } = this.#containers;
    for (let pair = preferredSleeper(all); pair !== undefined; pair = preferredSleeper(all)) {
      this.#containers.withdraw(pair.claiming, nowMs);
      this.#containers.wake(pair.sleeper, nowMs);
    }
  }

  /** Where there may be no more containers, the one that is needed least finishes its calls, and another one may start. */
  #makeRoom(
    settings: PoolSettings,
    nowMs: number,
    mayYield: (container: TrackedContainer) => boolean,
  ): void {
    const present = this.#containers.count(isPresent);
    // Where none may be here at all, the place is another box's.
    if (present === 0 || present < settings.maxContainers || !this.#isTime(settings, nowMs)) return;
    const ready = lastNeededFirst(this.#containers.all, nowMs).find(
      (container) => container.state === "ready" && mayYield(container),
    );
    if (ready !== undefined) this.#containers.drain(ready, "not_needed", nowMs);
  }

  /** Whether containers may start now. */
  #isTime(settings: PoolSettings, nowMs: number): boolean {
    if (!settings.mayStart || this.hasGivenUp(settings) || nowMs < this.notBeforeMs) return false;
    // After a failure one start at a time shows whether others would succeed.
    return !this.#isFailing || this.#containers.count(({ isStarting }) => isStarting) === 0;
  }

  /** Whether one container more may start now. */
  #mayStart(settings: PoolSettings, nowMs: number): boolean {
    if (!this.#isTime(settings, nowMs)) return false;
    // One that is being ended may still have the memory of a GPU that nobody declared.
    return this.#containers.count(isInTheWay) < settings.maxContainers;
  }

  /** The settings allow fewer now. */
  #drainAbove(maxContainers: number, nowMs: number): void {
    let surplus = this.#containers.count(isPresent) - maxContainers;
    if (surplus <= 0) return;
    for (const container of lastNeededFirst(this.#containers.all, nowMs)) {
      if (surplus === 0) return;
      if (!container.isPresent || container.state === "draining") continue;
      if (container.state === "ready") this.#containers.drain(container, "not_needed", nowMs);
      else this.#containers.giveUp(container, "not_needed", nowMs);
      surplus -= 1;
    }
  }

  /** Ends those without sessions first, and the newest ones. Passive calls end with their container. */
  #endIdle(
    goal: number,
    waiting: Waiting,
    { scaledownWindowMs }: PoolSettings,
    nowMs: number,
  ): void {
    let surplus = this.#containers.count(isPresent) - goal;
    if (surplus <= 0) return;
    for (const container of lastNeededFirst(this.#containers.all, nowMs)) {
      if (surplus === 0) return;
      if (!isIdle(container, waiting) || nowMs < container.idleSinceMs + scaledownWindowMs)
        continue;
      this.#containers.stop(container, "not_needed", nowMs);
      surplus -= 1;
    }
  }
}

const isPresent = (container: TrackedContainer): boolean => container.isPresent;

/** Counts against the maximum. */
const isInTheWay = (container: TrackedContainer): boolean =>
  container.isPresent || container.state === "stopping";

/** It sleeps, and calls wait for it alone. */
const isUnwoken = ({ state, isClaiming, number }: TrackedContainer, waiting: Waiting): boolean =>
  state === "asleep" && !isClaiming && waiting.isAwaited(number);

/** It may be full of passive calls, and have others that wait for it alone. */
const isIdle = ({ state, activeCalls, number }: TrackedContainer, waiting: Waiting): boolean =>
  state === "ready" && activeCalls === 0 && !waiting.isUseAwaited(number);
