/**
 * The containers and the queue of one endpoint in one version of its app. Events come in as method calls with the time,
 * in milliseconds of any clock; each returns its effects, to be carried out in their order. Pure: the agent
 * (endpoints/) and the simulation drive the same code.
 *
 * A call is assigned only where a container is ready and has room. It ends by its answer, by leaving, by its own limit
 * or by a permanent failure. A failed start, a crash or a new version is the pool's affair, and the call waits on.
 * A call takes part from `request` to `finished` or `left`. Events of containers that are gone have no effect.
 */
import type { PoolLoad } from "../../routing/wire/pool-load.ts";
import { reportedCalls } from "./container-choice.ts";
import type { PoolCall } from "./pool-call.ts";
import { PoolCalls } from "./pool-calls.ts";
import type { ContainerState } from "./container-states.ts";
import {
  type PoolContainer,
  PoolContainers,
  REVIEW_SESSIONS_MS,
  type TrackedContainer,
} from "./pool-containers.ts";
import type { PoolEffect, PoolSettings, StartFailureCode } from "./pool-effects.ts";
import { isComing } from "./needed-claims.ts";
import type { LeftSessions } from "./left-sessions.ts";
import { PoolRefusals } from "./pool-refusals.ts";
import { PoolSessions, type SessionTraits } from "./pool-sessions.ts";
import { Scaler } from "./scaler.ts";
import type { CallStanding } from "./service-times.ts";
import type { Session, SessionPlace, SessionTable } from "./session-table.ts";
import type { Waiting } from "./waiting.ts";

export type { CallStanding } from "./service-times.ts";

type Effects<Call> = readonly PoolEffect<Call>[];

/** Counts of containers and calls. */
export interface PoolCounts {
  readonly ready: number;
  readonly starting: number;
  readonly asleep: number;
  /** Those that finish their calls or are being ended. */
  readonly ending: number;
  /** Those that have outlived SIGKILL, and keep what they hold. */
  readonly stuck: number;
  /** 1 where a start failed, and none is under way. */
  readonly failed: number;
  readonly waiting: number;
  readonly running: number;
}

export interface PoolBeginning {
  /** Containers of this version are known to become ready. */
  readonly isProved?: boolean;
  /** Those of the endpoint, which its other versions know too. */
  readonly sessions?: SessionTable;
}

/** A container that an earlier agent left running. */
interface LeftBehind {
  readonly id: string;
  readonly sessions?: LeftSessions | undefined;
}

interface CallTraits extends Pick<
  PoolCall<unknown>,
  "arrivedAtMs" | "asynchronous" | "accepted" | "passive" | "caller" | "batch"
> {
  readonly session: SessionTraits | undefined;
  /** It was let in elsewhere: no number of calls that wait keeps it out. */
  readonly waitedElsewhere: boolean;
}

export class Pool<Call> {
  readonly #emit = (effect: PoolEffect<Call>): void => void this.#effects.push(effect);
  readonly #containers = new PoolContainers(this.#emit);
  readonly #scaler = new Scaler(this.#containers);
  readonly #sessions: PoolSessions;
  readonly #calls: PoolCalls<Call>;
  readonly #refusals: PoolRefusals<Call>;
  /** A container of this version has been ready, here or on another box. */
  #isProved: boolean;
  #armedAtMs = Infinity;
  /** It made room for a new version of the app, the last one of those that did. */
  #gaveWay: TrackedContainer | undefined;
  /** It was retired, and its sessions have a claim on their containers since then. */
  #graceSinceMs: number | undefined;
  #effects: PoolEffect<Call>[] = [];

  /** A call asks whether its container has come. */
  readonly #isAwaited = (container: number): boolean => this.#calls.waiting.isAwaited(container);
  readonly #isUseAwaited = (container: number): boolean =>
    this.#calls.waiting.isUseAwaited(container);

  constructor(settings: PoolSettings, { isProved = false, sessions }: PoolBeginning = {}) {
    this.#isProved = isProved;
    const containers = this.#containers;
    const emit = this.#emit;
    this.#sessions = new PoolSessions(containers, sessions);
    const parts = { containers, sessions: this.#sessions, starts: this.#scaler, emit };
    this.#calls = new PoolCalls(settings, parts);
    this.#refusals = new PoolRefusals({
      calls: this.#calls,
      containers,
      scaler: this.#scaler,
      emit,
    });
  }

  /** A call has come. @param traits its arrival is now, unless it waited elsewhere before */
  request(call: Call, nowMs: number, traits: Partial<CallTraits> = {}): Effects<Call> {
    const { arrivedAtMs = nowMs, asynchronous = false, accepted = false, passive = false } = traits;
    const { caller, batch, waitedElsewhere = false } = traits;
    const session =
      traits.session && this.#sessions.enter(traits.session, this.#settings.sessionsMove, nowMs);
    if (session === "lost") this.#calls.loseSession(call);
    else if (this.#isRetired && this.#sessions.containerOf(session) === undefined) {
      this.#calls.handOver(call);
    } else if (!accepted && this.#refusals.refusesAtOnce(nowMs)) {
      this.#refusals.refuse(call, nowMs);
    } else {
      const kind = { asynchronous, accepted, passive, caller, batch };
      this.#calls.add({ call, arrivedAtMs, ...kind, session });
      this.#calls.assign(nowMs);
      if (!accepted && !waitedElsewhere && this.#calls.waiting.has(call)) {
        // A container that starts for the call makes room for it.
        this.#scale(nowMs);
        this.#refusals.refuseAbove(call, asynchronous, nowMs);
      }
    }
    return this.#settled(nowMs);
  }

  /** The app did all of the call: its place is free, and others are expected to take as long. */
  finished(call: Call, nowMs: number): Effects<Call> {
    this.#calls.finish(call, nowMs);
    return this.#settled(nowMs);
  }

  /** The call has left the queue, or ended early: its place is free. How long it had that says nothing of others. */
  left(call: Call, nowMs: number): Effects<Call> {
    this.#calls.leave(call, nowMs);
    return this.#settled(nowMs);
  }

  /** Certainly nothing of the call was sent to its container: it waits again, in its old place. */
  requeued(call: Call, nowMs: number): Effects<Call> {
    this.#calls.requeue(call, nowMs);
    return this.#settled(nowMs);
  }

  /** The call's client was told that it goes on, since the call came. */
  accepted(call: Call): void {
    this.#calls.accept(call);
  }

  /** The app has told the client of a call that runs of these keys of its session. */
  learned(call: Call, keys: readonly string[], nowMs: number): void {
    this.#calls.learn(call, keys, nowMs);
  }

  /** Whether a container of this pool has the session: its calls are to come here. */
  hasSession(session: Session): boolean {
    return this.#sessions.has(session);
  }

  /** An earlier agent left these containers of this version running: they are the pool's from now on, needed or not. */
  adopt(left: readonly LeftBehind[], nowMs: number): Effects<Call> {
    for (const { id, sessions } of left) {
      const container = this.#containers.adopt(id, nowMs);
      if (sessions !== undefined) this.#sessions.restore(container, sessions, nowMs);
    }
    return this.#settled(nowMs);
  }

  /** The box has given the container what it needs. */
  granted(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      const sinceMs = container.isClaiming ? this.claimSinceMs(number) : undefined;
      if (sinceMs !== undefined) {
        this.#calls.times.onGranted(nowMs - Math.max(sinceMs, container.sinceMs));
      }
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
        this.#calls.times.onStarted(container.beginning, nowMs - container.sinceMs);
        this.#containers.move(container, "ready", nowMs);
        container.idleSinceMs = nowMs;
        this.#isProved = true;
        this.#gaveWay = undefined;
        this.#refusals.onReady();
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
        this.#refusals.onFailedStart(code, { isProved: this.#isProved, isPermanent }, nowMs);
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

  /** The container does not answer any more: it is ended with its calls. One that took calls gets a successor. */
  unhealthy(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      const { state } = container;
      if (state === "ready" || state === "draining") {
        this.#scaler.onLost(container, nowMs);
        this.#containers.stop(container, "unhealthy", nowMs);
        if (state === "ready") this.#scaler.askForOne();
      }
    });
  }

  /**
   * The container takes no more calls, finishes those that it has, and ends. Another one starts in its place. One that is
   * to sleep, or sleeps, ends instead, and only calls start another one.
   */
  drainAsked(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (container.state === "ready") {
        this.#containers.drain(container, "asked", nowMs);
        this.#scaler.askForOne();
      } else if (container.state === "asleep") {
        this.#containers.giveUp(container, "asked", nowMs);
      } else this.#containers.forgoSleep(container, nowMs);
    });
  }

  /** The container says how busy it is, from 0 to 1: that counts as calls until it has none, or says so again. */
  reportUse(number: number, use: number): void {
    const container = this.#containers.get(number);
    if (container !== undefined && container.calls > 0) container.reportedUse = use;
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
   * @param isForVersion a new version of the app that is being prepared needs it
   */
  yieldAsked(
    number: number,
    nowMs: number,
    { maySleep = true, isForVersion = false } = {},
  ): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (isForVersion && container.state === "ready") this.#gaveWay = container;
      if (container.state === "ready") {
        const sleeps = maySleep && this.#settings.canSleep;
        this.#containers.drain(container, "yields", nowMs, sleeps);
      } else if (container.state !== "draining") {
        this.#containers.giveUp(container, "yields", nowMs);
      }
    });
  }

  /**
   * The new version is given up. A container that made room for it would be there now: another one starts in its place, so
   * that the next caller pays no cold start for a deployment that failed. One that would have ended by now has none.
   */
  versionAbandoned(nowMs: number): Effects<Call> {
    const { activeCalls, idleSinceMs } = this.#gaveWay ?? {
      activeCalls: 0,
      idleSinceMs: -Infinity,
    };
    this.#gaveWay = undefined;
    const isInUse = activeCalls > 0 || nowMs < idleSinceMs + this.#settings.scaledownWindowMs;
    if (isInUse && !this.#isRetired) this.#scaler.askForOne();
    return this.#settled(nowMs);
  }

  /** The container sleeps: the box may have what it claimed. */
  slept(number: number, nowMs: number): Effects<Call> {
    return this.#on(number, nowMs, (container) => {
      if (container.state === "draining" && container.willSleep) {
        this.#containers.slept(container, nowMs);
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
    this.#calls.settings = settings;
    return this.#settled(nowMs);
  }

  /** Starts a container though no call asks for one, so that the version is known to work: `ready` or `failed` follows. */
  prove(nowMs: number): Effects<Call> {
    this.#scaler.askForProof(nowMs);
    return this.#settled(nowMs);
  }

  /** Containers of this version are known to become ready elsewhere: none has to be started to show it. */
  assumeProved(nowMs: number): Effects<Call> {
    this.#isProved = true;
    this.#refusals.onProved();
    this.#scaler.forgetAsked();
    return this.#settled(nowMs);
  }

  /**
   * Hands over the calls that wait, but those of sessions that its containers have, and ends each container when it has
   * finished its calls and has no session. One that sleeps wakes for the calls of its sessions until the grace ends.
   * @param keepsSessions false: the sessions have no claim on their containers any more
   */
  retire(nowMs: number, { keepsSessions = true } = {}): Effects<Call> {
    this.#calls.isRetired = true;
    this.#graceSinceMs = keepsSessions ? (this.#graceSinceMs ?? nowMs) : -Infinity;
    this.#drainReady(nowMs);
    if (!keepsSessions) this.#containers.closeToSessions(0, nowMs);
    return this.#settled(nowMs);
  }

  /** The next agent takes over: no call begins here any more, and no container starts, sleeps or ends for want of use. */
  hold(): void {
    this.#calls.isHeld = true;
  }

  /** Time has passed. */
  tick(nowMs: number): Effects<Call> {
    // A timer may come a moment early: then the same time is asked for again.
    this.#armedAtMs = Infinity;
    return this.#settled(nowMs);
  }

  /** It was retired; no call waits or runs, and no container is kept for its sessions. */
  get isFinished(): boolean {
    const isInUse = this.#calls.running > 0 || this.#calls.waiting.length > 0;
    const kept = this.#containers.count(({ keepsSessions }) => keepsSessions);
    return this.#isRetired && !isInUse && kept === 0;
  }

  /** When the oldest of the calls came that wait for this container or for any; undefined where none waits. */
  oldestCallFor(container: number): number | undefined {
    const { waiting } = this.#calls;
    return earlier(waiting.oldestFor(container)?.arrivedAtMs, waiting.free.oldest?.arrivedAtMs);
  }

  /**
   * Since when the claim of this container has been waited for: by the oldest call that it is for, or by a version that is
   * to prove itself. Undefined where the container is only to be there in advance.
   */
  claimSinceMs(container: number): number | undefined {
    if (!this.neededClaims.has(container)) return undefined;
    const { waiting } = this.#calls;
    const ownMs = waiting.oldestFor(container)?.arrivedAtMs;
    const isForAny = (one: TrackedContainer): boolean =>
      one.isPresent && !isComing(one, this.#waiting);
    // Calls that wait for any container have others.
    if (ownMs !== undefined && this.#containers.count(isForAny) > 0) return ownMs;
    const anyMs = waiting.free.oldest?.arrivedAtMs ?? this.#scaler.proofSinceMs;
    return earlier(ownMs, anyMs);
  }

  /** Whether calls wait for this container alone. */
  isAwaited(container: number): boolean {
    return this.#calls.waiting.isAwaited(container);
  }

  /** The containers whose claims have been waited for since then. Others that claim are only to be there in advance. */
  get neededClaims(): ReadonlySet<number> {
    return this.#scaler.neededClaims(this.#waiting, this.#settings);
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
    // It claims for those alone that calls wait for.
    if (this.#isRetired) return this.#containers.count(({ isClaiming }) => isClaiming);
    return this.#scaler.needed(this.#waiting, this.#settings);
  }

  /** Containers that have a process or are on their way to one, those that end included; no sleeping ones. */
  get heldContainers(): number {
    const isEnding = (state: ContainerState) => state === "draining" || state === "stopping";
    return this.#containers.count(({ isPresent, state }) => isPresent || isEnding(state));
  }

  /** Whether its first container starts, with all that it claims of the box. One that is taken over runs already. */
  get isStartingFirst(): boolean {
    const isStarting = ({ state, beginning }: TrackedContainer) =>
      (state === "preparing" || state === "starting") && beginning !== "adopt";
    return (
      this.#containers.count(isStarting) > 0 &&
      this.#containers.count(({ state }) => state === "ready") === 0
    );
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
      ending: inState("draining", "stopping"),
      stuck: inState("stuck"),
      failed: this.#scaler.isFailing && ready + starting === 0 ? 1 : 0,
      waiting: this.#calls.waiting.length,
      running: this.#calls.running,
    };
  }

  /** For those who choose between boxes. */
  load(nowMs: number): PoolLoad {
    const { room, coming } = this.#containers.places(this.#settings.maxInputs);
    const reported = reportedCalls(this.#containers.all, this.#settings);
    const sessions = this.#containers.sessions(nowMs);
    return {
      running: this.#calls.running,
      waiting: this.#calls.waiting.length,
      room: Math.max(0, room - this.#calls.waiting.free.length),
      coming,
      ...(reported > 0 && { reported }),
      ...(sessions > 0 && { sessions }),
    };
  }

  /** The container as sessions see it, where it is there for them. */
  placeOf(number: number): SessionPlace | undefined {
    const container = this.#containers.get(number);
    return container?.keepsSessions === true ? container : undefined;
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
    return this.#calls.standingOf(call, nowMs);
  }

  /** An event of one container. */
  #on(number: number, nowMs: number, act: (container: TrackedContainer) => void): Effects<Call> {
    const container = this.#containers.get(number);
    if (container !== undefined) act(container);
    return this.#settled(nowMs);
  }

  /** Does all that the event has made possible. */
  #settled(nowMs: number): Effects<Call> {
    this.#sessions.tick(nowMs);
    this.#containers.closeToSessions(this.#settings.sessionGraceMs, nowMs);
    if (this.#isRetired) this.#endNotServing(nowMs);
    this.#calls.assign(nowMs);
    if (this.#isRetired) this.#drainReady(nowMs);
    this.#scale(nowMs);
    this.#refusals.refuseAllInVain(nowMs);
    this.#arm(nowMs);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #scale(nowMs: number): void {
    if (this.#calls.isHeld) return;
    if (this.#isRetired) this.#scaler.scaleRetired(this.#waiting, this.#settings, nowMs);
    else this.#scaler.scale(this.#waiting, this.#settings, nowMs);
  }

  /** Of a retired pool, each container that is ready, or has woken. */
  #drainReady(nowMs: number): void {
    for (const container of this.#containers.all) {
      if (container.state === "ready") this.#containers.drain(container, "retired", nowMs);
    }
  }

  /** Of a retired pool: containers that sleep or start go on for the calls of their sessions alone. */
  #endNotServing(nowMs: number): void {
    for (const container of this.#containers.all) {
      const { isStarting, state, number, sessions } = container;
      const isWanted = sessions.areExpected(nowMs) || this.#isAwaited(number);
      if (nowMs < this.#graceEndMs && isWanted) continue;
      if (isStarting || state === "asleep") this.#containers.giveUp(container, "retired", nowMs);
      else this.#containers.forgoSleep(container, nowMs);
    }
  }

  get #graceEndMs(): number {
    return (this.#graceSinceMs ?? 0) + this.#settings.sessionGraceMs;
  }

  #arm(nowMs: number): void {
    const atMs = Math.min(
      this.#containers.nextClosingMs(this.#settings.sessionGraceMs, nowMs),
      this.#isRetired
        ? this.#nextRetiredMs(nowMs)
        : this.#scaler.nextChangeMs(this.#waiting, this.#settings, nowMs),
    );
    if (atMs >= this.#armedAtMs) return;
    this.#armedAtMs = atMs;
    this.#effects.push({ type: "wake_at", atMs });
  }

  /** When `#endNotServing` may do something, or a container may wake that could not; Infinity for never. */
  #nextRetiredMs(nowMs: number): number {
    const isKept = ({ isStarting, state, willSleep }: TrackedContainer): boolean =>
      isStarting || state === "asleep" || willSleep;
    if (this.#containers.count(isKept) === 0) return Infinity;
    const { notBeforeMs } = this.#scaler;
    const wakeMs = nowMs < notBeforeMs ? notBeforeMs : Infinity;
    return Math.min(this.#graceEndMs, nowMs + REVIEW_SESSIONS_MS, wakeMs);
  }

  get #waiting(): Waiting {
    const { length: calls, active: activeCalls } = this.#calls.waiting.free;
    return {
      calls,
      activeCalls,
      isAwaited: this.#isAwaited,
      isUseAwaited: this.#isUseAwaited,
    };
  }

  get #settings(): PoolSettings {
    return this.#calls.settings;
  }

  get #isRetired(): boolean {
    return this.#calls.isRetired;
  }
}

/** Of two times that there may be. */
function earlier(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Math.min(one, other);
}
