/**
 * `Names` keeps which app holds a host name, and the snapshot that the edge reads for the name. It has 64 fixed
 * shards, and a name always lives in shard SHA-256(name) mod 64. So a claim is atomic, and a name that a client
 * guesses makes no object (docs/storage.md). The number 64 is part of the stored format. A custom domain lives in the
 * shard of its last two labels, with the routes that apps have there: one call answers for each host.
 *
 * `Names` knows apps by their ids alone. It tells a workspace which app holds a name, and trusts the workspace not
 * to pass that on to another tenant.
 */
import { DurableObject } from "cloudflare:workers";
import { type AppKind, type Claimant, mayTake } from "../../../routing/claims.ts";
import { domainRoute, domainsMatching, otherForm } from "../../../routing/domains.ts";
import type { Env } from "../../contracts/env.ts";
import { takeSteps } from "../migrate.ts";
import type { DomainClaim, Held, NamesRpc, Snapshot, StoppedName } from "../../contracts/names.ts";

/** The steps of its database. */
export const NAMES_MIGRATIONS: readonly string[] = [
  // Databases from before the steps were numbered have this table.
  `
  CREATE TABLE IF NOT EXISTS names (
    name TEXT PRIMARY KEY, owner TEXT NOT NULL, snapshot TEXT NOT NULL
  ) WITHOUT ROWID;
  `,
  // Then names belonged to boxes; each box announces its own again when it connects.
  `
  DROP TABLE names;
  CREATE TABLE names (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    workspace TEXT NOT NULL,
    kind TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    snapshot TEXT
  ) WITHOUT ROWID;
  CREATE TABLE reservations (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    workspace TEXT NOT NULL,
    kind TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
  ) WITHOUT ROWID;
  `,
  `
  CREATE TABLE domains (domain TEXT PRIMARY KEY, workspace TEXT NOT NULL) WITHOUT ROWID;
  `,
];

type ClaimantRow = { owner: string; workspace: string; kind: string; started_at: number };

export class Names extends DurableObject<Env> implements NamesRpc {
  readonly #sql: SqlStorage;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    takeSteps(state.storage, NAMES_MIGRATIONS, "names'");
    this.#sql = state.storage.sql;
  }

  /** The edge's snapshot of a name, or that its app was stopped; undefined when no app holds the name. */
  lookup(name: string): Snapshot | StoppedName | undefined {
    const [row] = this.#sql.exec<{ snapshot: string | null }>(
      "SELECT snapshot FROM names WHERE name = ?",
      name,
    );
    if (row === undefined) return undefined;
    return row.snapshot === null ? { stopped: true } : (JSON.parse(row.snapshot) as Snapshot);
  }

  /**
   * The edge's snapshot for a host outside the base domain; undefined where no verified domain matches it, or no app
   * has the domain. An exact name wins over a wildcard, also as a claim: where one workspace has proved the name, the
   * wildcard of another one does not serve it.
   */
  lookupHost(host: string): Snapshot | StoppedName | undefined {
    const matching = domainsMatching(host);
    const owners = matching.map((domain) => this.#ownerOf(domain));
    const owner = owners.find((workspace) => workspace !== undefined);
    if (owner === undefined) return undefined;
    for (const [index, domain] of matching.entries()) {
      // A wildcard's owner has each name below its star.
      const mayServe = owners.slice(index).includes(owner);
      const found = mayServe ? this.lookup(domainRoute(owner, domain)) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Gives a domain to a workspace that has proved it; returns whether the workspace has it now. */
  claimDomain(domain: string, workspace: string, how: DomainClaim): boolean {
    this.#sql.exec(
      `INSERT INTO domains (domain, workspace) VALUES (?1, ?2)
       ON CONFLICT (domain) DO UPDATE SET workspace = excluded.workspace WHERE ?3 = 'take'`,
      domain,
      workspace,
      how,
    );
    return this.#ownerOf(domain) === workspace;
  }

  /** Gives a domain back; another workspace's stays. */
  releaseDomain(domain: string, workspace: string): void {
    this.#sql.exec("DELETE FROM domains WHERE domain = ? AND workspace = ?", domain, workspace);
  }

  /** Whether another workspace has the domain, or anybody the other form of it (`example.com`, `*.example.com`). */
  isClaimedBesides(domain: string, workspace: string): boolean {
    const owner = this.#ownerOf(domain);
    if (owner !== undefined && owner !== workspace) return true;
    return this.#ownerOf(otherForm(domain)) !== undefined;
  }

  /**
   * Keeps a name for an app that is about to serve it; the edge sees nothing of it. Until `untilMs`, a
   * moment of the epoch, nobody else gets the name; whoever holds it now goes on.
   */
  reserve(name: string, claimant: Claimant, untilMs: number): Held | undefined {
    const now = Date.now();
    this.#sql.exec("DELETE FROM reservations WHERE expires_at <= ?", now);
    const held = this.#holderAgainst(name, claimant) ?? this.#reserverAgainst(name, claimant);
    if (held !== undefined) return held;
    this.#sql.exec(
      `INSERT INTO reservations (name, owner, workspace, kind, started_at, expires_at)
       VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, workspace = excluded.workspace,
         kind = excluded.kind, started_at = excluded.started_at, expires_at = excluded.expires_at`,
      name,
      claimant.owner,
      claimant.workspace,
      claimant.kind,
      claimant.startedAt,
      untilMs,
    );
    return undefined;
  }

  /** Gives a name to an app, or its new snapshot to a name that the app has. May be repeated. */
  commit(name: string, claimant: Claimant, snapshot: Snapshot): Held | undefined {
    const { owner, workspace, kind, startedAt } = claimant;
    const held = this.#holderAgainst(name, claimant);
    if (held !== undefined) return held;
    if (!this.#holds(name, owner)) {
      this.#sql.exec("DELETE FROM reservations WHERE expires_at <= ?", Date.now());
      const reserved = this.#reserverAgainst(name, claimant);
      if (reserved !== undefined) return reserved;
    }
    this.#sql.exec("DELETE FROM reservations WHERE name = ? AND owner = ?", name, owner);
    this.#sql.exec(
      `INSERT INTO names (name, owner, workspace, kind, started_at, snapshot)
       VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, workspace = excluded.workspace,
         kind = excluded.kind, started_at = excluded.started_at, snapshot = excluded.snapshot`,
      name,
      owner,
      workspace,
      kind,
      startedAt,
      JSON.stringify(snapshot),
    );
    return undefined;
  }

  /** Ends an app's reservation; what it holds stays its own. */
  cancelReservation(name: string, owner: string): void {
    this.#sql.exec("DELETE FROM reservations WHERE name = ? AND owner = ?", name, owner);
  }

  /** Gives a name back; another app's stays. */
  release(name: string, owner: string): void {
    this.cancelReservation(name, owner);
    this.#sql.exec("DELETE FROM names WHERE name = ? AND owner = ?", name, owner);
  }

  /** Says of a name for as long as nobody takes it that its app was stopped; another app's stays. */
  stop(name: string, owner: string): void {
    this.cancelReservation(name, owner);
    this.#sql.exec("UPDATE names SET snapshot = NULL WHERE name = ? AND owner = ?", name, owner);
  }

  /** The workspace that has proved a domain. */
  #ownerOf(domain: string): string | undefined {
    const [row] = this.#sql.exec<{ workspace: string }>(
      "SELECT workspace FROM domains WHERE domain = ?",
      domain,
    );
    return row?.workspace;
  }

  /** The app that holds a name and does not give way to the claimant. */
  #holderAgainst(name: string, claimant: Claimant): Held | undefined {
    const [row] = this.#sql.exec<ClaimantRow>(
      "SELECT owner, workspace, kind, started_at FROM names WHERE name = ? AND snapshot IS NOT NULL",
      name,
    );
    return heldAgainst(row, claimant);
  }

  /** The app that has reserved a name and does not give way to the claimant. */
  #reserverAgainst(name: string, claimant: Claimant): Held | undefined {
    const [row] = this.#sql.exec<ClaimantRow>(
      "SELECT owner, workspace, kind, started_at FROM reservations WHERE name = ?",
      name,
    );
    return heldAgainst(row, claimant);
  }

  #holds(name: string, owner: string): boolean {
    return (
      this.#sql
        .exec(
          "SELECT 1 FROM names WHERE name = ? AND owner = ? AND snapshot IS NOT NULL",
          name,
          owner,
        )
        .toArray().length > 0
    );
  }
}

function heldAgainst(row: ClaimantRow | undefined, claimant: Claimant): Held | undefined {
  if (row === undefined) return undefined;
  const { owner, workspace, started_at: startedAt } = row;
  const kind = row.kind as AppKind;
  return mayTake({ owner, workspace, kind, startedAt }, claimant) ? undefined : { owner, kind };
}
