/**
 * The versions of a workspace's deployed apps in its database. A version's content never changes. The content of
 * the oldest versions is forgotten, and only their history stays.
 */
import type { AuthKind } from "../../../routing/wire/auth-settings.ts";
import type { VersionContent } from "../../../routing/wire/deployments.ts";
import { type Page, type PageRequest } from "../../contracts/workspace/pages.ts";
import { type Author } from "../../contracts/workspace/apps.ts";
import { pageOf } from "../pages.ts";
import { nextStatus, type VersionEvent } from "./version-states.ts";
import { type VersionStatus } from "../../../api/version-status.ts";

/** An endpoint of a version, as it was placed and named when the version was made. */
export interface PlacedEndpoint {
  readonly function: string;
  readonly pool: string;
  /** Its host name below the base domain. */
  readonly name: string;
  /** Absent: none. */
  readonly customDomains?: readonly string[];
  /** Callers need a token of the workspace. */
  readonly private: boolean;
  /** Who else may call it; absent: nobody. */
  readonly auth?: AuthKind[];
  readonly boxes: readonly string[];
}

/** Times are milliseconds of the epoch. */
export interface Version {
  readonly app: string;
  readonly version: number;
  readonly status: VersionStatus;
  /** Why it failed; empty otherwise. */
  readonly detail: string;
  /** The last lines that the failed container printed. */
  readonly lines: readonly string[];
  readonly endpoints: readonly PlacedEndpoint[];
  /** The hash of its code; empty where it has none. */
  readonly code: string;
  readonly createdAt: number;
  /** An API token's id and name. */
  readonly createdBy: Author;
  readonly tag: string;
  readonly commit: string;
  readonly rollbackOf: number | null;
  /** Since when it serves, or when it began to. */
  readonly servedAt: number | null;
}

export interface NewVersion {
  readonly app: string;
  readonly version: number;
  readonly content: VersionContent;
  readonly endpoints: readonly PlacedEndpoint[];
  readonly by: Author;
  readonly tag: string;
  readonly commit: string;
  readonly rollbackOf: number | null;
}

/** Of how many versions of an app, the newest, it is kept what they consist of. */
const CONTENTS_KEPT = 50;

type Row = {
  number: number;
  app: string;
  version: number;
  status: string;
  detail: string;
  lines: string;
  endpoints: string;
  code: string;
  created_at: number;
  created_by: string;
  created_by_name: string;
  tag: string;
  git_commit: string;
  rollback_of: number | null;
  served_at: number | null;
};

/** Everything but the content, which is large. */
const SELECT = `SELECT version AS number, app, version, status, detail, lines, endpoints, code,
  created_at, created_by, created_by_name, tag, git_commit, rollback_of, served_at FROM versions`;

export class Versions {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Notes a staged version, which is dropped at a time unless it is started before. */
  insert(chosen: NewVersion, now: number, dropAt: number): void {
    const { app, version, content, endpoints, by, tag, commit, rollbackOf } = chosen;
    this.#sql.exec(
      `INSERT INTO versions (app, version, status, detail, lines, content, endpoints, code,
         created_at, created_by, created_by_name, tag, git_commit, rollback_of, due_at)
       VALUES (?, ?, 'staged', '', '[]', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      app,
      version,
      JSON.stringify(content),
      JSON.stringify(endpoints),
      content.code?.hash ?? "",
      now,
      by.id,
      by.name,
      tag,
      commit,
      rollbackOf,
      dropAt,
    );
    for (const box of new Set(endpoints.flatMap(({ boxes }) => boxes))) {
      this.#sql.exec(
        "INSERT INTO version_boxes (app, version, box, detail, lines) VALUES (?, ?, ?, '', '[]')",
        app,
        version,
        box,
      );
    }
    this.#sql.exec(
      `UPDATE versions SET content = NULL
       WHERE app = ?1 AND version <= ?2 AND status NOT IN ('staged', 'candidate', 'serving')`,
      app,
      version - CONTENTS_KEPT,
    );
    this.#sql.exec(
      `DELETE FROM version_boxes WHERE app = ?1 AND version <= ?2 AND version IN (
         SELECT version FROM versions WHERE app = ?1 AND content IS NULL)`,
      app,
      version - CONTENTS_KEPT,
    );
  }

  find(app: string, version: number): Version | undefined {
    const [row] = this.#sql.exec<Row>(`${SELECT} WHERE app = ? AND version = ?`, app, version);
    return row === undefined ? undefined : versionOf(row);
  }

  /** A version's content; undefined where it is forgotten, and where there is no such version. */
  content(app: string, version: number): VersionContent | undefined {
    const [row] = this.#sql.exec<{ content: string | null }>(
      "SELECT content FROM versions WHERE app = ? AND version = ?",
      app,
      version,
    );
    const text = row?.content ?? null;
    return text === null ? undefined : (JSON.parse(text) as VersionContent);
  }

  /** Newest first. */
  list(app: string, { limit, cursor }: PageRequest): Page<Version> {
    const rows = this.#sql
      .exec<Row>(
        `${SELECT} WHERE app = ? AND version < ? ORDER BY version DESC LIMIT ?`,
        app,
        cursor ?? Number.MAX_SAFE_INTEGER,
        limit + 1,
      )
      .toArray();
    return pageOf(rows, limit, versionOf);
  }

  /** The app's version of a status that only one has, or the newest that has it. */
  newest(app: string, status: VersionStatus, below = Number.MAX_SAFE_INTEGER): Version | undefined {
    const [row] = this.#sql.exec<Row>(
      `${SELECT} WHERE app = ? AND status = ? AND version < ? ORDER BY version DESC LIMIT 1`,
      app,
      status,
      below,
    );
    return row === undefined ? undefined : versionOf(row);
  }

  /** An app's versions that have not ended, oldest first. */
  active(app: string): Version[] {
    return this.#sql
      .exec<Row>(
        `${SELECT} WHERE app = ? AND status IN ('staged', 'candidate', 'serving') ORDER BY version`,
        app,
      )
      .toArray()
      .map(versionOf);
  }

  isEmpty(app: string): boolean {
    return (
      this.#sql.exec("SELECT 1 FROM versions WHERE app = ? LIMIT 1", app).toArray().length === 0
    );
  }

  /**
   * Moves a version on; returns whether the event meant anything to it.
   * @param dueAt when it is to be looked after again
   */
  apply(version: Version, event: VersionEvent, dueAt: number | null = null): boolean {
    const status = nextStatus(version.status, event);
    if (status === undefined) return false;
    this.#sql.exec(
      "UPDATE versions SET status = ?, due_at = ? WHERE app = ? AND version = ?",
      status,
      dueAt,
      version.app,
      version.version,
    );
    return true;
  }

  noteServing({ app, version }: Version, now: number): void {
    this.#sql.exec(
      "UPDATE versions SET served_at = ? WHERE app = ? AND version = ?",
      now,
      app,
      version,
    );
  }

  noteFailure({ app, version }: Version, detail: string, lines: readonly string[]): void {
    this.#sql.exec(
      "UPDATE versions SET detail = ?, lines = ? WHERE app = ? AND version = ?",
      detail,
      JSON.stringify(lines),
      app,
      version,
    );
  }

  delete({ app, version }: Version): void {
    this.#sql.exec("DELETE FROM versions WHERE app = ? AND version = ?", app, version);
    this.#sql.exec("DELETE FROM version_boxes WHERE app = ? AND version = ?", app, version);
  }

  deleteAll(app: string): void {
    this.#sql.exec("DELETE FROM versions WHERE app = ?", app);
    this.#sql.exec("DELETE FROM version_boxes WHERE app = ?", app);
  }

  /** Staged and candidate versions whose time is over. */
  due(now: number): Version[] {
    return this.#sql
      .exec<Row>(`${SELECT} WHERE status IN ('staged', 'candidate') AND due_at <= ?`, now)
      .toArray()
      .map(versionOf);
  }

  nextDue(): number | undefined {
    const { at } = this.#sql
      .exec<{ at: number | null }>(
        "SELECT min(due_at) AS at FROM versions WHERE status IN ('staged', 'candidate')",
      )
      .one();
    return at ?? undefined;
  }

  candidates(): Version[] {
    return this.#sql.exec<Row>(`${SELECT} WHERE status = 'candidate'`).toArray().map(versionOf);
  }

  /** The candidate and serving versions of a box, and those that it keeps for a moment. */
  assignedTo(box: string): Version[] {
    return this.#sql
      .exec<Row>(
        `${SELECT} WHERE (app, version) IN (
           SELECT app, version FROM version_boxes WHERE box = ?1
             AND (kept_until IS NOT NULL OR EXISTS (
               SELECT 1 FROM versions AS live WHERE live.app = version_boxes.app
                 AND live.version = version_boxes.version AND live.status IN ('candidate', 'serving'))))
         ORDER BY app, version`,
        box,
      )
      .toArray()
      .map(versionOf);
  }
}

function versionOf(row: Row): Version {
  return {
    app: row.app,
    version: row.version,
    status: row.status as VersionStatus,
    detail: row.detail,
    lines: JSON.parse(row.lines) as string[],
    endpoints: JSON.parse(row.endpoints) as PlacedEndpoint[],
    code: row.code,
    createdAt: row.created_at,
    createdBy: { id: row.created_by, name: row.created_by_name },
    tag: row.tag,
    commit: row.git_commit,
    rollbackOf: row.rollback_of,
    servedAt: row.served_at,
  };
}
