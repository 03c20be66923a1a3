import { env as bindings, runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";

import { deriveGatewayKeys } from "../../../../auth/keys.ts";
import { digestOf, firstApiToken } from "../../../../auth/tokens.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { ok } from "../../../../base/result.ts";

const env = bindings as unknown as Env;

const CHOSEN = { name: "", environments: [], apps: [], paths: [], expiresAt: null };

test("the edge hears of credentials only when they changed", async () => {
  const workspace = workspaceStub(env, "versions");
  const first = await workspace.credentials();
  expect(await workspace.credentials(first?.version)).toBeUndefined();
  const created = await workspace.createProxyToken(CHOSEN, "test");
  const second = await workspace.credentials(first?.version);
  if (!created.ok) throw new Error(created.error.detail);
  expect([...(second?.tokens.keys() ?? [])]).toEqual([created.value.id]);
  await workspace.revokeProxyToken("wk-none");
  expect(await workspace.credentials(second?.version)).toBeUndefined();
  await workspace.revokeProxyToken(created.value.id);
  expect((await workspace.credentials(second?.version))?.tokens.size).toBe(0);
});

test("secrets are nowhere in the database", async () => {
  const workspace = workspaceStub(env, "secrets");
  const proxy = await workspace.createProxyToken(CHOSEN, "test");
  const api = await workspace.createApiToken({ name: "", scope: "read", expiresAt: null }, "test");
  if (!proxy.ok || !api.ok) throw new Error("refused");
  const first = await firstApiToken(await gatewayKeys(env), "secrets");
  await runInDurableObject(workspace, (_instance, { storage }) => {
    const rows = ["proxy_tokens", "api_tokens", "facts"].flatMap((table) =>
      storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
    );
    const text = rows
      .flatMap((row) => Object.values(row))
      .map((value) =>
        value instanceof ArrayBuffer ? new TextDecoder("latin1").decode(value) : value,
      )
      .join("\n");
    for (const { id, secret } of [proxy.value, api.value, first]) {
      expect(text).toContain(id);
      expect(text).not.toContain(secret);
      expect(text).not.toContain(secret.slice(3));
    }
  });
});

test("under another key only that key's tokens count, and the older ones again when their key is back", async () => {
  const name = "rotated";
  const workspace = workspaceStub(env, name);
  await workspace.createProxyToken(CHOSEN, "test");
  const old = await firstApiToken(await gatewayKeys(env), name);
  const POSTERN_KEY = "A".repeat(43);
  const fresh = await firstApiToken(await deriveGatewayKeys(POSTERN_KEY), name);
  await runInDurableObject(workspace, async (_instance, state) => {
    const admits = async (object: Workspace, token: typeof old) =>
      object.authenticate(token.id, await digestOf(token)) !== undefined;
    const restarted = async (change: Partial<Env>) => {
      const object = new Workspace(state, { ...env, ...change });
      // What the constructor began is over when the object takes its next event.
      await state.blockConcurrencyWhile(async () => undefined);
      return object;
    };
    const rotated = await restarted({ POSTERN_KEY });
    expect(await admits(rotated, old)).toBe(false);
    expect(await admits(rotated, fresh)).toBe(true);
    expect(rotated.listProxyTokens({ limit: 10 }).items).toEqual([]);
    expect(rotated.credentials()?.tokens.size).toBe(0);
    expect(rotated.revokeApiToken(fresh.id)).toMatchObject({
      ok: false,
      error: { code: "conflict" },
    });
    const both = await restarted({ POSTERN_KEY: `${POSTERN_KEY},${env.POSTERN_KEY}` });
    expect(await admits(both, old)).toBe(true);
    expect(await admits(both, fresh)).toBe(true);
    expect(both.listProxyTokens({ limit: 10 }).items).toHaveLength(1);
    expect(both.credentials()?.tokens.size).toBe(1);
    const back = await restarted({});
    expect(await admits(back, old)).toBe(true);
    expect(await admits(back, fresh)).toBe(false);
    expect(back.listProxyTokens({ limit: 10 }).items).toHaveLength(1);
  });
});

test("a revoked first token stays away when the object starts again", async () => {
  const name = "revoked-first";
  const workspace = workspaceStub(env, name);
  const first = await firstApiToken(await gatewayKeys(env), name);
  await workspace.createApiToken({ name: "", scope: "admin", expiresAt: null }, "test");
  expect(await workspace.revokeApiToken(first.id)).toEqual(ok(true));
  await runInDurableObject(workspace, async (_instance, state) => {
    const restarted = new Workspace(state, env);
    await state.blockConcurrencyWhile(async () => undefined);
    expect(restarted.authenticate(first.id, await digestOf(first))).toBeUndefined();
  });
});
