/** A world for a pool: it plays the box, the containers and the clients, by a tape of random decisions, and checks. */
import type { ContainerState } from "../../../origin-gpu/core/container-states.ts";
import type { PoolEffect, PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import type { SessionTraits } from "../../../origin-gpu/core/pool-sessions.ts";
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
  sessionsMove: true,
  sessionGraceMs: 30_000,
};

interface WorldCall {
  readonly arrivedAtMs: number;
  accepted: boolean;
  readonly passive: boolean;
  readonly session: WorldSession | undefined;
  container: number | undefined;
}

/** A client's session, as the world sees it: by one key. */
interface WorldSession {
  readonly key: string;
  container: number | undefined;
}

/** What runs, as the effects say. */
interface WorldContainer {
  phase: "claims" | "prepares" | "starts" | "serves" | "falls asleep" | "sleeps" | "ends";
  /** It asks the box, or holds what it asked for. */
  claim: "none" | "asks" | "holds";
  readonly calls: Set<number>;
  /** It drains since then, and for this reason. */
  drains?: { readonly sinceMs: number; readonly by: string };
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
  readonly #sessions = new Map<string, WorldSession>();
  #lastCall = 0;
  #wakesAtMs = Infinity;

  constructor(settings: PoolSettings, isProved: boolean) {
    this.settings = settings;
    this.pool = new Pool(settings, { isProved });
    this.apply(this.pool.tick(0));
  }

  arrive(
    traits: { asynchronous?: boolean; accepted?: boolean; passive?: boolean } = {},
    key?: string,
  ): number {
    this.#lastCall += 1;
    const call = this.#lastCall;
    const { accepted = false, passive = false } = traits;
    this.calls.set(call, {
      arrivedAtMs: this.nowMs,
      accepted,
      passive,
      session: key === undefined || key.startsWith("prompt") ? undefined : this.#sessionOf(key),
      container: undefined,
    });
    const session: SessionTraits | undefined = key === undefined ? undefined : { keys: [key] };
    this.apply(this.pool.request(call, this.nowMs, { ...traits, session }));
    return call;
  }

  #sessionOf(key: string): WorldSession {
    const session = this.#sessions.get(key) ?? { key, container: undefined };
    this.#sessions.set(key, session);
    return session;
  }

  /** Its client is told that it goes on. */
  accept(call: number): void {
    const known = this.calls.get(call);
    if (known !== undefined) known.accepted = true;
    this.pool.accepted(call);
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
      const call = this.calls.get(effect.call);
      if (effect.code === "session_lost") {
        demand(!this.settings.sessionsMove, "only a session that may not move is lost");
        const container = call?.session?.container;
        demand(container !== undefined && !this.#mustKeep(container), "its container is gone");
      } else {
        const isAccepted = call?.accepted !== false;
        demand(!isAccepted || this.pool.hasGivenUp, "an accepted call is refused by no other pool");
      }
      this.#forget(effect.call);
      this.refused += 1;
    } else if (effect.type === "hand_over") {
      demand(this.retired, "only a retired pool hands over");
      this.handedOver.push(effect.call);
      this.#forget(effect.call);
    } else if (effect.type === "moved") {
      const container = this.containers.get(effect.container);
      if (container !== undefined && effect.to === "draining") {
        container.drains = { sinceMs: this.nowMs, by: effect.by };
      }
    } else if (effect.container !== exited) {
      this.#applyToContainer(effect.type, effect.container);
    }
  }

  #assign(call: number, number: number): void {
    const known = this.calls.get(call);
    const container = this.containers.get(number);
    demand(known !== undefined && known.container === undefined, "an assigned call waits");
    demand(container?.phase === "serves", "a call is assigned to a container that serves");
    for (const [older, { container: has }] of this.calls) {
      if (older === call) break;
      demand(has !== undefined || !this.#hasPlace(older), "calls are assigned in their order");
    }
    const { session } = known;
    if (session?.container !== undefined && session.container !== number) {
      demand(this.settings.sessionsMove, "a session that may not move has one container");
      demand(!this.#mustKeep(session.container), "a session stays at its container");
    }
    if (session !== undefined) session.container = number;
    known.container = number;
    container.calls.add(call);
  }

  /** The container is there for its sessions, for all that the world can see. */
  #mustKeep(number: number): boolean {
    const state = this.stateOf(number);
    const { sinceMs, by } = this.containers.get(number)?.drains ?? { sinceMs: 0, by: "yields" };
    const isInGrace = by !== "yields" && this.nowMs < sinceMs + this.settings.sessionGraceMs;
    const isHeld = state === "draining" && isInGrace;
    // One that starts and has sessions wakes.
    return state === "ready" || state === "asleep" || state === "starting" || isHeld;
  }

  /** Whether a call that waits could be assigned. */
  #hasPlace(call: number): boolean {
    const own = this.calls.get(call)?.session?.container;
    const { maxInputs } = this.settings;
    // Ended with its passive calls, behind this assignment: a call that waits for it goes elsewhere at the next event.
    if (own !== undefined && this.stateOf(own) === "stopping") return false;
    const isYielding = own !== undefined && this.stateOf(own) === "draining";
    // Its container may fall asleep: then the call waits until it is awake again.
    if (isYielding && this.containers.get(own)?.drains?.by === "yields") return false;
    return this.pool.containers.some(({ number, state, calls }) => {
      if (calls >= maxInputs) return false;
      if (own === undefined || !this.#mustKeep(own)) return state === "ready";
      return own === number && (state === "ready" || state === "draining");
    });
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
    for (const [call, { container }] of this.calls) {
      demand(container !== undefined || !this.#hasPlace(call), "no call waits where there is room");
    }
  }
}

function demand(isSo: boolean, what: string): asserts isSo {
  if (!isSo) throw new Error(`not so: ${what}`);
}
