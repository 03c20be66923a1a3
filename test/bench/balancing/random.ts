/** Random numbers from a seed, and the draws that the simulations make of them. */

export type Random = () => number;

/** Numbers from 0 up to, and without, 1 (mulberry32). */
export function randomFrom(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number below this one. */
export function below(random: Random, end: number): number {
  return Math.floor(random() * end);
}

/** With an exponential distribution. */
export function exponential(random: Random, mean: number): number {
  return -mean * Math.log(1 - random());
}
