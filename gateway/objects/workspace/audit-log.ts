/**
 * The audit log in a workspace's database. An entry is there before its operation changes anything, so that no change
 * is missing; one without a result broke off. The log is bounded: the oldest entries go.
 */
import type { AuditEntry, NewAuditEntry } from "../../contracts/workspace/audit.ts";
import type { Page, PageRequest } from "../../contracts/workspace/pages.ts";
import { pageOf } from "../pages.ts";

const MAX_ENTRIES = 10_000;

type Row = {
  number: number;
  at: number;
  by: string;
  by_name: string;
  operation: string;
  object: string;
  result: string | null;
};

export class AuditLog {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Returns the entry's number. */
  insert({ by, byName, operation, object }: NewAuditEntry, now: number): number {
    const { number } = this.#sql
      .exec<{ number: number }>(
        `INSERT INTO audit (at, by, by_name, operation, object) VALUES (?, ?, ?, ?, ?) RETURNING number`,
        now,
        by,
        byName,
        operation,
        object,
      )
      .one();
    // Numbers have no gaps but those of entries that are gone already.
    this.#sql.exec("DELETE FROM audit WHERE number <= ?", number - MAX_ENTRIES);
    return number;
  }

  end(number: number, result: string, object: string | undefined): void {
    this.#sql.exec(
      "UPDATE audit SET result = ?, object = coalesce(?, object) WHERE number = ?",
      result,
      object ?? null,
      number,
    );
  }

  list({ limit, cursor }: PageRequest): Page<AuditEntry> {
    const rows = this.#sql
      .exec<Row>(
        "SELECT * FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?",
        cursor ?? Number.MAX_SAFE_INTEGER,
        limit + 1,
      )
      .toArray();
    return pageOf(rows, limit, entryOf);
  }
}

function entryOf({ at, by, by_name: byName, operation, object, result }: Row): AuditEntry {
  return { at, by, byName, operation, object, result };
}
