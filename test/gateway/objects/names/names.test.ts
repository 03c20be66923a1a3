import { env as bindings, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { Env } from "../../../../gateway/contracts/env.ts";
import { Names, NAMES_MIGRATIONS } from "../../../../gateway/objects/names/names.ts";
import { namesShard } from "../../../../gateway/contracts/stubs.ts";
import { type Snapshot } from "../../../../gateway/contracts/names.ts";
import type { AppKind, Claimant } from "../../../../routing/claims.ts";
import { domainRoute } from "../../../../routing/domains.ts";

const env = bindings as unknown as Env;

const RESERVED_MS = 600_000;

let names = 0;
let name: string;
let shard: Awaited<ReturnType<typeof namesShard>>;

function claimant(owner: string, kind: AppKind = "deployed", startedAt = 1): Claimant {
  return { owner, workspace: "ecorp", kind, startedAt };
}

function snapshot(appId: string): Snapshot {
  return {
    workspace: "ecorp",
    environment: "main",
    app: "demo",
    appId,
    boxes: [{ box: "gpu-1", links: 1 }],
    endpoint: "main/demo/f",
    settings: { timeout: 300, resultTtl: 3600 },
  };
}

async function reserve(claim: Claimant) {
  return await shard.reserve(name, claim, Date.now() + RESERVED_MS);
}

async function commit(claim: Claimant) {
  return await shard.commit(name, claim, snapshot(claim.owner));
}

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  names += 1;
  name = `ecorp--names-${names}`;
  shard = await namesShard(env, name);
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a reservation", () => {
  test("is nobody to the edge, and keeps others away", async () => {
    expect(await reserve(claimant("ap-1"))).toBeUndefined();
    expect(await shard.lookup(name)).toBeUndefined();
    expect(await reserve(claimant("ap-2"))).toEqual({ owner: "ap-1", kind: "deployed" });
    expect(await commit(claimant("ap-2"))).toEqual({ owner: "ap-1", kind: "deployed" });
    expect(await commit(claimant("ap-1"))).toBeUndefined();
    expect(await shard.lookup(name)).toMatchObject({ appId: "ap-1" });
  });

  test("ends by itself, or when it is cancelled", async () => {
    await reserve(claimant("ap-1"));
    vi.setSystemTime(Date.now() + RESERVED_MS - 1);
    expect(await reserve(claimant("ap-2"))).toBeDefined();
    vi.setSystemTime(Date.now() + 1);
    expect(await reserve(claimant("ap-2"))).toBeUndefined();
    await shard.cancelReservation(name, "ap-1");
    expect(await reserve(claimant("ap-1"))).toBeDefined();
    await shard.cancelReservation(name, "ap-2");
    expect(await reserve(claimant("ap-1"))).toBeUndefined();
  });

  test("leaves whoever holds the name as they are", async () => {
    await commit(claimant("ap-dev", "ephemeral"));
    expect(await reserve(claimant("ap-1"))).toBeUndefined();
    expect(await shard.lookup(name)).toMatchObject({ appId: "ap-dev" });
    expect(await commit(claimant("ap-dev", "ephemeral"))).toBeUndefined();
    expect(await commit(claimant("ap-newer", "ephemeral", 2))).toBeDefined();
    expect(await commit(claimant("ap-1"))).toBeUndefined();
    expect(await shard.lookup(name)).toMatchObject({ appId: "ap-1" });
  });
});

describe("a name", () => {
  test("that is stopped says so, until somebody takes it", async () => {
    await commit(claimant("ap-1"));
    await shard.stop(name, "ap-2");
    expect(await shard.lookup(name)).toMatchObject({ appId: "ap-1" });
    await shard.stop(name, "ap-1");
    expect(await shard.lookup(name)).toEqual({ stopped: true });
    expect(await reserve(claimant("ap-2"))).toBeUndefined();
    expect(await shard.lookup(name)).toEqual({ stopped: true });
    expect(await commit(claimant("ap-2"))).toBeUndefined();
    expect(await shard.lookup(name)).toMatchObject({ appId: "ap-2" });
  });

  test("is given back by its app alone", async () => {
    await commit(claimant("ap-1"));
    await shard.release(name, "ap-2");
    expect(await commit(claimant("ap-2"))).toEqual({ owner: "ap-1", kind: "deployed" });
    await shard.release(name, "ap-1");
    expect(await shard.lookup(name)).toBeUndefined();
    expect(await commit(claimant("ap-2"))).toBeUndefined();
  });

  test("taken by a newer ephemeral app does not go back to the older one", async () => {
    await commit(claimant("ap-old", "ephemeral", 1));
    expect(await commit(claimant("ap-new", "ephemeral", 2))).toBeUndefined();
    expect(await commit(claimant("ap-old", "ephemeral", 1))).toEqual({
      owner: "ap-new",
      kind: "ephemeral",
    });
    expect(await shard.lookup(name)).toMatchObject({ appId: "ap-new" });
  });

  test.each(["reserve", "commit"] as const)(
    "that 100 apps want at once goes to one of them: %s",
    async (way) => {
      const apps = Array.from({ length: 100 }, (_, index) => claimant(`ap-${index}`));
      const answers = await Promise.all(apps.map(way === "reserve" ? reserve : commit));
      const winners = apps.filter((_, index) => answers[index] === undefined);
      expect(winners).toHaveLength(1);
      const [{ owner }] = winners as [Claimant];
      const losers = answers.filter((answer) => answer !== undefined);
      expect(losers).toEqual(Array.from({ length: 99 }, () => ({ owner, kind: "deployed" })));
    },
  );
});

test("names from before their table had steps are given up, for the boxes announce them again", async () => {
  await runInDurableObject(shard, async (_instance, state) => {
    const { sql } = state.storage;
    for (const table of ["names", "reservations", "domains", "migrations"]) {
      sql.exec(`DROP TABLE ${table}`);
    }
    sql.exec(
      "CREATE TABLE names (name TEXT PRIMARY KEY, owner TEXT NOT NULL, snapshot TEXT NOT NULL) WITHOUT ROWID",
    );
    sql.exec("INSERT INTO names VALUES (?, 'local/box-1', '{}')", name);
    const restarted = new Names(state, env);
    expect(restarted.lookup(name)).toBeUndefined();
    expect(restarted.commit(name, claimant("ap-1"), snapshot("ap-1"))).toBeUndefined();
    const again = new Names(state, env);
    expect(again.lookup(name)).toMatchObject({ appId: "ap-1" });
    const versions = sql.exec("SELECT version FROM migrations").toArray();
    expect(versions).toHaveLength(NAMES_MIGRATIONS.length);
  });
});

describe("a host outside the base domain", () => {
  let domain: string;
  beforeEach(async () => {
    domain = `names-${names}.example`;
    shard = await namesShard(env, domain);
  });

  /** An app of a workspace that serves at a domain. */
  async function serves(workspace: string, at: string, owner: string): Promise<void> {
    const claim: Claimant = { owner, workspace, kind: "deployed", startedAt: 1 };
    const route = domainRoute(workspace, at);
    expect(await shard.commit(route, claim, { ...snapshot(owner), workspace })).toBeUndefined();
  }

  test("is served by the app of the workspace that has proved it, and by nobody before", async () => {
    await serves("ecorp", domain, "ap-1");
    expect(await shard.lookupHost(domain)).toBeUndefined();
    expect(await shard.claimDomain(domain, "ecorp", "take")).toBe(true);
    expect(await shard.lookupHost(domain)).toMatchObject({ appId: "ap-1" });
    await shard.releaseDomain(domain, "other");
    expect(await shard.lookupHost(domain)).toMatchObject({ appId: "ap-1" });
    await shard.releaseDomain(domain, "ecorp");
    expect(await shard.lookupHost(domain)).toBeUndefined();
  });

  test("is claimed besides a workspace by another one, or as its other form by anybody", async () => {
    const besides = async (at: string) => await shard.isClaimedBesides(at, "ecorp");
    await shard.claimDomain(domain, "ecorp", "take");
    expect(await besides(domain)).toBe(false);
    expect(await besides(`*.${domain}`)).toBe(true);
    await shard.claimDomain(domain, "other", "take");
    expect(await besides(domain)).toBe(true);
    await shard.releaseDomain(domain, "other");
    await shard.claimDomain(`*.${domain}`, "ecorp", "take");
    expect([await besides(domain), await besides(`*.${domain}`)]).toEqual([true, false]);
  });

  test("moves with a new proof alone, and with it at once", async () => {
    await serves("ecorp", domain, "ap-1");
    await serves("other", domain, "ap-2");
    await shard.claimDomain(domain, "ecorp", "renew");
    expect(await shard.claimDomain(domain, "other", "renew")).toBe(false);
    expect(await shard.lookupHost(domain)).toMatchObject({ appId: "ap-1" });
    expect(await shard.claimDomain(domain, "other", "take")).toBe(true);
    expect(await shard.lookupHost(domain)).toMatchObject({ appId: "ap-2" });
    expect(await shard.claimDomain(domain, "ecorp", "renew")).toBe(false);
  });

  test("is served by its exact name before a wildcard, whose star is one label deep", async () => {
    await serves("ecorp", `*.${domain}`, "ap-wild");
    await serves("ecorp", `a.${domain}`, "ap-exact");
    await shard.claimDomain(`*.${domain}`, "ecorp", "take");
    expect(await shard.lookupHost(`b.${domain}`)).toMatchObject({ appId: "ap-wild" });
    // Names below a proved wildcard are its owner's.
    expect(await shard.lookupHost(`a.${domain}`)).toMatchObject({ appId: "ap-exact" });
    expect(await shard.lookupHost(domain)).toBeUndefined();
    expect(await shard.lookupHost(`a.b.${domain}`)).toBeUndefined();
  });

  test("that one workspace has proved is not served by another one's wildcard", async () => {
    await serves("other", `*.${domain}`, "ap-wild");
    await shard.claimDomain(`*.${domain}`, "other", "take");
    expect(await shard.lookupHost(`a.${domain}`)).toMatchObject({ appId: "ap-wild" });
    await shard.claimDomain(`a.${domain}`, "ecorp", "take");
    expect(await shard.lookupHost(`a.${domain}`)).toBeUndefined();
    await serves("ecorp", `a.${domain}`, "ap-exact");
    expect(await shard.lookupHost(`a.${domain}`)).toMatchObject({ appId: "ap-exact" });
    expect(await shard.lookupHost(`b.${domain}`)).toMatchObject({ appId: "ap-wild" });
  });

  test("says that its app was stopped", async () => {
    await serves("ecorp", domain, "ap-1");
    await shard.claimDomain(domain, "ecorp", "take");
    await shard.stop(domainRoute("ecorp", domain), "ap-1");
    expect(await shard.lookupHost(domain)).toEqual({ stopped: true });
  });
});
