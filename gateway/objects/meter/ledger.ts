/** The use of a workspace's tokens, day by day (UTC), in its `Meter`'s database (docs/storage.md). */
import { dayOf, type Used } from "../../../routing/budgets.ts";
import { takeSteps } from "../migrate.ts";

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
];

/** Days for which rows are kept. */
const KEPT_DAYS = 90;

export class Ledger {
  readonly #sql: SqlStorage;
  /** The last day at whose beginning old rows went. */
  #tidiedOn = -1;

  /** @throws Error for a database that a newer Postern has written */
  constructor(storage: DurableObjectStorage) {
    this.#sql = storage.sql;
    takeSteps(storage, STEPS, "meter's");
  }

  /** The use of a token on a day. A clock that is set back finds the rows of its day, and refills nothing. */
  usedOf(token: string, day: number): Used {
    const [row] = this.#sql
      .exec<{ requests: number }>(
        "SELECT requests FROM admitted WHERE day = ? AND token = ?",
        day,
        token,
      )
      .toArray();
    return { requests: row?.requests ?? 0, containerSeconds: 0 };
  }

  /** Counts requests of a token as used. */
  addRequests(token: string, requests: number, now: number): void {
    const day = dayOf(now);
    this.#tidy(day);
    this.#sql.exec(
      `INSERT INTO admitted (day, token, requests) VALUES (?, ?, ?)
       ON CONFLICT (day, token) DO UPDATE SET requests = requests + excluded.requests`,
      day,
      token,
      requests,
    );
  }

  #tidy(day: number): void {
    if (day === this.#tidiedOn) return;
    this.#tidiedOn = day;
    this.#sql.exec("DELETE FROM admitted WHERE day < ?", day - KEPT_DAYS);
  }
}
