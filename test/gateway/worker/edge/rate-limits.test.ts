/** A request past a rate limit: what it costs, what it is told, and which requests count. */
import { env as bindings } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import type { TokenLimits } from "../../../../auth/proxy-authorization.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import type { Snapshot } from "../../../../gateway/contracts/names.ts";
import { meterStub, workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { Meter } from "../../../../gateway/objects/meter/meter.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import { passRates } from "../../../../gateway/worker/edge/rate-limits.ts";
import type { EndpointSettings } from "../../../../routing/wire/messages.ts";
import type { RequestHead } from "../../../../routing/wire/heads.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;

afterEach(() => vi.restoreAllMocks());

/** An endpoint on a box that counts its requests. */
async function serve(
  app: string,
  settings: Partial<EndpointSettings>,
): Promise<{ name: string; calls: () => number }> {
  const plain = announcement(app, "f");
  let calls = 0;
  await connectAgent(`box-of-${app}`, {
    endpoints: [{ ...plain, settings: { ...plain.settings, ...settings } }],
    open: (stream) => {
      calls += 1;
      stream.sendHead('{"status":200,"headers":["content-length","0"]}', [], true);
      return {};
    },
  });
  return { name: `local--${app}-f`, calls: () => calls };
}

test("a request past its endpoint's limit gets 429 with what a client needs, and reaches no box", async () => {
  const { name, calls } = await serve("limited", { rateLimit: "0.1/30" });
  const answers: Response[] = [];
  for (let index = 0; index < 5; index += 1) {
    answers.push(await ask(name, "/", { method: "POST", body: "x" }));
  }
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429]);
  expect(calls()).toBe(3);
  const [refused] = answers.slice(3) as [Response];
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(5);
  expect(Number(refused.headers.get("retry-after"))).toBeLessThanOrEqual(10);
  expect(refused.headers.get("ratelimit-policy")).toBe('"endpoint";q=3;w=30');
  expect(refused.headers.get("ratelimit")).toMatch(/^"endpoint";r=0;t=([6-9]|10)$/);
  expect(await refused.json()).toMatchObject({
    code: "rate_limited",
    detail: "the limit of this endpoint is 0.1 requests a second, and 3 at once",
  });
});

test("a token's own limit holds for it alone, and its calls say whose they are and what they wait for", async () => {
  const heads: RequestHead[] = [];
  const plain = announcement("token-limited", "f");
  await connectAgent("box-of-token-limited", {
    endpoints: [{ ...plain, settings: { ...plain.settings, requiresProxyAuth: true } }],
    open: (stream, head) => {
      heads.push(head);
      stream.sendHead('{"status":200,"headers":["content-length","0"]}', [], true);
      return {};
    },
  });
  const create = async (limits: TokenLimits) => {
    const chosen = { name: "", environments: [], apps: [], paths: [], limits, expiresAt: null };
    const created = await workspaceStub(env, "local").createProxyToken(chosen, "test");
    if (!created.ok) throw new Error(created.error.detail);
    const { id, secret } = created.value;
    return { id, headers: { "modal-key": id, "modal-secret": secret } };
  };
  const limited = await create({ rateLimit: "0.1/20", isBatch: true });
  const free = await create({});
  const statuses: number[] = [];
  for (const { headers } of [limited, limited, limited, free, free, free]) {
    const answer = await ask("local--token-limited-f", "/", { headers });
    statuses.push(answer.status);
    if (answer.status === 429) {
      expect(answer.headers.get("ratelimit-policy")).toBe('"token";q=2;w=20');
    }
  }
  expect(statuses).toEqual([200, 200, 429, 200, 200, 200]);
  expect(heads.map(({ caller }) => caller)).toEqual([
    { token: limited.id, batch: true },
    { token: limited.id, batch: true },
    { token: free.id },
    { token: free.id },
    { token: free.id },
  ]);
});

test("a refused request costs no authorization, and a flood of them no question to the meter", async () => {
  const { name } = await serve("locked-limited", { rateLimit: "0.1/20", requiresProxyAuth: true });
  for (let index = 0; index < 2; index += 1) expect((await ask(name, "/")).status).toBe(401);
  expect((await ask(name, "/")).status).toBe(429);
  const credentials = vi.spyOn(Workspace.prototype, "credentials");
  const proxyToken = vi.spyOn(Workspace.prototype, "proxyToken");
  const leases = vi.spyOn(Meter.prototype, "lease");
  const headers = { authorization: "Bearer wk-unknown.ws-unknown" };
  for (let index = 0; index < 50; index += 1) {
    expect((await ask(name, "/", { headers })).status).toBe(429);
  }
  expect(credentials).not.toHaveBeenCalled();
  expect(proxyToken).not.toHaveBeenCalled();
  expect(leases).not.toHaveBeenCalled();
});

test("requests that a limit refuses are counted, with one word to the meter for many", async () => {
  const { name } = await serve("refused", { rateLimit: "0.1/20" });
  const told = vi.spyOn(Meter.prototype, "noteRefusals");
  const statuses: number[] = [];
  for (let index = 0; index < 12; index += 1) statuses.push((await ask(name, "/")).status);
  expect(statuses.filter((status) => status === 429)).toHaveLength(10);
  const refused = async () => {
    const { items } = await meterStub(env, "local").listUsage({ since: 0, limit: 100, token: "-" });
    return items.find(({ endpoint }) => endpoint === "main/refused/f")?.refused;
  };
  await expect.poll(refused, { timeout: 20_000 }).toBe(10);
  const rows = told.mock.calls.flatMap(([given]) => given);
  expect(rows.filter(({ endpoint }) => endpoint === "main/refused/f")).toHaveLength(1);
});

test("a preflight does not count, and is not refused", async () => {
  const { name } = await serve("counted", { rateLimit: "0.1/10", cors: true });
  const preflight = {
    method: "OPTIONS",
    headers: { origin: "https://page.example", "access-control-request-method": "POST" },
  };
  const status = async () => (await ask(name, "/", preflight)).status;
  expect(await status()).toBe(204);
  expect((await ask(name, "/")).status).toBe(200);
  const page = { headers: { origin: "https://page.example" } };
  const refused = await ask(name, "/", page);
  expect(refused.status).toBe(429);
  expect(refused.headers.get("access-control-expose-headers")).toContain("ratelimit");
  expect(await status()).toBe(204);
});

const execution = { waitUntil() {} } as unknown as ExecutionContext;

function endpoint(workspace: string, rateLimit?: string): Snapshot {
  const { environment, app, endpoint: name, settings } = announcement(workspace, "f");
  const limited = rateLimit === undefined ? settings : { ...settings, rateLimit };
  const place = { workspace, environment, app, appId: "id", endpoint: name };
  return { ...place, boxes: [], settings: limited };
}

test("one isolate alone counts by itself, a workspace apart from others, and asks nobody", () => {
  const alone = { ...env, POSTERN_ONE_ISOLATE: "1", POSTERN_RATE_LIMIT: "0.1/20" };
  const leases = vi.spyOn(Meter.prototype, "lease");
  const pass = (snapshot: Snapshot) => passRates(alone, execution, snapshot);
  expect([pass(endpoint("one")), pass(endpoint("one"))]).toEqual([undefined, undefined]);
  expect(pass(endpoint("one"))).toMatchObject({ scope: "workspace" });
  expect(pass(endpoint("two"))).toBeUndefined();
  expect(leases).not.toHaveBeenCalled();
});

test("what the workspace's limit refuses takes nothing from the endpoint's", () => {
  const snapshot = endpoint("both", "0.001/2000");
  const strict = { ...env, POSTERN_ONE_ISOLATE: "1", POSTERN_RATE_LIMIT: "0.001/1000" };
  expect(passRates(strict, execution, snapshot)).toBeUndefined();
  expect(passRates(strict, execution, snapshot)).toMatchObject({ scope: "workspace" });
  const open = { ...strict, POSTERN_RATE_LIMIT: "0" };
  expect(passRates(open, execution, snapshot)).toBeUndefined();
  expect(passRates(open, execution, snapshot)).toMatchObject({ scope: "endpoint" });
});

test("a workspace's limit holds by default, and a service whose meter is lost goes on within it", async () => {
  vi.spyOn(Meter.prototype, "lease").mockImplementation(() => {
    throw new Error("lost");
  });
  const snapshot = endpoint("lost");
  const waiting: Promise<unknown>[] = [];
  const context = {
    waitUntil: (promise: Promise<unknown>) => waiting.push(promise),
  } as unknown as ExecutionContext;
  let passed = 0;
  for (let index = 0; index < 1_000; index += 1) {
    if ((await passRates(env, context, snapshot)) === undefined) passed += 1;
    await Promise.all(waiting.splice(0));
  }
  // 200 a second, and the credit before it.
  expect(passed).toBeGreaterThanOrEqual(200);
  expect(passed).toBeLessThan(1_000);
});
