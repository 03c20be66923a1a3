/**
 * Models that share one GPU in virtual time: the agent's own `Pool` and `Box` decide, and this world plays processes and
 * clients. It throws where a container with calls is ended for another one, or two models have the GPU at once.
 */
import { GIB, SECOND_MS } from "../../../base/units.ts";
import { Box } from "../../../origin-gpu/core/box.ts";
import type { ArbitrationLimits, BoxEffect, Claim } from "../../../origin-gpu/core/claims.ts";
import type { PoolEffect, PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import { Pool } from "../../../origin-gpu/core/pool.ts";
import type { Arrival, SimulatedModel } from "./traffic.ts";

export interface SwapResult {
  /** Of each call, in the order of `arrivals`. */
  readonly waitsMs: readonly number[];
  /** The time in which the GPU loaded or unloaded a model. */
  readonly loadingMs: number;
  readonly loads: number;
  /** When the last call was answered. */
  readonly endMs: number;
}

const MAX_INPUTS = 4;

const SETTINGS: PoolSettings = {
  maxInputs: MAX_INPUTS,
  targetInputs: MAX_INPUTS,
  minContainers: 0,
  maxContainers: 1,
  bufferContainers: 0,
  mayStart: true,
  scaledownWindowMs: 1_200 * SECOND_MS,
  startupTimeoutMs: 3_600 * SECOND_MS,
  maxPending: 100_000,
  maxPendingAsync: 0,
  canSleep: false,
  sessionsMove: true,
  sessionGraceMs: 30_000,
  givesUpStarts: false,
};

const CARD = { id: "0", name: "H100", memoryBytes: 80 * GIB };

/** Things that happen, each at its time; of the same time the first one comes first. */
class Agenda {
  #nowMs = 0;
  readonly #due: { atMs: number; act: () => void }[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  at(atMs: number, act: () => void): void {
    let index = this.#due.length;
    while (index > 0 && (this.#due[index - 1]?.atMs ?? 0) > atMs) index -= 1;
    this.#due.splice(index, 0, { atMs, act });
  }

  run(): void {
    for (let next = this.#due.shift(); next !== undefined; next = this.#due.shift()) {
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.act();
    }
  }
}

/** Plays the traffic to its end, when every call has been answered. */
export function simulateSwaps(
  models: readonly SimulatedModel[],
  arrivals: readonly Arrival[],
  limits?: ArbitrationLimits,
): SwapResult {
  return new VirtualGpu(models, arrivals, limits).run();
}

class VirtualGpu {
  readonly #agenda = new Agenda();
  readonly #box: Box;
  readonly #pools: readonly VirtualPool[];
  readonly #arrivals: readonly Arrival[];
  readonly #waitsMs: number[] = [];
  #loadingMs = 0;
  #loads = 0;
  #endMs = 0;
  /** Who has the GPU. */
  #holder: string | undefined;

  constructor(
    models: readonly SimulatedModel[],
    arrivals: readonly Arrival[],
    limits?: ArbitrationLimits,
  ) {
    this.#box = limits === undefined ? new Box([CARD]) : new Box([CARD], limits);
    this.#arrivals = arrivals;
    this.#pools = models.map(
      (model) =>
        new VirtualPool(model, {
          agenda: this.#agenda,
          tellBox: (event) => this.#tell(event),
          onAssigned: (call) => this.#onAssigned(call),
          onTaken: (name) => this.#onTaken(name),
          onFreed: (name) => this.#onFreed(name),
          onLoading: (ms) => {
            this.#loadingMs += ms;
          },
        }),
    );
  }

  run(): SwapResult {
    for (const [call, { atMs, model }] of this.#arrivals.entries()) {
      this.#agenda.at(atMs, () => this.#pools[model]?.request(call));
    }
    this.#agenda.run();
    if (Object.keys(this.#waitsMs).length !== this.#arrivals.length) {
      throw new Error("a call was lost");
    }
    return {
      waitsMs: this.#waitsMs,
      loadingMs: this.#loadingMs,
      loads: this.#loads,
      endMs: this.#endMs,
    };
  }

  #onAssigned(call: number): void {
    const arrival = this.#arrivals[call];
    if (arrival === undefined) throw new Error(`there is no call ${call}`);
    const { nowMs } = this.#agenda;
    this.#waitsMs[call] = nowMs - arrival.atMs;
    const endMs = nowMs + arrival.callMs;
    this.#endMs = Math.max(this.#endMs, endMs);
    this.#agenda.at(endMs, () => this.#pools[arrival.model]?.finish(call));
  }

  #onTaken(name: string): void {
    if (this.#holder !== undefined) throw new Error(`${name} and ${this.#holder} have the GPU`);
    this.#holder = name;
    this.#loads += 1;
  }

  #onFreed(name: string): void {
    if (this.#holder !== name) throw new Error(`${name} has not the GPU`);
    this.#holder = undefined;
  }

  #tell(event: (box: Box, nowMs: number) => readonly BoxEffect[]): void {
    for (const effect of event(this.#box, this.#agenda.nowMs)) {
      if (effect.type === "wake_at") {
        this.#agenda.at(effect.atMs, () => this.#tell((box, nowMs) => box.tick(nowMs)));
        continue;
      }
      const pool = this.#pools.find(({ owns }) => owns(effect.claim));
      if (pool === undefined) throw new Error(`there is no claim ${effect.claim}`);
      if (effect.type === "grant") pool.granted(effect.claim);
      else if (effect.type === "yield") pool.yieldAsked(effect.claim);
      else throw new Error("one GPU suffices for each model");
    }
  }
}

interface VirtualWorld {
  readonly agenda: Agenda;
  readonly tellBox: (event: (box: Box, nowMs: number) => readonly BoxEffect[]) => void;
  readonly onAssigned: (call: number) => void;
  readonly onTaken: (name: string) => void;
  readonly onFreed: (name: string) => void;
  readonly onLoading: (ms: number) => void;
}

/** As endpoints/pool-driver.ts, in virtual time. */
class VirtualPool {
  readonly #model: SimulatedModel;
  readonly #world: VirtualWorld;
  readonly #pool = new Pool<number>(SETTINGS, { isProved: true });
  #due: PoolEffect<number>[] = [];
  #isApplying = false;

  constructor(model: SimulatedModel, world: VirtualWorld) {
    this.#model = model;
    this.#world = world;
  }

  readonly owns = (claim: string): boolean => claim.startsWith(`${this.#model.name}/`);

  request(call: number): void {
    this.#apply(this.#pool.request(call, this.#nowMs));
  }

  finish(call: number): void {
    this.#apply(this.#pool.finished(call, this.#nowMs));
  }

  granted(claim: string): void {
    this.#world.onTaken(this.#model.name);
    this.#apply(this.#pool.granted(numberOf(claim), this.#nowMs));
  }

  yieldAsked(claim: string): void {
    this.#apply(this.#pool.yieldAsked(numberOf(claim), this.#nowMs));
  }

  get #nowMs(): number {
    return this.#world.agenda.nowMs;
  }

  #apply(effects: readonly PoolEffect<number>[]): void {
    this.#due.push(...effects);
    if (this.#isApplying) return;
    this.#isApplying = true;
    for (let next = this.#due.shift(); next !== undefined; next = this.#due.shift()) {
      this.#applyOne(next);
    }
    this.#isApplying = false;
    this.#tellUse();
  }

  #applyOne(effect: PoolEffect<number>): void {
    const { agenda, tellBox, onAssigned } = this.#world;
    if (effect.type === "assign") onAssigned(effect.call);
    else if (effect.type === "refuse") throw new Error(`a call was refused: ${effect.code}`);
    else if (effect.type === "wake_at") {
      agenda.at(effect.atMs, () => this.#apply(this.#pool.tick(this.#nowMs)));
    } else if (effect.type === "claim") this.#want(effect.container);
    else if (effect.type === "withdraw") {
      const id = this.#claim(effect.container).id;
      tellBox((box, nowMs) => box.withdraw(id, nowMs));
    } else if (effect.type === "launch") this.#launch(effect.container);
    else if (effect.type === "stop") this.#stop(effect.container);
    else if (effect.type === "release") {
      const id = this.#claim(effect.container).id;
      tellBox((box, nowMs) => box.free(id, nowMs));
    }
  }

  #launch(number: number): void {
    const { agenda, onLoading } = this.#world;
    this.#apply(this.#pool.prepared(number, this.#nowMs));
    onLoading(this.#model.loadMs);
    agenda.at(this.#nowMs + this.#model.loadMs, () => {
      this.#apply(this.#pool.ready(number, this.#nowMs));
    });
  }

  #stop(number: number): void {
    const { agenda, onLoading, onFreed } = this.#world;
    const container = this.#pool.containers.find((each) => each.number === number);
    if ((container?.calls ?? 0) > 0) throw new Error("a container with calls was ended");
    onLoading(this.#model.stopMs);
    agenda.at(this.#nowMs + this.#model.stopMs, () => {
      onFreed(this.#model.name);
      this.#apply(this.#pool.exited(number, this.#nowMs));
    });
  }

  #want(number: number): void {
    const sinceMs = this.#pool.claimSinceMs(number);
    const claim = this.#claim(number);
    const request = { needs: { gpus: [{ count: 1 }] }, sinceMs };
    this.#world.tellBox((box, nowMs) => box.want(claim, request, nowMs));
  }

  #tellUse(): void {
    for (const { number, state, activeCalls: inFlight } of this.#pool.containers) {
      const { id } = this.#claim(number);
      if (state === "ready") {
        const oldestWaiterMs = this.#pool.oldestCallFor(number);
        this.#world.tellBox((box, nowMs) => box.used(id, { inFlight, oldestWaiterMs }, nowMs));
      } else if (state === "claiming") this.#want(number);
    }
  }

  #claim(number: number): Claim {
    const { name } = this.#model;
    return { id: `${name}/${number}`, pool: name, endpoint: name, app: name };
  }
}

function numberOf(claim: string): number {
  return Number(claim.split("/")[1]);
}
