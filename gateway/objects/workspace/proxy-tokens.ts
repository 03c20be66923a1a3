/** A workspace's proxy auth tokens in its database, which keeps only the digests of their secrets. */
import {
  changedLimits,
  type ProxyToken,
  type TokenLimits,
  type TokenLimitsChange,
} from "../../../auth/proxy-authorization.ts";
import type { MintedToken } from "../../../auth/tokens.ts";
import { type Page, type PageRequest } from "../../contracts/workspace/pages.ts";
import { type NewProxyToken, type ProxyTokenInfo } from "../../contracts/workspace/tokens.ts";
import { pageOf } from "../pages.ts";

type Row = {
  number: number;
  id: string;
  digest: ArrayBuffer;
  name: string;
  environments: string;
  apps: string;
  paths: string;
  limits: string;
  created_at: number;
  created_by: string;
  expires_at: number | null;
  last_used_at: number | null;
};

export class ProxyTokens {
  readonly #sql: SqlStorage;
  readonly #key: string;
  readonly #before: string;

  /**
   * Tokens of other keys are as if they were not there.
   * @param key the id of the gateway's present key, under which tokens are made
   * @param before that of the key before, while it is valid too
   */
  constructor(sql: SqlStorage, key: string, before = key) {
    this.#sql = sql;
    this.#key = key;
    this.#before = before;
  }

  insert(token: MintedToken, chosen: NewProxyToken, by: string, now: number): ProxyTokenInfo {
    const { name, environments, apps, paths, limits, expiresAt } = chosen;
    this.#sql.exec(
      `INSERT INTO proxy_tokens (id, key, digest, name, environments, apps, paths, limits, created_at, created_by, expires_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      token.id,
      this.#key,
      token.digest,
      name,
      JSON.stringify(environments),
      JSON.stringify(apps),
      JSON.stringify(paths),
      JSON.stringify(limits ?? {}),
      now,
      by,
      expiresAt,
    );
    return infoOf(this.#row(token.id) as Row);
  }

  list({ limit, cursor }: PageRequest): Page<ProxyTokenInfo> {
    const rows = this.#sql
      .exec<Row>(
        "SELECT * FROM proxy_tokens WHERE key IN (?, ?) AND number < ? ORDER BY number DESC LIMIT ?",
        this.#key,
        this.#before,
        cursor ?? Number.MAX_SAFE_INTEGER,
        limit + 1,
      )
      .toArray();
    return pageOf(rows, limit, infoOf);
  }

  /** Every token that has not expired, by its id, in the form that the edge checks callers with. */
  unexpired(now: number): Map<string, ProxyToken> {
    const rows = this.#sql.exec<Row>(
      "SELECT * FROM proxy_tokens WHERE key IN (?, ?) AND (expires_at IS NULL OR expires_at > ?)",
      this.#key,
      this.#before,
      now,
    );
    return new Map(rows.toArray().map((row) => [row.id, lockOf(row)]));
  }

  /** One token in the form that the edge checks callers with; undefined when it is not there any more. */
  find(id: string): ProxyToken | undefined {
    const row = this.#row(id);
    return row === undefined ? undefined : lockOf(row);
  }

  /** Changes its limits; undefined where it is not there. */
  change(id: string, change: TokenLimitsChange): ProxyTokenInfo | undefined {
    const row = this.#row(id);
    if (row === undefined) return undefined;
    const limits = changedLimits(JSON.parse(row.limits) as TokenLimits, change);
    this.#sql.exec(
      "UPDATE proxy_tokens SET limits = ? WHERE number = ?",
      JSON.stringify(limits),
      row.number,
    );
    return { ...infoOf(row), limits };
  }

  /** Returns whether it was there. */
  delete(id: string): boolean {
    return (
      this.#sql.exec(
        "DELETE FROM proxy_tokens WHERE id = ? AND key IN (?, ?)",
        id,
        this.#key,
        this.#before,
      ).rowsWritten > 0
    );
  }

  /** Notes a use, unless one was noted less than `resolutionMs` ago. */
  noteUse(id: string, now: number, resolutionMs: number): void {
    this.#sql.exec(
      "UPDATE proxy_tokens SET last_used_at = ?1 WHERE id = ?2 AND coalesce(last_used_at, 0) <= ?1 - ?3",
      now,
      id,
      resolutionMs,
    );
  }

  /** Forgets those that expired before `time`. */
  forgetExpired(time: number): void {
    this.#sql.exec("DELETE FROM proxy_tokens WHERE expires_at <= ?", time);
  }

  get count(): number {
    return this.#sql
      .exec<{ count: number }>(
        "SELECT count(*) AS count FROM proxy_tokens WHERE key IN (?, ?)",
        this.#key,
        this.#before,
      )
      .one().count;
  }

  #row(id: string): Row | undefined {
    return this.#sql
      .exec<Row>(
        "SELECT * FROM proxy_tokens WHERE id = ? AND key IN (?, ?)",
        id,
        this.#key,
        this.#before,
      )
      .toArray()[0];
  }
}

function infoOf(row: Row): ProxyTokenInfo {
  return {
    id: row.id,
    name: row.name,
    environments: JSON.parse(row.environments) as string[],
    apps: JSON.parse(row.apps) as string[],
    paths: JSON.parse(row.paths) as string[],
    limits: JSON.parse(row.limits) as TokenLimits,
    createdAt: row.created_at,
    createdBy: row.created_by,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
  };
}

function lockOf(row: Row): ProxyToken {
  return {
    digest: row.digest,
    environments: JSON.parse(row.environments) as string[],
    apps: JSON.parse(row.apps) as string[],
    paths: JSON.parse(row.paths) as string[],
    limits: JSON.parse(row.limits) as TokenLimits,
    expiresAt: row.expires_at ?? undefined,
  };
}
