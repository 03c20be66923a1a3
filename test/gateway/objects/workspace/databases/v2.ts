/** A workspace's database as version 2 left it, which knows boxes. */
export const DATABASE_V2 = `
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
INSERT INTO migrations (version) VALUES (1), (2);
INSERT INTO facts (name, value) VALUES ('credentials_version', 7), ('first_token k1', 'ak-local-a');
INSERT INTO proxy_tokens VALUES
  (3, 'wk-kept', 'k1', x'0000000000000000000000000000000000000000000000000000000000000001', 'ci',
   '["main"]', '[]', 1700000000000, 'ak-local-a', NULL, 1700000600000),
  (5, 'wk-expired', 'k1', x'0000000000000000000000000000000000000000000000000000000000000002', '',
   '[]', '["a","b"]', 1700000000001, 'ak-local-a', 1700000000002, NULL);
INSERT INTO api_tokens VALUES
  (1, 'ak-local-a', 'k1', x'0000000000000000000000000000000000000000000000000000000000000003', 'first token',
   'admin', 1700000000000, 'gateway', NULL, 1700000700000);
INSERT INTO boxes VALUES
  (2, 'gpu-1', '5e71a1', 'eu-west', 0, 1700000000000, 'ak-local-a', '0.1.0', 2, 1700000900000, NULL);
INSERT INTO box_links VALUES
  ('gpu-1', 0, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1700000800000),
  ('gpu-1', 1, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1700000800001);
INSERT INTO box_code VALUES ('gpu-1', 'c0de');
`;
