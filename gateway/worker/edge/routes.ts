/**
 * Routes: which endpoint has a host name, from the isolate's memory or its `Names` object. A stranger who tries
 * names costs one object call per name, and nothing that stays. Hosts outside the base domain, which anybody may
 * send, have a table of their own: they push no endpoint's name out of the memory.
 */
import { namesShard } from "../../contracts/stubs.ts";
import { type Snapshot, type StoppedName } from "../../contracts/names.ts";
import type { Env } from "../../contracts/env.ts";
import { type Lookup, SnapshotCache } from "./snapshot-cache.ts";

const MAX_NAMES = 10_000;
const MAX_HOSTS = 5_000;

const names = new SnapshotCache<Snapshot | StoppedName>(
  async (env, name) => await (await namesShard(env, name)).lookup(name),
  MAX_NAMES,
  (snapshot) => "stopped" in snapshot,
);

const hosts = new SnapshotCache<Snapshot | StoppedName>(
  async (env, host) => await (await namesShard(env, host)).lookupHost(host),
  MAX_HOSTS,
  (snapshot) => "stopped" in snapshot,
);

/** A host has a dot, and a name has none. */
const tableOf = (name: string) => (name.includes(".") ? hosts : names);

/** The snapshot of a name or of a host outside the base domain, from memory where that is young enough. */
export function lookup(
  env: Env,
  context: ExecutionContext,
  name: string,
): Lookup<Snapshot | StoppedName> | Promise<Lookup<Snapshot | StoppedName>> {
  return tableOf(name).lookup(env, context, name);
}

/** The same, newer than what made the caller doubt it. */
export function lookupAgain(
  env: Env,
  context: ExecutionContext,
  name: string,
): Lookup<Snapshot | StoppedName> | Promise<Lookup<Snapshot | StoppedName>> {
  return tableOf(name).lookupAgain(env, context, name);
}
