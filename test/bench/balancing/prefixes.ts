/**
 * Conversations with language models, whose next request repeats all that was said before. A container that served the
 * last one has its prefix in a cache, for as long as fewer others came than the cache has places for.
 */
import { below, exponential, type Random, randomFrom } from "./random.ts";

const CONTAINERS = 100;
const CACHED_PREFIXES = 40;
const CONVERSATIONS = 6_000;
const TURNS = 8;
const PAUSE_MS = 20_000;
/** New conversations each second. */
const RATE = 60;

export const PLACES_OF_TURNS = ["random", "where its prefix is cached"] as const;

/** The part of the requests after a conversation's first one that find their prefix in a cache. */
export function hitRate(place: (typeof PLACES_OF_TURNS)[number], seed: number): number {
  const random = randomFrom(seed);
  const caches = Array.from({ length: CONTAINERS }, () => new Set<number>());
  const homes = new Map<number, number>();
  let hits = 0;
  let later = 0;
  for (const { conversation, turn } of requestsOf(random)) {
    const home = homes.get(conversation);
    const at = place === "random" || home === undefined ? below(random, CONTAINERS) : home;
    homes.set(conversation, at);
    const cache = caches[at] as Set<number>;
    const isHit = cache.delete(conversation);
    if (turn > 0) {
      later += 1;
      if (isHit) hits += 1;
    }
    // Newest last.
    cache.add(conversation);
    if (cache.size > CACHED_PREFIXES) cache.delete(cache.values().next().value as number);
  }
  return hits / later;
}

/** All requests in the order of their time. */
function requestsOf(random: Random): { conversation: number; turn: number; atMs: number }[] {
  const requests: { conversation: number; turn: number; atMs: number }[] = [];
  let beginsAtMs = 0;
  for (let conversation = 0; conversation < CONVERSATIONS; conversation += 1) {
    beginsAtMs += exponential(random, 1_000 / RATE);
    let atMs = beginsAtMs;
    for (let turn = 0; turn < TURNS; turn += 1) {
      requests.push({ conversation, turn, atMs });
      atMs += exponential(random, PAUSE_MS);
    }
  }
  return requests.toSorted((one, other) => one.atMs - other.atMs);
}
