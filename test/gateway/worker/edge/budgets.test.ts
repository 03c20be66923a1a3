/** A token past its budget of a day: what it is told, what it costs, and which requests count. */
import { env as bindings, runInDurableObject } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import type { TokenLimits } from "../../../../auth/proxy-authorization.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { meterStub, workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { Meter } from "../../../../gateway/objects/meter/meter.ts";
import { passBudget } from "../../../../gateway/worker/edge/budgets.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;

afterEach(() => vi.restoreAllMocks());

/** A private endpoint on a box that counts its requests. */
async function serve(app: string): Promise<{ name: string; calls: () => number }> {
  const plain = announcement(app, "f");
  let calls = 0;
  await connectAgent(`box-of-${app}`, {
    endpoints: [{ ...plain, settings: { ...plain.settings, requiresProxyAuth: true } }],
    open: (stream) => {
      calls += 1;
      stream.sendHead('{"status":200,"headers":["content-length","0"]}', [], true);
      return {};
    },
  });
  return { name: `local--${app}-f`, calls: () => calls };
}

async function tokenOf(limits: TokenLimits): Promise<Record<string, string>> {
  const chosen = { name: "", environments: [], apps: [], paths: [], limits, expiresAt: null };
  const created = await workspaceStub(env, "local").createProxyToken(chosen, "test");
  if (!created.ok) throw new Error(created.error.detail);
  const { id, secret } = created.value;
  return { "modal-key": id, "modal-secret": secret };
}

test("a token that has used its requests of the day gets 429 until midnight, and reaches no box", async () => {
  const { name, calls } = await serve("budgeted");
  const headers = await tokenOf({ dailyRequests: 3 });
  const other = await tokenOf({ dailyRequests: 3 });
  const answers: Response[] = [];
  for (let index = 0; index < 5; index += 1) {
    answers.push(await ask(name, "/", { method: "POST", body: "x", headers }));
  }
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429]);
  expect(calls()).toBe(3);
  const [refused] = answers.slice(3) as [Response];
  expect(await refused.json()).toMatchObject({
    code: "budget_spent",
    detail: "this token has 3 requests a day, until midnight UTC",
  });
  const untilMidnight = 86_400 - (Math.floor(Date.now() / 1_000) % 86_400);
  const retryAfter = Number(refused.headers.get("retry-after"));
  expect(Math.abs(retryAfter - untilMidnight)).toBeLessThan(30);
  expect(refused.headers.get("ratelimit-policy")).toBe('"token-requests";q=3;w=86400');
  expect(refused.headers.get("ratelimit")).toMatch(/^"token-requests";r=0;t=\d+$/);
  expect((await ask(name, "/", { headers: other })).status).toBe(200);
});

test("neither a refused request nor a wrong secret counts", async () => {
  const { name } = await serve("uncounted");
  const headers = await tokenOf({ dailyRequests: 2, rateLimit: "0.001/1000" });
  const wrong = { ...headers, "modal-secret": "ws-wrong" };
  expect((await ask(name, "/", { headers: wrong })).status).toBe(401);
  expect((await ask(name, "/", { headers })).status).toBe(200);
  // The rate is judged first: what it refuses is not charged.
  expect((await ask(name, "/", { headers })).status).toBe(429);
  const id = headers["modal-key"] ?? "";
  const question = { token: id, budget: { requests: 2 }, wanted: 1 };
  expect(await meterStub(env, "local").leaseBudget(question)).toMatchObject({ kind: "granted" });
  expect(await meterStub(env, "local").leaseBudget(question)).toMatchObject({ kind: "spent" });
});

test("most requests ask nobody, and none of a spent budget, nor of a token without one", async () => {
  const { name } = await serve("leased");
  const leases = vi.spyOn(Meter.prototype, "leaseBudget");
  const ample = await tokenOf({ dailyRequests: 100_000 });
  for (let index = 0; index < 100; index += 1) await ask(name, "/", { headers: ample });
  expect(leases.mock.calls.length).toBeLessThan(25);
  const spent = await tokenOf({ dailyRequests: 1 });
  for (let index = 0; index < 2; index += 1) await ask(name, "/", { headers: spent });
  leases.mockClear();
  for (let index = 0; index < 20; index += 1) {
    expect((await ask(name, "/", { headers: spent })).status).toBe(429);
  }
  await ask(name, "/", { headers: await tokenOf({}) });
  expect(leases).not.toHaveBeenCalled();
});

test("what was admitted is counted by the object that comes after one that broke", async () => {
  const meter = meterStub(env, "broken");
  const question = { token: "wk-a", budget: { requests: 1_000 }, wanted: 10 };
  for (let index = 0; index < 50; index += 1) await meter.leaseBudget(question);
  await expect(
    runInDurableObject(meter, (_, state) => state.abort("broken by the test")),
  ).rejects.toThrow();
  const after = meterStub(env, "broken");
  let granted = 0;
  for (;;) {
    const answer = await after.leaseBudget(question);
    if (answer.kind === "spent") break;
    granted += answer.requests;
  }
  expect(granted).toBe(500);
});

test("rows go after 90 days", async () => {
  const meter = meterStub(env, "old");
  const question = { token: "wk-a", budget: { requests: 10 }, wanted: 1 };
  await meter.leaseBudget(question);
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 92 * 86_400_000 });
  try {
    await meter.leaseBudget(question);
    const days = await runInDurableObject(meter, (_, { storage }) =>
      storage.sql.exec("SELECT day FROM admitted").toArray(),
    );
    expect(days).toHaveLength(1);
  } finally {
    vi.useRealTimers();
  }
});

test("requests of a token whose budget can't be looked up are refused, and never counted as spent", async () => {
  vi.spyOn(Meter.prototype, "leaseBudget").mockImplementation(() => {
    throw new Error("lost");
  });
  const execution = { waitUntil() {} } as unknown as ExecutionContext;
  const token = { id: "wk-lost", limits: { dailyRequests: 5 } };
  expect(await passBudget(env, execution, "lost", token)).toEqual({ kind: "unavailable" });
  vi.restoreAllMocks();
  expect(await passBudget(env, execution, "lost", token)).toBeUndefined();
});

test("a budget that is changed holds anew, with what has been used of the day", async () => {
  const execution = { waitUntil() {} } as unknown as ExecutionContext;
  const pass = (dailyRequests: number) =>
    passBudget(env, execution, "changed", { id: "wk-changed", limits: { dailyRequests } });
  for (let index = 0; index < 2; index += 1) expect(await pass(2)).toBeUndefined();
  expect(await pass(2)).toMatchObject({ kind: "spent", part: "requests", quota: 2 });
  expect(await pass(3)).toBeUndefined();
  expect(await pass(3)).toMatchObject({ kind: "spent", quota: 3 });
  expect(await pass(2)).toMatchObject({ kind: "spent", quota: 2 });
});
