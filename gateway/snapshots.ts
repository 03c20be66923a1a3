/**
 * The isolate's memory of names: younger than 3 s a snapshot is used as it is; up to 5 s it is used and
 * refreshed behind the request; older, the request waits for a fresh one, at most 1 s. So a warm request
 * asks nobody, and whatever changes is everywhere within 5 s. Misses are remembered for 5 s, in a bounded
 * table: a stranger who tries names costs one object call per name and nothing that stays.
 */
import { type Snapshot, namesShard } from "./names.ts";
import type { Env } from "./env.ts";

const FRESH_MS = 3_000;
const USABLE_MS = 5_000;
const WAIT_MS = 1_000;
const MAX_NAMES = 10_000;

interface Entry {
  snapshot: Snapshot | undefined;
  at: number;
  refreshing: Promise<void> | undefined;
}

const entries = new Map<string, Entry>();

export type Lookup = { snapshot: Snapshot | undefined } | { unavailable: true };

/** The snapshot of a name, from memory where that is young enough. */
export function lookup(
  env: Env,
  context: ExecutionContext,
  name: string,
): Lookup | Promise<Lookup> {
  const entry = entries.get(name);
  if (entry === undefined) return lookupCold(env, name);
  const age = Date.now() - entry.at;
  if (age < FRESH_MS || (entry.snapshot === undefined && age < USABLE_MS)) return entry;
  if (age < USABLE_MS) {
    if (entry.refreshing === undefined) {
      entry.refreshing = refresh(env, name).catch(() => undefined);
      context.waitUntil(entry.refreshing);
    }
    return entry;
  }
  return lookupCold(env, name);
}

async function lookupCold(env: Env, name: string): Promise<Lookup> {
  let timer: number | null = null;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, WAIT_MS, "late");
  });
  try {
    if ((await Promise.race([refresh(env, name), late])) === "late") return { unavailable: true };
  } catch {
    return { unavailable: true };
  } finally {
    clearTimeout(timer);
  }
  return { snapshot: entries.get(name)?.snapshot };
}

async function refresh(env: Env, name: string): Promise<void> {
  const shard = await namesShard(env, name);
  const snapshot = await shard.lookup(name);
  // Insertion order is age: the entry that was refreshed longest ago is the first to go.
  entries.delete(name);
  entries.set(name, { snapshot, at: Date.now(), refreshing: undefined });
  if (entries.size > MAX_NAMES) {
    for (const oldest of entries.keys()) {
      entries.delete(oldest);
      break;
    }
  }
}
