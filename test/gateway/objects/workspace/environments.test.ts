import { env as bindings } from "cloudflare:test";
import { beforeEach, describe, expect, test } from "vitest";

import { firstApiToken } from "../../../../auth/tokens.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import { MAX_ENVIRONMENTS } from "../../../../api/limits.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { type Answer, call, type Token } from "../../api-client.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;

let number = 0;
let workspace: string;
let token: Token;
beforeEach(async () => {
  number += 1;
  workspace = `environments-${number}`;
  token = await firstApiToken(await gatewayKeys(env), workspace);
});

async function create(name: string, webSuffix?: string): Promise<Answer> {
  const body = { name, ...(webSuffix === undefined ? {} : { web_suffix: webSuffix }) };
  return await call("POST", "/environments", { token, body });
}

async function update(name: string, body: Record<string, string>): Promise<Answer> {
  return await call("PATCH", `/environments/${name}`, { token, body });
}

async function remove(name: string): Promise<number> {
  return (await call("DELETE", `/environments/${name}`, { token })).status;
}

async function suffixes(): Promise<Record<string, string>> {
  const { json } = await call("GET", "/environments", { token });
  const items = json.items as { name: string; web_suffix: string }[];
  return Object.fromEntries(items.map((item) => [item.name, item.web_suffix]));
}

/** An app that a box serves in an environment, and the name of its one endpoint. */
async function appIn(environment: string): Promise<string> {
  const endpoint = `${environment}/shop/f`;
  const agent = await connectAgent("gpu-1", {
    endpoints: [{ ...announcement("shop", "f"), workspace, environment, endpoint }],
    open: (stream) => {
      stream.sendHead('{"status":200,"headers":[]}', [], true);
      return {};
    },
  });
  const [answer] = agent.welcome.endpoints;
  if (answer === undefined || "refused" in answer) throw new Error("not welcome");
  return new URL(answer.url).hostname.replace(/\.localhost$/, "");
}

describe("a workspace", () => {
  test("has main from the start, without a web suffix", async () => {
    expect(await suffixes()).toEqual({ main: "" });
    const { json } = await call("GET", "/environments/main", { token });
    expect(json).toMatchObject({ name: "main", web_suffix: "", created_by: "gateway" });
    expect(Date.parse(json.created_at)).toBeLessThanOrEqual(Date.now());
  });

  test("lists its environments in pages", async () => {
    await create("one");
    await create("two");
    const first = await call("GET", "/environments?limit=2", { token });
    expect(first.json.items).toMatchObject([{ name: "two" }, { name: "one" }]);
    const rest = await call("GET", `/environments?cursor=${first.json.next_cursor}`, { token });
    expect(rest.json).toMatchObject({ items: [{ name: "main" }], next_cursor: null });
  });

  test("lists the apps of an environment that it has, and says which one it has not", async () => {
    const list = async (name: string) => await call("GET", `/apps?environment=${name}`, { token });
    expect((await list("main")).json).toEqual({ items: [], next_cursor: null });
    expect(await list("mian")).toMatchObject({
      status: 404,
      json: { code: "not_found", detail: "the workspace has no environment mian" },
    });
  });

  test("has room for 1,500", async () => {
    const stub = workspaceStub(env, workspace);
    // One is there from the beginning.
    for (let index = 2; index < MAX_ENVIRONMENTS; index++) {
      await stub.createEnvironment({ name: `e${index}`, webSuffix: undefined }, "test");
    }
    expect((await create("last")).status).toBe(201);
    const full = await create("one-more");
    expect(full.status).toBe(409);
    expect(full.json.detail).toMatch(/has its 1500 environments; delete one first/);
  });
});

describe("a new environment", () => {
  test("has its own name as web suffix, normalised, or the one that is given", async () => {
    expect((await create("My_Stage.2")).json).toMatchObject({ web_suffix: "my-stage-2" });
    expect((await create("other", "Beta Test".replace(" ", "_"))).json).toMatchObject({
      web_suffix: "beta-test",
    });
    expect((await create("other")).json).toMatchObject({ code: "conflict" });
  });

  test.each([
    ["a_b", undefined, "a-b", undefined],
    ["one", "x.y", "two", "X_Y"],
    ["one", "two", "two", undefined],
  ])("%s with suffix %s leaves none for %s with %s", async (first, given, second, wanted) => {
    expect((await create(first, given)).status).toBe(201);
    const refused = await create(second, wanted);
    expect(refused.status).toBe(409);
    expect(refused.json.detail).toContain(`is environment ${first}'s`);
  });

  test("may have the empty suffix when no other has it", async () => {
    const refused = await create("bare", "");
    expect(refused.status).toBe(409);
    expect(refused.json.detail).toBe(
      "environment main has no web suffix, and only one may have none",
    );
    await update("main", { web_suffix: "prod" });
    expect((await create("bare", "")).json).toMatchObject({ web_suffix: "" });
  });

  test.each([
    ["...", undefined],
    ["ok", "--"],
    ["..", ""],
  ])("%j with suffix %j is refused: nothing of it would be left", async (name, suffix) => {
    await update("main", { web_suffix: "prod" });
    const refused = await create(name, suffix);
    expect(refused.status).toBe(400);
    expect(refused.json).toMatchObject({ code: "parameter_invalid" });
  });

  test.each(["", "a b", "x".repeat(65), "ü"])("is not called %j", async (name) => {
    expect((await create(name)).status).toBe(400);
  });
});

describe("an environment", () => {
  test("changes its suffix and its name, and keeps the suffix under the new one", async () => {
    await create("staging");
    expect((await update("staging", { web_suffix: "beta" })).json.web_suffix).toBe("beta");
    expect((await update("staging", { name: "trial" })).json).toMatchObject({
      name: "trial",
      web_suffix: "beta",
    });
    expect(await suffixes()).toEqual({ main: "", trial: "beta" });
    expect((await update("staging", {})).status).toBe(404);
    expect((await update("trial", { name: "main" })).status).toBe(409);
    expect((await update("trial", { web_suffix: "" })).status).toBe(409);
  });

  test("gives apps their URLs, and those that run keep theirs when the suffix changes", async () => {
    await create("staging");
    const name = await appIn("staging");
    expect(name).toBe(`${workspace}-staging--shop-f`);
    await update("staging", { web_suffix: "beta" });
    expect((await ask(name)).status).toBe(200);
    expect(await appIn("staging")).toBe(`${workspace}-beta--shop-f`);
  });

  test("keeps its name while apps live in it", async () => {
    await create("staging");
    await appIn("staging");
    const refused = await update("staging", { name: "trial" });
    expect(refused.status).toBe(409);
    expect(refused.json.detail).toMatch(/^apps live in environment staging: stop them/);
    expect((await update("staging", { name: "staging", web_suffix: "s" })).status).toBe(200);
  });

  test("takes its apps with it when it is deleted, and does not come back with them", async () => {
    await create("staging");
    const name = await appIn("staging");
    expect(await remove("staging")).toBe(204);
    expect(await remove("staging")).toBe(204);
    await expect.poll(async () => (await ask(name)).status, { timeout: 10_000 }).toBe(410);
    expect(await suffixes()).toEqual({ main: "" });
    const { json } = await call("GET", "/apps?environment=staging", { token });
    expect(json.items).toMatchObject([{ name: "shop", state: "stopped" }]);
    await create("staging");
    expect((await call("GET", "/apps/shop?environment=staging", { token })).json).toMatchObject({
      state: "stopped",
    });
  });

  test("that is main stays, and stays main", async () => {
    for (const refused of [
      await call("DELETE", "/environments/main", { token }),
      await update("main", { name: "production" }),
    ]) {
      expect(refused.status).toBe(409);
      expect(refused.json).toMatchObject({ code: "conflict" });
    }
  });

  test("that is not there is served to no box", async () => {
    await expect(appIn("nowhere")).rejects.toThrow("not welcome");
  });

  test.each([
    ["read", "GET", "/environments", 200],
    ["read", "POST", "/environments", 403],
    ["read", "PATCH", "/environments/main", 403],
    ["read", "DELETE", "/environments/x", 403],
    ["deploy", "PATCH", "/environments/main", 200],
    ["deploy", "DELETE", "/environments/x", 204],
  ])("is open to a token of scope %s for %s %s: %d", async (scope, method, path, status) => {
    const made = await call("POST", "/tokens", { token, body: { scope } });
    const body = method === "POST" || method === "PATCH" ? { body: {} } : {};
    expect((await call(method, path, { token: made.json as Token, ...body })).status).toBe(status);
  });
});
