/** A workspace's API tokens in its database. Secrets pass through once and stay as digests. */
import { type MintedToken, sameDigest } from "../../../auth/tokens.ts";
import { type Page, type PageRequest } from "../../contracts/workspace/pages.ts";
import { type ApiTokenInfo, type NewApiToken } from "../../contracts/workspace/tokens.ts";
import { pageOf } from "../pages.ts";
import type { Scope } from "../../../api/scopes.ts";

type Row = {
  number: number;
  id: string;
  digest: ArrayBuffer;
  name: string;
  scope: string;
  created_at: number;
  created_by: string;
  expires_at: number | null;
  last_used_at: number | null;
};

/** Compared with where there is no token, so that a missing id takes as long as a wrong secret. */
const NO_DIGEST = new ArrayBuffer(32);

export class ApiTokens {
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

  insert(token: MintedToken, chosen: NewApiToken, by: string, now: number): ApiTokenInfo {
    this.#sql.exec(
      `INSERT INTO api_tokens (id, key, digest, name, scope, created_at, created_by, expires_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      token.id,
      this.#key,
      token.digest,
      chosen.name,
      chosen.scope,
      now,
      by,
      chosen.expiresAt,
    );
    return infoOf(this.#row(token.id) as Row);
  }

  /** The token that id and digest prove; undefined when they don't, or no longer. */
  verify(id: string, digest: ArrayBuffer, now: number): ApiTokenInfo | undefined {
    const row = this.#row(id);
    const matches = sameDigest(digest, row?.digest ?? NO_DIGEST);
    if (row === undefined || !matches || !isLive(row, now)) return undefined;
    return infoOf(row);
  }

  list({ limit, cursor }: PageRequest): Page<ApiTokenInfo> {
    const rows = this.#sql
      .exec<Row>(
        "SELECT * FROM api_tokens WHERE key IN (?, ?) AND number < ? ORDER BY number DESC LIMIT ?",
        this.#key,
        this.#before,
        cursor ?? Number.MAX_SAFE_INTEGER,
        limit + 1,
      )
      .toArray();
    return pageOf(rows, limit, infoOf);
  }

  /** Whether this is an admin's token and no other that stays valid is. */
  isLastAdmin(id: string): boolean {
    const admins = this.#sql
      .exec<{ id: string }>(
        `SELECT id FROM api_tokens
         WHERE key IN (?, ?) AND scope = 'admin' AND (expires_at IS NULL OR id = ?) LIMIT 2`,
        this.#key,
        this.#before,
        id,
      )
      .toArray();
    return admins.length === 1 && admins[0]?.id === id;
  }

  /** Returns whether it was there. */
  delete(id: string): boolean {
    return (
      this.#sql.exec(
        "DELETE FROM api_tokens WHERE id = ? AND key IN (?, ?)",
        id,
        this.#key,
        this.#before,
      ).rowsWritten > 0
    );
  }

  /** Notes a use, unless one was noted less than `resolutionMs` ago. */
  noteUse(id: string, now: number, resolutionMs: number): void {
    this.#sql.exec(
      "UPDATE api_tokens SET last_used_at = ?1 WHERE id = ?2 AND coalesce(last_used_at, 0) <= ?1 - ?3",
      now,
      id,
      resolutionMs,
    );
  }

  /** Forgets those that expired before `time`. */
  forgetExpired(time: number): void {
    this.#sql.exec("DELETE FROM api_tokens WHERE expires_at <= ?", time);
  }

  get count(): number {
    return this.#sql
      .exec<{ count: number }>(
        "SELECT count(*) AS count FROM api_tokens WHERE key IN (?, ?)",
        this.#key,
        this.#before,
      )
      .one().count;
  }

  #row(id: string): Row | undefined {
    return this.#sql
      .exec<Row>(
        "SELECT * FROM api_tokens WHERE id = ? AND key IN (?, ?)",
        id,
        this.#key,
        this.#before,
      )
      .toArray()[0];
  }
}

function isLive(row: Row, now: number): boolean {
  return row.expires_at === null || row.expires_at > now;
}

function infoOf(row: Row): ApiTokenInfo {
  return {
    id: row.id,
    name: row.name,
    scope: row.scope as Scope,
    createdAt: row.created_at,
    createdBy: row.created_by,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
  };
}
