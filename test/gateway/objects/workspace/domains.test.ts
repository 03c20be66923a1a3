import { env as bindings, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { MAX_DOMAINS } from "../../../../api/limits.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import type { DomainClaim } from "../../../../gateway/contracts/names.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import type {
  CustomHostnames,
  HostnameReport,
} from "../../../../gateway/objects/workspace/custom-hostnames.ts";
import type {
  DnsLookup,
  DnsQuestion,
} from "../../../../gateway/objects/workspace/dns-over-https.ts";
import { Domains } from "../../../../gateway/objects/workspace/domains.ts";
import { hostnameOf, otherForm } from "../../../../routing/domains.ts";
import { DOMAIN_TIMES, PENDING_MS } from "../../../../routing/domain-states.ts";

const env = bindings as unknown as Env;
const { graceMs, intervalMs } = DOMAIN_TIMES;

/** DNS and the registry of claims, for several workspaces. */
class World {
  readonly texts = new Map<string, string[]>();
  /** By name, of IPv4. */
  readonly addresses = new Map<string, string[]>();
  readonly claims = new Map<string, string>();
  isDown = false;
  isSilent = false;
  registryIsDown = false;
  hostnames: Platform | undefined;
  /** For proofs. */
  questions = 0;

  domains(sql: SqlStorage, workspace: string): Domains {
    return new Domains({
      sql,
      workspace,
      baseDomain: "gw.example:8443",
      proofOf: (domain) => Promise.resolve(`${workspace} has ${domain}`),
      lookUp: (question) =>
        this.isSilent ? new Promise(() => undefined) : Promise.resolve(this.#lookUp(question)),
      times: DOMAIN_TIMES,
      hostnames: this.hostnames,
      changed: () => undefined,
      claims: {
        claimDomain: (domain, owner, how) => this.#registry(() => this.#claim(domain, owner, how)),
        releaseDomain: (domain, owner) =>
          this.#registry(() => {
            if (this.claims.get(domain) === owner) this.claims.delete(domain);
          }),
        isClaimedBesides: (domain, owner) =>
          this.#registry(
            () =>
              ![undefined, owner].includes(this.claims.get(domain)) ||
              this.claims.has(otherForm(domain)),
          ),
      },
    });
  }

  #lookUp({ name, type }: DnsQuestion): DnsLookup {
    if (type === "TXT") this.questions += 1;
    if (this.isDown) return { unanswered: "could not be reached" };
    const had = { TXT: this.texts, A: this.addresses, AAAA: undefined }[type];
    return { values: had?.get(name) ?? [] };
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

/** A platform that serves a domain only while it has a hostname for it. */
class Platform implements CustomHostnames {
  readonly there = new Set<string>();
  report: HostnameReport = { detail: "", retryMs: undefined, isDone: true };
  onEnsured: () => Promise<void> = () => Promise.resolve();

  async ensure(domain: string): Promise<HostnameReport> {
    if (this.report.isDone) this.there.add(hostnameOf(domain).hostname);
    await this.onEnsured();
    return this.report;
  }

  remove(domain: string): Promise<HostnameReport> {
    if (this.report.isDone) this.there.delete(hostnameOf(domain).hostname);
    return Promise.resolve(this.report);
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

describe("the addresses of a domain", () => {
  const GATEWAY = "gw.example";
  const [FIRST, SECOND] = ["192.0.2.1", "192.0.2.2"] as const;
  const OWN = [FIRST, SECOND];

  test("that the gateway has are told with the records to set", async () => {
    world.addresses.set(GATEWAY, OWN);
    await withDomains(async (domains) => {
      const gatewayAddresses = OWN.map((value) => ({ type: "A", value }));
      expect(await added(domains, "example.com")).toMatchObject({
        value: { gatewayAddresses, address: null },
      });
    });
  });

  test.each([
    ["as the gateway's", OWN, ""],
    ["as one of the gateway's", [SECOND], ""],
    ["at none", [], "no address"],
    ["elsewhere", ["198.51.100.7"], "198.51.100.7"],
    ["here and elsewhere", [FIRST, "198.51.100.7"], "198.51.100.7"],
  ])("are compared when its owner asks: %s", async (_where, addresses, told) => {
    world.addresses.set(GATEWAY, OWN);
    world.addresses.set("example.com", addresses);
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      prove();
      const address =
        told === "" ? "" : `DNS has ${told} for example.com, and ${OWN.join(", ")} for ${GATEWAY}`;
      // A proxy of the owner's may stand between: the proof alone decides.
      expect(await domains.verify("example.com")).toMatchObject({
        value: { state: "verified", detail: "", address },
      });
      world.addresses.set("example.com", OWN);
      expect(await domains.verify("example.com")).toMatchObject({ value: { address: "" } });
    });
  });

  test.each([
    ["the resolver is down", () => (world.isDown = true)],
    ["the gateway has none that DNS knows", () => world.addresses.delete(GATEWAY)],
    ["a platform serves domains", () => (world.hostnames = new Platform())],
  ])("are not known where %s", async (_why, change) => {
    world.addresses.set(GATEWAY, OWN);
    world.addresses.set("example.com", ["198.51.100.7"]);
    change();
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      expect(await domains.verify("example.com")).toMatchObject({
        value: { address: null, gatewayAddresses: [] },
      });
    });
  });

  test("are not waited for where a domain is added and the resolver is silent", async () => {
    world.isSilent = true;
    await withDomains(async (domains) => {
      expect(await added(domains, "example.com")).toMatchObject({
        value: { gatewayAddresses: [] },
      });
    });
  });

  test("that were known are none any more when the resolver does not tell", async () => {
    world.addresses.set(GATEWAY, OWN);
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      await domains.verify("example.com");
      expect(stateOf(domains, "example.com")?.address).toMatch(/^DNS has no address/);
      world.isDown = true;
      expect(await domains.verify("example.com")).toMatchObject({ value: { address: null } });
    });
  });
});

describe("where a platform serves custom domains by hostnames of its own", () => {
  const WAITS = { detail: "it is pending", retryMs: 600_000, isDone: true };
  const DOWN = { detail: "it is down", retryMs: 600_000, isDone: false };
  let platform: Platform;
  beforeEach(() => {
    platform = new Platform();
    world.hostnames = platform;
  });

  test("a domain gets one when it is verified, and loses it when it is removed", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      expect(await domains.verify("example.com")).toMatchObject({ value: { hostname: null } });
      expect(platform.there).toEqual(new Set());
      prove();
      expect(await domains.verify("example.com")).toMatchObject({ value: { hostname: "" } });
      expect(platform.there).toEqual(new Set(["example.com"]));
      await domains.remove("example.com");
      expect(platform.there).toEqual(new Set());
    });
  });

  test("one that waits is told, and looked at again when the platform says", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      prove();
      platform.report = WAITS;
      const verified = { state: "verified", detail: "", hostname: "it is pending" };
      expect(await domains.verify("example.com")).toMatchObject({ value: verified });
      expect(domains.nextDue()).toBe(Date.now() + 600_000);
      pass(600_000);
      platform.report = { ...WAITS, detail: "", retryMs: undefined };
      await domains.lookAfter(Date.now());
      expect(stateOf(domains, "example.com")).toMatchObject({ hostname: "" });
      expect(domains.nextDue()).toBe(Date.now() + intervalMs);
    });
  });

  test("a platform that is down keeps no domain from being verified, and none is forgotten before its hostname", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      prove();
      platform.report = DOWN;
      expect(await domains.verify("example.com")).toMatchObject({
        value: { state: "verified", hostname: "it is down" },
      });
      expect(await domains.remove("example.com")).toEqual({
        ok: false,
        error: { code: "unavailable", detail: "it is down; the domain stays" },
      });
      expect(world.claims.get("example.com")).toBe("ecorp");
      expect(stateOf(domains, "example.com")).toMatchObject({ state: "verified" });
      platform.report = { ...DOWN, isDone: true };
      expect(await domains.remove("example.com")).toMatchObject({ ok: true });
    });
  });

  test("a domain that lapses loses its hostname, at the next look where the platform was down", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      prove();
      await domains.verify("example.com");
      world.texts.clear();
      pass(intervalMs);
      await domains.lookAfter(Date.now());
      pass(graceMs);
      platform.report = DOWN;
      await domains.lookAfter(Date.now());
      expect(platform.there).toEqual(new Set(["example.com"]));
      platform.report = { ...DOWN, isDone: true, detail: "" };
      vi.setSystemTime(domains.nextDue() as number);
      await domains.lookAfter(Date.now());
      expect(stateOf(domains, "example.com")).toMatchObject({ state: "lapsed", hostname: null });
      expect(platform.there).toEqual(new Set());
    });
  });

  test("one that another claim needs stays: another workspace's, or that of the wildcard", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      prove();
      await domains.verify("example.com");
      world.claims.set("*.example.com", "other");
      await domains.remove("example.com");
      expect(platform.there).toEqual(new Set(["example.com"]));
      world.claims.clear();
      await added(domains, "example.com");
      await domains.verify("example.com");
      world.claims.set("example.com", "other");
      pass(intervalMs);
      await domains.lookAfter(Date.now());
      expect(stateOf(domains, "example.com")).toMatchObject({ state: "lapsed" });
      expect(platform.there).toEqual(new Set(["example.com"]));
    });
  });

  async function servedWithWildcard(domains: Domains): Promise<void> {
    for (const domain of ["example.com", "*.example.com"]) {
      await added(domains, domain);
      world.texts.set(CHALLENGE, ["ecorp has example.com", "ecorp has *.example.com"]);
      expect(await domains.verify(domain)).toMatchObject({ value: { state: "verified" } });
    }
    expect(platform.there).toEqual(new Set(["example.com"]));
  }

  test("a name and its wildcard that are removed together leave none behind", async () => {
    await withDomains(async (domains) => {
      await servedWithWildcard(domains);
      const removed = [domains.remove("example.com"), domains.remove("*.example.com")];
      expect(await Promise.all(removed)).toMatchObject([{ ok: true }, { ok: true }]);
      expect(platform.there).toEqual(new Set());
      expect(domains.nextDue()).toBeUndefined();
    });
  });

  test("a name and its wildcard that lapse together leave none behind", async () => {
    await withDomains(async (domains) => {
      await servedWithWildcard(domains);
      world.texts.clear();
      pass(intervalMs);
      await domains.lookAfter(Date.now());
      pass(graceMs);
      await domains.lookAfter(Date.now());
      expect(stateOf(domains, "example.com")).toMatchObject({ state: "lapsed" });
      expect(stateOf(domains, "*.example.com")).toMatchObject({ state: "lapsed" });
      expect(platform.there).toEqual(new Set());
    });
  });

  test("a hostname whose last claim went while the platform was down goes later, after a restart too", async () => {
    await withDomains(async (domains, sql) => {
      await servedWithWildcard(domains);
      platform.report = DOWN;
      const removed = [domains.remove("example.com"), domains.remove("*.example.com")];
      expect(await Promise.all(removed)).toMatchObject([{ ok: true }, { ok: true }]);
      expect(platform.there).toEqual(new Set(["example.com"]));
      const restarted = world.domains(sql, "ecorp");
      platform.report = { ...DOWN, detail: "", isDone: true };
      pass(600_000);
      expect(restarted.nextDue()).toBe(Date.now());
      await restarted.lookAfter(Date.now());
      expect(platform.there).toEqual(new Set());
      expect(restarted.nextDue()).toBeUndefined();
    });
  });

  test("a hostname that waits to go stays where the domain is verified again meanwhile", async () => {
    await withDomains(async (domains) => {
      await servedWithWildcard(domains);
      platform.report = DOWN;
      await Promise.all([domains.remove("example.com"), domains.remove("*.example.com")]);
      platform.report = { ...DOWN, detail: "", isDone: true };
      await added(domains, "example.com");
      await domains.verify("example.com");
      pass(600_000);
      await domains.lookAfter(Date.now());
      expect(platform.there).toEqual(new Set(["example.com"]));
    });
  });

  test("a domain that is removed while its hostname is made leaves none behind", async () => {
    await withDomains(async (domains) => {
      await added(domains, "example.com");
      prove();
      platform.onEnsured = async () => void (await domains.remove("example.com"));
      await domains.verify("example.com");
      expect(platform.there).toEqual(new Set());
    });
  });
});
