/**
 * Routes: which endpoint has a host name, from the isolate's memory or its `Names` object. A stranger who tries
 * names costs one object call per name, and nothing that stays. Hosts outside the base domain, which anybody may
 * send, have a table of their own: they push no endpoint's name out of the memory.
 */
import { namesShardOf, shardStub } from "../../contracts/stubs.ts";
import { type Snapshot, type StoppedName } from "../../contracts/names.ts";
import type { Env } from "../../contracts/env.ts";
import { type Lookup, SnapshotCache, type SnapshotSource } from "./snapshot-cache.ts";

const MAX_NAMES = 10_000;
const MAX_HOSTS = 5_000;

const shards: SnapshotSource<Snapshot | StoppedName> = {
  ownerOf: namesShardOf,
  load: async (env, shard, wanted) =>
    await shardStub(env, shard).lookup(wanted.map(({ key }) => key)),
};
const isStopped = (snapshot: Snapshot | StoppedName) => "stopped" in snapshot;

const names = new SnapshotCache(shards, MAX_NAMES, isStopped);
const hosts = new SnapshotCache(shards, MAX_HOSTS, isStopped);

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
