/** The audit log: every operation that may change something has its entry, and no entry a secret. */
import { env as bindings, runInDurableObject } from "cloudflare:test";
import { beforeEach, expect, test, vi } from "vitest";

import { firstApiToken } from "../../../../auth/tokens.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { AuditLog } from "../../../../gateway/objects/workspace/audit-log.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import { call, type Token } from "../../api-client.ts";

const env = bindings as unknown as Env;

let number = 0;
let workspace: string;
let admin: Token;
beforeEach(async () => {
  number += 1;
  workspace = `audit.${number}`;
  admin = await firstApiToken(await gatewayKeys(env), workspace);
});

const entries = async (query = "") =>
  (await call("GET", `/audit${query}`, { token: admin })).json.items;

test("says who changed what when, with the result, newest first, and nothing of those who read", async () => {
  const created = await call("POST", "/tokens", {
    token: admin,
    body: { name: "ci", scope: "deploy" },
  });
  const ci = created.json as Token;
  await call("GET", "/environments", { token: ci });
  await call("POST", "/environments", { token: ci, body: { name: "dev", web_suffix: "dev" } });
  await call("POST", "/environments", { token: ci, body: { name: "dev", web_suffix: "dev" } });
  const log = await entries();
  expect(log).toMatchObject([
    { by: ci.id, by_name: "ci", operation: "createEnvironment", object: "dev", result: "conflict" },
    { by: ci.id, by_name: "ci", operation: "createEnvironment", object: "dev", result: "ok" },
    { by: admin.id, by_name: "first token", operation: "createApiToken", object: ci.id },
  ]);
  expect(Date.now() - Date.parse(log[0].at)).toBeLessThan(60_000);
});

test("never has a secret's value, nor a token's secret", async () => {
  const put = await call("PUT", "/secrets/huggingface?environment=main", {
    token: admin,
    body: { variables: { HF_TOKEN: "hf-hidden-value" } },
  });
  expect(put.status).toBeLessThan(300);
  const { secret } = (await call("POST", "/proxy-tokens", { token: admin, body: {} })).json;
  const text = JSON.stringify(await entries());
  expect(text).toContain('"main/huggingface"');
  expect(text).not.toContain("hf-hidden-value");
  expect(text).not.toContain(secret);
});

test("is for admins, and comes in pages", async () => {
  for (const name of ["a", "b", "c"]) {
    await call("POST", "/environments", { token: admin, body: { name, web_suffix: name } });
  }
  const first = (await call("GET", "/audit?limit=2", { token: admin })).json;
  expect(first.items.map(({ object }: { object: string }) => object)).toEqual(["c", "b"]);
  expect(await entries(`?limit=2&cursor=${first.next_cursor}`)).toMatchObject([{ object: "a" }]);
  const body = { scope: "deploy" };
  const other = (await call("POST", "/tokens", { token: admin, body })).json as Token;
  expect((await call("GET", "/audit", { token: other })).status).toBe(403);
});

test("has an entry before anything changes, and one that broke off has no result", async () => {
  const ended = vi.spyOn(Workspace.prototype, "noteEnded").mockImplementation(() => {});
  await call("POST", "/environments", { token: admin, body: { name: "x", web_suffix: "x" } });
  ended.mockRestore();
  expect(await entries()).toMatchObject([{ object: "x", result: null }]);
  const begun = vi.spyOn(Workspace.prototype, "noteBegun").mockImplementation(() => {
    throw new Error("no room");
  });
  const refused = await call("POST", "/environments", {
    token: admin,
    body: { name: "y", web_suffix: "y" },
  });
  begun.mockRestore();
  expect(refused.status).toBe(503);
  expect((await call("GET", "/environments/y", { token: admin })).status).toBe(404);
});

test("keeps the newest 10,000 entries", async () => {
  await runInDurableObject(workspaceStub(env, workspace), (_, { storage }) => {
    const log = new AuditLog(storage.sql);
    const entry = { by: "ak-x", byName: "", operation: "stopApp", object: "" };
    const first = log.insert(entry, 0);
    for (let index = 1; index < 10_000; index += 1) log.insert(entry, index);
    const count = () =>
      storage.sql.exec<{ count: number }>("SELECT count(*) AS count FROM audit").one().count;
    expect(count()).toBe(10_000);
    log.insert(entry, 10_000);
    expect(count()).toBe(10_000);
    expect(log.list({ limit: 10, cursor: first + 2 }).items).toMatchObject([{ at: 1 }]);
  });
});
