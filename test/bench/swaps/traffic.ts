/** Random traffic at models that share a GPU, the same for the same seed. */

/** A model, with times in milliseconds. */
export interface SimulatedModel {
  readonly name: string;
  /** From the start of its process until it is ready. */
  readonly loadMs: number;
  /** From the request to stop until its memory is free. */
  readonly stopMs: number;
  /** The mean time that a call takes. */
  readonly callMs: number;
}

export interface Arrival {
  readonly atMs: number;
  /** The index of its model. */
  readonly model: number;
  readonly callMs: number;
}

export interface TrafficShape {
  readonly name: string;
  /** The calls of a model come in bursts of this mean length, with pauses of this mean length between them. */
  readonly burstMs: number;
  readonly pauseMs: number;
  /** The mean time between two calls of a burst. */
  readonly gapMs: number;
}

/** Weights of some gigabytes from a disk that is fast, and from one that is not. */
export const MODELS: readonly SimulatedModel[] = [
  { name: "small", loadMs: 4_000, stopMs: 1_000, callMs: 500 },
  { name: "medium", loadMs: 9_000, stopMs: 1_000, callMs: 2_000 },
  { name: "large", loadMs: 19_000, stopMs: 1_000, callMs: 4_000 },
];

export const SHAPES: readonly TrafficShape[] = [
  { name: "steady", burstMs: 1_000_000, pauseMs: 1, gapMs: 4_000 },
  { name: "bursts", burstMs: 30_000, pauseMs: 60_000, gapMs: 2_000 },
  { name: "rare", burstMs: 1_000, pauseMs: 60_000, gapMs: 500 },
  { name: "long turns", burstMs: 120_000, pauseMs: 240_000, gapMs: 2_000 },
];

/** Arrivals over so many milliseconds, in their order. */
export function traffic(
  models: readonly SimulatedModel[],
  { burstMs, pauseMs, gapMs }: TrafficShape,
  { seed, durationMs }: { readonly seed: number; readonly durationMs: number },
): Arrival[] {
  const random = seededRandom(seed);
  const exponential = (meanMs: number) => -meanMs * Math.log(1 - random());
  return models
    .flatMap(({ callMs }, model) => {
      const arrivals: Arrival[] = [];
      // Some begin in a burst, as often as they are in one.
      let atMs = random() * (burstMs + pauseMs) < burstMs ? 0 : exponential(pauseMs);
      while (atMs < durationMs) {
        const endMs = Math.min(durationMs, atMs + exponential(burstMs));
        for (let next = atMs + exponential(gapMs); next < endMs; next += exponential(gapMs)) {
          arrivals.push({ atMs: next, model, callMs: exponential(callMs) });
        }
        atMs = endMs + exponential(pauseMs);
      }
      return arrivals;
    })
    .toSorted((one, other) => one.atMs - other.atMs);
}

/** Mulberry32, by Tommy Ettinger (public domain): from 0 to 1, without 1. */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = Math.trunc(state + 0x6d2b79f5);
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
