/** A world for a pool: it plays the box, the containers and the clients, by a tape of random decisions, and checks. */
import type { ContainerState } from "../../../origin-gpu/core/container-states.ts";
import type { PoolEffect, PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import { Pool } from "../../../origin-gpu/core/pool.ts";

export const SETTINGS: PoolSettings = {
  maxInputs: 1,
  targetInputs: 1,
  minContainers: 0,
  maxContainers: 1,
  bufferContainers: 0,
  mayStart: true,
  scaledownWindowMs: 60_000,
  startupTimeoutMs: 300_000,
  maxPending: 2_000,
  maxPendingAsync: 1_000_000,
  givesUpStarts: false,
  canSleep: false,
};

interface WorldCall {
  readonly arrivedAtMs: number;
  readonly accepted: boolean;
  readonly passive: boolean;
  container: number | undefined;
}

/** What runs, as the effects say. */
interface WorldContainer {
  phase: "claims" | "prepares" | "starts" | "serves" | "falls asleep" | "sleeps" | "ends";
  /** It asks the box, or holds what it asked for. */
  claim: "none" | "asks" | "holds";
  readonly calls: Set<number>;
}

export class PoolWorld {
  readonly pool: Pool<number>;
  readonly calls = new Map<number, WorldCall>();
  readonly containers = new Map<number, WorldContainer>();
  readonly settings: PoolSettings;
  nowMs = 0;
  /** Ended without an answer: refused. */
  refused = 0;
  handedOver: number[] = [];
  retired = false;
  #lastCall = 0;
  #wakesAtMs = Infinity;

  constructor(settings: PoolSettings, isProved: boolean) {
    this.settings = settings;
    this.pool = new Pool(settings, { isProved });
    this.apply(this.pool.tick(0));
  }

  arrive(traits: { asynchronous?: boolean; accepted?: boolean; passive?: boolean } = {}): number {
    this.#lastCall += 1;
    const call = this.#lastCall;
    const { accepted = false, passive = false } = traits;
    this.calls.set(call, { arrivedAtMs: this.nowMs, accepted, passive, container: undefined });
    this.apply(this.pool.request(call, this.nowMs, traits));
    return call;
  }

  finish(call: number): void {
    this.#forget(call);
    this.apply(this.pool.finished(call, this.nowMs));
  }

  requeue(call: number): void {
    const known = this.calls.get(call);
    if (known?.container === undefined) return;
    this.containers.get(known.container)?.calls.delete(call);
    known.container = undefined;
    this.apply(this.pool.requeued(call, this.nowMs));
  }

  retire(): void {
    this.retired = true;
    this.apply(this.pool.retire(this.nowMs));
  }

  /** The next thing that a container's life may bring. @param isGood whether it goes well */
  step(number: number, isGood: boolean): void {
    const container = this.containers.get(number);
    if (container === undefined) return;
    const { pool, nowMs } = this;
    if (container.claim === "asks" && isGood) {
      container.claim = "holds";
      this.apply(pool.granted(number, nowMs));
    } else if (container.phase === "prepares" && isGood) {
      container.phase = "starts";
      this.apply(pool.prepared(number, nowMs));
    } else if (container.phase === "prepares" || (container.phase === "starts" && !isGood)) {
      this.apply(pool.failed(number, { code: "starting_failed", isPermanent: false }, nowMs));
    } else if (container.phase === "starts") {
      container.phase = "serves";
      this.apply(pool.ready(number, nowMs));
    } else if (container.phase === "falls asleep" && isGood) {
      container.phase = "sleeps";
      this.apply(pool.slept(number, nowMs));
    } else if (container.phase === "falls asleep") this.apply(pool.sleepFailed(number, nowMs));
    else if (container.phase === "ends") {
      if (isGood) this.exit(number);
      else this.apply(pool.stuck(number, nowMs));
    }
  }

  /** Its server ends by itself, and others of its processes do not yet. */
  end(number: number): void {
    const container = this.containers.get(number);
    if (container === undefined) return;
    if (["serves", "falls asleep"].includes(container.phase)) container.phase = "ends";
    this.apply(this.pool.ended(number, this.nowMs));
  }

  /** Its process ends, asked or not; calls that it had end with it. */
  exit(number: number): void {
    const container = this.containers.get(number);
    if (container === undefined || ["claims", "prepares"].includes(container.phase)) return;
    if (container.phase === "starts") {
      const failure = { code: "starting_failed", isPermanent: false } as const;
      this.apply(this.pool.failed(number, failure, this.nowMs));
    }
    this.containers.delete(number);
    this.apply(this.pool.exited(number, this.nowMs), number);
    for (const call of container.calls) this.finish(call);
  }

  /** Time passes, and each tick that was asked for comes. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.#wakesAtMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.#wakesAtMs);
      this.#wakesAtMs = Infinity;
      this.apply(this.pool.tick(this.nowMs));
    }
    this.nowMs = endMs;
  }

  /** The oldest of those that wait. */
  get firstWaiting(): number | undefined {
    for (const [call, { container }] of this.calls) if (container === undefined) return call;
    return undefined;
  }

  stateOf(number: number): ContainerState | undefined {
    return this.pool.containers.find((container) => container.number === number)?.state;
  }

  /** @param exited whose release is expected though the world has forgotten it */
  apply(effects: readonly PoolEffect<number>[], exited?: number): void {
    for (const effect of effects) this.#apply(effect, exited);
    this.#check();
  }

  #apply(effect: PoolEffect<number>, exited: number | undefined): void {
    if (effect.type === "wake_at") {
      this.#wakesAtMs = Math.min(this.#wakesAtMs, effect.atMs);
    } else if (effect.type === "assign") {
      this.#assign(effect.call, effect.container);
    } else if (effect.type === "refuse") {
      const isAccepted = this.calls.get(effect.call)?.accepted !== false;
      demand(!isAccepted || this.pool.hasGivenUp, "an accepted call is refused by no other pool");
      this.#forget(effect.call);
      this.refused += 1;
    } else if (effect.type === "hand_over") {
      demand(this.retired, "only a retired pool hands over");
      this.handedOver.push(effect.call);
      this.#forget(effect.call);
    } else if (effect.type !== "moved" && effect.container !== exited) {
      this.#applyToContainer(effect.type, effect.container);
    }
  }

  #assign(call: number, number: number): void {
    const known = this.calls.get(call);
    const container = this.containers.get(number);
    demand(known !== undefined && known.container === undefined, "an assigned call waits");
    demand(container?.phase === "serves", "a call is assigned to a container that serves");
    demand(this.firstWaiting === call, "calls are assigned in the order of their arrival");
    known.container = number;
    container.calls.add(call);
  }

  #applyToContainer(type: string, number: number): void {
    const container = this.containers.get(number);
    if (type === "claim" && container === undefined) {
      this.containers.set(number, { phase: "claims", claim: "asks", calls: new Set() });
      return;
    }
    if (container === undefined) throw new Error(`${type} for a container that is gone`);
    if (type === "claim") {
      demand(container.claim === "none", "who claims has nothing");
      container.claim = "asks";
    } else if (type === "withdraw") {
      demand(container.claim === "asks", "only a claim that is asked for is withdrawn");
      if (container.phase === "claims") this.containers.delete(number);
      container.claim = "none";
    } else if (type === "release") {
      demand(container.phase === "sleeps", "only who sleeps or is gone gives back");
      container.claim = "none";
    } else if (type === "launch" || type === "wake") {
      demand(container.claim === "holds", `${type} needs what it claimed`);
      demand(container.phase === (type === "wake" ? "sleeps" : "claims"), `${type} in its phase`);
      container.phase = type === "wake" ? "starts" : "prepares";
    } else if (type === "sleep") {
      const active = [...container.calls].filter((call) => this.calls.get(call)?.passive !== true);
      demand(active.length === 0, "no call in use is under way where it falls asleep");
      demand(container.phase === "serves", "it falls asleep once");
      container.phase = "falls asleep";
    } else if (type === "stop") container.phase = "ends";
  }

  #forget(call: number): void {
    const container = this.calls.get(call)?.container;
    if (container !== undefined) this.containers.get(container)?.calls.delete(call);
    this.calls.delete(call);
  }

  #check(): void {
    const { maxInputs, maxContainers } = this.settings;
    for (const { calls } of this.containers.values()) {
      demand(calls.size <= maxInputs, "a container has at most max_inputs calls");
    }
    const present = this.pool.containers.filter(({ state }) =>
      ["claiming", "preparing", "starting", "ready"].includes(state),
    );
    demand(present.length <= maxContainers, "there are at most max_containers");
    const { waiting, running } = this.pool.counts;
    demand(waiting + running === this.calls.size, "no call is lost, and none twice");
    const hasRoom = [...this.containers.values()].some(
      ({ phase, calls }, index) =>
        phase === "serves" &&
        calls.size < maxInputs &&
        this.stateOf([...this.containers.keys()][index] ?? 0) === "ready",
    );
    demand(!(hasRoom && waiting > 0), "no call waits where there is room");
  }
}

function demand(isSo: boolean, what: string): asserts isSo {
  if (!isSo) throw new Error(`not so: ${what}`);
}
