/**
 * An isolate's memory of what an object owns. A snapshot younger than 3 s is used as it is; one of up to 5 s is
 * used and refreshed behind the request; for an older one the request waits, at most 1 s. So a warm request asks
 * nobody, and every change is everywhere within 5 s. That a key has nothing is remembered for half a second.
 *
 * Requests that need the same key at once share one load. They look for its end by timers of their own, since a
 * request may not use what belongs to another one. The load outlives its request, so that a client that leaves
 * fails nobody else. A refresh takes along the owner's other keys that requests have used since the last one: any number
 * of keys in use costs one question to each owner. The table is bounded. A random entry goes first: a set of keys that
 * is a little larger than the table then still hits, where one in order of age never would.
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

/** A key whose snapshot is wanted, and the one that the isolate has, if any: it may be given again. */
export interface WantedKey<Value> {
  readonly key: string;
  readonly known: Value | undefined;
}

/** Where snapshots come from. */
export interface SnapshotSource<Value> {
  /** Who is asked for a key, for ever the same. */
  ownerOf(key: string): string | Promise<string>;
  /** Asks an owner. @returns the snapshots of the keys, in their order */
  load(
    env: Env,
    owner: string,
    wanted: readonly WantedKey<Value>[],
  ): Promise<readonly (Value | undefined)[]>;
}

/** One load of keys, for all requests that wait for one of them. */
interface SharedLoad {
  /** In milliseconds of the epoch. */
  readonly startedAt: number;
  state: "loading" | "loaded" | "failed";
}

interface Entry<Value> {
  readonly key: string;
  readonly owner: string;
  readonly snapshot: Value | undefined;
  /** When it was asked for, in milliseconds of the epoch: it is at least as new as that. */
  readonly at: number;
  /** A request has used it, so that the next refresh takes it along. */
  isUsed: boolean;
}

export class SnapshotCache<Value> {
  readonly #source: SnapshotSource<Value>;
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
    source: SnapshotSource<Value>,
    maxEntries: number,
    isNothing: (snapshot: Value) => boolean = () => false,
    random: () => number = Math.random,
  ) {
    this.#random = random;
    this.#source = source;
    this.#maxEntries = maxEntries;
    this.#isNothing = isNothing;
  }

  /** The snapshot under a key, from memory where that is young enough. */
  lookup(env: Env, context: ExecutionContext, key: string): Lookup<Value> | Promise<Lookup<Value>> {
    const entry = this.#find(key);
    if (entry?.snapshot === undefined || this.#isNothing(entry.snapshot)) {
      return this.lookupAgain(env, context, key);
    }
    entry.isUsed = true;
    const age = Date.now() - entry.at;
    if (age < FRESH_MS) return entry;
    if (age < USABLE_MS) {
      if (this.#sharedLoad(key) === undefined) {
        void this.#startLoad(env, context, this.#inUseWith(entry));
      }
      return entry;
    }
    return this.#lookupCold(env, context, key, entry);
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

  /** @param old the entry that is to be refreshed; undefined where no other key shall be taken along */
  async #lookupCold(
    env: Env,
    context: ExecutionContext,
    key: string,
    old?: Entry<Value>,
  ): Promise<Lookup<Value>> {
    const shared = this.#sharedLoad(key);
    if (shared === undefined) {
      const keys = old === undefined ? [key] : this.#inUseWith(old);
      const loaded = await withinWait(this.#startLoad(env, context, keys));
      return loaded === "loaded" ? this.#used(key) : { unavailable: true };
    }
    while (shared.state === "loading" && Date.now() - shared.startedAt < WAIT_MS) {
      await scheduler.wait(POLL_MS);
    }
    return shared.state === "loaded" ? this.#used(key) : { unavailable: true };
  }

  /** Gives a request the snapshot that was loaded. */
  #used(key: string): Lookup<Value> {
    const entry = this.#find(key);
    // Strangers ask for names that nobody has.
    if (entry?.snapshot !== undefined) entry.isUsed = true;
    return { snapshot: entry?.snapshot };
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

  /** The keys of an entry's owner that are in use, its own among them. */
  #inUseWith({ owner }: Entry<Value>): readonly string[] {
    return this.#table
      .filter((entry) => entry.owner === owner && entry.isUsed)
      .map(({ key }) => key)
      .filter((key) => this.#sharedLoad(key) === undefined);
  }

  /** Loads keys of one owner anew, for all who wait for them. */
  #startLoad(
    env: Env,
    context: ExecutionContext,
    keys: readonly string[],
  ): Promise<SharedLoad["state"]> {
    const load: SharedLoad = { startedAt: Date.now(), state: "loading" };
    for (const key of keys) this.#loads.set(key, load);
    const settle = (state: "loaded" | "failed"): SharedLoad["state"] => {
      load.state = state;
      for (const key of keys) if (this.#loads.get(key) === load) this.#loads.delete(key);
      return state;
    };
    const loading = this.#loadNow(env, keys).then(
      () => settle("loaded"),
      () => settle("failed"),
    );
    context.waitUntil(loading);
    return loading;
  }

  async #loadNow(env: Env, keys: readonly string[]): Promise<void> {
    const at = Date.now();
    const [first = ""] = keys;
    const owner = this.#find(first)?.owner ?? (await this.#source.ownerOf(first));
    const wanted = keys.map((key) => ({ key, known: this.#find(key)?.snapshot }));
    const snapshots = await this.#source.load(env, owner, wanted);
    for (const [index, key] of keys.entries()) {
      this.#remember({ key, owner, snapshot: snapshots[index], at, isUsed: false });
    }
  }

  #remember(entry: Entry<Value>): void {
    let place = this.#places.get(entry.key) ?? this.#table.length;
    if (place >= this.#maxEntries) {
      place = Math.floor(this.#random() * this.#maxEntries);
      this.#places.delete((this.#table[place] as Entry<Value>).key);
    }
    this.#table[place] = entry;
    this.#places.set(entry.key, place);
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
