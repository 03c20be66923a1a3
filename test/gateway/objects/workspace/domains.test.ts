import { env as bindings, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { MAX_DOMAINS } from "../../../../api/limits.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import type { DomainClaim } from "../../../../gateway/contracts/names.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import type { TxtLookup } from "../../../../gateway/objects/workspace/dns-over-https.ts";
import { Domains } from "../../../../gateway/objects/workspace/domains.ts";
import { DOMAIN_TIMES, PENDING_MS } from "../../../../routing/domain-states.ts";

const env = bindings as unknown as Env;
const { graceMs, intervalMs } = DOMAIN_TIMES;

/** DNS and the registry of claims, for several workspaces. */
class World {
  readonly texts = new Map<string, string[]>();
  readonly claims = new Map<string, string>();
  isDown = false;
  registryIsDown = false;
  questions = 0;

  domains(sql: SqlStorage, workspace: string): Domains {
    return new Domains({
      sql,
      workspace,
      baseDomain: "gw.example:8443",
      proofOf: (domain) => Promise.resolve(`${workspace} has ${domain}`),
      lookUp: (name) => Promise.resolve(this.#lookUp(name)),
      times: DOMAIN_TIMES,
      changed: () => undefined,
      claims: {
        claimDomain: (domain, owner, how) => this.#registry(() => this.#claim(domain, owner, how)),
        releaseDomain: (domain, owner) =>
          this.#registry(() => {
            if (this.claims.get(domain) === owner) this.claims.delete(domain);
          }),
      },
    });
  }

  #lookUp(name: string): TxtLookup {
    this.questions += 1;
    return this.isDown
      ? { unanswered: "could not be reached" }
      : { texts: this.texts.get(name) ?? [] };
  }

  #claim(domain: string, owner: string, how: DomainClaim): boolean {
    if (how === "take" || !this.claims.has(domain)) this.claims.set(domain, owner);
    return this.claims.get(domain) === owner;
  }

  async #registry<Value>(work: () => Value): Promise<Value> {
    if (this.registryIsDown) throw new Error("no answer");
    return await Promise.resolve(work());
  }
}

let objects = 0;
let world: World;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: 1_800_000_000_000 });
  world = new World();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Runs with the domains of workspace "ecorp", whose database is empty. */
async function withDomains(
  work: (domains: Domains, sql: SqlStorage) => Promise<void>,
): Promise<void> {
  objects += 1;
  await runInDurableObject(
    workspaceStub(env, `domains-${objects}`),
    async (_object, { storage }) => {
      await work(world.domains(storage.sql, "ecorp"), storage.sql);
    },
  );
}

async function added(domains: Domains, domain: string) {
  return await domains.add(domain, "ak-1", Date.now());
}

function stateOf(domains: Domains, domain: string) {
  const { items } = domains.list({ limit: 100 });
  return items.find((item) => item.domain === domain);
}

function pass(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

const CHALLENGE = "_postern-challenge.example.com";

function prove(): void {
  world.texts.set(CHALLENGE, ["v=spf1 -all", "ecorp has example.com"]);
}

describe("a domain", () => {
  test("is pending when it is added, and says what proves it; again changes nothing", async () => {
    await withDomains(async (domains) => {
      const first = await added(domains, "Example.COM");
      expect(first).toMatchObject({
        ok: true,
        value: {
          domain: "example.com",
          state: "pending",
          proof: { name: CHALLENGE, value: "ecorp has example.com" },
        },
      });
      pass(1_000);
      expect(await added(domains, "example.com")).toEqual(first);
      expect(world.claims.size).toBe(0);
    });
  });

  test.each(["com", "192.0.2.1", "a.gw.example", "*.gw.example", "gw.example", "bücher.example"])(
    "is refused: %s",
    async (domain) => {
      await withDomains(async (domains) => {
        expect(await added(domains, domain)).toMatchObject({
          ok: false,
          error: { code: "bad_request" },
        });
      });
    },
  );

  test("is verified by its record among others, and claimed", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      const before = await domains.verify("example.com");
      expect(before).toMatchObject({ value: { state: "pending", detail: /no TXT record/ } });
      prove();
      expect(await domains.verify("EXAMPLE.com")).toMatchObject({
        value: { state: "verified", detail: "", verifiedAt: Date.now() },
      });
      expect(world.claims.get("example.com")).toBe("ecorp");
    });
  });

  test("is not proved by another workspace's record, nor by the one for its wildcard", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      world.texts.set(CHALLENGE, ["other has example.com", "ecorp has *.example.com"]);
      expect(await domains.verify("example.com")).toMatchObject({ value: { state: "pending" } });
      expect(world.claims.size).toBe(0);
    });
  });

  test("that is pending is asked about by itself, ever less often, and fails in the end", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      const start = Date.now();
      let state = stateOf(domains, "example.com");
      while (state?.state === "pending") {
        const due = domains.nextDue() ?? Number.NaN;
        vi.setSystemTime(due - 1);
        const asked = world.questions;
        await domains.lookAfter(Date.now());
        expect(world.questions).toBe(asked);
        vi.setSystemTime(due);
        await domains.lookAfter(due);
        expect(world.questions).toBe(asked + 1);
        state = stateOf(domains, "example.com");
      }
      expect(state?.state).toBe("failed");
      expect(Date.now() - start).toBeGreaterThanOrEqual(PENDING_MS);
      expect(world.questions).toBeLessThan(100);
      expect(domains.nextDue()).toBeUndefined();
      // Its owner may still ask.
      prove();
      expect(await domains.verify("example.com")).toMatchObject({ value: { state: "verified" } });
    });
  });

  test("lapses when its proof has been gone for the grace, and gives its claim back; the proof brings it back", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      prove();
      await domains.verify("example.com");
      world.texts.clear();
      pass(intervalMs);
      await domains.lookAfter(Date.now());
      const missed = Date.now();
      expect(stateOf(domains, "example.com")).toMatchObject({
        state: "verified",
        missingSince: missed,
        lapsesAt: missed + graceMs,
      });
      pass(graceMs - 1);
      await domains.lookAfter(Date.now());
      expect(world.claims.get("example.com")).toBe("ecorp");
      vi.setSystemTime(domains.nextDue() as number);
      await domains.lookAfter(Date.now());
      expect(stateOf(domains, "example.com")).toMatchObject({
        state: "lapsed",
        lapsesAt: null,
      });
      expect(world.claims.size).toBe(0);
      prove();
      vi.setSystemTime(domains.nextDue() as number);
      await domains.lookAfter(Date.now());
      expect(stateOf(domains, "example.com")).toMatchObject({
        state: "verified",
        detail: "",
      });
      expect(world.claims.get("example.com")).toBe("ecorp");
    });
  });

  test("stays verified while the resolver is down", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      prove();
      await domains.verify("example.com");
      world.isDown = true;
      for (let round = 0; round < 20; round++) {
        pass(graceMs);
        await domains.lookAfter(Date.now());
      }
      expect(stateOf(domains, "example.com")).toMatchObject({ state: "verified" });
      expect(world.claims.get("example.com")).toBe("ecorp");
    });
  });

  test("that another workspace has proved since lapses at the next question, and is never taken back by itself", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      prove();
      await domains.verify("example.com");
      world.claims.set("example.com", "other");
      pass(intervalMs);
      await domains.lookAfter(Date.now());
      expect(stateOf(domains, "example.com")).toMatchObject({
        state: "lapsed",
        detail: /another workspace/,
      });
      pass(intervalMs);
      await domains.lookAfter(Date.now());
      expect(world.claims.get("example.com")).toBe("other");
      expect(await domains.verify("example.com")).toMatchObject({ value: { state: "verified" } });
      expect(world.claims.get("example.com")).toBe("ecorp");
    });
  });

  test("that is removed gives its claim back, also where a check was under way", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      prove();
      await Promise.all([domains.verify("example.com"), domains.remove("example.com")]);
      expect(world.claims.size).toBe(0);
      expect(stateOf(domains, "example.com")).toBeUndefined();
      expect(await domains.remove("example.com")).toMatchObject({ error: { code: "not_found" } });
      expect(await domains.verify("example.com")).toMatchObject({ error: { code: "not_found" } });
    });
  });

  test("changes nothing while the registry of names is down, and is asked about again", async () => {
    vi.spyOn(console, "error").mockReturnValue(undefined);
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      prove();
      world.registryIsDown = true;
      expect(await domains.verify("example.com")).toMatchObject({ value: { state: "pending" } });
      await expect(domains.remove("example.com")).rejects.toThrow("no answer");
      world.registryIsDown = false;
      vi.setSystemTime(domains.nextDue() as number);
      await domains.lookAfter(Date.now());
      expect(stateOf(domains, "example.com")).toMatchObject({ state: "verified" });
    });
  });

  test("is one of a bounded number, and one alarm asks about a bounded number of them", async () => {
    await withDomains(async (domains) => {
      for (let index = 0; index < MAX_DOMAINS; index++) await added(domains, `d${index}.example`);
      expect(await added(domains, "more.example")).toMatchObject({
        error: { code: "conflict", detail: /100 domains/ },
      });
      expect(await added(domains, "d7.example")).toMatchObject({ ok: true });
      pass(60_000);
      let rounds = 0;
      while ((domains.nextDue() ?? Number.POSITIVE_INFINITY) <= Date.now()) {
        const before = world.questions;
        await domains.lookAfter(Date.now());
        expect(world.questions - before).toBeLessThanOrEqual(10);
        rounds += 1;
      }
      expect(rounds).toBe(MAX_DOMAINS / 10);
    });
  });
});
