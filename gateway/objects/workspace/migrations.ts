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
  `
  CREATE TABLE apps (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    box TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    dev_suffix TEXT NOT NULL,
    last_version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    stopped_at INTEGER,
    expires_at INTEGER
  );
  CREATE INDEX apps_by_name ON apps (environment, name);
  CREATE INDEX apps_by_box ON apps (box) WHERE box <> '';
  CREATE TABLE versions (
    app TEXT NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    detail TEXT NOT NULL,
    lines TEXT NOT NULL,
    content TEXT,
    endpoints TEXT NOT NULL,
    code TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_by_name TEXT NOT NULL,
    tag TEXT NOT NULL,
    git_commit TEXT NOT NULL,
    rollback_of INTEGER,
    served_at INTEGER,
    due_at INTEGER,
    PRIMARY KEY (app, version)
  );
  CREATE INDEX versions_by_status ON versions (status);
  CREATE TABLE version_boxes (
    app TEXT NOT NULL,
    version INTEGER NOT NULL,
    box TEXT NOT NULL,
    state TEXT,
    detail TEXT NOT NULL,
    lines TEXT NOT NULL,
    kept_until INTEGER,
    PRIMARY KEY (app, version, box)
  ) WITHOUT ROWID;
  CREATE INDEX version_boxes_by_box ON version_boxes (box);
  CREATE INDEX version_boxes_kept ON version_boxes (kept_until) WHERE kept_until IS NOT NULL;
  CREATE TABLE app_names (
    app TEXT NOT NULL,
    name TEXT NOT NULL,
    wanted TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    settled INTEGER NOT NULL,
    PRIMARY KEY (app, name)
  ) WITHOUT ROWID;
  CREATE INDEX app_names_unsettled ON app_names (app) WHERE settled = 0;
  `,
  `
  CREATE TABLE environments (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    web_suffix TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
  );
  INSERT INTO environments (name, web_suffix, created_at, created_by)
    VALUES ('main', '', unixepoch() * 1000, 'gateway');
  CREATE TABLE secrets (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    environment INTEGER NOT NULL,
    name TEXT NOT NULL,
    variables TEXT NOT NULL,
    key TEXT NOT NULL,
    iv BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    UNIQUE (environment, name)
  );
  `,
  `
  CREATE TABLE box_sets (
    app TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    boxes TEXT NOT NULL,
    ttl_ms INTEGER,
    kept_until INTEGER NOT NULL,
    PRIMARY KEY (app, endpoint, boxes)
  ) WITHOUT ROWID;
  `,
  `
  CREATE TABLE box_leases (box TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE pool_shares (
    app TEXT NOT NULL,
    version INTEGER NOT NULL,
    pool TEXT NOT NULL,
    box TEXT NOT NULL,
    min INTEGER NOT NULL,
    max INTEGER NOT NULL,
    buffer INTEGER NOT NULL,
    needs INTEGER NOT NULL,
    has INTEGER NOT NULL,
    least INTEGER NOT NULL,
    spare INTEGER NOT NULL,
    most INTEGER NOT NULL,
    proved INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (app, version, pool, box)
  ) WITHOUT ROWID;
  CREATE INDEX pool_shares_by_box ON pool_shares (box);
  `,
  `
  CREATE TABLE scalings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    app TEXT NOT NULL,
    version INTEGER NOT NULL,
    function TEXT NOT NULL,
    change TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_by_name TEXT NOT NULL
  );
  CREATE INDEX scalings_by_version ON scalings (app, version);
  `,
  `
  ALTER TABLE proxy_tokens ADD COLUMN paths TEXT NOT NULL DEFAULT '[]';
  `,
  `
  CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    by_name TEXT NOT NULL,
    operation TEXT NOT NULL,
    object TEXT NOT NULL,
    result TEXT
  );
  `,
  `
  ALTER TABLE proxy_tokens ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
  `,
  `
  CREATE TABLE domains (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    domain TEXT NOT NULL UNIQUE,
    proof TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    verified_at INTEGER,
    checked_at INTEGER,
    missing_since INTEGER,
    check_at INTEGER
  );
  CREATE INDEX domains_by_check ON domains (check_at) WHERE check_at IS NOT NULL;
  `,
  `
  ALTER TABLE pool_shares RENAME TO former_pool_shares;
  CREATE TABLE pool_shares (
    app TEXT NOT NULL,
    version INTEGER NOT NULL,
    pool TEXT NOT NULL,
    parameters TEXT NOT NULL,
    box TEXT NOT NULL,
    min INTEGER NOT NULL,
    max INTEGER NOT NULL,
    buffer INTEGER NOT NULL,
    needs INTEGER NOT NULL,
    has INTEGER NOT NULL,
    starting INTEGER NOT NULL,
    least INTEGER NOT NULL,
    spare INTEGER NOT NULL,
    most INTEGER NOT NULL,
    proved INTEGER NOT NULL,
    since INTEGER NOT NULL,
    grant_number INTEGER NOT NULL,
    unconfirmed INTEGER NOT NULL,
    PRIMARY KEY (app, version, pool, parameters, box)
  ) WITHOUT ROWID;
  INSERT INTO pool_shares
    SELECT app, version, pool, '', box, min, max, buffer, needs, has, 0, least, spare, most, proved, since,
      0, 0
    FROM former_pool_shares;
  DROP TABLE former_pool_shares;
  CREATE INDEX pool_shares_by_box ON pool_shares (box);
  `,
  `
  CREATE TABLE box_requests (
    box TEXT NOT NULL,
    operation TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (box, operation)
  ) WITHOUT ROWID;
  `,
];

/** @throws Error for a database that a newer Postern has written */
export function migrate(storage: DurableObjectStorage): void {
  takeSteps(storage, MIGRATIONS, "workspace's");
}
