/**
 * Which boxes served a deployed app's endpoints, and until when they may hold calls under keys, in the workspace's
 * database. The edge asks former boxes for a key's call before another box may run it (worker/edge/key-home.ts).
 */
import { SECOND_MS } from "../../../base/units.ts";
import type { FormerBoxes } from "../../../routing/boxes.ts";
import type { Snapshot } from "../../contracts/names.ts";

/**
 * Former sets of boxes that the edge is told of, for each endpoint. A set is forgotten before its time where an
 * endpoint changed its boxes more often than that in one `result_ttl`.
 */
const MAX_FORMER_SETS = 8;

/** A request of an edge that did not know of the change yet begins within this time (calls/released-keys.ts). */
const LATE_MS = 60_000;

export class FormerBoxSets {
  readonly #sql: SqlStorage;
  readonly #isEnrolled: (box: string) => boolean;

  constructor(sql: SqlStorage, isEnrolled: (box: string) => boolean) {
    this.#sql = sql;
    this.#isEnrolled = isEnrolled;
  }

  /**
   * Notes that an app's endpoint is served as a snapshot says from now on, and returns the snapshot with the boxes
   * that served it before. A box that was revoked is not among them: it takes its calls along.
   */
  serve(app: string, snapshot: Snapshot, now: number): Snapshot {
    const { endpoint, settings } = snapshot;
    const boxes = JSON.stringify(snapshot.boxes.map(({ box }) => box).toSorted());
    const ttlMs = (settings.timeout + settings.resultTtl) * SECOND_MS + LATE_MS;
    // The set that has served until now holds its calls for as long as its settings said.
    this.#sql.exec(
      `UPDATE box_sets SET kept_until = max(kept_until, ?1 + ttl_ms), ttl_ms = NULL
       WHERE app = ?2 AND endpoint = ?3 AND ttl_ms IS NOT NULL AND (boxes <> ?4 OR ttl_ms <> ?5)`,
      now,
      app,
      endpoint,
      boxes,
      ttlMs,
    );
    this.#sql.exec(
      `INSERT INTO box_sets (app, endpoint, boxes, ttl_ms, kept_until) VALUES (?, ?, ?, ?, 0)
       ON CONFLICT (app, endpoint, boxes) DO UPDATE SET ttl_ms = excluded.ttl_ms
         WHERE ttl_ms IS NOT excluded.ttl_ms`,
      app,
      endpoint,
      boxes,
      ttlMs,
    );
    return { ...snapshot, formerBoxes: this.#formerSets(endpoint, now) };
  }

  /** The apps that serve an endpoint which a box serves, or has served. */
  appsOf(box: string): string[] {
    return this.#sql
      .exec<{ app: string }>(
        `SELECT DISTINCT app FROM box_sets WHERE ttl_ms IS NOT NULL AND endpoint IN (
           SELECT endpoint FROM box_sets WHERE EXISTS (SELECT 1 FROM json_each(boxes) WHERE value = ?))`,
        box,
      )
      .toArray()
      .map(({ app }) => app);
  }

  /** An app was stopped. A later one of its name has the same endpoints, and clients repeat their keys there. */
  stop(app: string, now: number): void {
    this.#sql.exec(
      `UPDATE box_sets SET kept_until = max(kept_until, ?1 + ttl_ms), ttl_ms = NULL
       WHERE app = ?2 AND ttl_ms IS NOT NULL`,
      now,
      app,
    );
  }

  /** Those of an endpoint that may hold calls, the ones that hold them longest first. */
  #formerSets(endpoint: string, now: number): FormerBoxes[] {
    this.#sql.exec("DELETE FROM box_sets WHERE ttl_ms IS NULL AND kept_until <= ?", now);
    return this.#sql
      .exec<{ boxes: string; kept_until: number }>(
        `SELECT boxes, max(kept_until) AS kept_until FROM box_sets
         WHERE endpoint = ? AND ttl_ms IS NULL
         GROUP BY boxes ORDER BY kept_until DESC, boxes LIMIT ?`,
        endpoint,
        MAX_FORMER_SETS,
      )
      .toArray()
      .map(({ boxes, kept_until: untilMs }) => ({
        boxes: (JSON.parse(boxes) as string[]).filter((box) => this.#isEnrolled(box)),
        untilMs,
      }))
      .filter(({ boxes }) => boxes.length > 0);
  }
}
