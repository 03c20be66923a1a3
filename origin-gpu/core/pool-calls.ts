/**
 * The calls of one pool: those that wait, and those that its containers work on. Decides which call goes next, and to
 * which container; core/pool.ts says when. Pure.
 */
import { type CallSession, isBefore, type PoolCall } from "./pool-call.ts";
import type { PoolContainers, TrackedContainer } from "./pool-containers.ts";
import type { PoolEffect, PoolSettings } from "./pool-effects.ts";
import type { PoolSessions } from "./pool-sessions.ts";
import { type CallStanding, ServiceTimes } from "./service-times.ts";
import { WaitingCalls } from "./waiting-calls.ts";

/** A call that a container works on. */
interface RunningCall<Call> {
  readonly entry: PoolCall<Call>;
  readonly container: TrackedContainer;
  readonly sinceMs: number;
}

type Assignment<Call> = Pick<RunningCall<Call>, "entry" | "container">;

/** The parts of the pool that calls need. */
interface PoolParts<Call> {
  readonly containers: PoolContainers;
  readonly sessions: PoolSessions;
  /** No container starts before this time. */
  readonly starts: { readonly notBeforeMs: number };
  readonly emit: (effect: PoolEffect<Call>) => void;
}

export class PoolCalls<Call> {
  /** Those of the pool. */
  settings: PoolSettings;
  /** The pool was retired: a call waits for a container of its session, and for no other one. */
  isRetired = false;
  /** The next agent gives them their places. */
  isHeld = false;
  readonly waiting = new WaitingCalls<Call>();
  readonly times = new ServiceTimes();
  /** In the order in which they got their places. */
  readonly #running = new Map<Call, RunningCall<Call>>();
  readonly #containers: PoolContainers;
  readonly #sessions: PoolSessions;
  readonly #starts: PoolParts<Call>["starts"];
  readonly #emit: PoolParts<Call>["emit"];
  #lastSequence = 0;

  constructor(settings: PoolSettings, { containers, sessions, starts, emit }: PoolParts<Call>) {
    this.settings = settings;
    this.#containers = containers;
    this.#sessions = sessions;
    this.#starts = starts;
    this.#emit = emit;
  }

  /** How many have a place at a container. */
  get running(): number {
    return this.#running.size;
  }

  /** A call waits from now on. It is handed over, or refused, where it can't. */
  add(entry: Omit<PoolCall<Call>, "sequence">): void {
    const sequence = (this.#lastSequence += 1);
    this.#wait({ ...entry, sequence });
  }

  /** Gives all calls whose turn it is their places. */
  assign(nowMs: number): void {
    this.#leaveLostContainers();
    if (this.isHeld) return;
    for (let next = this.#next(nowMs); next !== undefined; next = this.#next(nowMs)) {
      const { entry, container } = next;
      const { call, passive, session } = entry;
      this.waiting.remove(call);
      this.#containers.occupy(container, passive);
      this.#running.set(call, { entry, container, sinceMs: nowMs });
      if (session !== undefined) this.#beginInSession(session, container, nowMs);
      const { number } = container;
      this.#emit({ type: "assign", call, container: number, session: session?.state });
    }
  }

  /** The app did all of a call. */
  finish(call: Call, nowMs: number): void {
    const running = this.leave(call, nowMs);
    if (running !== undefined) this.times.onServed(nowMs - running.sinceMs);
  }

  /** A call waits no more, and its place is free. @returns how it ran; undefined for one that did not */
  leave(call: Call, nowMs: number): RunningCall<Call> | undefined {
    return this.waiting.remove(call) === undefined ? this.#leaveContainer(call, nowMs) : undefined;
  }

  /** A call that has a place gives it back, and waits again where it waited before. */
  requeue(call: Call, nowMs: number): void {
    const running = this.#leaveContainer(call, nowMs);
    if (running !== undefined) this.#wait(running.entry);
  }

  /** A call that waits or runs: from now on it gives way to no other one. */
  accept(call: Call): void {
    const entry = this.#running.get(call)?.entry ?? this.waiting.find(call);
    if (entry !== undefined) entry.accepted = true;
  }

  /** The app has told the client of a call that runs of these keys of its session. */
  learn(call: Call, keys: readonly string[], nowMs: number): void {
    const running = this.#running.get(call);
    if (running !== undefined) this.#sessions.learn(running.entry.session, keys, nowMs);
  }

  /** Its session's container is gone, and it may have no other one. */
  loseSession(call: Call): void {
    this.#emit({ type: "refuse", call, code: "session_lost", retryAfterS: 0 });
  }

  handOver(call: Call): void {
    this.#emit({ type: "hand_over", call });
  }

  /** Where a call stands; undefined for one that is not here. */
  standingOf(call: Call, nowMs: number): CallStanding | undefined {
    const running = this.#running.get(call);
    if (running !== undefined) {
      return { position: 0, etaMs: this.times.leftMs(nowMs - running.sinceMs) };
    }
    const waiting = this.waiting.standingOf(call);
    if (waiting === undefined) return undefined;
    const { position, container } = waiting;
    const servedMs = this.times.leftMs(0);
    const serving = this.#servingFor(container);
    if (serving.size > 0) {
      const places = serving.size * this.settings.maxInputs;
      const firstMs = this.#placeMs(position % places, places, serving, nowMs);
      return { position, etaMs: sumOf(this.times.turnMs(position, places, firstMs), servedMs) };
    }
    const coming = this.#coming(container);
    const startMs = this.#startMs(coming, container, nowMs);
    const places = Math.max(1, coming.length) * this.settings.maxInputs;
    const turnMs = this.times.turnMs(position, places, startMs);
    // Before a first call has been served, a start is most of what is left.
    return { position, etaMs: sumOf(turnMs, servedMs ?? 0), isStarting: true };
  }

  /** Whole seconds after which a refused call finds room again, as far as it has been measured. */
  retryAfterS(nowMs: number): number {
    const ready = this.#servingFor(undefined).size;
    const startMs = ready > 0 ? 0 : this.#startMs(this.#coming(undefined), undefined, nowMs);
    const movesMs = startMs ?? this.#pauseMs(nowMs);
    return this.times.retryAfterS(ready * this.settings.maxInputs, movesMs);
  }

  /** The containers that take calls. @param lane the one that is meant; undefined for all */
  #servingFor(lane: number | undefined): Set<TrackedContainer> {
    const one = lane === undefined ? undefined : this.#containers.get(lane);
    if (lane !== undefined) return new Set(one?.servesSessions === true ? [one] : []);
    return new Set(this.#containers.all.filter(({ state }) => state === "ready"));
  }

  /**
   * Milliseconds until so many of these containers' places, and one more, get free: the one whose call began first is
   * expected to be the first. Undefined where no call has been measured.
   */
  #placeMs(
    before: number,
    places: number,
    serving: ReadonlySet<TrackedContainer>,
    nowMs: number,
  ): number | undefined {
    let calls = 0;
    for (const container of serving) calls += container.calls;
    // Of more calls than places, as after a change of settings, some end in vain.
    let left = before + calls - places;
    if (left < 0) return 0;
    for (const { container, sinceMs } of this.#running.values()) {
      if (!serving.has(container)) continue;
      if (left === 0) return this.times.leftMs(nowMs - sinceMs);
      left -= 1;
    }
    return 0;
  }

  /** Those that take no calls, and are on the way to that. */
  #coming(lane: number | undefined): TrackedContainer[] {
    return this.#containers.all.filter(
      ({ number, isStarting, isClaiming }) =>
        (lane ?? number) === number && (isStarting || isClaiming),
    );
  }

  /** Milliseconds until the first of these is ready. Where none is on its way, one is to start. */
  #startMs(
    coming: readonly TrackedContainer[],
    lane: number | undefined,
    nowMs: number,
  ): number | undefined {
    const { waiting, times } = this;
    const oldest = lane === undefined ? waiting.free.oldest : waiting.oldestFor(lane);
    if (coming.length === 0) {
      return sumOf(
        this.#pauseMs(nowMs),
        times.readyMs(this.#hasSleeper(lane) ? "wake" : "launch", 0),
      );
    }
    const readyMs = coming.map(({ state, isClaiming, beginning, sinceMs }) => {
      if (!isClaiming) return times.readyMs(beginning, state === "starting" ? nowMs - sinceMs : 0);
      const kind = state === "asleep" ? "wake" : beginning;
      // One that claims in advance is in line since a call needs it.
      const neededMs = Math.max(sinceMs, oldest?.arrivedAtMs ?? sinceMs);
      return sumOf(times.grantMs(nowMs - neededMs), times.readyMs(kind, 0));
    });
    return readyMs.filter((ms) => ms !== undefined).toSorted((one, other) => one - other)[0];
  }

  /** Milliseconds until a container may start. */
  #pauseMs(nowMs: number): number {
    return Math.max(0, this.#starts.notBeforeMs - nowMs);
  }

  /** One that sleeps, or will, wakes rather than that another one starts. */
  #hasSleeper(lane: number | undefined): boolean {
    return this.#containers.all.some(
      ({ state, willSleep, number }) =>
        (state === "asleep" || willSleep) && (lane ?? number) === number,
    );
  }

  /** Of the calls whose turn it is, the one that has waited longest and for which there is a place, with its container. */
  #next(nowMs: number): Assignment<Call> | undefined {
    let next = this.#nextFree(nowMs);
    for (const number of this.waiting.awaited) {
      const container = this.#containers.get(number);
      const entry = this.waiting.firstFor(number);
      const hasRoom = container !== undefined && container.calls < this.settings.maxInputs;
      if (entry === undefined || !hasRoom || !container.servesSessions) continue;
      if (next === undefined || goesFirst(entry, next.entry)) next = { entry, container };
    }
    return next;
  }

  /** Of the calls that any container may take. */
  #nextFree(nowMs: number): Assignment<Call> | undefined {
    const entry = this.waiting.free.first;
    if (entry === undefined) return undefined;
    const container = this.#sessions.choose(entry.session, this.settings, nowMs);
    return container && { entry, container };
  }

  /** Where the session begins with the call, others of it wait for the same container from now on. */
  #beginInSession(use: CallSession, container: TrackedContainer, nowMs: number): void {
    this.#sessions.begin(use, container, nowMs);
    if (this.#sessions.containerOf(use) !== container) return;
    for (const other of this.waiting.takeFreeOf(use.session)) {
      this.waiting.add(other, container.number);
    }
  }

  /** The call waits, in its turn. */
  #wait(entry: PoolCall<Call>): void {
    const { call, session } = entry;
    if (session !== undefined && this.#sessions.hasLost(session)) {
      if (!this.#sessions.loseContainer(session, this.settings.sessionsMove)) {
        this.loseSession(call);
        return;
      }
    }
    const container = this.#sessions.containerOf(session);
    if (container === undefined && this.isRetired) this.handOver(call);
    else this.waiting.add(entry, container?.number);
  }

  /** Of the containers that calls wait for, some may be gone. */
  #leaveLostContainers(): void {
    for (const number of this.waiting.awaited) {
      if (this.#containers.get(number)?.keepsSessions === true) continue;
      for (const entry of this.waiting.takeLane(number)) this.#wait(entry);
    }
    if (this.isRetired) for (const entry of this.waiting.takeFree()) this.#wait(entry);
  }

  #leaveContainer(call: Call, nowMs: number): RunningCall<Call> | undefined {
    const running = this.#running.get(call);
    if (running === undefined) return undefined;
    this.#running.delete(call);
    const { container, entry } = running;
    // Before the container may end: it counts its sessions.
    if (entry.session !== undefined) this.#sessions.end(entry.session, nowMs);
    this.#containers.vacate(container, entry.passive, nowMs);
    return running;
  }
}

function sumOf(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one + other;
}

/** Of two calls that wait for different containers. */
function goesFirst<Call>(one: PoolCall<Call>, other: PoolCall<Call>): boolean {
  const [isBatch, isOtherBatch] = [one.batch === true, other.batch === true];
  return isBatch === isOtherBatch ? isBefore(one, other) : isOtherBatch;
}
