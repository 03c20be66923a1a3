/**
 * Calls of 1,000 edges on 100 containers. Each edge knows loads that are up to some seconds old, and the calls that it has
 * opened since. The edges use the gateway's own code for the less loaded of two.
 */
import { BoxLoad, orderForRoom, type SeenBox } from "../../../routing/balancing.ts";
import { below, exponential, type Random, randomFrom } from "./random.ts";

const EDGES = 1_000;
const CONTAINERS = 100;
const PLACES = 32;
/** Of all places, that calls take in the mean. */
const USE = 0.75;
const MEAN_CALL_MS = 1_000;
const WARM_UP_MS = 3_000;
const END_MS = 13_000;
const SAMPLE_MS = 50;

export const POLICIES = [
  "random",
  "round robin",
  "least of all",
  "least of two",
  "least of two, full ones refuse",
] as const;

export type Policy = (typeof POLICIES)[number];

export interface Spread {
  /** The load of the worst container as a multiple of the mean one: in the mean over time, and at its highest. */
  readonly worstInTheMean: number;
  readonly worst: number;
  /** Of all calls, those that waited for a place. */
  readonly waited: number;
}

interface Container {
  running: number;
  waiting: number[];
}

/** A heap would be quicker; the calls that end in each millisecond are enough here. */
class Endings {
  readonly #at = new Map<number, number[]>();

  add(atMs: number, container: number): void {
    const key = Math.ceil(atMs);
    const those = this.#at.get(key);
    if (those === undefined) this.#at.set(key, [container]);
    else those.push(container);
  }

  take(nowMs: number): readonly number[] {
    const those = this.#at.get(nowMs) ?? [];
    this.#at.delete(nowMs);
    return those;
  }
}

class Simulation {
  readonly #random: Random;
  readonly #policy: Policy;
  readonly #maxAgeMs: number;
  readonly #containers: Container[] = Array.from({ length: CONTAINERS }, () => ({
    running: 0,
    waiting: [],
  }));
  readonly #numbers = Array.from({ length: CONTAINERS }, (_, number) => number);
  /** By edge and container. */
  readonly #known: BoxLoad[][];
  /** When each edge hears the loads again, and whose turn it is there. */
  readonly #heardAt: number[];
  readonly #turns: number[];
  readonly #endings = new Endings();
  #calls = 0;
  #waited = 0;

  constructor(policy: Policy, maxAgeMs: number, seed: number) {
    this.#random = randomFrom(seed);
    this.#policy = policy;
    this.#maxAgeMs = maxAgeMs;
    this.#known = Array.from({ length: EDGES }, () =>
      Array.from({ length: CONTAINERS }, () => new BoxLoad()),
    );
    this.#heardAt = Array.from({ length: EDGES }, () => below(this.#random, maxAgeMs));
    this.#turns = Array.from({ length: EDGES }, () => below(this.#random, CONTAINERS));
  }

  run(): Spread {
    const rate = (CONTAINERS * PLACES * USE) / MEAN_CALL_MS;
    let nextMs = exponential(this.#random, 1 / rate);
    let sum = 0;
    let samples = 0;
    let worst = 0;
    for (let nowMs = 0; nowMs < END_MS; nowMs += 1) {
      for (const number of this.#endings.take(nowMs)) this.#end(number, nowMs);
      for (; nextMs <= nowMs; nextMs += exponential(this.#random, 1 / rate)) this.#call(nowMs);
      if (nowMs < WARM_UP_MS || nowMs % SAMPLE_MS !== 0) continue;
      const loads = this.#containers.map(({ running, waiting }) => running + waiting.length);
      const mean = loads.reduce((one, other) => one + other) / CONTAINERS;
      const ratio = Math.max(...loads) / mean;
      sum += ratio;
      samples += 1;
      worst = Math.max(worst, ratio);
    }
    return { worstInTheMean: sum / samples, worst, waited: this.#waited / this.#calls };
  }

  #call(nowMs: number): void {
    const edge = below(this.#random, EDGES);
    this.#hear(edge, nowMs);
    const number = this.#choose(edge, nowMs);
    this.#knownOf(edge, number).onOpened(nowMs);
    const container = this.#containers[number] as Container;
    const lastsMs = exponential(this.#random, MEAN_CALL_MS);
    const isCounted = nowMs >= WARM_UP_MS;
    if (isCounted) this.#calls += 1;
    if (container.running < PLACES) {
      container.running += 1;
      this.#endings.add(nowMs + lastsMs, number);
    } else {
      container.waiting.push(lastsMs);
      if (isCounted) this.#waited += 1;
    }
  }

  #end(number: number, nowMs: number): void {
    const container = this.#containers[number] as Container;
    const lastsMs = container.waiting.shift();
    if (lastsMs === undefined) container.running -= 1;
    else this.#endings.add(nowMs + lastsMs, number);
  }

  /** The edge gets the loads of all containers, where those that it has are too old. */
  #hear(edge: number, nowMs: number): void {
    if (nowMs < (this.#heardAt[edge] as number)) return;
    this.#heardAt[edge] = nowMs + this.#maxAgeMs;
    for (const number of this.#numbers) this.#tell(edge, number, nowMs);
  }

  #tell(edge: number, number: number, nowMs: number): void {
    const { running, waiting } = this.#containers[number] as Container;
    const room = PLACES - running;
    const load = { running, waiting: waiting.length, room, coming: 0 };
    this.#knownOf(edge, number).onAnswered(load, nowMs);
  }

  #choose(edge: number, nowMs: number): number {
    const view = (number: number): SeenBox => this.#view(edge, number, nowMs);
    switch (this.#policy) {
      case "random":
        return below(this.#random, CONTAINERS);
      case "round robin":
        return (this.#turns[edge] = ((this.#turns[edge] as number) + 1) % CONTAINERS);
      case "least of all":
        return this.#least(view);
      case "least of two":
        return this.#order(view)[0] as number;
      case "least of two, full ones refuse": {
        const order = this.#order(view);
        const roomy = order.find((number) => this.#hasRoom(edge, number, nowMs));
        return roomy ?? (order[0] as number);
      }
    }
  }

  /** One of those with the least load, from a random one on. */
  #least(view: (number: number) => SeenBox): number {
    const first = below(this.#random, CONTAINERS);
    let best = first;
    let least = view(first).use;
    for (let step = 1; step < CONTAINERS; step += 1) {
      const other = (first + step) % CONTAINERS;
      const { use } = view(other);
      if (use >= least) continue;
      best = other;
      least = use;
    }
    return best;
  }

  #order(view: (number: number) => SeenBox): number[] {
    return orderForRoom(this.#numbers, view, { random: this.#random });
  }

  /** A refusal tells the load. */
  #hasRoom(edge: number, number: number, nowMs: number): boolean {
    if ((this.#containers[number] as Container).running < PLACES) return true;
    this.#tell(edge, number, nowMs);
    return false;
  }

  #knownOf(edge: number, number: number): BoxLoad {
    return (this.#known[edge] as BoxLoad[])[number] as BoxLoad;
  }

  #view(edge: number, number: number, nowMs: number): SeenBox {
    const known = this.#knownOf(edge, number);
    return { ...known.standing(nowMs), isAway: false, distance: 0 };
  }
}

/** @param maxAgeMs of the loads that an edge knows */
export function spreadCalls(policy: Policy, maxAgeMs: number, seed: number): Spread {
  return new Simulation(policy, maxAgeMs, seed).run();
}
