/**
 * An isolate's memory of what an object owns: younger than 3 s a snapshot is used as it is; up to 5 s it
 * is used and refreshed behind the request; older, the request waits for a fresh one, at most 1 s. So a
 * warm request asks nobody, and whatever changes is everywhere within 5 s. That a key has nothing is
 * remembered for half a second: who asks again waits for what comes next. The table is bounded: what was
 * refreshed longest ago goes first.
 */
import type { Env } from "../../contracts/env.ts";

const FRESH_MS = 3_000;
const USABLE_MS = 5_000;
const WAIT_MS = 1_000;
/**
 * Who has reason to doubt a snapshot, or found nothing, gets a newer one; but nobody is asked more often
 * than this.
 */
const DOUBTED_MS = 500;

export type Lookup<Value> = { snapshot: Value | undefined } | { unavailable: true };

/** Asks the owner. `known` is the value that the isolate has, if any: it may be returned unchanged. */
export type Load<Value> = (
  env: Env,
  key: string,
  known: Value | undefined,
) => Promise<Value | undefined>;

interface Entry<Value> {
  readonly snapshot: Value | undefined;
  /** When it was asked for, in milliseconds of the epoch: it is at least as new as that. */
  readonly at: number;
  refreshing: Promise<void> | undefined;
}

export class SnapshotCache<Value> {
  readonly #load: Load<Value>;
  readonly #maxEntries: number;
  readonly #isNothing: (snapshot: Value) => boolean;
  readonly #entries = new Map<string, Entry<Value>>();

  /** @param isNothing whether a snapshot says that there is nothing, as its absence does */
  constructor(
    load: Load<Value>,
    maxEntries: number,
    isNothing: (snapshot: Value) => boolean = () => false,
  ) {
    this.#load = load;
    this.#maxEntries = maxEntries;
    this.#isNothing = isNothing;
  }

  /** The snapshot under a key, from memory where that is young enough. */
  lookup(env: Env, context: ExecutionContext, key: string): Lookup<Value> | Promise<Lookup<Value>> {
    const entry = this.#entries.get(key);
    if (entry?.snapshot === undefined || this.#isNothing(entry.snapshot)) {
      return this.lookupAgain(env, key);
    }
    const age = Date.now() - entry.at;
    if (age < FRESH_MS) return entry;
    if (age < USABLE_MS) {
      if (entry.refreshing === undefined) {
        entry.refreshing = this.#refresh(env, key).catch(() => undefined);
        context.waitUntil(entry.refreshing);
      }
      return entry;
    }
    return this.#lookupCold(env, key);
  }

  /** The same for who has reason to doubt what the isolate remembers: younger than half a second. */
  lookupAgain(env: Env, key: string): Lookup<Value> | Promise<Lookup<Value>> {
    const entry = this.#entries.get(key);
    if (entry !== undefined && Date.now() - entry.at < DOUBTED_MS) return entry;
    return this.#lookupCold(env, key);
  }

  async #lookupCold(env: Env, key: string): Promise<Lookup<Value>> {
    const refreshed = await withinWait(this.#refresh(env, key));
    return refreshed === "late"
      ? { unavailable: true }
      : { snapshot: this.#entries.get(key)?.snapshot };
  }

  async #refresh(env: Env, key: string): Promise<void> {
    const at = Date.now();
    const snapshot = await this.#load(env, key, this.#entries.get(key)?.snapshot);
    if ((this.#entries.get(key)?.at ?? 0) > at) return;
    // Insertion order is age: the entry that was refreshed longest ago is the first to go.
    this.#entries.delete(key);
    this.#entries.set(key, { snapshot, at, refreshing: undefined });
    if (this.#entries.size > this.#maxEntries) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
  }
}

/** What an object answers, or "late" when it takes longer than a request may wait, or breaks. */
export async function withinWait<Value>(answer: Promise<Value>): Promise<Value | "late"> {
  let timer: number | null = null;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, WAIT_MS, "late");
  });
  try {
    return await Promise.race([answer, late]);
  } catch {
    return "late";
  } finally {
    clearTimeout(timer);
  }
}
