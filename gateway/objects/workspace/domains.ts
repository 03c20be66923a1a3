/**
 * The custom domains of one workspace. DNS proves a domain, `Names` holds the claim of the workspace that proved it
 * last, and this class asks DNS again at intervals. routing/domain-states.ts decides what an answer means.
 *
 * A claim and its row are in two objects. The claim is given back before a row stops being `verified`, and a row that
 * cannot be told of stays as it is, to be looked at again.
 */
import { err, ok, type Result } from "../../../base/result.ts";
import { within } from "../../../base/runtime/within.ts";
import { MAX_DOMAINS } from "../../../api/limits.ts";
import { challengeName, isAmong, ownedByGateway, parseDomain } from "../../../routing/domains.ts";
import {
  type DomainEvidence,
  type DomainState,
  judgeDomain,
} from "../../../routing/domain-states.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import type { DomainClaim } from "../../contracts/names.ts";
import { type DomainInfo, noDomain } from "../../contracts/workspace/domains.ts";
import type { Page, PageRequest } from "../../contracts/workspace/pages.ts";
import type { HostnameReport } from "./custom-hostnames.ts";
import { DomainAddresses } from "./domain-addresses.ts";
import type { DomainsDeps } from "./domains-deps.ts";
import { pageOf } from "../pages.ts";
import { ReleasedHostnames } from "./released-hostnames.ts";

/** Domains that one alarm asks about. The next alarm follows at once. */
const BATCH = 10;

/** When a claim could not be told of. */
const CLAIM_RETRY_MS = 60_000;

/** Adding a domain waits no longer for addresses that it only shows. */
const ADDRESSES_MS = 1_000;

type Row = {
  number: number;
  domain: string;
  proof: string;
  state: DomainState;
  detail: string;
  created_at: number;
  created_by: string;
  verified_at: number | null;
  checked_at: number | null;
  missing_since: number | null;
  check_at: number | null;
};

interface ProofFinding {
  readonly evidence: DomainEvidence;
  readonly detail: string;
}

export class Domains {
  readonly #deps: DomainsDeps;
  readonly #sql: SqlStorage;
  /** The platform's last word on each domain's hostname; for people alone, so that no object's end matters. */
  readonly #hostnames = new Map<string, string>();
  readonly #released: ReleasedHostnames;
  readonly #addresses: DomainAddresses;
  #looking = false;

  constructor(deps: DomainsDeps) {
    this.#deps = deps;
    this.#sql = deps.sql;
    this.#addresses = new DomainAddresses(deps);
    this.#released = new ReleasedHostnames(
      deps,
      (domain) => this.#find(domain)?.state === "verified",
    );
  }

  list({ limit, cursor }: PageRequest): Page<DomainInfo> {
    const rows = this.#sql
      .exec<Row>(
        "SELECT * FROM domains WHERE number < ? ORDER BY number DESC LIMIT ?",
        cursor ?? Number.MAX_SAFE_INTEGER,
        limit + 1,
      )
      .toArray();
    return pageOf(rows, limit, (row) => this.#info(row));
  }

  async add(text: string, by: string, now: number): Promise<Result<DomainInfo, Refusal>> {
    const domain = parseDomain(text);
    if (!domain.ok) return err({ code: "bad_request", detail: domain.error });
    const own = ownedByGateway(domain.value, this.#deps.baseDomain);
    if (own !== undefined) return err({ code: "bad_request", detail: own });
    const proving = this.#deps.proofOf(domain.value);
    const looking = within(ADDRESSES_MS, this.#addresses.lookUpOwn());
    const [proof] = await Promise.all([proving, looking]);
    if (this.#find(domain.value) === undefined) {
      const { count } = this.#sql
        .exec<{ count: number }>("SELECT count(*) AS count FROM domains")
        .one();
      if (count >= MAX_DOMAINS) {
        const detail = `the workspace has its ${MAX_DOMAINS} domains; remove one first`;
        return err({ code: "conflict", detail });
      }
      const added = { state: "pending", createdAt: now, missingSince: null } as const;
      const { checkAt } = judgeDomain(added, "unanswered", now, this.#deps.times);
      this.#sql.exec(
        `INSERT INTO domains (domain, proof, state, detail, created_at, created_by, check_at)
         VALUES (?, ?, 'pending', '', ?, ?, ?)`,
        domain.value,
        proof,
        now,
        by,
        checkAt,
      );
      this.#deps.changed();
    }
    return ok(this.#info(this.#find(domain.value) as Row));
  }

  async verify(domain: string): Promise<Result<DomainInfo, Refusal>> {
    const row = this.#find(domain.toLowerCase());
    if (row === undefined) return noDomain(domain);
    await Promise.all([this.#check(row, "take"), this.#addresses.compare(row.domain)]);
    const checked = this.#find(row.domain);
    return checked === undefined ? noDomain(domain) : ok(this.#info(checked));
  }

  async remove(domain: string): Promise<Result<undefined, Refusal>> {
    const row = this.#find(domain.toLowerCase());
    if (row === undefined) return noDomain(domain);
    const { claims, workspace } = this.#deps;
    const dropped = await this.#dropHostname(row.domain);
    if (dropped?.isDone === false) {
      return err({ code: "unavailable", detail: `${dropped.detail}; the domain stays` });
    }
    this.#released.note(row.domain, Date.now());
    await claims.releaseDomain(row.domain, workspace);
    this.#sql.exec("DELETE FROM domains WHERE number = ?", row.number);
    // A check that was under way may have claimed it in between.
    await claims.releaseDomain(row.domain, workspace);
    await this.#released.settle(row.domain, Date.now());
    this.#addresses.forget(row.domain);
    return ok(undefined);
  }

  /** Why the workspace cannot serve at one of these domains; undefined where it can, or will when they are verified. */
  unknownAmong(wanted: readonly string[]): string | undefined {
    if (wanted.length === 0) return undefined;
    const rows = this.#sql.exec<{ domain: string }>("SELECT domain FROM domains").toArray();
    const had = new Set(rows.map(({ domain }) => domain));
    return wanted.find((domain) => !isAmong(domain, had));
  }

  /** Asks DNS about the domains whose time has come. */
  async lookAfter(now: number): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    await this.#released.lookAfter(now);
    await this.#checkDue(now);
    this.#looking = false;
    this.#deps.changed();
  }

  async #checkDue(now: number): Promise<void> {
    const due = this.#sql
      .exec<Row>("SELECT * FROM domains WHERE check_at <= ? ORDER BY check_at LIMIT ?", now, BATCH)
      .toArray();
    await Promise.all(
      due.map(async (row) => await this.#check(row, row.state === "pending" ? "take" : "renew")),
    );
  }

  /** When `lookAfter` has something to do; while it is at work it says itself when that has changed. */
  nextDue(): number | undefined {
    if (this.#looking) return undefined;
    const { at } = this.#sql
      .exec<{ at: number | null }>("SELECT min(check_at) AS at FROM domains")
      .one();
    const released = this.#released.nextDue();
    return at === null || released === undefined ? (at ?? released) : Math.min(at, released);
  }

  async #check(row: Row, how: DomainClaim): Promise<void> {
    const { claims, workspace, times } = this.#deps;
    try {
      const { evidence, detail } = await this.#askDns(row, how);
      const now = Date.now();
      const present = this.#find(row.domain);
      if (present?.number !== row.number) {
        // It was removed meanwhile.
        if (present === undefined) await claims.releaseDomain(row.domain, workspace);
        return;
      }
      const { state: before, created_at: createdAt, missing_since: missing } = present;
      const facts = { state: before, createdAt, missingSince: missing };
      const { state, missingSince, checkAt } = judgeDomain(facts, evidence, now, times);
      const hostname = await this.#settleHostname(row, before, state);
      const isReleased = before === "verified" && state !== "verified";
      if (isReleased) this.#released.note(row.domain, now);
      if (state !== "verified") await claims.releaseDomain(row.domain, workspace);
      this.#sql.exec(
        `UPDATE domains SET state = ?, detail = ?, missing_since = ?, check_at = ?, checked_at = ?,
           verified_at = CASE WHEN ? THEN ? ELSE verified_at END
         WHERE number = ?`,
        state,
        detail,
        missingSince,
        sooner(checkAt, hostname?.retryMs, now),
        now,
        state === "verified" && before !== "verified" ? 1 : 0,
        now,
        row.number,
      );
      if (isReleased) await this.#released.settle(row.domain, Date.now());
    } catch (error) {
      console.error(`${row.domain}: ${String(error)}`);
      const retryAt = Date.now() + CLAIM_RETRY_MS;
      this.#sql.exec("UPDATE domains SET check_at = ? WHERE number = ?", retryAt, row.number);
    }
    this.#deps.changed();
  }

  /** Brings the platform's hostname to what the domain's state asks for. */
  async #settleHostname(
    { domain, number }: Row,
    before: DomainState,
    state: DomainState,
  ): Promise<HostnameReport | undefined> {
    if (state === "verified") {
      const report = await this.#deps.hostnames?.ensure(domain);
      if (report !== undefined) this.#hostnames.set(domain, report.detail);
      // It was removed meanwhile.
      if (this.#find(domain)?.number !== number) await this.#dropHostname(domain);
      return report;
    }
    if (before !== "verified") return undefined;
    const dropped = await this.#dropHostname(domain);
    // The row stays as it is, and is looked at again.
    if (dropped?.isDone === false) throw new Error(dropped.detail);
    return dropped;
  }

  /** Deletes the platform's hostname of a domain, unless another claim needs it. */
  async #dropHostname(domain: string): Promise<HostnameReport | undefined> {
    const { hostnames, claims, workspace } = this.#deps;
    if (hostnames === undefined) return undefined;
    this.#hostnames.delete(domain);
    if (await claims.isClaimedBesides(domain, workspace)) return undefined;
    return await hostnames.remove(domain);
  }

  /** Asks DNS, and `Names` where DNS has the proof. */
  async #askDns({ domain, proof }: Row, how: DomainClaim): Promise<ProofFinding> {
    const { claims, workspace, lookUp } = this.#deps;
    const name = challengeName(domain);
    const found = await lookUp({ name, type: "TXT" });
    if ("unanswered" in found) {
      return { evidence: "unanswered", detail: `the resolver ${found.unanswered}` };
    }
    if (!found.values.includes(proof)) {
      const other = found.values.length === 0 ? "has no TXT record" : "has other TXT records alone";
      return { evidence: "missing", detail: `${name} ${other}; it must have ${proof}` };
    }
    if (await claims.claimDomain(domain, workspace, how)) return { evidence: "proved", detail: "" };
    const detail = "another workspace has proved it since; postern domain verify takes it back";
    return { evidence: "taken", detail };
  }

  #find(domain: string): Row | undefined {
    const [row] = this.#sql.exec<Row>("SELECT * FROM domains WHERE domain = ?", domain);
    return row;
  }

  #info(row: Row): DomainInfo {
    const { domain, state, detail, missing_since: missingSince } = row;
    const { times } = this.#deps;
    return {
      domain,
      state,
      detail,
      hostname: this.#hostnames.get(domain) ?? null,
      address: this.#addresses.of(domain),
      gatewayAddresses: this.#addresses.own,
      proof: { name: challengeName(domain), value: row.proof },
      createdAt: row.created_at,
      createdBy: row.created_by,
      verifiedAt: row.verified_at,
      checkedAt: row.checked_at,
      missingSince,
      lapsesAt: missingSince === null ? null : missingSince + times.graceMs,
    };
  }
}

function sooner(checkAt: number | null, retryMs: number | undefined, now: number): number | null {
  if (checkAt === null || retryMs === undefined) return checkAt;
  return Math.min(checkAt, now + retryMs);
}
