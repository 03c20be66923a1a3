import { env as bindings, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";

import type { Env } from "../../../../gateway/contracts/env.ts";
import { AuditLog } from "../../../../gateway/objects/workspace/audit-log.ts";
import { ApiTokens } from "../../../../gateway/objects/workspace/api-tokens.ts";
import { Environments } from "../../../../gateway/objects/workspace/environments.ts";
import { AppRecords } from "../../../../gateway/objects/workspace/app-records.ts";
import { migrate, MIGRATIONS } from "../../../../gateway/objects/workspace/migrations.ts";
import { ProxyTokens } from "../../../../gateway/objects/workspace/proxy-tokens.ts";
import { Scalings } from "../../../../gateway/objects/workspace/scalings.ts";
import { Versions } from "../../../../gateway/objects/workspace/versions.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { DATABASE_V1 } from "./databases/v1.ts";
import { DATABASE_V2 } from "./databases/v2.ts";
import { DATABASE_V3 } from "./databases/v3.ts";
import { DATABASE_V4 } from "./databases/v4.ts";
import { DATABASE_V5 } from "./databases/v5.ts";
import { DATABASE_V6 } from "./databases/v6.ts";
import { DATABASE_V7 } from "./databases/v7.ts";
import { DATABASE_V8 } from "./databases/v8.ts";
import { DATABASE_V9 } from "./databases/v9.ts";
import { DATABASE_V10 } from "./databases/v10.ts";
import { DATABASE_V11 } from "./databases/v11.ts";
import { DATABASE_V12 } from "./databases/v12.ts";
import { DATABASE_V13 } from "./databases/v13.ts";

const env = bindings as unknown as Env;

/** One database of every version that was ever published; the last has today's. */
const DATABASES = [
  DATABASE_V1,
  DATABASE_V2,
  DATABASE_V3,
  DATABASE_V4,
  DATABASE_V5,
  DATABASE_V6,
  DATABASE_V7,
  DATABASE_V8,
  DATABASE_V9,
  DATABASE_V10,
  DATABASE_V11,
  DATABASE_V12,
  DATABASE_V13,
];

let objects = 0;

/** Runs in an object whose storage is empty. */
async function withStorage<Result>(
  work: (storage: DurableObjectStorage) => Result,
): Promise<Result> {
  objects += 1;
  const stub = workspaceStub(env, `migrations-${objects}`);
  return await runInDurableObject(stub, (_instance, state) => {
    for (const { name } of tablesOf(state.storage)) {
      if (!name.startsWith("sqlite_")) state.storage.sql.exec(`DROP TABLE ${name}`);
    }
    return work(state.storage);
  });
}

function tablesOf({ sql }: DurableObjectStorage) {
  return sql
    .exec<{ name: string; sql: string }>(
      "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' ORDER BY name",
    )
    .toArray();
}

/** The tables' definitions without what differs in white space. */
function schemaOf(storage: DurableObjectStorage): string[] {
  return tablesOf(storage).map(({ sql }) => sql?.replace(/\s+/g, " ").trim() ?? "");
}

test("every version has its database among the fixtures", () => {
  expect(DATABASES).toHaveLength(MIGRATIONS.length);
});

test.each(DATABASES.map((database, index) => [index + 1, database] as const))(
  "a database of version %d becomes today's and keeps its tokens",
  async (_version, database) => {
    const fresh = await withStorage((storage) => {
      migrate(storage);
      return schemaOf(storage);
    });
    await withStorage((storage) => {
      storage.sql.exec(database);
      migrate(storage);
      expect(schemaOf(storage)).toEqual(fresh);
      const proxyTokens = new ProxyTokens(storage.sql, "k1");
      expect(proxyTokens.list({ limit: 10 }).items).toMatchObject([
        { id: "wk-expired", environments: [], apps: ["a", "b"], expiresAt: 1700000000002 },
        { id: "wk-kept", name: "ci", environments: ["main"], lastUsedAt: 1700000600000 },
      ]);
      expect([...proxyTokens.unexpired(1700000000002).keys()]).toEqual(["wk-kept"]);
      expect(new Environments(storage.sql).suffixOf("main")).toBe("");
      const digest = new Uint8Array(32);
      digest[31] = 3;
      expect(
        new ApiTokens(storage.sql, "k1").verify("ak-local-a", digest.buffer, Date.now()),
      ).toMatchObject({ scope: "admin", createdBy: "gateway" });
    });
  },
);

test("a database of version 3 keeps its apps and their versions", async () => {
  await withStorage((storage) => {
    storage.sql.exec(DATABASE_V3);
    migrate(storage);
    const app = new AppRecords(storage.sql).resolve({ app: "shop", environment: "main" });
    expect(app).toMatchObject({ kind: "deployed", stoppedAt: null });
    const versions = new Versions(storage.sql);
    expect(versions.newest(app?.id ?? "", "serving")).toMatchObject({
      version: 2,
      rollbackOf: 1,
      endpoints: [{ function: "f", name: "local--shop-f", private: true, boxes: ["gpu-1"] }],
    });
    expect(versions.assignedTo("gpu-1").map(({ version }) => version)).toEqual([2]);
  });
});

test("a database of version 7 keeps how many containers its functions have", async () => {
  await withStorage((storage) => {
    storage.sql.exec(DATABASE_V7);
    migrate(storage);
    const scalings = new Scalings(storage.sql);
    const version = { app: "ap-00000000000000000000000001", version: 2 };
    const settings = { min_containers: 2, max_containers: 4 };
    expect(scalings.byFunction(version)).toEqual({ f: settings });
    expect(scalings.list(version)).toMatchObject([
      { change: { min_containers: 2 }, createdBy: { name: "first token" } },
      { change: { max_containers: 4 } },
    ]);
  });
});

test("a database of version 10 keeps its tokens' limits", async () => {
  await withStorage((storage) => {
    storage.sql.exec(DATABASE_V10);
    migrate(storage);
    const kept = new ProxyTokens(storage.sql, "k1").find("wk-kept");
    expect(kept?.limits).toEqual({ rateLimit: "5/2" });
  });
});

test("a database of version 9 keeps its audit log, and goes on counting", async () => {
  await withStorage((storage) => {
    storage.sql.exec(DATABASE_V9);
    migrate(storage);
    const log = new AuditLog(storage.sql);
    expect(log.list({ limit: 10 }).items).toMatchObject([{ operation: "stopApp", result: "ok" }]);
    const entry = { by: "ak-local-a", byName: "", operation: "createEnvironment", object: "dev" };
    expect(log.insert(entry, 1)).toBe(5);
  });
});

test("a database of version 11 keeps the shares of its boxes", async () => {
  await withStorage((storage) => {
    storage.sql.exec(DATABASE_V11);
    migrate(storage);
    const rows = storage.sql.exec("SELECT * FROM pool_shares").toArray();
    expect(rows).toMatchObject([
      { pool: "f", parameters: "", box: "gpu-1", has: 1, most: 1, unconfirmed: 0 },
    ]);
  });
});

test("migrating twice changes nothing", async () => {
  await withStorage((storage) => {
    migrate(storage);
    const once = schemaOf(storage);
    migrate(storage);
    expect(schemaOf(storage)).toEqual(once);
  });
});

test("a database of a newer Postern is refused and left as it is", async () => {
  await withStorage((storage) => {
    migrate(storage);
    storage.sql.exec("INSERT INTO migrations (version) VALUES (?)", MIGRATIONS.length + 1);
    expect(() => migrate(storage)).toThrow(/newer than this Postern/);
  });
});
