import { env as bindings } from "cloudflare:test";
import { beforeEach, describe, expect, test, vi } from "vitest";

import { firstApiToken, mintToken, TOKEN_RANDOM_BYTES } from "../../../../auth/tokens.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { call, type Token } from "../../api-client.ts";

const env = bindings as unknown as Env;

let number = 0;
let workspace: string;
let admin: Token;
beforeEach(async () => {
  number += 1;
  workspace = `api.${number}`;
  admin = await firstApiToken(await gatewayKeys(env), workspace);
});

async function tokenOf(scope: string, more: Record<string, unknown> = {}): Promise<Token> {
  const { status, json } = await call("POST", "/tokens", {
    token: admin,
    body: { scope, ...more },
  });
  expect(status).toBe(201);
  return json as Token;
}

describe("an API token", () => {
  test("of a new workspace is its first one, an admin's", async () => {
    const { status, json } = await call("GET", "/workspace", { token: admin });
    expect(status).toBe(200);
    expect(json).toMatchObject({ name: workspace, token: { id: admin.id, scope: "admin" } });
    expect(json.token).not.toHaveProperty("secret");
  });

  test("is asked for, and a wrong one refused, in problem documents", async () => {
    const missing = await call("GET", "/workspace");
    expect(missing.status).toBe(401);
    expect(missing.json).toMatchObject({ code: "missing_credentials" });
    expect(missing.headers.get("content-type")).toBe("application/problem+json");
    expect(missing.headers.get("www-authenticate")).toMatch(/^Bearer/);
    const wrong = await call("GET", "/workspace", { token: { ...admin, secret: "as-" } });
    expect(wrong.status).toBe(401);
    expect(wrong.json).toMatchObject({ code: "invalid_credentials" });
  });

  test("that this gateway did not make asks no object", async () => {
    const asked = vi.spyOn(Workspace.prototype, "authenticate");
    const other = await firstApiToken(await gatewayKeys(env), "elsewhere");
    for (const id of [
      "ak-local",
      admin.id.toUpperCase(),
      `${admin.id}a`,
      other.id.replace("elsewhere", workspace),
      `ak-${"x".repeat(64)}-${"a".repeat(26)}`,
    ]) {
      expect((await call("GET", "/workspace", { token: { ...admin, id } })).status).toBe(401);
    }
    expect(asked).not.toHaveBeenCalled();
    asked.mockRestore();
  });

  test.each([
    ["read", "GET", "/workspace", 200],
    ["read", "GET", "/proxy-tokens", 200],
    ["read", "POST", "/proxy-tokens", 403],
    ["read", "DELETE", "/proxy-tokens/wk-x", 403],
    ["read", "GET", "/tokens", 403],
    ["deploy", "POST", "/proxy-tokens", 201],
    ["deploy", "DELETE", "/proxy-tokens/wk-x", 404],
    ["read", "GET", "/boxes/unknown/calls", 404],
    ["read", "DELETE", "/boxes/unknown/calls/x", 403],
    ["deploy", "DELETE", "/boxes/unknown/calls/x", 404],
    ["deploy", "GET", "/tokens", 403],
    ["deploy", "POST", "/tokens", 403],
    ["deploy", "DELETE", "/tokens/ak-x", 403],
    ["admin", "GET", "/tokens", 200],
    ["admin", "DELETE", "/tokens/ak-x", 404],
  ])("of scope %s may %s %s: %d", async (scope, method, path, status) => {
    const token = await tokenOf(scope);
    const body = method === "POST" ? { body: {} } : {};
    expect((await call(method, path, { token, ...body })).status).toBe(status);
  });

  test("is refused at once when it is revoked, and revoking it again changes nothing", async () => {
    const token = await tokenOf("read");
    expect((await call("DELETE", `/tokens/${token.id}`, { token: admin })).status).toBe(204);
    expect((await call("GET", "/workspace", { token })).status).toBe(401);
    expect((await call("DELETE", `/tokens/${token.id}`, { token: admin })).status).toBe(204);
  });

  test("is refused when it has expired", async () => {
    const token = await tokenOf("read", { expires_in: 60 });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 59_000 });
    expect((await call("GET", "/workspace", { token })).status).toBe(200);
    vi.setSystemTime(Date.now() + 1_000);
    expect((await call("GET", "/workspace", { token })).status).toBe(401);
    vi.useRealTimers();
  });

  test("of the last admin stays, one that expires counting for none", async () => {
    await tokenOf("admin", { expires_in: 60 });
    const refused = await call("DELETE", `/tokens/${admin.id}`, { token: admin });
    expect(refused.status).toBe(409);
    expect(refused.json).toMatchObject({ code: "conflict" });
    const second = await tokenOf("admin");
    expect((await call("DELETE", `/tokens/${admin.id}`, { token: second })).status).toBe(204);
    expect((await call("GET", "/workspace", { token: admin })).status).toBe(401);
  });

  test("is listed with its use, without its secret", async () => {
    await tokenOf("read", { name: "ci" });
    const { json } = await call("GET", "/tokens", { token: admin });
    expect(json.items).toMatchObject([
      { name: "ci", scope: "read", created_by: admin.id, last_used_at: null, expires_at: null },
      { name: "first token", scope: "admin", created_by: "gateway" },
    ]);
    expect(json.items[1].last_used_at).toMatch(/^\d{4}-.*Z$/);
    expect(JSON.stringify(json)).not.toContain("as-");
  });
});

describe("proxy tokens", () => {
  test("are made with name, restrictions and expiry, and listed as made", async () => {
    const restrictions = { environments: ["main"], apps: ["a_b"], paths: ["/v1/*"] };
    const body = { name: "ci", ...restrictions, expires_in: 3600 };
    const created = await call("POST", "/proxy-tokens", { token: admin, body });
    expect(created.status).toBe(201);
    expect(created.headers.get("cache-control")).toBe("no-store");
    const { secret, ...shown } = created.json;
    expect(shown).toMatchObject(restrictions);
    expect(shown.id).toMatch(/^wk-[a-z2-7]{26}$/);
    expect(secret).toMatch(/^ws-[a-z2-7]{32}$/);
    const expiresIn = Date.parse(String(shown.expires_at)) - Date.parse(String(shown.created_at));
    expect(Math.abs(expiresIn - 3_600_000)).toBeLessThan(1_000);
    const { json } = await call("GET", "/proxy-tokens", { token: admin });
    expect(json).toEqual({ items: [shown], next_cursor: null });
  });

  test("are listed in pages, newest first, each exactly once", async () => {
    for (let index = 0; index < 5; index++) {
      await call("POST", "/proxy-tokens", { token: admin, body: { name: `t${index}` } });
    }
    const names: string[] = [];
    const sizes: number[] = [];
    let cursor = "";
    do {
      const { json } = await call("GET", `/proxy-tokens?limit=2${cursor}`, { token: admin });
      names.push(...json.items.map(({ name }: { name: string }) => name));
      sizes.push(json.items.length);
      cursor = json.next_cursor === null ? "" : `&cursor=${json.next_cursor}`;
    } while (cursor !== "");
    expect(names).toEqual(["t4", "t3", "t2", "t1", "t0"]);
    expect(sizes).toEqual([2, 2, 1]);
  });

  test("change their limits: those that are named, and null takes one away", async () => {
    const limits = { rate_limit: "5/10", daily_requests: 100, concurrent: 2, priority: "batch" };
    const { json } = await call("POST", "/proxy-tokens", { token: admin, body: limits });
    const path = `/proxy-tokens/${json.id}`;
    const change = async (body: Record<string, unknown>) =>
      await call("PATCH", path, { token: admin, body });
    const changed = await change({ daily_requests: 200, concurrent: null });
    expect(changed.status).toBe(200);
    expect(changed.json).toMatchObject({ ...limits, daily_requests: 200, concurrent: null });
    expect(changed.json).not.toHaveProperty("secret");
    expect((await change({ priority: "interactive", rate_limit: null })).json).toMatchObject({
      priority: "interactive",
      rate_limit: null,
      daily_requests: 200,
      daily_container_seconds: null,
    });
    const { items } = (await call("GET", "/proxy-tokens", { token: admin })).json;
    expect(items).toEqual([(await change({})).json]);
    const known = await workspaceStub(env, workspace).credentials();
    expect(known?.tokens.get(String(json.id))?.limits).toEqual({ dailyRequests: 200 });
    expect((await change({ daily_requests: 0 })).status).toBe(400);
    await call("DELETE", path, { token: admin });
    expect((await change({ daily_requests: 1 })).status).toBe(404);
  });

  test("are revoked idempotently; one that never was is not found", async () => {
    const { json } = await call("POST", "/proxy-tokens", { token: admin, body: {} });
    const path = `/proxy-tokens/${json.id}`;
    expect((await call("DELETE", path, { token: admin })).status).toBe(204);
    expect((await call("DELETE", path, { token: admin })).status).toBe(204);
    const random = crypto.getRandomValues(new Uint8Array(TOKEN_RANDOM_BYTES));
    const foreign = await mintToken(await gatewayKeys(env), "proxy", "elsewhere", random);
    const missing = await call("DELETE", `/proxy-tokens/${foreign.id}`, { token: admin });
    expect(missing.status).toBe(404);
    expect(missing.json).toMatchObject({ code: "not_found" });
  });

  test("of another workspace are neither seen nor revoked", async () => {
    const { json } = await call("POST", "/proxy-tokens", { token: admin, body: {} });
    const other = await firstApiToken(await gatewayKeys(env), `${workspace}.other`);
    expect((await call("GET", "/proxy-tokens", { token: other })).json.items).toEqual([]);
    expect((await call("DELETE", `/proxy-tokens/${json.id}`, { token: other })).status).toBe(404);
    expect((await call("GET", "/proxy-tokens", { token: admin })).json.items).toHaveLength(1);
  });

  test("are at most 1,000, and expired ones make room after a month", async () => {
    const stub = workspaceStub(env, workspace);
    const chosen = {
      name: "",
      environments: [],
      apps: [],
      paths: [],
      expiresAt: Date.now() + 1_000,
    };
    await Promise.all(
      Array.from({ length: 1_000 }, async () => await stub.createProxyToken(chosen, "test")),
    );
    const refused = await call("POST", "/proxy-tokens", { token: admin, body: {} });
    expect(refused.status).toBe(409);
    expect(refused.json.detail).toContain("1000 proxy tokens");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 31 * 86_400_000 });
    const made = await call("POST", "/proxy-tokens", { token: admin, body: {} });
    vi.useRealTimers();
    expect(made.status).toBe(201);
  });
});

describe("a request that is wrong", () => {
  test.each<[string, string, { body?: unknown; raw?: string }, string, string]>([
    ["POST", "/proxy-tokens", { raw: "{" }, "bad_request", "JSON"],
    ["POST", "/proxy-tokens", { raw: "" }, "bad_request", "JSON"],
    ["POST", "/proxy-tokens", { raw: "[]" }, "parameter_invalid", "body"],
    ["POST", "/proxy-tokens", { body: { nme: "x" } }, "parameter_invalid", "nme"],
    ["POST", "/proxy-tokens", { body: { name: 1 } }, "parameter_invalid", "body.name"],
    ["POST", "/proxy-tokens", { body: { name: "a\nb" } }, "parameter_invalid", "one line"],
    ["POST", "/proxy-tokens", { body: { apps: ["a/b"] } }, "parameter_invalid", "body.apps.0"],
    ["POST", "/proxy-tokens", { body: { paths: ["v1"] } }, "parameter_invalid", "body.paths.0"],
    [
      "POST",
      "/proxy-tokens",
      { body: { paths: ["/a/../b"] } },
      "parameter_invalid",
      "nothing encoded",
    ],
    ["POST", "/proxy-tokens", { body: { expires_in: 0 } }, "parameter_invalid", "expires_in"],
    ["POST", "/proxy-tokens", { body: { expires_in: 1.5 } }, "parameter_invalid", "expires_in"],
    ["POST", "/proxy-tokens", { body: { expires_in: 1e10 } }, "parameter_invalid", "expires_in"],
    ["POST", "/tokens", { body: { scope: "root" } }, "parameter_invalid", "body.scope"],
    ["GET", "/proxy-tokens?limit=0", {}, "parameter_invalid", "query.limit"],
    [
      "GET",
      "/proxy-tokens?limit=101",
      {},
      "parameter_invalid",
      "query.limit: must be a whole number from 1 to 100",
    ],
    ["GET", "/proxy-tokens?limit=1e1", {}, "parameter_invalid", "query.limit"],
    ["GET", "/proxy-tokens?limit=", {}, "parameter_invalid", "query.limit"],
    ["GET", "/proxy-tokens?limit=1&limit=2", {}, "parameter_invalid", "query.limit"],
    ["GET", "/secrets", {}, "parameter_invalid", "query.environment: is required"],
    ["PUT", "/secrets/s?environment=main", { body: {} }, "parameter_invalid", "body.variables: is"],
    ["GET", "/proxy-tokens?cursor=x", {}, "parameter_invalid", "query.cursor"],
    ["GET", "/proxy-tokens?page=2", {}, "parameter_invalid", "page"],
    ["GET", "/workspace?page=2", {}, "parameter_invalid", "page"],
  ])("%s %s %j is refused with what is wrong", async (method, path, more, code, part) => {
    const { status, json } = await call(method, path, { token: admin, ...more });
    expect(status).toBe(400);
    expect(json).toMatchObject({ code, status: 400 });
    expect(json.detail).toContain(part);
  });

  test("has up to 100 items on a page", async () => {
    const list = async (limit: number) =>
      (await call("GET", `/proxy-tokens?limit=${limit}`, { token: admin })).status;
    expect([await list(99), await list(100), await list(101)]).toEqual([200, 200, 400]);
  });

  test("for a token takes 100 paths of 256 characters, and none that is longer or one more", async () => {
    const create = async (count: number, length: number) => {
      const paths = Array.from({ length: count }, (_, index) => `/${index}`.padEnd(length, "x"));
      return (await call("POST", "/proxy-tokens", { token: admin, body: { paths } })).status;
    };
    expect(await create(100, 256)).toBe(201);
    expect([await create(100, 257), await create(101, 256)]).toEqual([400, 400]);
  });

  test("with a body beyond 256 KiB is 413", async () => {
    const send = async (bytes: number) => {
      const raw = JSON.stringify({ name: "padded" }).padEnd(bytes);
      return await call("POST", "/proxy-tokens", { token: admin, raw });
    };
    expect((await send(256 * 1024 - 1)).status).toBe(201);
    expect((await send(256 * 1024)).status).toBe(201);
    const { status, json } = await send(256 * 1024 + 1);
    expect(status).toBe(413);
    expect(json).toMatchObject({ code: "body_too_large", detail: "the limit is 262144 bytes" });
  });

  test("by its method is 405 and says which are right", async () => {
    const { status, json, headers } = await call("PATCH", "/proxy-tokens", { token: admin });
    expect(status).toBe(405);
    expect(json).toMatchObject({ code: "method_not_allowed" });
    expect(headers.get("allow")).toBe("GET, HEAD, POST");
    expect((await call("POST", "/health")).headers.get("allow")).toBe("GET, HEAD");
    expect((await call("GET", "/result-tokens")).headers.get("allow")).toBe("POST");
  });

  test("for the token of a call's result is 401 without an app's token, with an API token too", async () => {
    const body = { url: "http://w--app-f.localhost:8787", box: "gpu-1", call: "a" };
    for (const token of [undefined, admin]) {
      const { status, json } = await call("POST", "/result-tokens", { token, body });
      expect([status, json]).toEqual([
        401,
        expect.objectContaining({ code: "missing_credentials" }),
      ]);
    }
  });

  test("by its path is 404", async () => {
    const { status, json } = await call("GET", "/nothing", { token: admin });
    expect(status).toBe(404);
    expect(json).toMatchObject({ code: "not_found" });
    // Of another version of the API nothing is known, not its methods either.
    expect((await call("GET", "/../v2/proxy-tokens", { token: admin })).status).toBe(404);
  });

  test("while the workspace is broken is 503, and does not say how", async () => {
    const broken = vi.spyOn(Workspace.prototype, "listProxyTokens").mockImplementation(() => {
      throw new Error("a secret of the storage");
    });
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    const { status, json, headers } = await call("GET", "/proxy-tokens", { token: admin });
    vi.restoreAllMocks();
    expect(broken).toBeDefined();
    expect(status).toBe(503);
    expect(headers.get("retry-after")).toBe("1");
    expect(json).toMatchObject({ code: "unavailable" });
    expect(JSON.stringify(json)).not.toContain("storage");
  });
});

describe("the OpenAPI document", () => {
  test("describes every operation with its answers and its problem", async () => {
    const { status, json } = await call("GET", "/openapi.json");
    expect(status).toBe(200);
    expect(json.openapi).toBe("3.1.0");
    expect(Object.keys(json.paths).toSorted()).toEqual([
      "/api/v1/apps",
      "/api/v1/apps/{app}",
      "/api/v1/apps/{app}/call-tokens",
      "/api/v1/apps/{app}/connect-tokens",
      "/api/v1/apps/{app}/functions/{function}/scaling",
      "/api/v1/apps/{app}/rollback",
      "/api/v1/apps/{app}/stop",
      "/api/v1/apps/{app}/versions",
      "/api/v1/apps/{app}/versions/{version}",
      "/api/v1/apps/{app}/versions/{version}/start",
      "/api/v1/audit",
      "/api/v1/boxes",
      "/api/v1/boxes/{box}",
      "/api/v1/boxes/{box}/apps/{app}/log",
      "/api/v1/boxes/{box}/calls",
      "/api/v1/boxes/{box}/calls/{id}",
      "/api/v1/boxes/{box}/code/{hash}",
      "/api/v1/boxes/{box}/containers",
      "/api/v1/boxes/{box}/containers/{container}/log",
      "/api/v1/boxes/{box}/containers/{container}/stop",
      "/api/v1/boxes/{box}/endpoints",
      "/api/v1/calls/{token}",
      "/api/v1/domains",
      "/api/v1/domains/{domain}",
      "/api/v1/domains/{domain}/verify",
      "/api/v1/environments",
      "/api/v1/environments/{environment}",
      "/api/v1/health",
      "/api/v1/openapi.json",
      "/api/v1/proxy-tokens",
      "/api/v1/proxy-tokens/{id}",
      "/api/v1/result-tokens",
      "/api/v1/secrets",
      "/api/v1/secrets/{name}",
      "/api/v1/sign-ins",
      "/api/v1/tokens",
      "/api/v1/tokens/{id}",
      "/api/v1/usage",
      "/api/v1/workspace",
    ]);
    const create = json.paths["/api/v1/proxy-tokens"].post;
    expect(create.requestBody.content["application/json"].schema).toEqual({
      $ref: "#/components/schemas/NewProxyToken",
    });
    expect(create.responses.default.content["application/problem+json"].schema).toEqual({
      $ref: "#/components/schemas/Problem",
    });
    expect(json.components.schemas.ProxyTokens.properties.items.items).toEqual({
      $ref: "#/components/schemas/ProxyToken",
    });
    const [limit, cursor] = json.paths["/api/v1/proxy-tokens"].get.parameters;
    expect(limit).toMatchObject({ name: "limit", required: false, schema: { type: "integer" } });
    expect(cursor).toMatchObject({ name: "cursor", required: false, schema: { type: "string" } });
  });

  test("has no reference that leads nowhere", async () => {
    const { json } = await call("GET", "/openapi.json");
    const references = [...JSON.stringify(json).matchAll(/"\$ref":"([^"]+)"/g)].map(([, to]) => to);
    expect(references.length).toBeGreaterThan(5);
    for (const reference of references) {
      const name = /^#\/components\/schemas\/(\w+)$/.exec(reference ?? "")?.[1] ?? "";
      expect(Object.keys(json.components.schemas)).toContain(name);
    }
  });
});
