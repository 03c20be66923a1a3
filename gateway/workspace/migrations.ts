/**
 * The steps of the `Workspace` object's database (docs/storage.md). A step that was once published never
 * changes; test/gateway/workspace/databases/ keeps a database of each version.
 */
import { takeSteps } from "../migrate.ts";

/** Step n, from 1, is at index n - 1. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE facts (name TEXT PRIMARY KEY, value ANY NOT NULL) WITHOUT ROWID;
  CREATE TABLE proxy_tokens (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    name TEXT NOT NULL,
    environments TEXT NOT NULL,
    apps TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER
  );
  CREATE TABLE api_tokens (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER
  );
  `,
  `
  CREATE TABLE boxes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    serial TEXT NOT NULL,
    region TEXT NOT NULL,
    ephemeral INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    agent TEXT NOT NULL,
    links INTEGER NOT NULL,
    last_seen_at INTEGER,
    expires_at INTEGER
  );
  CREATE TABLE box_links (
    box TEXT NOT NULL,
    link INTEGER NOT NULL,
    incarnation TEXT NOT NULL,
    connected_at INTEGER NOT NULL,
    PRIMARY KEY (box, link)
  ) WITHOUT ROWID;
  CREATE TABLE box_code (
    box TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (hash, box)
  ) WITHOUT ROWID;
  `,
];

/** @throws Error for a database that a newer Postern has written */
export function migrate(storage: DurableObjectStorage): void {
  takeSteps(storage, MIGRATIONS, "workspace's");
}
