/** The containers of one pool: their states, their loads, and what becomes of each. Decides on no numbers. Pure. */
import { type ContainerEvent, type ContainerState, stateAfter } from "./container-states.ts";
import type { ContainerEffect, StopReason } from "./pool-effects.ts";
import type { StartKind } from "./service-times.ts";
import { SessionCounts, type SessionPlace } from "./session-table.ts";

/** A container as others may see it. */
export interface PoolContainer {
  /** Tells it from the pool's others, past ones included. */
  readonly number: number;
  readonly state: ContainerState;
  /** Calls that have a place here. */
  readonly calls: number;
  /** Those among them that count as use. */
  readonly activeCalls: number;
  /** It asks the box for what it needs. */
  readonly isClaiming: boolean;
  /** Once drained, it sleeps instead of ending. */
  readonly willSleep: boolean;
}

export class TrackedContainer implements PoolContainer, SessionPlace {
  readonly number: number;
  state: ContainerState = "claiming";
  calls = 0;
  activeCalls = 0;
  /** How busy it said that it is, from 0 to 1; 0 where it has no calls. */
  reportedUse = 0;
  /** It asks the box for what it needs: while it is `claiming`, or `asleep` and needed. */
  isClaiming = true;
  willSleep = false;
  drainReason: StopReason = "not_needed";
  /** When its state began; where it claims, when it began to. */
  sinceMs: number;
  /** How its process began last. */
  beginning: StartKind = "launch";
  /** It has no call in use since then. */
  idleSinceMs = 0;
  readonly sessions = new SessionCounts();
  /** It drains, and its sessions go elsewhere from now on. */
  isClosedToSessions = false;

  constructor(number: number, nowMs: number) {
    this.number = number;
    this.sinceMs = nowMs;
  }

  /** Has no process that serves, and is on the way to one. */
  get isStarting(): boolean {
    return this.state === "claiming" || this.state === "preparing" || this.state === "starting";
  }

  get keepsSessions(): boolean {
    if (this.state === "draining") return this.willSleep || !this.isClosedToSessions;
    return this.state !== "stopping" && this.state !== "stuck" && this.state !== "gone";
  }

  /** It works on calls of its sessions now. */
  get servesSessions(): boolean {
    if (this.state === "draining") return !this.willSleep && !this.isClosedToSessions;
    return this.state === "ready";
  }

  /** Takes calls, now or soon. */
  get isPresent(): boolean {
    const { state, isClaiming, willSleep, isStarting } = this;
    if (state === "draining") return willSleep;
    if (state === "asleep") return isClaiming;
    return state === "ready" || isStarting;
  }
}

/** A container without calls may end at once. */
export class PoolContainers {
  readonly #all = new Map<number, TrackedContainer>();
  #list: readonly TrackedContainer[] | undefined;
  readonly #emit: (effect: ContainerEffect) => void;
  #lastNumber = 0;

  constructor(emit: (effect: ContainerEffect) => void) {
    this.#emit = emit;
  }

  get(number: number): TrackedContainer | undefined {
    return this.#all.get(number);
  }

  /** In the order of their numbers; made when one has come or gone, since each call's events read it. */
  get all(): readonly TrackedContainer[] {
    return (this.#list ??= [...this.#all.values()]);
  }

  count(isMeant: (container: TrackedContainer) => boolean): number {
    let count = 0;
    for (const container of this.#all.values()) if (isMeant(container)) count += 1;
    return count;
  }

  /** Calls of the present containers, and those among them that count as use. */
  load(): { calls: number; activeCalls: number } {
    const load = { calls: 0, activeCalls: 0 };
    for (const { isPresent, calls, activeCalls } of this.#all.values()) {
      load.calls += isPresent ? calls : 0;
      load.activeCalls += isPresent ? activeCalls : 0;
    }
    return load;
  }

  /** Sessions on containers which take new ones, with those that may become some. */
  sessions(nowMs: number): number {
    let sum = 0;
    for (const { state, sessions } of this.#all.values())
      if (state === "ready") sum += sessions.all(nowMs) + sessions.advised;
    return Math.round(sum);
  }

  /** Calls that ready containers can take, and that containers can take which start or wake. */
  places(maxInputs: number): { room: number; coming: number } {
    const places = { room: 0, coming: 0 };
    for (const container of this.#all.values()) {
      if (container.state === "ready") places.room += Math.max(0, maxInputs - container.calls);
      else if (container.isStarting || container.isClaiming) places.coming += maxInputs;
    }
    return places;
  }

  /** Wakes a container that sleeps, or begins a new one; either claims first what it needs. */
  begin(nowMs: number): void {
    const sleeper = this.all.find(({ state, isClaiming }) => state === "asleep" && !isClaiming);
    if (sleeper !== undefined) return this.wake(sleeper, nowMs);
    this.#emit({ type: "claim", container: this.#add(nowMs).number });
  }

  /** Has a container that an earlier agent left running. It has what it needs of the box. */
  adopt(left: string, nowMs: number): TrackedContainer {
    const container = this.#add(nowMs);
    Object.assign(container, { beginning: "adopt", isClaiming: false } as const);
    this.#emit({ type: "adopt", container: container.number, left });
    this.move(container, "granted", nowMs);
    return container;
  }

  #add(nowMs: number): TrackedContainer {
    this.#lastNumber += 1;
    const container = new TrackedContainer(this.#lastNumber, nowMs);
    this.#all.set(container.number, container);
    this.#list = undefined;
    return container;
  }

  /** It claims first what it needs. */
  wake(container: TrackedContainer, nowMs: number): void {
    container.isClaiming = true;
    container.sinceMs = nowMs;
    this.#emit({ type: "claim", container: container.number });
  }

  grant(container: TrackedContainer, nowMs: number): void {
    if (!container.isClaiming) return;
    const type = container.state === "asleep" ? "wake" : "launch";
    container.beginning = type;
    container.isClaiming = false;
    this.move(container, "granted", nowMs);
    this.#emit({ type, container: container.number });
  }

  /** Takes the event's state. @returns false where the event does nothing in the present one */
  move(
    container: TrackedContainer,
    event: ContainerEvent,
    nowMs: number,
    by: ContainerEvent | StopReason = event,
  ): boolean {
    const { state: from, number } = container;
    const to = stateAfter(from, event);
    if (to === undefined) return false;
    container.state = to;
    container.sinceMs = nowMs;
    if (to === "gone" && this.#all.delete(number)) this.#list = undefined;
    this.#emit({ type: "moved", container: number, from, to, by });
    return true;
  }

  /** Lets it finish its calls; then it sleeps or ends. */
  drain(container: TrackedContainer, reason: StopReason, nowMs: number, willSleep = false): void {
    if (!this.move(container, "drain", nowMs, reason)) return;
    container.willSleep = willSleep;
    container.drainReason = reason;
    // Somebody waits for what it has.
    container.isClosedToSessions ||= reason === "yields";
    this.#endDrained(container, nowMs);
  }

  /** One that was to sleep ends instead. */
  forgoSleep(container: TrackedContainer, nowMs: number): void {
    if (!container.willSleep) return;
    container.willSleep = false;
    this.#endDrained(container, nowMs);
  }

  /** Time has passed: a draining container keeps its sessions for `graceMs`. */
  closeToSessions(graceMs: number, nowMs: number): void {
    for (const container of this.#all.values()) {
      if (!isHeldBySessions(container)) continue;
      container.isClosedToSessions = nowMs >= container.sinceMs + graceMs;
      this.#endDrained(container, nowMs);
    }
  }

  /** When `closeToSessions` may do something; Infinity for never. */
  nextClosingMs(graceMs: number, nowMs: number): number {
    let atMs = Infinity;
    for (const container of this.#all.values()) {
      if (!isHeldBySessions(container)) continue;
      atMs = Math.min(atMs, container.sinceMs + graceMs, nowMs + REVIEW_SESSIONS_MS);
    }
    return atMs;
  }

  /** It works on one call more. */
  occupy(container: TrackedContainer, isPassive: boolean): void {
    container.calls += 1;
    if (!isPassive) container.activeCalls += 1;
  }

  /** It works on one call less. */
  vacate(container: TrackedContainer, isPassive: boolean, nowMs: number): void {
    container.calls -= 1;
    if (container.calls === 0) container.reportedUse = 0;
    if (!isPassive) container.activeCalls -= 1;
    if (!isPassive && container.activeCalls === 0) container.idleSinceMs = nowMs;
    const { state, drainReason } = container;
    // Its end does not wait for passive calls, and may be under way.
    if (state !== "draining" || (isPassive && drainReason === "yields")) return;
    this.#endDrained(container, nowMs);
  }

  /** An open browser tab does not hold up another container, nor a successor beyond the grace, and ends with its own. */
  #endDrained(container: TrackedContainer, nowMs: number): void {
    const { drainReason, calls, activeCalls } = container;
    const isInGrace = isHeldBySessions(container);
    if (isInGrace && container.sessions.areExpected(nowMs)) return;
    const leavesTabs = drainReason === "yields" || (drainReason === "asked" && !isInGrace);
    if ((leavesTabs ? activeCalls : calls) > 0) return;
    if (container.willSleep) this.#emit({ type: "sleep", container: container.number });
    else this.stop(container, container.drainReason, nowMs);
  }

  /** @returns false where it is being ended or gone already */
  stop(container: TrackedContainer, reason: StopReason, nowMs: number): boolean {
    if (!this.move(container, "stop", nowMs, reason)) return false;
    container.willSleep = false;
    this.#emit({ type: "stop", container: container.number, reason });
    return true;
  }

  /** It ends by itself. */
  ended(container: TrackedContainer, nowMs: number): void {
    this.move(container, "stop", nowMs, "failed");
    container.willSleep = false;
  }

  /** Ends a container that takes no calls. @returns false where it is being ended or gone already */
  giveUp(container: TrackedContainer, reason: StopReason, nowMs: number): boolean {
    this.withdraw(container, nowMs);
    return container.state === "gone" || this.stop(container, reason, nowMs);
  }

  /** It does not ask the box any more. */
  withdraw(container: TrackedContainer, nowMs: number): void {
    if (!container.isClaiming) return;
    container.isClaiming = false;
    this.#emit({ type: "withdraw", container: container.number });
    this.move(container, "withdrawn", nowMs);
  }

  /** Nothing of it runs any more. */
  exited(container: TrackedContainer, nowMs: number): void {
    this.withdraw(container, nowMs);
    this.move(container, "exited", nowMs);
    this.#emit({ type: "release", container: container.number, isAsleep: false });
  }

  /** It sleeps. */
  slept(container: TrackedContainer, nowMs: number): void {
    this.move(container, "slept", nowMs);
    container.willSleep = false;
    // Its sessions wake it.
    container.isClosedToSessions = false;
    this.#emit({ type: "release", container: container.number, isAsleep: true });
  }
}

/** Sessions of a draining container may have ended, which no event tells. */
export const REVIEW_SESSIONS_MS = 30_000;

/** It drains, and its sessions still come. */
function isHeldBySessions(one: TrackedContainer): boolean {
  return one.state === "draining" && !one.willSleep && !one.isClosedToSessions;
}
