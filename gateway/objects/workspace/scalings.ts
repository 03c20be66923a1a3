/**
 * Changes of how many containers the functions of a version have (`postern app scale`), in the workspace's database.
 * They hold as long as the version serves: the next one begins with its own configuration.
 */
import type { Scaling } from "../../../routing/wire/scaling.ts";
import type { NewScaling, ScalingView } from "../../contracts/workspace/apps.ts";

/** Of how many changes of a function it is known who made them, the newest. */
const CHANGES_KEPT = 20;

interface VersionKey {
  readonly app: string;
  readonly version: number;
}

type Row = {
  function: string;
  change: string;
  settings: string;
  created_at: number;
  created_by: string;
  created_by_name: string;
};

export class Scalings {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Notes a change, on top of those before it. */
  insert(
    { app, version }: VersionKey,
    { function: name, change, by }: Omit<NewScaling, "app">,
    now: number,
  ): void {
    const settings = { ...this.of({ app, version }, name), ...change };
    this.#sql.exec(
      `INSERT INTO scalings (app, version, function, change, settings, created_at, created_by, created_by_name)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      app,
      version,
      name,
      JSON.stringify(change),
      JSON.stringify(settings),
      now,
      by.id,
      by.name,
    );
    this.#sql.exec(
      `DELETE FROM scalings WHERE number IN (
         SELECT number FROM scalings WHERE app = ? AND version = ? AND function = ?
         ORDER BY number DESC LIMIT -1 OFFSET ?)`,
      app,
      version,
      name,
      CHANGES_KEPT,
    );
  }

  /** All that has been changed of a function. */
  of({ app, version }: VersionKey, name: string): Scaling {
    const [row] = this.#sql.exec<{ settings: string }>(
      `SELECT settings FROM scalings WHERE app = ? AND version = ? AND function = ?
       ORDER BY number DESC LIMIT 1`,
      app,
      version,
      name,
    );
    return row === undefined ? {} : (JSON.parse(row.settings) as Scaling);
  }

  /** The same for each function that was changed. */
  byFunction(version: VersionKey): Record<string, Scaling> {
    const oldestFirst = this.#rows(version).toReversed();
    return Object.fromEntries(
      oldestFirst.map((row) => [row.function, JSON.parse(row.settings) as Scaling]),
    );
  }

  /** The changes of a version, newest first. */
  list(version: VersionKey): ScalingView[] {
    return this.#rows(version).map((row) => ({
      function: row.function,
      change: JSON.parse(row.change) as Scaling,
      createdAt: row.created_at,
      createdBy: { id: row.created_by, name: row.created_by_name },
    }));
  }

  deleteAll(app: string): void {
    this.#sql.exec("DELETE FROM scalings WHERE app = ?", app);
  }

  #rows({ app, version }: VersionKey): Row[] {
    return this.#sql
      .exec<Row>(
        `SELECT function, change, settings, created_at, created_by, created_by_name FROM scalings
         WHERE app = ? AND version = ? ORDER BY number DESC`,
        app,
        version,
      )
      .toArray();
  }
}
