/**
 * Routes: which endpoint has a host name, from the isolate's memory or its `Names` object. A stranger who tries
 * names costs one object call per name, and nothing that stays.
 */
import { namesShard } from "../../contracts/stubs.ts";
import { type Snapshot, type StoppedName } from "../../contracts/names.ts";
import type { Env } from "../../contracts/env.ts";
import { type Lookup, SnapshotCache } from "./snapshot-cache.ts";

const MAX_NAMES = 10_000;

const names = new SnapshotCache<Snapshot | StoppedName>(
  async (env, name) => await (await namesShard(env, name)).lookup(name),
  MAX_NAMES,
  (snapshot) => "stopped" in snapshot,
);

/** The snapshot of a name, from memory where that is young enough. */
export function lookup(
  env: Env,
  context: ExecutionContext,
  name: string,
): Lookup<Snapshot | StoppedName> | Promise<Lookup<Snapshot | StoppedName>> {
  return names.lookup(env, context, name);
}

/** The same, newer than what made the caller doubt it. */
export function lookupAgain(
  env: Env,
  context: ExecutionContext,
  name: string,
): Lookup<Snapshot | StoppedName> | Promise<Lookup<Snapshot | StoppedName>> {
  return names.lookupAgain(env, context, name);
}
