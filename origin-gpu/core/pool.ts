/**
 * The containers and the queue of one endpoint in one version of its app. Events come in as method calls with the time,
 * in milliseconds of any clock; each returns its effects, to be carried out in their order. Pure: the agent
 * (endpoints/) and the simulation drive the same code.
 *
 * A call is assigned only where a container is ready and has room. It ends by its answer, by leaving, by its own limit
 * or by a permanent failure. A failed start, a crash or a new version is the pool's affair, and the call waits on.
 * A call takes part from `request` to `finished`. Events of containers that are gone have no effect.
 */
import { SECOND_MS } from "../../base/units.ts";
import type { PoolLoad } from "../../routing/wire/pool-load.ts";
import { CallQueue, type PoolCall } from "./call-queue.ts";
import type { ContainerState } from "./container-states.ts";
import { type PoolContainer, PoolContainers, type TrackedContainer } from "./pool-containers.ts";
import type { PoolEffect, PoolSettings, StartFailureCode } from "./pool-effects.ts";
import { Scaler, type Waiting } from "./scaler.ts";
import { type CallStanding, ServiceTimes } from "./service-times.ts";

export type { CallStanding } from "./service-times.ts";

type Effects<Call> = readonly PoolEffect<Call>[];

/** A call that a container works on. */
interface RunningCall<Call> {
  readonly entry: PoolCall<Call>;
  readonly container: TrackedContainer;
  readonly sinceMs: number;
}

/** Counts of containers and calls. */
export interface PoolCounts {
  readonly ready: number;
  readonly starting: number;
  readonly asleep: number;
  /** Those that finish their calls or are being ended. */
  readonly ending: number;
  /** 1 where a start failed, and none is under way. */
  readonly failed: number;
  readonly waiting: number;
  readonly running: number;
}

export class Pool<Call> {
  #settings: PoolSettings;
  readonly #queue = new CallQueue<Call>();
  readonly #running = new Map<Call, RunningCall<Call>>();
  readonly #containers = new PoolContainers((effect) => this.#effects.push(effect));
  readonly #scaler = new Scaler(this.#containers);
  readonly #times = new ServiceTimes();
  #lastFailure: StartFailureCode = "starting_failed";
  /** A container of this version has been ready, here or on another box. */
  #isProved: boolean;
  /** Calls are refused until the next start may be tried: the last one failed, and none before succeeded. */
  #isBroken = false;
  #isRetired = false;
  #lastSequence = 0;
  #lastAssignedMs = 0;
  #armedAtMs = Infinity;
  #effects: PoolEffect<Call>[] = [];

  /** @param isProved containers of this version are known to become ready */
  constructor(settings: PoolSettings, { isProved = false } = {}) {
    this.#settings = settings;
    this.#isProved = isProved;
  }

  /** A call has come. @param traits its arrival is now, unless it waited elsewhere before */
  request(
    call: Call,
    nowMs: number,
    traits: Partial<Omit<PoolCall<Call>, "call" | "sequence">> = {},
  ): Effects<Call> {
    const { arrivedAtMs = nowMs, asynchronous = false, accepted = false, passive = false } = traits;
    if (this.#isRetired) {
      this.#effects.push({ type: "hand_over", call });
    } else if (!accepted && this.#refusesAtOnce(nowMs)) {
      this.#refuse(call, nowMs);
    } else {
      const sequence = (this.#lastSequence += 1);
      this.#queue.add({ call, arrivedAtMs, asynchronous, accepted, passive, sequence });
      this.#assignWaiting(nowMs);
      if (!accepted && this.#queue.has(call)) this.#refuseIfOverfull(call, asynchronous, nowMs);
    }
    return this.#settled(nowMs);
  }

  /** The call is over, or has left the queue: its place is free. */
  finished(call: Call, nowMs: number): Effects<Call> {
    if (this.#queue.remove(call) === undefined) {
      const running = this.#leaveContainer(call, nowMs);
      if (running !== undefined) this.#times.onServed(nowMs - running.sinceMs);
    }
    return this.#settled(nowMs);
  }

  /** Certainly nothing of the call was sent to its container: it waits again, in its old place. */
  requeued(call: Call, nowMs: number): Effects<Call> {
    const running = this.#leaveContainer(call, nowMs);
    if (running !== undefined && this.#isRetired) this.#effects.push({ type: "hand_over", call });
    else if (running !== undefined) this.#queue.add(running.entry);
    return this.#settled(nowMs);
  }

  /** The box has given the container what it needs. */
  granted(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      this.#containers.grant(container, nowMs);
    });
  }

  /** The container's Python environment is made, and its process begins. */
  prepared(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      this.#containers.move(container, "prepared", nowMs);
    });
  }

  /** The container takes calls. */
  ready(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (container.state === "starting") {
        this.#times.onStarted(nowMs - container.sinceMs);
        this.#containers.move(container, "ready", nowMs);
        container.idleSinceMs = nowMs;
        this.#isProved = true;
        this.#isBroken = false;
        this.#scaler.onReady(nowMs);
      }
    });
  }

  /** The container does not become ready and is ended. @param isPermanent no later start can succeed */
  failed(
    number: number,
    { code, isPermanent }: { readonly code: StartFailureCode; readonly isPermanent: boolean },
    nowMs: number,
  ): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (container.isStarting && this.#containers.giveUp(container, "failed", nowMs)) {
        this.#scaler.onFailedStart(nowMs);
        this.#lastFailure = code;
        this.#isBroken = !this.#isProved || isPermanent;
        this.#refuseWaiting(nowMs);
      }
    });
  }

  /** Nothing of the container runs any more. */
  exited(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      this.#scaler.onLost(container, nowMs);
      this.#containers.exited(container, nowMs);
    });
  }

  /** The container's server has ended by itself: it takes no calls. `exited` follows, when nothing of it runs any more. */
  ended(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (container.state === "ready" || container.state === "draining") {
        this.#scaler.onLost(container, nowMs);
        this.#containers.ended(container, nowMs);
      }
    });
  }

  /** The container does not answer any more: it is ended with its calls. */
  unhealthy(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (container.state === "ready" || container.state === "draining") {
        this.#scaler.onLost(container, nowMs);
        this.#containers.stop(container, "unhealthy", nowMs);
        this.#scaler.askForOne(nowMs);
      }
    });
  }

  /** The container takes no more calls, finishes those that it has, and ends. Another one starts in its place. */
  drainAsked(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (container.state === "ready") {
        this.#containers.drain(container, "asked", nowMs);
        this.#scaler.askForOne(nowMs);
      }
    });
  }

  /** The same without a successor: somebody wants it to end. One that is not ready ends at once. */
  stopAsked(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (container.state === "ready") this.#containers.drain(container, "asked", nowMs);
      else if (container.state !== "draining") {
        this.#containers.giveUp(container, "asked", nowMs);
      }
    });
  }

  /**
   * The box needs what the container has. It finishes its calls first, without the passive ones; then it sleeps or ends.
   * One that sleeps has its port alone, which it gives back by ending.
   * @param maySleep the container will get the same cards again
   */
  yieldAsked(number: number, nowMs: number, { maySleep = true } = {}): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (container.state === "ready") {
        const sleeps = maySleep && this.#settings.canSleep;
        this.#containers.drain(container, "yields", nowMs, sleeps);
      } else if (container.state !== "draining") {
        this.#containers.giveUp(container, "yields", nowMs);
      }
    });
  }

  /** The container sleeps: the box may have what it claimed. */
  slept(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (container.state === "draining" && container.willSleep) {
        this.#containers.slept(container, nowMs);
        if (this.#isRetired) this.#containers.giveUp(container, "retired", nowMs);
      }
    });
  }

  /** The container could not fall asleep: it ends. */
  sleepFailed(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (container.willSleep) this.#containers.stop(container, "yields", nowMs);
    });
  }

  /** SIGKILL did not end the container. */
  stuck(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      this.#containers.move(container, "stuck", nowMs);
    });
  }

  /** Other settings hold from now on. Calls that run keep their places. */
  change(settings: PoolSettings, nowMs: number): Effects<Call> {
    this.#settings = settings;
    return this.#settled(nowMs);
  }

  /** Starts a container though no call asks for one, so that the version is known to work: `ready` or `failed` follows. */
  prove(nowMs: number): Effects<Call> {
    this.#scaler.askForOne(nowMs);
    return this.#settled(nowMs);
  }

  /** Containers of this version are known to become ready elsewhere: none has to be started to show it. */
  assumeProved(nowMs: number): Effects<Call> {
    this.#isProved = true;
    this.#scaler.forgetAsked();
    return this.#settled(nowMs);
  }

  /** Hands over the calls that wait, and ends each container when it has finished its calls. */
  retire(nowMs: number): Effects<Call> {
    this.#isRetired = true;
    for (let entry = this.#queue.shift(); entry !== undefined; entry = this.#queue.shift()) {
      this.#effects.push({ type: "hand_over", call: entry.call });
    }
    for (const container of this.#containers.all) {
      container.willSleep &&= container.activeCalls === 0;
      if (container.state === "ready") this.#containers.drain(container, "retired", nowMs);
      else if (container.state !== "draining") {
        this.#containers.giveUp(container, "retired", nowMs);
      }
    }
    return this.#settled(nowMs);
  }

  /** Time has passed. */
  tick(nowMs: number): Effects<Call> {
    // A timer may come a moment early: then the same time is asked for again.
    this.#armedAtMs = Infinity;
    return this.#settled(nowMs);
  }

  /** When the call came that has waited longest; undefined where none waits. */
  get waitingSinceMs(): number | undefined {
    return this.#queue.first?.arrivedAtMs;
  }

  /**
   * Since when its claims have been waited for: by the oldest call, or by a version that is to prove itself. Undefined
   * where its containers are only to be there in advance.
   */
  get neededSinceMs(): number | undefined {
    return this.waitingSinceMs ?? this.#scaler.askedSinceMs;
  }

  /** Failures without a container that was well between them. */
  get failures(): number {
    return this.#scaler.failures;
  }

  /** No container is started any more: there were too many failures. */
  get hasGivenUp(): boolean {
    return this.#scaler.hasGivenUp(this.#settings);
  }

  /** The next start comes no earlier. */
  get notBeforeMs(): number {
    return this.#scaler.notBeforeMs;
  }

  /** Containers that its calls need, or the proof of its version, whatever its bounds. */
  get neededContainers(): number {
    return this.#isRetired ? 0 : this.#scaler.needed(this.#waiting, this.#settings);
  }

  /** Containers that have a process or are on their way to one, those that end included; no sleeping ones. */
  get heldContainers(): number {
    const isEnding = (state: ContainerState) => state === "draining" || state === "stopping";
    return this.#containers.count(({ isPresent, state }) => isPresent || isEnding(state));
  }

  /** Whether a container of this version has been ready, here or elsewhere. */
  get isProved(): boolean {
    return this.#isProved;
  }

  get counts(): PoolCounts {
    const inState = (...states: ContainerState[]) =>
      this.#containers.count(({ state }) => states.includes(state));
    const ready = inState("ready");
    const starting = inState("claiming", "preparing", "starting");
    return {
      ready,
      starting,
      asleep: inState("asleep"),
      ending: inState("draining", "stopping", "stuck"),
      failed: this.#scaler.isFailing && ready + starting === 0 ? 1 : 0,
      waiting: this.#queue.length,
      running: this.#running.size,
    };
  }

  /** For those who choose between boxes. */
  get load(): PoolLoad {
    const { room, coming } = this.#containers.places(this.#settings.maxInputs);
    const waiting = this.#queue.length;
    return { running: this.#running.size, waiting, room: Math.max(0, room - waiting), coming };
  }

  /** One that is not gone. */
  container(number: number): PoolContainer | undefined {
    return this.#containers.get(number);
  }

  /** All that are not gone. */
  get containers(): readonly PoolContainer[] {
    return this.#containers.all;
  }

  /** Where a call stands; undefined for one that this pool does not have. */
  standingOf(call: Call, nowMs: number): CallStanding | undefined {
    const running = this.#running.get(call);
    if (running !== undefined) {
      return { position: 0, etaMs: this.#times.leftMs(nowMs - running.sinceMs) };
    }
    const position = this.#queue.positionOf(call);
    if (position === undefined) return undefined;
    const ready = this.#containers.count(({ state }) => state === "ready");
    const places = Math.max(1, ready) * this.#settings.maxInputs;
    const isStarting = ready === 0;
    const runningMs = isStarting ? 0 : nowMs - this.#lastAssignedMs;
    const waitMs = this.#times.waitMs(position, places, { isStarting, runningMs });
    const servedMs = this.#times.leftMs(0);
    const isKnown = waitMs !== undefined && servedMs !== undefined;
    return { position, etaMs: isKnown ? waitMs + servedMs : undefined };
  }

  /** An event of one container. */
  #on(number: number, nowMs: number, act: (container: TrackedContainer) => void): Effects<Call> {
    const container = this.#containers.get(number);
    if (container !== undefined) act(container);
    return this.#settled(nowMs);
  }

  /** Does all that the event has made possible. */
  #settled(nowMs: number): Effects<Call> {
    this.#assignWaiting(nowMs);
    this.#scale(nowMs);
    if (this.hasGivenUp && !this.#hasContainers) this.#refuseAll(nowMs);
    this.#arm(nowMs);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #assignWaiting(nowMs: number): void {
    while (this.#queue.length > 0) {
      const container = this.#containers.placeFor(this.#settings);
      if (container === undefined) return;
      const entry = this.#queue.shift();
      if (entry === undefined) return;
      this.#containers.occupy(container, entry.passive);
      this.#lastAssignedMs = nowMs;
      this.#running.set(entry.call, { entry, container, sinceMs: nowMs });
      this.#effects.push({ type: "assign", call: entry.call, container: container.number });
    }
  }

  #leaveContainer(call: Call, nowMs: number): RunningCall<Call> | undefined {
    const running = this.#running.get(call);
    if (running === undefined) return undefined;
    this.#running.delete(call);
    this.#containers.vacate(running.container, running.entry.passive, nowMs);
    return running;
  }

  /** The next start may not be tried yet, and the last one says that it will fail. */
  #refusesAtOnce(nowMs: number): boolean {
    const isHopeless = this.#isBroken && nowMs < this.#scaler.notBeforeMs;
    return isHopeless && !this.#hasContainers;
  }

  /** Containers take calls, now or soon. */
  get #hasContainers(): boolean {
    return this.#containers.count((container) => container.isPresent) > 0;
  }

  /** More calls wait than may, besides those for which a container is on its way. */
  #isOverfull(asynchronous: boolean): boolean {
    const { maxPending, maxPendingAsync, maxInputs } = this.#settings;
    if (asynchronous) return this.#queue.asynchronous > maxPendingAsync;
    const waiting = this.#queue.length - this.#queue.asynchronous;
    const coming = this.#containers.count(({ isStarting }) => isStarting);
    return waiting > maxPending + coming * maxInputs;
  }

  /** No container has become ready: calls that have waited long enough end. Those that were accepted wait on. */
  #refuseWaiting(nowMs: number): void {
    const { startupTimeoutMs } = this.#settings;
    const isServing = this.#containers.count(({ state }) => state === "ready") > 0;
    if (isServing) return;
    for (const { call, accepted, arrivedAtMs } of this.#queue) {
      if (accepted || (!this.#isBroken && nowMs - arrivedAtMs < startupTimeoutMs)) continue;
      this.#queue.remove(call);
      this.#refuse(call, nowMs);
    }
  }

  /** No container will come: all calls that wait end, accepted ones too. */
  #refuseAll(nowMs: number): void {
    for (let entry = this.#queue.shift(); entry !== undefined; entry = this.#queue.shift()) {
      this.#refuse(entry.call, nowMs);
    }
  }

  #refuse(call: Call, nowMs: number): void {
    const retryAfterS = Math.max(1, Math.ceil((this.#scaler.notBeforeMs - nowMs) / SECOND_MS));
    const code = this.hasGivenUp ? "gave_up" : this.#lastFailure;
    this.#effects.push({ type: "refuse", call, code, retryAfterS });
  }

  #refuseIfOverfull(call: Call, asynchronous: boolean, nowMs: number): void {
    // A container that starts for the call makes room for it.
    this.#scale(nowMs);
    if (!this.#isOverfull(asynchronous)) return;
    this.#queue.remove(call);
    const ready = this.#containers.count(({ state }) => state === "ready");
    const retryAfterS = this.#times.retryAfterS(ready * this.#settings.maxInputs);
    this.#effects.push({ type: "refuse", call, code: "queue_full", retryAfterS });
  }

  #scale(nowMs: number): void {
    if (!this.#isRetired) this.#scaler.scale(this.#waiting, this.#settings, nowMs);
  }

  #arm(nowMs: number): void {
    if (this.#isRetired) return;
    const atMs = this.#scaler.nextChangeMs(this.#waiting, this.#settings, nowMs);
    if (atMs >= this.#armedAtMs) return;
    this.#armedAtMs = atMs;
    this.#effects.push({ type: "wake_at", atMs });
  }

  get #waiting(): Waiting {
    return { calls: this.#queue.length, activeCalls: this.#queue.active };
  }
}
