/**
 * A workspace's apps in its database. A deployed app has versions (versions.ts); one that a box announced
 * belongs to that box, and to one agent process where it is ephemeral. A stopped app never starts again:
 * a later one of the same name has another id.
 */
import { isAppId } from "../../../api/apps.ts";
import { type Page, type PageRequest } from "../../contracts/workspace/pages.ts";
import { type AppAddress } from "../../contracts/workspace/apps.ts";
import type { AppKind } from "../../../routing/claims.ts";
import { pageOf } from "../pages.ts";

/** Times are milliseconds of the epoch. */
export interface App {
  readonly id: string;
  readonly environment: string;
  readonly name: string;
  readonly kind: AppKind;
  /** The box that announced it; empty for a deployed one. */
  readonly box: string;
  readonly createdAt: number;
  readonly stoppedAt: number | null;
}

/** An app that a box announces. */
export interface AnnouncedApp {
  readonly environment: string;
  readonly name: string;
  readonly box: string;
  /** The agent process; an ephemeral app is another one under the next. */
  readonly incarnation: string;
  /** Empty: served in place. */
  readonly devSuffix: string;
}

const ID_RANDOM_BYTES = 13;

/** How long a stopped app stays in lists. */
const STOPPED_SHOWN_MS = 30 * 86_400_000;

type Row = {
  number: number;
  id: string;
  environment: string;
  name: string;
  kind: string;
  box: string;
  last_version: number;
  created_at: number;
  stopped_at: number | null;
};

const INSERT = `INSERT INTO apps
  (id, environment, name, kind, box, incarnation, dev_suffix, last_version, created_at)
  VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)`;

export class AppRecords {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  find(id: string): App | undefined {
    const [row] = this.#sql.exec<Row>("SELECT * FROM apps WHERE id = ?", id);
    return row === undefined ? undefined : appOf(row);
  }

  /** By id, else by name: the one that lives, a deployed one first; else the one that was stopped last. */
  resolve({ app, environment }: AppAddress): App | undefined {
    if (isAppId(app)) return this.find(app);
    const [row] = this.#sql.exec<Row>(
      `SELECT * FROM apps WHERE environment = ? AND name = ?
       ORDER BY stopped_at IS NOT NULL, stopped_at DESC, kind <> 'deployed', number DESC LIMIT 1`,
      environment,
      app,
    );
    return row === undefined ? undefined : appOf(row);
  }

  /** The deployed app of this name that is not stopped. */
  deployed(environment: string, name: string): App | undefined {
    const [row] = this.#sql.exec<Row>(
      `SELECT * FROM apps WHERE environment = ? AND name = ? AND kind = 'deployed'
       AND stopped_at IS NULL`,
      environment,
      name,
    );
    return row === undefined ? undefined : appOf(row);
  }

  /** AppRecords of an environment, or of all, newest first. */
  list(environment: string | undefined, { limit, cursor }: PageRequest): Page<App> {
    const rows = this.#sql
      .exec<Row>(
        `SELECT * FROM apps WHERE (?1 IS NULL OR environment = ?1) AND number < ?2
         ORDER BY number DESC LIMIT ?3`,
        environment ?? null,
        cursor ?? Number.MAX_SAFE_INTEGER,
        limit + 1,
      )
      .toArray();
    return pageOf(rows, limit, appOf);
  }

  /** The apps of an environment that are not stopped. */
  living(environment: string): App[] {
    return this.#sql
      .exec<Row>("SELECT * FROM apps WHERE environment = ? AND stopped_at IS NULL", environment)
      .toArray()
      .map(appOf);
  }

  /** How many apps of an environment live. */
  count(environment: string): number {
    return this.#sql
      .exec<{ count: number }>(
        "SELECT count(*) AS count FROM apps WHERE environment = ? AND stopped_at IS NULL",
        environment,
      )
      .one().count;
  }

  createDeployed(environment: string, name: string, now: number): App {
    const id = newAppId();
    this.#sql.exec(INSERT, id, environment, name, "deployed", "", "", "", now);
    return this.find(id) as App;
  }

  /** The living app that a box announces, where it is there already. */
  findAnnounced({ environment, name, box, incarnation, devSuffix }: AnnouncedApp): App | undefined {
    const [row] = this.#sql.exec<Row>(
      `SELECT * FROM apps WHERE box = ? AND environment = ? AND name = ? AND incarnation = ?
       AND dev_suffix = ? AND stopped_at IS NULL`,
      box,
      environment,
      name,
      processOf({ incarnation, devSuffix }),
      devSuffix,
    );
    return row === undefined ? undefined : appOf(row);
  }

  /** The app that a box announces; made when it is new. One that was about to go, or was stopped, stays. */
  announced(app: AnnouncedApp, now: number): App {
    const known = this.findAnnounced(app);
    if (known !== undefined) {
      this.#sql.exec("UPDATE apps SET expires_at = NULL, stopped_at = NULL WHERE id = ?", known.id);
      return this.find(known.id) as App;
    }
    const { environment, name, box, devSuffix } = app;
    const kind: AppKind = devSuffix === "" ? "in_place" : "ephemeral";
    const id = newAppId();
    this.#sql.exec(INSERT, id, environment, name, kind, box, processOf(app), devSuffix, now);
    return this.find(id) as App;
  }

  /** The apps that a box announced. */
  ofBox(box: string): App[] {
    return this.#sql
      .exec<Row>("SELECT * FROM apps WHERE box = ? AND box <> ''", box)
      .toArray()
      .map(appOf);
  }

  /** The next version's number. */
  takeVersion(id: string): number {
    return this.#sql
      .exec<{ last_version: number }>(
        "UPDATE apps SET last_version = last_version + 1 WHERE id = ? RETURNING last_version",
        id,
      )
      .one().last_version;
  }

  stop(id: string, now: number): void {
    this.#sql.exec("UPDATE apps SET stopped_at = ? WHERE id = ?", now, id);
  }

  delete(id: string): void {
    this.#sql.exec("DELETE FROM apps WHERE id = ?", id);
  }

  /** Lets the ephemeral apps of a box end at a time, unless the box announces them again before. */
  expireEphemeral(box: string, at: number): void {
    this.#sql.exec(
      "UPDATE apps SET expires_at = ? WHERE box = ? AND kind = 'ephemeral' AND expires_at IS NULL",
      at,
      box,
    );
  }

  expired(now: number): App[] {
    return this.#sql
      .exec<Row>("SELECT * FROM apps WHERE expires_at <= ?", now)
      .toArray()
      .map(appOf);
  }

  /** When the next app expires. */
  nextExpiry(): number | undefined {
    const { at } = this.#sql
      .exec<{ at: number | null }>("SELECT min(expires_at) AS at FROM apps")
      .one();
    return at ?? undefined;
  }

  /** The boxes with ephemeral apps that are not about to go. */
  ephemeralBoxes(): string[] {
    return this.#sql
      .exec<{ box: string }>(
        "SELECT DISTINCT box FROM apps WHERE kind = 'ephemeral' AND expires_at IS NULL",
      )
      .toArray()
      .map(({ box }) => box);
  }

  /** AppRecords that were stopped so long ago that nobody asks any more. */
  longStopped(now: number): App[] {
    return this.#sql
      .exec<Row>("SELECT * FROM apps WHERE stopped_at <= ?", now - STOPPED_SHOWN_MS)
      .toArray()
      .map(appOf);
  }
}

/** The agent process that an app belongs to; one that is served in place belongs to its box. */
function processOf({
  incarnation,
  devSuffix,
}: Pick<AnnouncedApp, "incarnation" | "devSuffix">): string {
  return devSuffix === "" ? "" : incarnation;
}

function newAppId(): string {
  const random = crypto.getRandomValues(new Uint8Array(ID_RANDOM_BYTES));
  return `ap-${Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function appOf(row: Row): App {
  return {
    id: row.id,
    environment: row.environment,
    name: row.name,
    kind: row.kind as AppKind,
    box: row.box,
    createdAt: row.created_at,
    stoppedAt: row.stopped_at,
  };
}
