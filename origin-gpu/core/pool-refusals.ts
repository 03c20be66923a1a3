/**
 * Refuses calls of one pool that would wait in vain: no container becomes ready, or too many wait. core/pool.ts says when.
 * Pure.
 */
import { SECOND_MS } from "../../base/units.ts";
import type { PoolCalls } from "./pool-calls.ts";
import type { PoolContainers } from "./pool-containers.ts";
import type { PoolEffect, PoolSettings, StartFailureCode } from "./pool-effects.ts";
import type { Scaler } from "./scaler.ts";
import { FAILURES_OF_A_CRASH_LOOP } from "./start-backoff.ts";

/** The parts of the pool that say whether a call waits in vain. */
interface RefusalParts<Call> {
  readonly calls: PoolCalls<Call>;
  readonly containers: PoolContainers;
  readonly scaler: Scaler;
  readonly emit: (effect: PoolEffect<Call>) => void;
}

export class PoolRefusals<Call> {
  readonly #calls: PoolCalls<Call>;
  readonly #containers: PoolContainers;
  readonly #scaler: Scaler;
  readonly #emit: RefusalParts<Call>["emit"];
  #lastFailure: StartFailureCode = "starting_failed";
  /** Calls are refused until the next start may be tried: it can't succeed, or all before failed, and those were some. */
  #brokenBy: "unproved" | "permanent" | undefined;

  constructor({ calls, containers, scaler, emit }: RefusalParts<Call>) {
    this.#calls = calls;
    this.#containers = containers;
    this.#scaler = scaler;
    this.#emit = emit;
  }

  onReady(): void {
    this.#brokenBy = undefined;
  }

  /** The version starts elsewhere. */
  onProved(): void {
    if (this.#brokenBy === "unproved") this.#brokenBy = undefined;
  }

  /** @param isProved a start has succeeded before @param isPermanent none can later */
  onFailedStart(
    code: StartFailureCode,
    { isProved, isPermanent }: { readonly isProved: boolean; readonly isPermanent: boolean },
    nowMs: number,
  ): void {
    this.#lastFailure = code;
    const isCrashLoop = this.#scaler.failures >= FAILURES_OF_A_CRASH_LOOP;
    const byProof = isProved || !isCrashLoop ? undefined : "unproved";
    this.#brokenBy = isPermanent ? "permanent" : byProof;
    this.#refuseWaiting(nowMs);
  }

  /** The next start may not be tried yet, and the last one says that it will fail. */
  refusesAtOnce(nowMs: number): boolean {
    const isHopeless = this.#isBroken && nowMs < this.#scaler.notBeforeMs;
    return isHopeless && !this.#hasContainers;
  }

  refuse(call: Call, nowMs: number): void {
    const retryAfterS = Math.max(1, Math.ceil((this.#scaler.notBeforeMs - nowMs) / SECOND_MS));
    const code = this.#hasGivenUp ? "gave_up" : this.#lastFailure;
    this.#emit({ type: "refuse", call, code, retryAfterS });
  }

  /** Where none starts or wakes any more, calls end that wait for a container that will not come, accepted ones too. */
  refuseAllInVain(nowMs: number): void {
    if (!this.#hasGivenUp) return;
    const { waiting } = this.#calls;
    const free = this.#hasContainers ? [] : waiting.takeFree();
    const lanes = this.#hasContainers ? this.#sleepers : [...waiting.awaited];
    const inLanes = lanes.flatMap((container) => waiting.takeLane(container));
    for (const { call } of [...free, ...inLanes]) this.refuse(call, nowMs);
  }

  /** The containers that sleep, and are not on their way to wake. */
  get #sleepers(): number[] {
    return this.#containers.all
      .filter(({ state, isClaiming }) => state === "asleep" && !isClaiming)
      .map(({ number }) => number);
  }

  /** Where more calls wait than may, one of them ends: this one, or another that gives way to it. */
  refuseAbove(call: Call, asynchronous: boolean, nowMs: number): void {
    if (!this.#isOverfull(asynchronous)) return;
    const { waiting } = this.#calls;
    const refused = (asynchronous ? undefined : waiting.displacedBy(call)?.call) ?? call;
    waiting.remove(refused);
    const retryAfterS = this.#calls.retryAfterS(nowMs);
    this.#emit({ type: "refuse", call: refused, code: "queue_full", retryAfterS });
  }

  /** No container has become ready: calls that have waited long enough end. Those that were accepted wait on. */
  #refuseWaiting(nowMs: number): void {
    const isServing = this.#containers.count(({ state }) => state === "ready") > 0;
    if (isServing) return;
    for (const { call, accepted, arrivedAtMs } of this.#calls.waiting) {
      const isDue = this.#isBroken || nowMs - arrivedAtMs >= this.#settings.startupTimeoutMs;
      if (accepted || !isDue) continue;
      this.#calls.waiting.remove(call);
      this.refuse(call, nowMs);
    }
  }

  /**
   * More calls wait than may, besides those for which a container is on its way. Those that could begin if the pool were
   * not held will find a place at the next agent.
   */
  #isOverfull(asynchronous: boolean): boolean {
    const { maxPending, maxPendingAsync, maxInputs } = this.#settings;
    const { waiting } = this.#calls;
    if (asynchronous) return waiting.asynchronous > maxPendingAsync;
    const coming = this.#containers.count((one) => one.isStarting || one.isClaiming);
    const held = this.#calls.isHeld ? this.#containers.count(({ state }) => state === "ready") : 0;
    return waiting.length - waiting.asynchronous > maxPending + (coming + held) * maxInputs;
  }

  get #isBroken(): boolean {
    return this.#brokenBy !== undefined;
  }

  get #settings(): PoolSettings {
    return this.#calls.settings;
  }

  get #hasGivenUp(): boolean {
    return this.#scaler.hasGivenUp(this.#settings);
  }

  /** Containers take calls, now or soon. */
  get #hasContainers(): boolean {
    return this.#containers.count((container) => container.isPresent) > 0;
  }
}
