/**
 * How far versions are on the boxes that they were placed on, in the workspace's database: the last report of
 * each box, and the boxes that keep a version on for a moment after it has ended.
 */
import type { VersionReport, VersionState } from "../../../routing/wire/deployments.ts";
import type { Version } from "./versions.ts";

/** The last report of a box about a version. */
export interface VersionBox {
  readonly box: string;
  /** null: nothing yet. */
  readonly state: VersionState | null;
  readonly detail: string;
  readonly lines: readonly string[];
}

export class VersionBoxes {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** How far a version is, by the names of its boxes. */
  of({ app, version }: Version): VersionBox[] {
    return this.#sql
      .exec<{ box: string; state: string | null; detail: string; lines: string }>(
        `SELECT box, state, detail, lines FROM version_boxes WHERE app = ? AND version = ?
         ORDER BY box`,
        app,
        version,
      )
      .toArray()
      .map(({ box, state, detail, lines }) => ({
        box,
        state: state as VersionState | null,
        detail,
        lines: JSON.parse(lines) as string[],
      }));
  }

  /** Notes all that a box says of its versions; of one that it does not name it has nothing. */
  noteReports(box: string, reports: readonly VersionReport[]): void {
    this.#sql.exec(
      `UPDATE version_boxes SET state = NULL, detail = '', lines = '[]'
       WHERE box = ? AND state IS NOT NULL`,
      box,
    );
    for (const { app, version, state, detail, lines } of reports) {
      this.#sql.exec(
        `UPDATE version_boxes SET state = ?, detail = ?, lines = ?
         WHERE app = ? AND version = ? AND box = ?`,
        state,
        detail,
        JSON.stringify(lines),
        app,
        version,
        box,
      );
    }
  }

  /** The boxes that serve an older version of the app, and do not have this one ready. */
  behind({ app, version }: Pick<Version, "app" | "version">): string[] {
    return this.#sql
      .exec<{ box: string }>(
        `SELECT box FROM version_boxes AS own
         WHERE app = ?1 AND version = ?2 AND coalesce(state, '') NOT IN ('ready', 'serving')
           AND EXISTS (SELECT 1 FROM version_boxes
             WHERE app = ?1 AND box = own.box AND version < ?2 AND state = 'serving')`,
        app,
        version,
      )
      .toArray()
      .map(({ box }) => box);
  }

  /** The apps whose serving version a box is behind. */
  behindOn(box: string): string[] {
    return this.#sql
      .exec<{ app: string; version: number }>(
        `SELECT app, version FROM version_boxes JOIN versions USING (app, version)
         WHERE box = ? AND status = 'serving' ORDER BY app`,
        box,
      )
      .toArray()
      .filter((serving) => this.behind(serving).includes(box))
      .map(({ app }) => app);
  }

  /** Lets boxes go on with a version for a while that has ended: requests may still be on their way to them. */
  keepOn({ app, version }: Version, boxes: readonly string[], until: number): void {
    for (const box of boxes) {
      this.#sql.exec(
        "UPDATE version_boxes SET kept_until = ? WHERE app = ? AND version = ? AND box = ?",
        until,
        app,
        version,
        box,
      );
    }
  }

  /** Ends what was kept until now; returns the boxes that can let go. */
  endKept(now: number): string[] {
    const boxes = this.#sql
      .exec<{ box: string }>("SELECT DISTINCT box FROM version_boxes WHERE kept_until <= ?", now)
      .toArray()
      .map(({ box }) => box);
    this.#sql.exec("UPDATE version_boxes SET kept_until = NULL WHERE kept_until <= ?", now);
    return boxes;
  }

  nextKeptEnd(): number | undefined {
    const { at } = this.#sql
      .exec<{ at: number | null }>(
        "SELECT min(kept_until) AS at FROM version_boxes WHERE kept_until IS NOT NULL",
      )
      .one();
    return at ?? undefined;
  }
}
