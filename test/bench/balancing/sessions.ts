/** Sessions on containers: how even they lie, and how many move when the set of boxes changes. */
import { homeBox } from "../../../routing/boxes.ts";
import { below, type Random, randomFrom } from "./random.ts";

const SESSIONS = 10_000;
const TRIALS = 2_000;

export const HOMES = ["rendezvous", "the key modulo the number of boxes"] as const;

type Home = (typeof HOMES)[number];

/** The part of the sessions whose home is another box after a change of the set of ten boxes. */
export function movedBy(home: Home, change: "one goes" | "one comes", seed: number): number {
  const random = randomFrom(seed);
  const keys = Array.from({ length: SESSIONS }, () => random().toString(36));
  const boxes = Array.from({ length: 10 }, (_, number) => ({ box: `gpu-${number}` }));
  const others =
    change === "one goes"
      ? boxes.filter(({ box }) => box !== "gpu-3")
      : [...boxes, { box: "gpu-10" }];
  const moved = keys.filter((key) => homeOf(home, key, boxes) !== homeOf(home, key, others));
  return moved.length / SESSIONS;
}

function homeOf(home: Home, key: string, boxes: readonly { box: string }[]): string | undefined {
  if (home === "rendezvous") return homeBox(key, boxes)?.box;
  let sum = 0;
  for (let at = 0; at < key.length; at += 1) sum = (sum * 31 + key.charCodeAt(at)) % 1_000_003;
  return boxes[sum % boxes.length]?.box;
}

export const PLACINGS = ["hashed", "the fewest sessions"] as const;

/** The part of the trials in which each of 4 containers has its share of 20 sessions, give or take 30 %. */
export function evenTrials(placing: (typeof PLACINGS)[number], seed: number): number {
  const random = randomFrom(seed);
  let even = 0;
  for (let trial = 0; trial < TRIALS; trial += 1) {
    const counts = [0, 0, 0, 0];
    for (let session = 0; session < 20; session += 1) {
      const at = placing === "hashed" ? below(random, 4) : fewest(counts, random);
      counts[at] = (counts[at] as number) + 1;
    }
    if (counts.every((count) => Math.abs(count - 5) <= 0.3 * 5)) even += 1;
  }
  return even / TRIALS;
}

function fewest(counts: readonly number[], random: Random): number {
  const least = Math.min(...counts);
  const those = counts.flatMap((count, at) => (count === least ? [at] : []));
  return those[below(random, those.length)] as number;
}
