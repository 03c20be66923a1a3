/** What a request costs the gateway besides the box's own object: on a warm path nothing, on a cold one a question. */
import { env as bindings, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, type MockInstance, test, vi } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { Names } from "../../../../gateway/objects/names/names.ts";
import { namesShard, workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;
const OK = '{"status":200,"headers":["content-length","0"]}';

/** Every statement of every object's database. */
let statements: MockInstance;
let lookups: MockInstance;
let credentials: MockInstance;

beforeEach(async () => {
  const prototype = await runInDurableObject(
    await namesShard(env, "anything"),
    (_, { storage }) => Object.getPrototypeOf(storage.sql) as SqlStorage,
  );
  statements = vi.spyOn(prototype, "exec");
  lookups = vi.spyOn(Names.prototype, "lookup");
  credentials = vi.spyOn(Workspace.prototype, "credentials");
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

async function privateEndpoint(app: string): Promise<{ name: string; headers: HeadersInit }> {
  const plain = announcement(app, "f");
  await connectAgent(`box-of-${app}`, {
    endpoints: [{ ...plain, settings: { ...plain.settings, requiresProxyAuth: true } }],
    open: (stream) => {
      stream.sendHead(OK, [], true);
      return {};
    },
  });
  const chosen = { name: "", environments: [], apps: [], paths: [], expiresAt: null };
  const created = await workspaceStub(env, "local").createProxyToken(chosen, "test");
  if (!created.ok) throw new Error(created.error.detail);
  const { id, secret } = created.value;
  return { name: `local--${app}-f`, headers: { "modal-key": id, "modal-secret": secret } };
}

test("a cold name costs one question to its shard, a warm request none and reads no storage", async () => {
  const { name, headers } = await privateEndpoint("warm");
  // A slow machine's answers get no older either.
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  statements.mockClear();
  expect((await ask(name, "/", { headers })).status).toBe(200);
  expect(lookups).toHaveBeenCalledTimes(1);
  expect(credentials).toHaveBeenCalledTimes(1);
  expect(statements).toHaveBeenCalled();
  // The token's first use is noted behind the request.
  await vi.waitFor(() => expect(statements.mock.calls.flat().join()).toContain("last_used_at"));
  statements.mockClear();
  for (let index = 0; index < 50; index += 1) {
    expect((await ask(name, "/", { headers })).status).toBe(200);
  }
  expect(lookups).toHaveBeenCalledTimes(1);
  expect(credentials).toHaveBeenCalledTimes(1);
  expect(statements).not.toHaveBeenCalled();
});

test("a warm request of a session reads no storage and asks no box, by cookie and by key", async () => {
  const { workspace, environment, app, endpoint, settings } = announcement("warm-session", "f");
  const asked: string[] = [];
  const boxes = ["warm-session-1", "warm-session-2"];
  for (const box of boxes) {
    await connectAgent(box, {
      open: (stream) => {
        const session = { container: "ct-1", state: "kept" };
        stream.sendHead(JSON.stringify({ status: 200, headers: [], session }), [], true);
        return {};
      },
      operate: (stream, { operation }) => {
        asked.push(operation);
        stream.refuse({ code: "not_supported", detail: "nobody is to ask" });
        return {};
      },
    });
  }
  const name = "local--warm-session-f";
  const shard = await namesShard(env, name);
  const claimant = { owner: "ap-1", workspace, kind: "deployed", startedAt: 1 } as const;
  await shard.commit(name, claimant, {
    workspace,
    environment,
    app,
    appId: "ap-1",
    boxes: boxes.map((box) => ({ box, links: 1 })),
    endpoint,
    settings: { ...settings, affinity: { rules: ["query:session_hash", "cookie"], mode: "soft" } },
  });
  const first = await ask(name);
  const cookie = first.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
  expect((await ask(name, "/?session_hash=h", { headers: { cookie } })).status).toBe(200);
  statements.mockClear();
  for (let turn = 0; turn < 20; turn += 1) {
    expect((await ask(name, "/", { headers: { cookie } })).status).toBe(200);
    expect((await ask(name, "/?session_hash=h")).status).toBe(200);
  }
  expect(statements).not.toHaveBeenCalled();
  expect(asked).toEqual([]);
});

test("a stranger's guess costs one question, and asked again within half a second none", async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  expect((await ask("local--nobody-here")).status).toBe(404);
  vi.setSystemTime(Date.now() + 499);
  expect((await ask("local--nobody-here")).status).toBe(404);
  expect(lookups).toHaveBeenCalledTimes(1);
});

test("a name that nobody had, or whose app was stopped, is served half a second after it is taken", async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  const claimant = { owner: "ap-1", workspace: "local", kind: "ephemeral", startedAt: 1 } as const;
  const snapshot = {
    workspace: "local",
    environment: "main",
    app: "wanted",
    appId: "ap-1",
    boxes: [{ box: "away", links: 1 }],
    endpoint: "main/wanted/f",
    settings: { timeout: 300, resultTtl: 3600 },
  };
  const shard = await namesShard(env, "local--wanted-f");
  expect((await ask("local--wanted-f")).status).toBe(404);
  vi.setSystemTime(Date.now() + 500);
  await shard.commit("local--wanted-f", claimant, snapshot);
  await shard.stop("local--wanted-f", "ap-1");
  expect((await ask("local--wanted-f")).status).toBe(410);
  vi.setSystemTime(Date.now() + 500);
  await shard.commit("local--wanted-f", claimant, snapshot);
  // No box of it is connected.
  expect((await ask("local--wanted-f")).status).toBe(503);
});
