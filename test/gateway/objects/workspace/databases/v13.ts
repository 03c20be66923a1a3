/** A workspace's database as version 13 left it, with the boxes' latest requests. */
export const DATABASE_V13 = `
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
, paths TEXT NOT NULL DEFAULT '[]', limits TEXT NOT NULL DEFAULT '{}');
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
INSERT INTO domains VALUES
  (1, 'example.com', 'postern-domain=a', 'verified', '', 1700000000003, 'ak-local-a', 1700000000004, 1700000000005, NULL,
   1700021600005);
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
CREATE TABLE environments (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  web_suffix TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL
);
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
CREATE TABLE box_sets (
  app TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  boxes TEXT NOT NULL,
  ttl_ms INTEGER,
  kept_until INTEGER NOT NULL,
  PRIMARY KEY (app, endpoint, boxes)
) WITHOUT ROWID;
CREATE TABLE box_leases (box TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
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
CREATE INDEX pool_shares_by_box ON pool_shares (box);
CREATE TABLE box_requests (
  box TEXT NOT NULL,
  operation TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  number INTEGER NOT NULL,
  PRIMARY KEY (box, operation)
) WITHOUT ROWID;
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
CREATE TABLE audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  by TEXT NOT NULL,
  by_name TEXT NOT NULL,
  operation TEXT NOT NULL,
  object TEXT NOT NULL,
  result TEXT
);
INSERT INTO migrations (version) VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13);
INSERT INTO facts (name, value) VALUES ('credentials_version', 7), ('first_token k1', 'ak-local-a');
INSERT INTO proxy_tokens VALUES
  (3, 'wk-kept', 'k1', x'0000000000000000000000000000000000000000000000000000000000000001', 'ci',
   '["main"]', '[]', 1700000000000, 'ak-local-a', NULL, 1700000600000, '["/v1/*"]', '{"rateLimit":"5/2"}'),
  (5, 'wk-expired', 'k1', x'0000000000000000000000000000000000000000000000000000000000000002', '',
   '[]', '["a","b"]', 1700000000001, 'ak-local-a', 1700000000002, NULL, '[]', '{}');
INSERT INTO api_tokens VALUES
  (1, 'ak-local-a', 'k1', x'0000000000000000000000000000000000000000000000000000000000000003', 'first token',
   'admin', 1700000000000, 'gateway', NULL, 1700000700000);
INSERT INTO boxes VALUES
  (2, 'gpu-1', '5e71a1', 'eu-west', 0, 1700000000000, 'ak-local-a', '0.1.0', 2, 1700000900000, NULL);
INSERT INTO box_links VALUES
  ('gpu-1', 0, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1700000800000),
  ('gpu-1', 1, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1700000800001);
INSERT INTO box_code VALUES ('gpu-1', 'c0de');
INSERT INTO apps VALUES
  (1, 'ap-00000000000000000000000001', 'main', 'shop', 'deployed', '', '', '', 2, 1700000000000, NULL, NULL),
  (2, 'ap-00000000000000000000000002', 'main', 'demo', 'in_place', 'gpu-1', '', '', 0, 1700000000001,
   NULL, NULL);
INSERT INTO versions VALUES
  ('ap-00000000000000000000000001', 1, 'replaced', '', '[]', NULL,
   '[{"function":"f","pool":"f","name":"local--shop-f","private":true,"boxes":["gpu-1"]}]', 'c0de',
   1700000000002, 'ak-local-a', 'first token', 'v1.0', 'abc1234*', NULL, 1700000000003, NULL),
  ('ap-00000000000000000000000001', 2, 'serving', '', '[]',
   '{"config":{},"code":null,"endpoints":[]}',
   '[{"function":"f","pool":"f","name":"local--shop-f","private":true,"boxes":["gpu-1"]}]', '',
   1700000000004, 'ak-local-a', 'first token', '', '', 1, 1700000000005, NULL);
INSERT INTO version_boxes VALUES
  ('ap-00000000000000000000000001', 1, 'gpu-1', NULL, '', '[]', NULL),
  ('ap-00000000000000000000000001', 2, 'gpu-1', 'serving', '', '[]', NULL);
INSERT INTO app_names VALUES
  ('ap-00000000000000000000000001', 'local--shop-f', 'serve', '{"boxes":[]}', 1);
INSERT INTO environments VALUES
  (1, 'main', '', 1700000000000, 'gateway'),
  (3, 'staging', 'beta', 1700000000001, 'ak-local-a');
INSERT INTO secrets VALUES
  (2, 3, 'huggingface', '["HF_TOKEN"]', 'k1', x'000102030405060708090a0b', x'00', 1700000000002,
   1700000000003, 'ak-local-a');
INSERT INTO box_sets VALUES
  ('ap-00000000000000000000000001', 'main/shop/f', '["gpu-1"]', 3900000, 0);
INSERT INTO box_leases VALUES ('gpu-1', 1700000960000);
INSERT INTO pool_shares VALUES
  ('ap-00000000000000000000000001', 2, 'f', '', 'gpu-1', 0, 3, 0, 1, 1, 0, 0, 0, 1, 1, 1700000900000, 1700000900000, 0),
  ('ap-00000000000000000000000001', 2, 'f', 'RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o', 'gpu-1', 0, 3, 0, 1, 1, 1, 0, 0, 1, 0,
   1700000900000, 1700000900000, 2);
INSERT INTO scalings VALUES
  (1, 'ap-00000000000000000000000001', 2, 'f', '{"max_containers":4}', '{"max_containers":4}', 1700000000006,
   'ak-local-a', 'first token'),
  (2, 'ap-00000000000000000000000001', 2, 'f', '{"min_containers":2}',
   '{"max_containers":4,"min_containers":2}', 1700000000007, 'ak-local-a', 'first token');
INSERT INTO audit VALUES
  (4, 1700000000008, 'ak-local-a', 'first token', 'stopApp', 'ap-00000000000000000000000001', 'ok');
INSERT INTO box_requests VALUES
  ('gpu-1', 'poolShares', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 41),
  ('gpu-1', 'report', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 42);
`;
