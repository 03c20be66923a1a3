/**
 * The containers of one pool, played: its driver has them started, put to sleep and stopped, and the test says what becomes
 * of them. The events and their order are those of the real ones (endpoint-containers.ts).
 */
import type { Card } from "../../../origin-gpu/core/cards.ts";
import type { ContainerListener } from "../../../origin-gpu/endpoints/endpoint-containers.ts";
import type { ManagedContainers } from "../../../origin-gpu/endpoints/pool-driver-options.ts";
import type { ServingContainer } from "../../../origin-gpu/endpoints/serving-container.ts";
import { StartFailure } from "../../../origin-gpu/containers/container.ts";
import { demand } from "../core/pool-refusal-rules.ts";

export type PlayedPhase = "starts" | "serves" | "falls asleep" | "sleeps" | "wakes" | "ends";

/** A container that has a process. */
export interface PlayedContainer {
  readonly number: number;
  readonly id: string;
  readonly cards: readonly Card[];
  /** Its process has something on its cards. */
  usesCards: boolean;
  phase: PlayedPhase;
  sinceMs: number;
  readyAtMs: number;
  /** It was ready once. */
  serving: ServingContainer | undefined;
  isWatched: boolean;
  /** It was found hung, or its server has ended: its calls end with it. */
  isBroken: boolean;
}

/** The box that the processes run on. */
export interface PlayedMachine {
  /** Begins each container's id. */
  readonly name: string;
  /** Environments are made before containers claim anything. */
  readonly makesPythons: boolean;
  readonly nowMs: () => number;
  /** A process is about to use its cards and its port, from now on. */
  readonly onUses: (container: PlayedContainer) => void;
  /** It is told to sleep or to end. */
  readonly onAsked: (container: PlayedContainer, to: "sleep" | "end") => void;
  /** Nothing of it runs any more. */
  readonly onGone: (container: PlayedContainer) => void;
}

export class PlayedContainers implements ManagedContainers {
  readonly all = new Map<number, PlayedContainer>();
  /** Python environments that are being made, by the containers that wait for them. */
  readonly pythons = new Map<number, PromiseWithResolvers<void>>();
  lastFailure = "";
  readonly #listener: ContainerListener;
  readonly #machine: PlayedMachine;

  constructor(listener: ContainerListener, machine: PlayedMachine) {
    this.#listener = listener;
    this.#machine = machine;
  }

  noteFailure(message: string): void {
    this.lastFailure = message;
  }

  serving(number: number): ServingContainer | undefined {
    return this.all.get(number)?.serving;
  }

  idOf(number: number): string {
    return `${this.#machine.name}/${number}`;
  }

  numberOf(id: string): number {
    return Number(id.slice(this.#machine.name.length + 1));
  }

  forget(number: number): void {
    demand(!this.all.has(number), "only a container that has ended is forgotten");
    this.pythons.get(number)?.resolve();
    this.pythons.delete(number);
  }

  prepare(number: number): Promise<void> | undefined {
    if (!this.#machine.makesPythons || this.all.has(number)) return undefined;
    const python = Promise.withResolvers<void>();
    this.pythons.set(number, python);
    return python.promise;
  }

  startedAtMs(): number | undefined {
    return undefined;
  }

  adopt(): void {
    throw new Error("no agent was here before");
  }

  launch(number: number, { cards }: { readonly cards: readonly Card[] }): void {
    demand(!this.all.has(number), "a container starts once");
    demand(!this.pythons.has(number), "a container claims when its environment is made");
    const nowMs = this.#machine.nowMs();
    const container: PlayedContainer = {
      number,
      id: this.idOf(number),
      cards,
      usesCards: true,
      phase: "starts",
      sinceMs: nowMs,
      readyAtMs: Infinity,
      serving: undefined,
      isWatched: false,
      isBroken: false,
    };
    this.all.set(number, container);
    this.#machine.onUses(container);
    this.#listener.onPrepared(number);
  }

  sleep(number: number): Promise<void> {
    const container = this.#known(number);
    demand(container.phase === "serves", "who falls asleep serves");
    this.#machine.onAsked(container, "sleep");
    this.#move(container, "falls asleep");
    return Promise.resolve();
  }

  async wake(number: number): Promise<void> {
    const container = this.#known(number);
    if (container.phase === "ends") {
      // Its server has ended while it slept, and nobody listens.
      await Promise.resolve();
      this.fail(number, "it does not wake");
      return;
    }
    demand(container.phase === "sleeps", "who wakes has slept");
    this.#move(container, "wakes");
    container.usesCards = true;
    this.#machine.onUses(container);
  }

  watchHealth(number: number): void {
    this.#known(number).isWatched = true;
  }

  unwatchHealth(number: number): void {
    const container = this.all.get(number);
    if (container !== undefined) container.isWatched = false;
  }

  stop(number: number): Promise<void> {
    const container = this.all.get(number);
    if (container !== undefined && container.phase !== "ends") {
      this.#machine.onAsked(container, "end");
      const wasStarting = container.phase === "starts";
      this.#move(container, "ends");
      // Its start is given up, as its pool knows.
      if (wasStarting) this.fail(number, "stopped");
    }
    return Promise.resolve();
  }

  leave(): Promise<void> {
    throw new Error("no agent comes after this one");
  }

  close(): Promise<void> {
    for (const number of this.all.keys()) void this.stop(number);
    return Promise.resolve();
  }

  fail(number: number, error: unknown): void {
    this.#listener.onFailed(number, new StartFailure("starting_failed", String(error)));
  }

  /** What was asked of it comes to its end. @param isGood as it was to */
  step(number: number, isGood: boolean): void {
    const container = this.#known(number);
    const { phase } = container;
    if (phase === "starts" || phase === "wakes") {
      if (isGood) this.#becomeReady(container);
      else if (phase === "wakes") this.fail(number, "it does not wake");
      else this.end(number);
    } else if (phase === "falls asleep") {
      if (!isGood) return this.#listener.onSleepFailed(number);
      this.#move(container, "sleeps");
      container.usesCards = false;
      this.#listener.onSlept(number);
    } else if (phase === "ends") {
      if (isGood) this.#exit(container);
      else this.#listener.onStuck(number);
    }
  }

  /** Its environment is made, or can't be. */
  finishPython(number: number, isGood: boolean): void {
    const python = this.pythons.get(number);
    this.pythons.delete(number);
    if (isGood) python?.resolve();
    else python?.reject(new StartFailure("starting_failed", "no such package"));
  }

  /** Its server ends by itself, before all of its processes have. */
  end(number: number): void {
    const container = this.#known(number);
    const { phase } = container;
    if (phase === "ends") return;
    container.isBroken = true;
    this.#move(container, "ends");
    if (phase === "starts" || phase === "wakes") this.fail(number, "it ended");
    else this.#listener.onEnded(number);
    if (phase === "falls asleep") this.#listener.onSleepFailed(number);
  }

  /** It does not answer any more. */
  hang(number: number): void {
    const container = this.#known(number);
    if (!container.isWatched) return;
    container.isBroken = true;
    this.#listener.onHung(number);
  }

  /** It wants no more calls. */
  askToDrain(number: number): void {
    if (this.serving(number) !== undefined) this.#listener.onDrainAsked(number);
  }

  #becomeReady(container: PlayedContainer): void {
    this.#move(container, "serves");
    container.readyAtMs = this.#machine.nowMs();
    container.serving ??= { id: container.id } as ServingContainer;
    this.#listener.onReady(container.number);
  }

  #exit(container: PlayedContainer): void {
    this.all.delete(container.number);
    this.#machine.onGone(container);
    this.#listener.onExited(container.number);
  }

  #move(container: PlayedContainer, phase: PlayedPhase): void {
    container.phase = phase;
    container.sinceMs = this.#machine.nowMs();
  }

  #known(number: number): PlayedContainer {
    const container = this.all.get(number);
    demand(container !== undefined, "there is such a container");
    return container;
  }
}
