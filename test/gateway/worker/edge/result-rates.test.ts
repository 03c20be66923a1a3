/** Which requests with a result token count for the rate limits, and how often a result may be read. */
import { env as bindings } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { signResultToken } from "../../../../auth/result-token.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import { passReads } from "../../../../gateway/worker/edge/rate-limits.ts";
import { resultTarget } from "../../../../routing/result-url.ts";
import type { EndpointSettings } from "../../../../routing/wire/messages.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;

/** A variable of the Worker: short here, so that no test has to wait for its redirect. */
beforeEach(() => Object.assign(env, { POSTERN_REQUEST_TIMEOUT: "0.02" }));
afterEach(() => vi.restoreAllMocks());

/** An endpoint whose app never answers, on a box that counts who asks for its calls. */
async function serveSlow(app: string, settings: Partial<EndpointSettings>) {
  const plain = announcement(app, "f");
  const counts = { calls: 0, reads: 0 };
  await connectAgent(`box-of-${app}`, {
    endpoints: [{ ...plain, settings: { ...plain.settings, ...settings } }],
    open: (stream, { callId }) => {
      counts.calls += 1;
      const place = { callId, status: "running", position: 0, elapsedMs: 1_000 } as const;
      return { onDefer: () => stream.confirmDeferred(place) };
    },
    attach: (stream) => {
      counts.reads += 1;
      stream.sendHead('{"status":200,"headers":["content-length","0"]}', [], true);
      return {};
    },
  });
  return {
    counts,
    get: (path: string, headers: Record<string, string> = {}) =>
      ask(`local--${app}-f`, path, { headers, redirect: "manual" }),
  };
}

const locationOf = (response: Response) => response.headers.get("location") ?? "";

/** The result URL with one other character in its signature. */
const forge = (url: string) => url.slice(0, -8) + (url.at(-8) === "A" ? "B" : "A") + url.slice(-7);

describe("past the limit of an endpoint", () => {
  test("a forged result token is refused as any request, and costs no authorization and no box", async () => {
    const endpoint = await serveSlow("read-forged", { rateLimit: "0.1/20" });
    const url = locationOf(await endpoint.get("/"));
    // Below the limit such a request counts, and finds nothing.
    expect((await endpoint.get("/?__postern_call=x")).status).toBe(404);
    const credentials = vi.spyOn(Workspace.prototype, "credentials");
    const targets = [
      "/?__postern_call=x",
      "/?__postern_events=x",
      forge(url),
      "/?a=__postern_call",
    ];
    for (const target of targets) expect((await endpoint.get(target)).status).toBe(429);
    expect(credentials).not.toHaveBeenCalled();
    expect(endpoint.counts).toEqual({ calls: 1, reads: 0 });
  });

  test("a token of another endpoint, and one that is too old, are refused too", async () => {
    const endpoint = await serveSlow("read-refused", { rateLimit: "0.1/10" });
    const other = await serveSlow("read-elsewhere", {});
    const elsewhere = locationOf(await other.get("/"));
    const claims = {
      callId: crypto.randomUUID(),
      endpoint: "main/read-refused/f",
      appId: "",
      workspace: "local",
      box: "box-of-read-refused",
      isHead: false,
      hop: 1,
      expiresAtS: 1,
    };
    const url = locationOf(await endpoint.get("/"));
    const [, payload = ""] = (url.split("__postern_call=")[1] ?? "").split(".");
    const { appId } = JSON.parse(atob(payload)) as { appId: string };
    const { resultTokens } = await gatewayKeys(env);
    const expired = resultTarget("/", await signResultToken({ ...claims, appId }, resultTokens));
    for (const target of [elsewhere, expired]) {
      expect((await endpoint.get(target)).status).toBe(429);
    }
    expect((await endpoint.get(url)).status).toBe(200);
  });

  test("the result of a call that was counted is read", async () => {
    const endpoint = await serveSlow("read-held", { rateLimit: "0.1/10" });
    const url = locationOf(await endpoint.get("/"));
    expect((await endpoint.get("/")).status).toBe(429);
    for (let index = 0; index < 5; index += 1) expect((await endpoint.get(url)).status).toBe(200);
    expect(endpoint.counts).toEqual({ calls: 1, reads: 5 });
  });
});

test("a forged result token counts for the limit and the budget of its caller's token, and a real one for none", async () => {
  const endpoint = await serveSlow("read-by-token", { requiresProxyAuth: true });
  const limits = { rateLimit: "0.1/30", dailyRequests: 2 };
  const chosen = { name: "", environments: [], apps: [], paths: [], limits, expiresAt: null };
  const created = await workspaceStub(env, "local").createProxyToken(chosen, "test");
  if (!created.ok) throw new Error(created.error.detail);
  const { id, secret } = created.value;
  const headers = { "modal-key": id, "modal-secret": secret, accept: "application/json" };
  const url = locationOf(await endpoint.get("/", headers));
  const read = async () => (await endpoint.get(url, headers)).status;
  const readForged = async () => {
    const response = await endpoint.get("/?__postern_call=x", headers);
    return (await response.json<{ code: string }>()).code;
  };
  expect([await read(), await read(), await read()]).toEqual([200, 200, 200]);
  // One request of the budget is left, and two of the limit.
  expect([await readForged(), await readForged(), await readForged()]).toEqual([
    "no_such_call",
    "budget_spent",
    "rate_limited",
  ]);
  expect(await read()).toBe(200);
});

test("a result is read 100 times at once and 20 times a second, and others are read as before", async () => {
  const endpoint = await serveSlow("read-often", {});
  const [url, other] = [locationOf(await endpoint.get("/")), locationOf(await endpoint.get("/"))];
  const now = Date.now();
  vi.spyOn(Date, "now").mockReturnValue(now);
  const statusOf = async (target: string) => (await endpoint.get(target)).status;
  for (let index = 0; index < 100; index += 1) expect(await statusOf(url)).toBe(200);
  const refused = await endpoint.get(url, { accept: "application/json" });
  expect(refused.status).toBe(429);
  expect(refused.headers.get("ratelimit-policy")).toBe('"result";q=100;w=5');
  expect(await refused.json()).toMatchObject({
    code: "rate_limited",
    detail: "the limit of this result is 20 requests a second, and 100 at once",
  });
  expect(endpoint.counts).toEqual({ calls: 2, reads: 100 });
  expect(await statusOf(other)).toBe(200);
  vi.spyOn(Date, "now").mockReturnValue(now + 50);
  expect([await statusOf(url), await statusOf(url)]).toEqual([200, 429]);
});

test("reads of many calls are remembered in bounded memory", () => {
  for (let index = 0; index < 100; index += 1) expect(passReads("first")).toBeUndefined();
  expect(passReads("first")).toMatchObject({ scope: "result" });
  for (let index = 0; index < 10_000; index += 1) passReads(`other-${index}`);
  expect(passReads("first")).toBeUndefined();
});
