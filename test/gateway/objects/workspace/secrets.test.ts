import { env as bindings, runInDurableObject, SELF } from "cloudflare:test";
import { beforeEach, describe, expect, test } from "vitest";

import { firstApiToken } from "../../../../auth/tokens.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { type Answer, call, type Token } from "../../api-client.ts";
import { announcement, authorizationOf, connectAgent, enrolledBox } from "../../fake-agent.ts";

const env = bindings as unknown as Env;

let number = 0;
let workspace: string;
let token: Token;
beforeEach(async () => {
  number += 1;
  workspace = `secrets-${number}`;
  token = await firstApiToken(await gatewayKeys(env), workspace);
});

async function put(
  name: string,
  variables: Record<string, unknown>,
  query = "environment=main",
): Promise<Answer> {
  return await call("PUT", `/secrets/${name}?${query}`, { token, body: { variables } });
}

async function list(environment = "main"): Promise<Answer> {
  return await call("GET", `/secrets?environment=${environment}`, { token });
}

async function remove(name: string, environment = "main"): Promise<number> {
  return (await call("DELETE", `/secrets/${name}?environment=${environment}`, { token })).status;
}

/** What a box is answered that asks for secrets. */
async function askAs(box: string, names: string[], environment = "main") {
  const response = await SELF.fetch("http://localhost:8787/_postern/secrets", {
    method: "POST",
    headers: {
      host: "localhost:8787",
      authorization: await authorizationOf(await enrolledBox(box, workspace)),
    },
    body: JSON.stringify({ environment, names }),
  });
  const text = await response.text();
  return { status: response.status, text };
}

async function connectBox(box: string): Promise<void> {
  await connectAgent(box, { endpoints: [{ ...announcement("shop", "f"), workspace }] });
}

describe("a secret", () => {
  test("is shown without its values, in pages of its environment", async () => {
    await call("POST", "/environments", { token, body: { name: "staging" } });
    const { status, json } = await put("database", { USER: "ada", PASSWORD: "hunter2" });
    expect(status).toBe(200);
    expect(json).toMatchObject({ name: "database", variables: ["USER", "PASSWORD"] });
    await put("huggingface", { HF_TOKEN: "hf_x" });
    await put("database", { OTHER: "y" }, "environment=staging");
    const listed = await list();
    expect(listed.json.items).toMatchObject([
      { name: "huggingface", readable: true, updated_by: token.id },
      { name: "database" },
    ]);
    expect(JSON.stringify([json, listed.json])).not.toMatch(/hunter2|hf_x/);
    expect((await list("staging")).json.items).toMatchObject([{ variables: ["OTHER"] }]);
    expect((await list("nowhere")).status).toBe(404);
  });

  test("is replaced whole, unless that is not wanted", async () => {
    await put("a", { X: "1", Y: "2" });
    expect((await put("a", { X: "3" })).json).toMatchObject({ variables: ["X"] });
    const refused = await put("a", { X: "4" }, "environment=main&replace=false");
    expect(refused.status).toBe(409);
    expect(refused.json.detail).toBe("there is a secret a in main already; --force replaces it");
    await connectBox("gpu-1");
    expect(await askAs("gpu-1", ["a"])).toEqual({ status: 200, text: '{"a":{"X":"3"}}' });
  });

  test("is gone when it is deleted, and again", async () => {
    await put("a", { X: "1" });
    expect(await remove("a")).toBe(204);
    expect(await remove("a")).toBe(204);
    expect(await remove("a", "nowhere")).toBe(404);
    expect((await list()).json.items).toEqual([]);
  });

  test("survives a new name of its environment, and goes with the environment", async () => {
    await call("POST", "/environments", { token, body: { name: "staging" } });
    await put("a", { X: "1" }, "environment=staging");
    await call("PATCH", "/environments/staging", { token, body: { name: "trial" } });
    expect((await list("trial")).json.items).toMatchObject([{ name: "a", readable: true }]);
    await call("DELETE", "/environments/trial", { token });
    await call("POST", "/environments", { token, body: { name: "trial" } });
    expect((await list("trial")).json.items).toEqual([]);
  });

  test.each([
    ["no variable", {}, "at least one"],
    ["a name with a dash", { "A-B": "x" }, "letters, digits and underscores"],
    ["a name that begins with a digit", { "1A": "x" }, "no digit first"],
    ["a name that containers are told", { PORT: "1" }, "given to containers by Postern"],
    ["the app's token", { POSTERN_APP_TOKEN: "x" }, "given to containers by Postern"],
    ["a number", { A: 1 }, "expected string"],
    ["NUL", { A: "x\0y" }, "NUL"],
    [
      "101 variables",
      Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`V${i}`, ""])),
      "100",
    ],
    ["more than 64 KiB", { A: "ü".repeat(32_768) }, "65536 bytes"],
  ])("is refused with %s", async (_what, variables, said) => {
    const { status, json } = await put("a", variables);
    expect(status).toBe(400);
    expect(json.code).toBe("parameter_invalid");
    expect(json.detail).toContain(said);
    expect((await list()).json.items).toEqual([]);
  });

  test("of exactly 64 KiB and 100 variables is taken", async () => {
    expect((await put("large", { A: "x".repeat(65_535) })).status).toBe(200);
    const many = Array.from({ length: 100 }, (_, index) => [`V${index}`, ""] as const);
    expect((await put("many", Object.fromEntries(many))).status).toBe(200);
  });

  test("tells no value when it is refused", async () => {
    const { json } = await put("a", { "BAD-NAME": "hunter2", GOOD: ["hunter3"] });
    expect(JSON.stringify(json)).not.toMatch(/hunter/);
  });

  test.each([
    ["read", "GET", 200],
    ["read", "PUT", 403],
    ["read", "DELETE", 403],
    ["deploy", "PUT", 200],
    ["deploy", "DELETE", 204],
  ])("is open to a token of scope %s for %s: %d", async (scope, method, status) => {
    const made = (await call("POST", "/tokens", { token, body: { scope } })).json as Token;
    const path = method === "GET" ? "/secrets" : "/secrets/a";
    const body = method === "PUT" ? { body: { variables: { X: "1" } } } : {};
    const answer = await call(method, `${path}?environment=main`, { token: made, ...body });
    expect(answer.status).toBe(status);
  });
});

describe("at rest", () => {
  test("no value is in the database", async () => {
    await put("a", { X: "hunter2-hunter2" });
    await runInDurableObject(workspaceStub(env, workspace), (_instance, { storage }) => {
      const [row] = storage.sql.exec("SELECT * FROM secrets").toArray();
      const text = Object.values(row ?? {}).map((value) =>
        value instanceof ArrayBuffer ? new TextDecoder("latin1").decode(value) : String(value),
      );
      expect(text.join("\n")).toContain('["X"]');
      expect(text.join("\n")).not.toContain("hunter2");
    });
  });

  test("a row that was moved to another name is not read", async () => {
    await put("a", { X: "1" });
    await connectBox("gpu-1");
    await runInDurableObject(workspaceStub(env, workspace), (_instance, { storage }) => {
      storage.sql.exec("UPDATE secrets SET name = 'b'");
    });
    expect((await askAs("gpu-1", ["b"])).status).toBe(404);
  });

  test("under another gateway key it is listed as not readable, and says how to go on", async () => {
    await put("a", { X: "1" });
    await runInDurableObject(workspaceStub(env, workspace), async (_instance, state) => {
      const other = new Workspace(state, { ...env, POSTERN_KEY: "A".repeat(43) });
      const page = await other.listSecrets("main", { limit: 10 });
      expect(page).toMatchObject({ value: { items: [{ name: "a", readable: false }] } });
      const beside = `${"A".repeat(43)},${env.POSTERN_KEY}`;
      const both = new Workspace(state, { ...env, POSTERN_KEY: beside });
      const readable = await both.listSecrets("main", { limit: 10 });
      expect(readable).toMatchObject({ value: { items: [{ name: "a", readable: true }] } });
      expect((await both.secretsOfBox(undefined, "main", ["a"]))?.values).toEqual({
        a: { X: "1" },
      });
    });
    await runInDurableObject(workspaceStub(env, workspace), (_instance, { storage }) => {
      storage.sql.exec("UPDATE secrets SET key = 'another', sealed = x'00'");
    });
    await connectBox("gpu-1");
    expect(await askAs("gpu-1", ["a"])).toEqual({
      status: 404,
      text:
        "postern: the secret a of environment main was made under another gateway key and can't be " +
        "read; set it again with postern secret create a KEY=VALUE --force -e main\n",
    });
  });
});

describe("a box", () => {
  test("gets the secrets of an environment in which it announces an app", async () => {
    await put("a", { X: "1" });
    await put("b", { Y: "ü\n" });
    await connectBox("gpu-1");
    const { status, text } = await askAs("gpu-1", ["b", "a", "b"]);
    expect(status).toBe(200);
    expect(JSON.parse(text)).toEqual({ a: { X: "1" }, b: { Y: "ü\n" } });
  });

  test("is told which secret there is not", async () => {
    await connectBox("gpu-1");
    expect(await askAs("gpu-1", ["none"])).toEqual({
      status: 404,
      text: "postern: environment main has no secret none; make it with postern secret create none KEY=VALUE -e main\n",
    });
  });

  test("gets none of an environment in which it announces nothing", async () => {
    await call("POST", "/environments", { token, body: { name: "prod" } });
    await put("a", { X: "1" }, "environment=prod");
    await connectBox("gpu-1");
    expect((await askAs("gpu-1", ["a"], "prod")).status).toBe(403);
    expect((await askAs("gpu-2", ["a"], "prod")).status).toBe(403);
  });

  test("that is revoked, or no box at all, gets none", async () => {
    await put("a", { X: "1" });
    await connectBox("gpu-1");
    await call("DELETE", "/boxes/gpu-1", { token });
    expect((await askAs("gpu-1", ["a"])).status).toBe(401);
    const nobody = await SELF.fetch("http://localhost:8787/_postern/secrets", {
      method: "POST",
      headers: { host: "localhost:8787" },
      body: JSON.stringify({ environment: "main", names: ["a"] }),
    });
    expect(nobody.status).toBe(401);
  });

  test("asks in JSON, or is told how", async () => {
    const answer = await SELF.fetch("http://localhost:8787/_postern/secrets", {
      method: "POST",
      headers: {
        host: "localhost:8787",
        authorization: await authorizationOf(await enrolledBox("gpu-1", workspace)),
      },
      body: "names=a",
    });
    expect(answer.status).toBe(400);
  });
});
