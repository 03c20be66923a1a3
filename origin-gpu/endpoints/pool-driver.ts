/**
 * Runs the pool of one endpoint in real time: carries out its effects on containers, calls and the box, in their order,
 * and tells it what has become of them. core/pool.ts decides.
 */
import { within } from "../../base/runtime/within.ts";
import type { PoolLoad } from "../../routing/wire/pool-load.ts";
import type { Settlement } from "../calls/call.ts";
import { noticesOf, StartFailure } from "../containers/container.ts";
import type { Card } from "../core/cards.ts";
import type { ContainerEffect, PoolEffect, PoolSettings } from "../core/pool-effects.ts";
import { type CallStanding, Pool, type PoolCounts } from "../core/pool.ts";
import { isPassive } from "../core/keeps-awake.ts";
import type { PoolClaims } from "./box-claims.ts";
import { PlaceTimes } from "./place-times.ts";
import type {
  ManageContainers,
  ManagedContainers,
  PoolDriverOptions,
} from "./pool-driver-options.ts";
import { cardOut, impossibleClaim, ROOM_AWAITED, STOP_WORDS, YIELD_WORDS } from "./claim-words.ts";
import { ContainerClaims } from "./container-claims.ts";
import { EndpointContainers } from "./endpoint-containers.ts";
import { leavable } from "./take-left.ts";
import { FailureStory } from "./failure-story.ts";
import type { PoolClock } from "./pool-clock.ts";
import { listContainers, type ListedContainer } from "./listed-container.ts";
import type { QueuedCall } from "./queued-call.ts";
import { SessionPlaces } from "./session-places.ts";

type Effect = PoolEffect<QueuedCall>;
type MovedEffect = Extract<ContainerEffect, { type: "moved" }>;

interface Retirement {
  /** Calls of sessions that its containers have come in the grace too. */
  readonly keepsSessions: boolean;
  readonly graceMs: number;
  /** Ends the grace. */
  readonly signal: AbortSignal;
}

export class PoolDriver {
  readonly sessions: SessionPlaces<QueuedCall>;
  readonly #options: PoolDriverOptions;
  readonly #clock: PoolClock;
  readonly #pool: Pool<QueuedCall>;
  readonly #containers: ManagedContainers;
  readonly #claims: PoolClaims;
  readonly #needs: ContainerClaims;
  readonly #failures: FailureStory;
  readonly #times: PlaceTimes;
  /** Why the box has no cards for the container that claimed last. */
  #claimFailure: string | undefined;
  /** Containers that wait for a card which is out. */
  readonly #cardless = new Set<number>();
  /** The cards of each container that has some. */
  readonly #cards = new Map<number, readonly Card[]>();
  /** Effects whose turn has not come: one of them may cause further events. */
  readonly #due: Effect[] = [];
  #isApplying = false;
  readonly #proof = Promise.withResolvers<void>();
  /** Conditions that are waited for, with those who are told. */
  readonly #awaited = new Map<() => boolean, () => void>();
  /** Calls that have begun since the pool was retired, and run. */
  #late: Set<QueuedCall> | undefined;
  #cancelTick: (() => void) | undefined;
  #isClosed = false;
  #isLeaving = false;

  constructor(options: PoolDriverOptions) {
    const { source, settings, isProved, sessions, claims, identity, needs } = options;
    const now = (): number => this.#now;
    this.#options = options;
    this.#clock = claims.clock;
    this.#times = new PlaceTimes(options.usage);
    this.#pool = new Pool(settings, { isProved, sessions });
    this.#failures = new FailureStory(this.#pool, noticesOf(source));
    this.#containers = (options.manageContainers ?? manageContainers)(source, {
      onPrepared: (number) => this.#apply(this.#pool.prepared(number, now())),
      onReady: (number) => {
        this.#proof.resolve();
        this.#apply(this.#pool.ready(number, now()));
      },
      onFailed: (number, failure) => this.#onFailed(number, failure),
      onSlept: (number) => this.#apply(this.#pool.slept(number, now())),
      onSleepFailed: (number) => this.#apply(this.#pool.sleepFailed(number, now())),
      onHung: (number) => this.#apply(this.#pool.unhealthy(number, now())),
      onUse: (number, use) => this.#pool.reportUse(number, use),
      onDrainAsked: (number) => this.#apply(this.#pool.drainAsked(number, now())),
      onEnded: (number) => this.#apply(this.#pool.ended(number, now())),
      onStuck: (number) => this.#apply(this.#pool.stuck(number, now())),
      onExited: (number) => this.#apply(this.#pool.exited(number, now())),
      callsOf: (number) => this.#pool.container(number)?.calls ?? 0,
    });
    this.sessions = new SessionPlaces(this.#pool, this.#containers, sessions, now);
    this.#claims = claims.pool(identity, needs, {
      onGranted: (number, cards) => {
        this.#cards.set(number, cards);
        this.#claimFailure = undefined;
        this.#cardless.delete(number);
        this.#apply(this.#pool.granted(number, now()));
        this.#needs.giveBackUnwanted(number);
      },
      onYieldAsked: (number, { reason, wantedBy, isForVersion }) => {
        const by = wantedBy === undefined ? "" : ` (${wantedBy.endpoint})`;
        noticesOf(source)(`postern: ${YIELD_WORDS[reason]}${by}`);
        if (reason !== "memory_short") options.onRoom("made");
        const why = { maySleep: reason === "wanted", isForVersion };
        this.#apply(this.#pool.yieldAsked(number, now(), why));
      },
      onRoomAwaited: () => {
        noticesOf(source)(`postern: ${ROOM_AWAITED}`);
        options.onRoom("awaited");
      },
      onCardOut: (number, lost) => {
        const failure = cardOut(lost);
        this.#noteClaimFailure(failure);
        // Of a version that has worked, calls wait for the card. Another one may have no card to wait for.
        if (this.#pool.isProved) this.#cardless.add(number);
        else this.#onFailed(number, failure);
      },
      onImpossible: (number) => {
        const failure = impossibleClaim(needs);
        this.#noteClaimFailure(failure);
        this.#onFailed(number, failure);
      },
      onHandOver: () => this.#pool.hold(),
    });
    if (claims.isHandingOver) this.#pool.hold();
    this.#needs = new ContainerClaims({
      claims: this.#claims,
      pool: this.#pool,
      prepare: (number) => this.#containers.prepare(number),
      onFailed: (number, error) => this.#containers.fail(number, error),
    });
    if (isProved) this.#proof.resolve();
    // Callers that wait for it get the failure. Without one, Node would report an unhandled rejection.
    this.#proof.promise.catch(() => undefined);
    this.#adoptLeft();
    this.#apply(isProved ? this.#pool.tick(now()) : this.#pool.prove(now()));
  }

  /** Resolves when a container of the version has been ready; rejects with the `StartFailure` of the first one. */
  get proved(): Promise<void> {
    return this.#proof.promise;
  }

  get counts(): PoolCounts {
    return this.#pool.counts;
  }

  get load(): PoolLoad {
    return this.#pool.load(this.#now);
  }

  /** Its containers that are not gone. */
  get containers(): ListedContainer[] {
    return listContainers(this.#pool.containers, this.#containers, this.#cards);
  }

  /** Why no container is there, in one line; empty where one serves, or starts and has all that it needs. */
  get currentFailure(): string {
    if (this.#pool.counts.failed === 0 && this.#cardless.size === 0) return "";
    return this.#failures.describe(this.#containers.lastFailure);
  }

  /** No process failed: the box has no card for it. Undefined where that is not so. */
  get claimFailure(): string | undefined {
    return this.#claimFailure;
  }

  /** Where a call stands; undefined for one that is not here. */
  standingOf(queued: QueuedCall): CallStanding | undefined {
    const standing = this.#pool.standingOf(queued, this.#now);
    const { claims, needs } = this.#options;
    // Nothing measured says when a card is back.
    const isUnknown = standing?.isStarting === true && claims.isCardOut(needs);
    return isUnknown ? { ...standing, etaMs: undefined } : standing;
  }

  request(queued: QueuedCall): void {
    const { call, arrivedAt: arrivedAtMs, waitedElsewhere } = queued;
    const asynchronous = call.head.async === true;
    const accepted = call.isPromised;
    const passive = isPassive(call.head, this.#options.source.settings.keepsAwake);
    const session = call.head.session && this.sessions.traitsOf(call.head.session);
    const { token, batch } = call.head.caller ?? {};
    const kind = { asynchronous, accepted, passive, caller: token, batch };
    const traits = { arrivedAtMs, waitedElsewhere, ...kind, session };
    this.#apply(this.#pool.request(queued, this.#now, traits));
  }

  onPromised(queued: QueuedCall): void {
    this.#pool.accepted(queued);
  }

  /** The call is over, or has left the queue. */
  finished(queued: QueuedCall, how: Settlement): void {
    this.#giveBack(queued);
    const isServed = how === "completed" || how === "closed";
    const event = isServed ? "finished" : "left";
    this.#apply(this.#pool[event](queued, this.#now));
  }

  requeued(queued: QueuedCall): void {
    this.#giveBack(queued);
    this.#apply(this.#pool.requeued(queued, this.#now));
  }

  #giveBack(queued: QueuedCall): void {
    this.#late?.delete(queued);
    this.#times.givenBack(queued, this.#now);
  }

  /** Another container takes the place of this one, which finishes its calls. */
  replace(containerId: string): void {
    const number = this.#containers.numberOf(containerId);
    if (number !== undefined) this.#apply(this.#pool.drainAsked(number, this.#now));
  }

  /** Ends a container by hand, when it has finished its calls. @returns false where there is none of this id */
  stop(containerId: string): boolean {
    const number = this.#containers.numberOf(containerId);
    if (number === undefined) return false;
    this.#apply(this.#pool.stopAsked(number, this.#now));
    return true;
  }

  /** Its needs, its containers and its proof, for those who share out containers. */
  get demand(): { needs: number; has: number; starting: boolean; proved: boolean } {
    const { neededContainers: needs, heldContainers: has, isProved: proved } = this.#pool;
    return { needs, has, starting: this.#pool.isStartingFirst, proved };
  }

  /** The version is known to start elsewhere, and need not show it here. */
  assumeProved(): void {
    this.#proof.resolve();
    this.#apply(this.#pool.assumeProved(this.#now));
  }

  change(settings: PoolSettings): void {
    this.#apply(this.#pool.change(settings, this.#now));
  }

  /** The new version that was prepared beside this one is given up. */
  onVersionAbandoned(): void {
    this.#apply(this.#pool.versionAbandoned(this.#now));
  }

  /** The version serves, or is given up: it has no priority any more. */
  unpin(): void {
    this.#claims.unpin();
  }

  /**
   * Hands over what waits, and begins nothing any more but calls of sessions that its containers have. Resolves when no
   * call runs and no container is kept for its sessions, or after the grace. Calls of sessions that began in it have
   * one of their own, in which none begins.
   */
  async retire({ keepsSessions, graceMs, signal }: Retirement): Promise<void> {
    const late = new Set<QueuedCall>();
    this.#late = late;
    this.#apply(this.#pool.retire(this.#now, { keepsSessions }));
    await within(
      graceMs,
      this.#until(() => this.#pool.isFinished),
      { signal, timer: this.#clock.timer },
    );
    if (!keepsSessions || signal.aborted) return;
    this.#apply(this.#pool.retire(this.#now, { keepsSessions: false }));
    await within(
      graceMs,
      this.#until(() => late.size === 0),
      { signal, timer: this.#clock.timer },
    );
  }

  /** Resolves when no call has a place. */
  async untilVacant(): Promise<void> {
    await this.#until(() => this.#pool.counts.running === 0);
  }

  /** Leaves the containers that serve and have no call to the next agent, and ends the others. Nothing happens any more. */
  async leave(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTick?.();
    this.#isLeaving = true;
    const containers = this.#pool.containers.map(({ number, state, calls }) => {
      const isFree = state === "ready" && calls === 0;
      if (!isFree) return this.#containers.stop(number);
      return this.#containers.leave(number, this.sessions.leave(number));
    });
    await Promise.all(containers);
  }

  /** Ends the containers now, with their calls. Resolves when nothing of them runs any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTick?.();
    this.#claims.end();
    // Of a container that still waits for the box no failure comes.
    this.#proof.reject(new StartFailure("starting_failed", "ended before it was ready"));
    this.#apply(this.#pool.retire(this.#now, { keepsSessions: false }));
    await this.#containers.close();
  }

  #noteClaimFailure({ message }: StartFailure): void {
    this.#claimFailure = message;
    this.#containers.noteFailure(message);
  }

  #onFailed(number: number, failure: StartFailure): void {
    // Another one follows where the pool itself has ended it.
    if (this.#pool.container(number)?.state !== "stopping") this.#proof.reject(failure);
    const { code, permanent } = failure;
    this.#apply(this.#pool.failed(number, { code, isPermanent: permanent }, this.#now));
  }

  #apply(effects: readonly Effect[]): void {
    this.#due.push(...effects);
    if (this.#isApplying || this.#isLeaving) return;
    this.#isApplying = true;
    try {
      for (let next = this.#due.shift(); next !== undefined; next = this.#due.shift()) {
        this.#applyOne(next);
      }
    } finally {
      this.#isApplying = false;
    }
    this.#needs.tellUse();
    this.#failures.tell(this.#now);
    this.#options.onChange?.();
    for (const [isSo, tell] of this.#awaited) if (isSo()) tell();
  }

  #applyOne(effect: Effect): void {
    if (effect.type === "assign") {
      const container = this.#containers.serving(effect.container);
      if (container === undefined) throw new Error("a call was assigned to no container");
      this.#late?.add(effect.call);
      this.#times.given(effect.call, effect.container, this.#now);
      this.#options.onAssigned(effect.call, container, effect.session);
    } else if (effect.type === "refuse") this.#options.onRefused(effect.call, effect);
    else if (effect.type === "hand_over") this.#options.onHandedOver(effect.call);
    else if (effect.type === "wake_at") this.#wakeAt(effect.atMs);
    else this.#applyToContainer(effect);
  }

  #applyToContainer(effect: ContainerEffect): void {
    const { container: number } = effect;
    switch (effect.type) {
      case "claim":
        this.#needs.claim(number);
        break;
      case "withdraw":
        this.#claims.withdraw(number);
        break;
      case "launch":
        this.#containers.launch(number, this.#launchOf(number));
        break;
      case "adopt":
        this.#adopt(number, effect.left);
        break;
      case "stop":
        this.#options.onStops(this.#containers.idOf(number));
        void this.#containers.stop(number, STOP_WORDS[effect.reason]);
        break;
      case "release":
        this.#cards.delete(number);
        if (effect.isAsleep) this.#claims.slept(number);
        else this.#claims.free(number);
        break;
      case "moved":
        this.#onMoved(effect);
        break;
      case "sleep":
        void this.#containers.sleep(number);
        break;
      case "wake":
        void this.#containers.wake(number);
        break;
    }
  }

  #launchOf(number: number): Parameters<EndpointContainers["launch"]>[1] {
    const cards = this.#cards.get(number) ?? [];
    return { cards, leavable: leavable(this.#options.source, this.#options.identity, cards) };
  }

  /** All at once: none starts in the place of one whose turn has not come. */
  #adoptLeft(): void {
    const { left, source } = this.#options;
    if (left.length === 0) return;
    const containers = left.map((one) => {
      const sessions = one.takeSessions();
      if (sessions !== "unreadable") return { id: one.id, sessions };
      noticesOf(source)(
        `postern: the sessions that the last agent noted of ${one.id} can't be read`,
      );
      return { id: one.id };
    });
    this.#apply(this.#pool.adopt(containers, this.#now));
  }

  #adopt(number: number, id: string): void {
    const left = this.#options.left.find((one) => one.id === id);
    if (left === undefined) throw new Error("a container was adopted that nobody left");
    this.#claims.adopt(number, id);
    this.#containers.adopt(number, left, this.#launchOf(number));
  }

  #onMoved({ container: number, from, to, by: reason }: MovedEffect): void {
    const { observer, source } = this.#options.source;
    const container = this.#containers.idOf(number);
    this.#cardless.delete(number);
    // A version that ends closes its sockets itself, all at once.
    const sleeps = this.#pool.container(number)?.willSleep === true;
    if (to === "draining" && reason !== "retired") this.#options.onDrains(container, sleeps);
    else if (from === "draining") this.#options.onDrained(container);
    observer.emit("container.state", { from, to, reason, source, container });
    if (to === "ready") this.#containers.watchHealth(number);
    // One that drains and hangs would not end.
    else if (to !== "draining") this.#containers.unwatchHealth(number);
    if (to === "draining" || to === "stopping") this.#claims.leaving(number);
    else if (to === "stuck") this.#claims.stuck(number);
    else if (to === "gone") {
      this.#containers.forget(number);
      this.#times.forget(number);
      // A claim that was withdrawn has nothing to release.
      this.#claims.free(number);
    }
  }

  /** Resolves when it is so, after an event of the pool. */
  async #until(isSo: () => boolean): Promise<void> {
    if (isSo()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#awaited.set(isSo, resolve);
    await promise;
    this.#awaited.delete(isSo);
  }

  #wakeAt(atMs: number): void {
    if (this.#isClosed) return;
    this.#cancelTick?.();
    const tick = (): void => this.#apply(this.#pool.tick(this.#now));
    this.#cancelTick = this.#clock.idleTimer(tick, Math.max(0, atMs - this.#now));
  }

  get #now(): number {
    return this.#clock.now();
  }
}

const manageContainers: ManageContainers = (source, listener) =>
  new EndpointContainers(source, listener);
