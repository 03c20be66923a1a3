/** A world for a pool: it plays the box, the containers and the clients, by a tape of random decisions, and checks. */
import type { ContainerState } from "../../../origin-gpu/core/container-states.ts";
import type {
  ContainerEffect,
  PoolEffect,
  PoolSettings,
  StartFailureCode,
} from "../../../origin-gpu/core/pool-effects.ts";
import type { SessionTraits } from "../../../origin-gpu/core/pool-sessions.ts";
import { Pool } from "../../../origin-gpu/core/pool.ts";
import { demand, demandLegal, type Refusal, type WaitingCall } from "./pool-refusal-rules.ts";
import { begun, carryOut, type WorldContainer } from "./world-container.ts";
import { demandCounts, PoolStarts } from "./pool-starts.ts";
import { PoolTurns } from "./pool-turns.ts";

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

/** What a call may bring. */
export interface WorldTraits {
  readonly asynchronous?: boolean;
  readonly accepted?: boolean;
  readonly passive?: boolean;
  readonly caller?: string | undefined;
  readonly batch?: boolean;
  /** It has waited elsewhere for so long. */
  readonly waitedMs?: number;
}

interface WorldCall extends WaitingCall {
  accepted: boolean;
  readonly passive: boolean;
  readonly session: WorldSession | undefined;
  container: number | undefined;
  /** It has waited elsewhere for so long. */
  readonly waitedMs: number;
  /** It has had a place before. */
  isBack: boolean;
}

/** A client's session, as the world sees it: by one key. */
interface WorldSession {
  readonly key: string;
  container: number | undefined;
}

export class PoolWorld {
  readonly pool: Pool<number>;
  readonly calls = new Map<number, WorldCall>();
  readonly containers = new Map<number, WorldContainer>();
  readonly starts: PoolStarts;
  settings: PoolSettings;
  nowMs = 0;
  retired = false;
  readonly #turns = new PoolTurns();
  /** Ended by the event under way, perhaps behind its assignments. */
  readonly #justStopped = new Set<number>();
  /** The event under way: the call that comes, or the start that fails. */
  #event: Refusal["event"] = "other";
  /** The sessions have no claim on the containers of a retired pool. */
  #keepsSessions = true;
  readonly #sessions = new Map<string, WorldSession>();
  #lastCall = 0;
  /** Whether the container that is asked to yield may sleep. */
  #maySleep = true;
  #wakesAtMs = Infinity;

  constructor(settings: PoolSettings, isProved: boolean) {
    this.settings = settings;
    this.pool = new Pool(settings, { isProved });
    this.starts = new PoolStarts(isProved);
    this.apply(this.pool.tick(0));
  }

  arrive(traits: WorldTraits = {}, key?: string): void {
    this.#lastCall += 1;
    const call = this.#lastCall;
    const { accepted = false, passive = false, asynchronous = false, batch = false } = traits;
    const { caller, waitedMs = 0 } = traits;
    const arrivedAtMs = this.nowMs - waitedMs;
    const known: WorldCall = {
      call,
      arrivedAtMs,
      accepted,
      passive,
      asynchronous,
      batch,
      caller,
      session: key === undefined || key.startsWith("prompt") ? undefined : this.#sessionOf(key),
      container: undefined,
      waitedMs,
      isBack: false,
    };
    this.calls.set(call, known);
    const session: SessionTraits | undefined = key === undefined ? undefined : { keys: [key] };
    const about = { accepted, passive, asynchronous, batch, caller, arrivedAtMs, session };
    const effects = this.pool.request(call, this.nowMs, about);
    this.#event = call;
    this.apply(effects);
    this.#event = "other";
    const waits = this.calls.has(call) && known.container === undefined && !accepted;
    const isRefused = effects.some(({ type }) => type === "refuse");
    if (waits && !isRefused) demand(!this.#isOverfull(asynchronous), "no more calls wait than may");
  }

  change(settings: Partial<PoolSettings>): void {
    this.settings = { ...this.settings, ...settings };
    this.apply(this.pool.change(this.settings, this.nowMs));
  }

  /** An earlier agent left so many containers. */
  adopt(count: number): void {
    const left = Array.from({ length: count }, (_, index) => ({ id: `ct-${index}` }));
    this.apply(this.pool.adopt(left, this.nowMs));
  }

  prove(): void {
    const isServing = this.pool.counts.ready > 0;
    this.starts.isAsked ||= !isServing && !this.retired;
    this.apply(this.pool.prove(this.nowMs));
  }

  assumeProved(): void {
    this.starts.assumeProved();
    this.apply(this.pool.assumeProved(this.nowMs));
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
    known.isBack = true;
    this.apply(this.pool.requeued(call, this.nowMs));
  }

  retire(keepsSessions: boolean): void {
    this.retired = true;
    this.starts.isAsked = false;
    this.#keepsSessions &&= keepsSessions;
    this.apply(this.pool.retire(this.nowMs, { keepsSessions }));
  }

  /** It does not become ready. */
  fail(number: number, code: StartFailureCode, isPermanent: boolean): void {
    const container = this.containers.get(number);
    if (container === undefined || !["claims", "prepares", "starts"].includes(container.phase))
      return;
    this.starts.onFailed(code, isPermanent);
    // The pool withdraws what is asked for, and stops what runs.
    this.#event = "failed";
    this.apply(this.pool.failed(number, { code, isPermanent }, this.nowMs));
    this.#event = "other";
  }

  unhealthy(number: number): void {
    if (this.stateOf(number) === "ready") this.starts.onLost();
    this.apply(this.pool.unhealthy(number, this.nowMs));
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
      this.fail(number, "starting_failed", false);
    } else if (container.phase === "starts") {
      container.phase = "serves";
      this.starts.onReady();
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

  yieldAsked(number: number, maySleep: boolean): void {
    this.#maySleep = maySleep;
    this.apply(this.pool.yieldAsked(number, this.nowMs, { maySleep }));
  }

  drainAsked(number: number): void {
    const container = this.containers.get(number);
    // One that was to sleep ends instead.
    if (container?.drains !== undefined) container.drains = { ...container.drains, sleeps: false };
    this.apply(this.pool.drainAsked(number, this.nowMs));
  }

  /** Its server ends by itself, and others of its processes do not yet. */
  end(number: number): void {
    const container = this.containers.get(number);
    if (container === undefined) return;
    if (["serves", "falls asleep"].includes(container.phase)) container.phase = "ends";
    if (this.stateOf(number) === "ready") this.starts.onLost();
    this.apply(this.pool.ended(number, this.nowMs));
  }

  /** Its process ends, asked or not; calls that it had end with it. */
  exit(number: number): void {
    const container = this.containers.get(number);
    if (container === undefined || ["claims", "prepares"].includes(container.phase)) return;
    if (container.phase === "starts") this.fail(number, "starting_failed", false);
    if (this.stateOf(number) === "ready") this.starts.onLost();
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
    return this.containers.get(number)?.state;
  }

  /** @param exited whose release is expected though the world has forgotten it */
  apply(effects: readonly PoolEffect<number>[], exited?: number): void {
    this.#justStopped.clear();
    for (const effect of effects) this.#apply(effect, exited);
    this.#check();
  }

  #apply(effect: PoolEffect<number>, exited: number | undefined): void {
    if (effect.type === "wake_at") {
      this.#wakesAtMs = Math.min(this.#wakesAtMs, effect.atMs);
    } else if (effect.type === "assign") {
      this.#assign(effect.call, effect.container);
    } else if (effect.type === "refuse") {
      this.#refuse(effect);
    } else if (effect.type === "hand_over") {
      demand(this.retired, "only a retired pool hands over");
      this.#forget(effect.call);
    } else if (effect.type === "moved") {
      const container = this.containers.get(effect.container);
      if (container !== undefined) this.#move(container, effect);
    } else if (effect.container !== exited) {
      this.#applyToContainer(effect.type, effect.container);
    }
  }

  #move(container: WorldContainer, effect: PoolEffect<number> & { readonly type: "moved" }): void {
    const { to, from, by } = effect;
    demand(from === container.state, "states follow each other");
    container.state = to;
    if (to === "stopping") this.#justStopped.add(effect.container);
    if (to !== "draining") return;
    const sleeps = by === "yields" && this.#maySleep && this.settings.canSleep;
    container.drains = { sinceMs: this.nowMs, by, sleeps };
  }

  #assign(call: number, number: number): void {
    const known = this.calls.get(call);
    const container = this.containers.get(number);
    demand(known !== undefined && known.container === undefined, "an assigned call waits");
    demand(container?.phase === "serves", "a call is assigned to a container that serves");
    demand(container.calls.size < this.settings.maxInputs, "it has at most max_inputs calls");
    const own = this.#ownContainer(known);
    const others = [...this.calls.values()].filter(
      (one) => one !== known && one.container === undefined && this.#hasPlace(one.call),
    );
    this.#turns.demandTurn(
      known,
      others.filter((one) => this.#ownContainer(one) === own),
      own === undefined,
    );
    const { session } = known;
    if (session?.container !== undefined && session.container !== number) {
      demand(this.settings.sessionsMove, "a session that may not move has one container");
      demand(!this.#mustKeep(session.container), "a session stays at its container");
    }
    if (session !== undefined) {
      session.container = number;
      for (const one of this.calls.values()) if (one.session === session) this.#turns.onLeft(one);
    }
    known.container = number;
    container.calls.add(call);
  }

  #refuse(effect: PoolEffect<number> & { readonly type: "refuse" }): void {
    const known = this.calls.get(effect.call);
    demand(known !== undefined && known.container === undefined, "who is refused waits");
    const own = known.session?.container;
    if (effect.code === "session_lost") {
      demand(!this.settings.sessionsMove, "only a session that may not move is lost");
      demand(own !== undefined && !this.#mustKeep(own), "its container is gone");
    } else {
      demandLegal({
        ...effect,
        refused: known,
        event: this.#event,
        came: typeof this.#event === "number" ? this.calls.get(this.#event) : undefined,
        isOverfull: this.#isOverfull(known.asynchronous),
        free: this.#waiting().filter((one) => this.#ownContainer(one) === undefined),
        starts: this.starts,
        settings: this.settings,
        pool: this.pool,
        nowMs: this.nowMs,
      });
    }
    this.#forget(effect.call);
  }

  /** More calls wait than may, besides those for which a container is on its way. */
  #isOverfull(asynchronous: boolean): boolean {
    const { maxPending, maxPendingAsync, maxInputs } = this.settings;
    const waiting = this.#waiting().filter((one) => one.asynchronous === asynchronous).length;
    if (asynchronous) return waiting > maxPendingAsync;
    const isComing = ({ phase, claim }: WorldContainer) =>
      ["claims", "prepares", "starts"].includes(phase) || (phase === "sleeps" && claim === "asks");
    return waiting > maxPending + [...this.containers.values()].filter(isComing).length * maxInputs;
  }

  #waiting(): WorldCall[] {
    return [...this.calls.values()].filter(({ container }) => container === undefined);
  }

  /** The container that alone may have the call, since it has its session. */
  #ownContainer({ session }: WorldCall): number | undefined {
    const own = session?.container;
    return own !== undefined && (this.#mustKeep(own) || this.#isLeaving(own)) ? own : undefined;
  }

  /** Its sessions wait until it is awake again, or go elsewhere at the next event. */
  #isLeaving(number: number): boolean {
    const fallsAsleep = this.containers.get(number)?.drains?.sleeps === true;
    const isDraining = this.stateOf(number) === "draining";
    return this.#justStopped.has(number) || (isDraining && fallsAsleep);
  }

  /** The container is there for its sessions, for all that the world can see. */
  #mustKeep(number: number): boolean {
    const state = this.stateOf(number);
    const { sinceMs, by } = this.containers.get(number)?.drains ?? { sinceMs: 0, by: "yields" };
    const isInGrace =
      this.#keepsSessions && by !== "yields" && this.nowMs < sinceMs + this.settings.sessionGraceMs;
    const isHeld = state === "draining" && isInGrace;
    // One that starts and has sessions wakes.
    return state === "ready" || state === "asleep" || state === "starting" || isHeld;
  }

  /** Whether a call that waits could be assigned. */
  #hasPlace(call: number): boolean {
    const own = this.calls.get(call)?.session?.container;
    const { maxInputs } = this.settings;
    if (own !== undefined && this.#isLeaving(own)) return false;
    for (const [number, { state, calls }] of this.containers) {
      if (calls.size >= maxInputs) continue;
      const isFree = own === undefined || !this.#mustKeep(own);
      if (state === "ready" && (isFree || own === number)) return true;
      if (state === "draining" && !isFree && own === number) return true;
    }
    return false;
  }

  #applyToContainer(type: ContainerEffect["type"], number: number): void {
    if (type === "claim") this.#demandStart(number);
    const container = this.containers.get(number);
    if (container === undefined) {
      this.containers.set(number, begun(type));
      return;
    }
    const inUse = [...container.calls].filter((call) => this.calls.get(call)?.passive !== true);
    carryOut(type, container, inUse.length);
    // A claim that is withdrawn before it was granted leaves nothing.
    if (container.phase === "claims" && container.claim === "none") this.containers.delete(number);
  }

  #forget(call: number): void {
    const known = this.calls.get(call);
    const container = known?.container;
    if (known !== undefined && container === undefined) this.#turns.onLeft(known);
    if (container !== undefined) this.containers.get(container)?.calls.delete(call);
    this.calls.delete(call);
  }

  #demandStart(number: number): void {
    const { pool, nowMs } = this;
    demand(this.settings.mayStart, "nothing is started that may not be");
    const isForSession = this.#waiting().some((one) => this.#ownContainer(one) === number);
    demand(
      !this.retired || isForSession,
      "a retired pool wakes for a session that calls, and alone",
    );
    demand(!pool.hasGivenUp && nowMs >= pool.notBeforeMs, "nothing is started in a pause");
  }

  #check(): void {
    const { pool, calls } = this;
    const { waiting, running } = pool.counts;
    demand(waiting + running === calls.size, "no call is lost, and none twice");
    for (const { number, state, calls: count } of pool.containers) {
      const known = this.containers.get(number);
      demand(known?.state === state && known.calls.size === count, "containers are as was said");
    }
    for (const known of this.#waiting()) {
      demand(!this.#hasPlace(known.call), "no call waits where there is room");
      const isAwaited = !this.retired || this.#ownContainer(known) !== undefined;
      demand(isAwaited, "a retired pool hands over who waits for none of its containers");
    }
    this.#turns.onWaiting(this.#waiting());
    const isAnyNeeded = this.#waiting().some(({ session }) => session === undefined);
    demandCounts(this, isAnyNeeded);
  }
}
