/**
 * An isolate's memory of what an object owns. A snapshot younger than 3 s is used as it is; one of up to 5 s is
 * used and refreshed behind the request; for an older one the request waits, at most 1 s. So a warm request asks
 * nobody, and every change is everywhere within 5 s. That a key has nothing is remembered for half a second.
 *
 * Requests that need the same key at once share one load. They look for its end by timers of their own, since a
 * request may not use what belongs to another one. The load outlives its request, so that a client that leaves
 * fails nobody else. The table is bounded. A random entry goes first: a set
 * of keys that is a little larger than the table then still hits, where one in order of age never would.
 */
import { within } from "../../../base/runtime/within.ts";
import type { Env } from "../../contracts/env.ts";

const FRESH_MS = 3_000;
const USABLE_MS = 5_000;
const WAIT_MS = 1_000;
/** How often a request looks whether the load of another one has ended; most end within this time. */
const POLL_MS = 2;

/** A caller that doubts a snapshot, or found nothing, gets one that is younger than this. */
const DOUBTED_MS = 500;

export type Lookup<Value> = { snapshot: Value | undefined } | { unavailable: true };

/** Asks the owner. `known` is the value that the isolate has, if any: it may be returned unchanged. */
export type Load<Value> = (
  env: Env,
  key: string,
  known: Value | undefined,
) => Promise<Value | undefined>;

/** One load of a key, for all requests that wait for it. */
interface SharedLoad {
  /** In milliseconds of the epoch. */
  readonly startedAt: number;
  state: "loading" | "loaded" | "failed";
}

interface Entry<Value> {
  readonly key: string;
  readonly snapshot: Value | undefined;
  /** When it was asked for, in milliseconds of the epoch: it is at least as new as that. */
  readonly at: number;
}

export class SnapshotCache<Value> {
  readonly #load: Load<Value>;
  readonly #maxEntries: number;
  readonly #isNothing: (snapshot: Value) => boolean;
  readonly #random: () => number;
  /** Where each key's entry stands in the table. */
  readonly #places = new Map<string, number>();
  readonly #table: Entry<Value>[] = [];
  /** Loads on their way, by key. */
  readonly #loads = new Map<string, SharedLoad>();

  /**
   * @param isNothing whether a snapshot says that there is nothing, as its absence does
   * @param random from 0 to 1: which entry goes when the table is full
   */
  constructor(
    load: Load<Value>,
    maxEntries: number,
    isNothing: (snapshot: Value) => boolean = () => false,
    random: () => number = Math.random,
  ) {
    this.#random = random;
    this.#load = load;
    this.#maxEntries = maxEntries;
    this.#isNothing = isNothing;
  }

  /** The snapshot under a key, from memory where that is young enough. */
  lookup(env: Env, context: ExecutionContext, key: string): Lookup<Value> | Promise<Lookup<Value>> {
    const entry = this.#find(key);
    if (entry?.snapshot === undefined || this.#isNothing(entry.snapshot)) {
      return this.lookupAgain(env, context, key);
    }
    const age = Date.now() - entry.at;
    if (age < FRESH_MS) return entry;
    if (age < USABLE_MS) {
      if (this.#sharedLoad(key) === undefined) void this.#startLoad(env, context, key);
      return entry;
    }
    return this.#lookupCold(env, context, key);
  }

  /** The same for a caller that doubts what the isolate remembers: younger than half a second. */
  lookupAgain(
    env: Env,
    context: ExecutionContext,
    key: string,
  ): Lookup<Value> | Promise<Lookup<Value>> {
    const entry = this.#find(key);
    if (entry !== undefined && Date.now() - entry.at < DOUBTED_MS) return entry;
    return this.#lookupCold(env, context, key);
  }

  async #lookupCold(env: Env, context: ExecutionContext, key: string): Promise<Lookup<Value>> {
    const shared = this.#sharedLoad(key);
    if (shared === undefined) {
      const loaded = await withinWait(this.#startLoad(env, context, key));
      return loaded === "loaded" ? { snapshot: this.#find(key)?.snapshot } : { unavailable: true };
    }
    while (shared.state === "loading" && Date.now() - shared.startedAt < WAIT_MS) {
      await scheduler.wait(POLL_MS);
    }
    return shared.state === "loaded"
      ? { snapshot: this.#find(key)?.snapshot }
      : { unavailable: true };
  }

  #find(key: string): Entry<Value> | undefined {
    const place = this.#places.get(key);
    return place === undefined ? undefined : this.#table[place];
  }

  /** The load of a key that is on its way; one that takes longer than a request waits is shared no more. */
  #sharedLoad(key: string): SharedLoad | undefined {
    const load = this.#loads.get(key);
    return load !== undefined && Date.now() - load.startedAt < WAIT_MS ? load : undefined;
  }

  /** Loads a key anew, for all who wait for it. */
  #startLoad(env: Env, context: ExecutionContext, key: string): Promise<SharedLoad["state"]> {
    const load: SharedLoad = { startedAt: Date.now(), state: "loading" };
    this.#loads.set(key, load);
    const settle = (state: "loaded" | "failed"): SharedLoad["state"] => {
      load.state = state;
      if (this.#loads.get(key) === load) this.#loads.delete(key);
      return state;
    };
    const loading = this.#loadNow(env, key).then(
      () => settle("loaded"),
      () => settle("failed"),
    );
    context.waitUntil(loading);
    return loading;
  }

  async #loadNow(env: Env, key: string): Promise<void> {
    const at = Date.now();
    const snapshot = await this.#load(env, key, this.#find(key)?.snapshot);
    const entry = { key, snapshot, at };
    let place = this.#places.get(key) ?? this.#table.length;
    if (place >= this.#maxEntries) {
      place = Math.floor(this.#random() * this.#maxEntries);
      this.#places.delete((this.#table[place] as Entry<Value>).key);
    }
    this.#table[place] = entry;
    this.#places.set(key, place);
  }
}

/** The value of an object, or "late" when the object takes longer than a request may wait, or breaks. */
export async function withinWait<Value>(value: Promise<Value>): Promise<Value | "late"> {
  const settled = value.then(
    (known) => ({ known }),
    () => undefined,
  );
  const inTime = await within(WAIT_MS, settled);
  return inTime === undefined ? "late" : inTime.known;
}
