/** A workspace's database as version 1 left it: never changed, so that every later version must read it. */
export const DATABASE_V1 = `
CREATE TABLE migrations (version INTEGER PRIMARY KEY) WITHOUT ROWID;
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
INSERT INTO migrations (version) VALUES (1);
INSERT INTO facts (name, value) VALUES ('credentials_version', 7), ('first_token k1', 'ak-local-a');
INSERT INTO proxy_tokens VALUES
  (3, 'wk-kept', 'k1', x'0000000000000000000000000000000000000000000000000000000000000001', 'ci',
   '["main"]', '[]', 1700000000000, 'ak-local-a', NULL, 1700000600000),
  (5, 'wk-expired', 'k1', x'0000000000000000000000000000000000000000000000000000000000000002', '',
   '[]', '["a","b"]', 1700000000001, 'ak-local-a', 1700000000002, NULL);
INSERT INTO api_tokens VALUES
  (1, 'ak-local-a', 'k1', x'0000000000000000000000000000000000000000000000000000000000000003', 'first token',
   'admin', 1700000000000, 'gateway', NULL, 1700000700000);
`;
