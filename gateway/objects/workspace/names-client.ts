/** The `Names` objects as one: each name is asked for at its shard. */
import type { Env } from "../../contracts/env.ts";
import { namesShard } from "../../contracts/stubs.ts";
import type { NamesClient } from "./app-names.ts";
import type { DomainClaims } from "./domains-deps.ts";

export function namesClient(env: Env): NamesClient & DomainClaims {
  const shard = async (name: string) => await namesShard(env, name);
  return {
    reserve: async (name, claimant, untilMs) =>
      await (await shard(name)).reserve(name, claimant, untilMs),
    commit: async (name, claimant, snapshot) =>
      await (await shard(name)).commit(name, claimant, snapshot),
    cancelReservation: async (name, owner) =>
      await (await shard(name)).cancelReservation(name, owner),
    release: async (name, owner) => await (await shard(name)).release(name, owner),
    stop: async (name, owner) => await (await shard(name)).stop(name, owner),
    claimDomain: async (domain, workspace, how) =>
      await (await shard(domain)).claimDomain(domain, workspace, how),
    releaseDomain: async (domain, workspace) =>
      await (await shard(domain)).releaseDomain(domain, workspace),
    isClaimedBesides: async (domain, workspace) =>
      await (await shard(domain)).isClaimedBesides(domain, workspace),
  };
}
