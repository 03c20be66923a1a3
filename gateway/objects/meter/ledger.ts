/** The use of a workspace's tokens, day by day (UTC), in its `Meter`'s database (docs/storage.md). */
import { DAY_MS, SECOND_MS } from "../../../base/units.ts";
import { dayOf, type Used } from "../../../routing/budgets.ts";
import type { UsageRow } from "../../../routing/wire/usage.ts";
import type { DailyUsage, RefusedRow, UsageNote, UsagePageRequest } from "../../contracts/meter.ts";
import type { Page } from "../../contracts/workspace/pages.ts";
import { takeSteps } from "../migrate.ts";
import { pageOf } from "../pages.ts";

/** The steps of the database; step n, from 1, is at index n - 1. One that was once published never changes. */
const STEPS: readonly string[] = [
  `
  CREATE TABLE admitted (
    day INTEGER NOT NULL,
    token TEXT NOT NULL,
    requests INTEGER NOT NULL,
    PRIMARY KEY (day, token)
  ) WITHOUT ROWID;
  `,
  `
  CREATE TABLE usage (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    day INTEGER NOT NULL,
    token TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    requests INTEGER NOT NULL,
    container_ms INTEGER NOT NULL,
    UNIQUE (day, token, endpoint)
  );
  CREATE TABLE reports (
    box TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    batch INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (box, incarnation)
  ) WITHOUT ROWID;
  `,
  "ALTER TABLE usage ADD COLUMN refused INTEGER NOT NULL DEFAULT 0",
];

/** Days for which rows are kept. */
const KEPT_DAYS = 90;

/** An agent that has not reported for so long has ended, or has nothing to send again. */
const REPORTS_KEPT_MS = 30 * DAY_MS;

/** Rows of `usage` in a day: beyond it a token's further endpoints count as one, and twice beyond it all tokens do. */
const MAX_ROWS_A_DAY = 10_000;
const OTHERS = "*";

type Row = {
  number: number;
  day: number;
  token: string;
  endpoint: string;
  requests: number;
  container_ms: number;
  refused: number;
};

export class Ledger {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #maxRowsADay: number;
  /** The last day at whose beginning old rows went, and its rows of `usage`. */
  #today = -1;
  #rowsToday = 0;

  /**
   * @param maxRowsADay for tests
   * @throws Error for a database that a newer Postern has written
   */
  constructor(storage: DurableObjectStorage, maxRowsADay = MAX_ROWS_A_DAY) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#maxRowsADay = maxRowsADay;
    takeSteps(storage, STEPS, "meter's");
  }

  /** The use of a token on a day. A clock that is set back finds the rows of its day, and refills nothing. */
  usedOf(token: string, day: number): Used {
    const { requests, ms } = this.#sql
      .exec<{ requests: number; ms: number }>(
        `SELECT (SELECT total(requests) FROM admitted WHERE day = ?1 AND token = ?2) AS requests,
           (SELECT total(container_ms) FROM usage WHERE day = ?1 AND token = ?2) AS ms`,
        day,
        token,
      )
      .one();
    return { requests, containerSeconds: ms / SECOND_MS };
  }

  /** Counts requests of a token as used. */
  addRequests(token: string, requests: number, now: number): void {
    const day = dayOf(now);
    this.#tidy(day, now);
    this.#sql.exec(
      `INSERT INTO admitted (day, token, requests) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET requests = requests + excluded.requests`,
      day,
      token,
      requests,
    );
  }

  /** Counts an agent's batch for the present day, unless it was counted before. */
  addUsage({ box, incarnation, batch, rows }: UsageNote, now: number): void {
    const day = dayOf(now);
    this.#tidy(day, now);
    this.#storage.transactionSync(() => {
      const { rowsWritten } = this.#sql.exec(
        `INSERT INTO reports (box, incarnation, batch, at) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET batch = excluded.batch, at = excluded.at
           WHERE batch < excluded.batch`,
        box,
        incarnation,
        batch,
        now,
      );
      if (rowsWritten === 0) return;
      for (const row of rows) this.#add({ ...row, refused: 0 }, day);
    });
  }

  /** Counts requests that limits have refused, for the present day. */
  addRefusals(rows: readonly RefusedRow[], now: number): void {
    const day = dayOf(now);
    this.#tidy(day, now);
    this.#storage.transactionSync(() => {
      for (const row of rows) this.#add({ ...row, requests: 0, containerMs: 0 }, day);
    });
  }

  /** Rows in the order in which they began, the newest first. */
  list({ since, token, limit, cursor }: UsagePageRequest): Page<DailyUsage> {
    const rows = this.#sql
      .exec<Row>(
        `SELECT number, day, token, endpoint, requests, container_ms, refused FROM usage
         WHERE number < ?1 AND day >= ?2 AND (?3 IS NULL OR token = ?3)
         ORDER BY number DESC LIMIT ?4`,
        cursor ?? Number.MAX_SAFE_INTEGER,
        since,
        token ?? null,
        limit + 1,
      )
      .toArray();
    return pageOf(rows, limit, ({ number: _number, container_ms: containerMs, ...row }) => ({
      ...row,
      containerMs,
    }));
  }

  #add(
    { token, endpoint, requests, containerMs, refused }: UsageRow & RefusedRow,
    day: number,
  ): void {
    for (const [whose, where] of [
      [token, endpoint],
      [token, OTHERS],
      [OTHERS, OTHERS],
    ] as const) {
      const values = [day, whose, where, requests, containerMs, refused] as const;
      const { rowsWritten } = this.#sql.exec(
        `UPDATE usage SET requests = requests + ?4, container_ms = container_ms + ?5,
           refused = refused + ?6
         WHERE day = ?1 AND token = ?2 AND endpoint = ?3`,
        ...values,
      );
      if (rowsWritten > 0) return;
      const room = this.#maxRowsADay * (where === OTHERS ? 2 : 1);
      if (this.#rowsToday >= room && whose !== OTHERS) continue;
      this.#sql.exec(
        `INSERT INTO usage (day, token, endpoint, requests, container_ms, refused)
         VALUES (?, ?, ?, ?, ?, ?)`,
        ...values,
      );
      this.#rowsToday += 1;
      return;
    }
  }

  #tidy(day: number, now: number): void {
    if (day === this.#today) return;
    this.#today = day;
    this.#sql.exec("DELETE FROM admitted WHERE day < ?", day - KEPT_DAYS);
    this.#sql.exec("DELETE FROM usage WHERE day < ?", day - KEPT_DAYS);
    this.#sql.exec("DELETE FROM reports WHERE at < ?", now - REPORTS_KEPT_MS);
    this.#rowsToday = this.#sql
      .exec<{ rows: number }>("SELECT count(*) AS rows FROM usage WHERE day = ?", day)
      .one().rows;
  }
}
