/**
 * The `Workspace` object's database, as the steps that made it (docs/storage.md). A step that was once
 * published never changes: a database of any earlier version gets the steps that it lacks, in order.
 * test/gateway/workspace/databases/ keeps one of each version.
 */

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

/**
 * Brings a database up to date, each step whole or not at all.
 * @throws Error for a database that a newer Postern has written
 */
export function migrate(storage: DurableObjectStorage): void {
  const { sql } = storage;
  sql.exec("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY) WITHOUT ROWID");
  const { version } = sql
    .exec<{ version: number }>("SELECT coalesce(max(version), 0) AS version FROM migrations")
    .one();
  if (version > MIGRATIONS.length) {
    throw new Error(`the workspace's database has version ${version}, newer than this Postern`);
  }
  for (const [index, step] of MIGRATIONS.entries()) {
    if (index < version) continue;
    storage.transactionSync(() => {
      sql.exec(step);
      sql.exec("INSERT INTO migrations (version) VALUES (?)", index + 1);
    });
  }
}
