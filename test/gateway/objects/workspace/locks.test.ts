import { env as bindings } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { EndpointAnnouncement } from "../../../../routing/wire/messages.ts";
import { mintAppToken } from "../../../../auth/app-token.ts";
import { TOKEN_RANDOM_BYTES, mintToken } from "../../../../auth/tokens.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;

let boxes = 0;

/** An endpoint of its own workspace behind a lock; `seen` are the header lists that the app got. */
async function lockedEndpoint(more: Partial<EndpointAnnouncement> = {}) {
  boxes += 1;
  const workspace = `locks-${boxes}`;
  const seen: string[][] = [];
  const { welcome } = await connectAgent(`box-${boxes}`, {
    endpoints: [
      {
        ...announcement("chat", "f"),
        workspace,
        settings: { timeout: 300, resultTtl: 3600, requiresProxyAuth: true },
        ...more,
      },
    ],
    open: (stream, head) => {
      seen.push(head.headers);
      stream.sendHead('{"status":200,"headers":[]}', [new TextEncoder().encode("inside")], true);
      return {};
    },
  });
  const name = `${workspace}--chat-f`;
  const [answer] = welcome.endpoints;
  return {
    workspace,
    seen,
    /** What the app's containers get. */
    appToken: answer === undefined || "refused" in answer ? "" : answer.appToken,
    ask: async (headers: Record<string, string> = {}, path = "/") => {
      const response = await ask(name, path, { headers: { accept: "text/plain", ...headers } });
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
  };
}

async function createToken(workspace: string, more: Record<string, unknown> = {}) {
  const chosen = { name: "", environments: [], apps: [], paths: [], expiresAt: null, ...more };
  const created = await workspaceStub(env, workspace).createProxyToken(chosen, "test");
  if (!created.ok) throw new Error(created.error.detail);
  return created.value;
}

/** Moves the wall clock; timers go on by themselves. */
function pass(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const pair = ({ id, secret }: { id: string; secret: string }, name = "Modal") => ({
  [`${name}-Key`]: id,
  [`${name}-Secret`]: secret,
});

describe("an endpoint behind a lock", () => {
  test("asks a caller without credentials for them and lets nothing through", async () => {
    const endpoint = await lockedEndpoint();
    const answer = await endpoint.ask();
    expect(answer.status).toBe(401);
    expect(answer.text).toBe("postern: missing credentials for proxy authorization\n");
    expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="postern"');
    expect(endpoint.seen).toEqual([]);
  });

  test.each([
    [{}, "send Authorization: Bearer wk-….ws-…, or Modal-Key and Modal-Secret"],
    [{ authorization: "Basic dTpw" }, "send Authorization: Bearer wk-….ws-…, or Modal-Key and"],
    [{ authorization: "wk-1.ws-2" }, "write Bearer before the key in Authorization"],
    [{ authorization: "Token pct-abc" }, "write Bearer before the key in Authorization"],
  ] as [Record<string, string>, string][])(
    "tells a program where a key goes: %j",
    async (headers, hint) => {
      const endpoint = await lockedEndpoint();
      const answer = await endpoint.ask({ ...headers, accept: "application/json" });
      expect(answer.status).toBe(401);
      expect(JSON.parse(answer.text)).toMatchObject({
        code: "missing_credentials",
        hint: expect.stringContaining(hint) as string,
      });
    },
  );

  test("opens at once for a new token, by every spelling of the headers, and keeps it from the app", async () => {
    const endpoint = await lockedEndpoint();
    await endpoint.ask();
    const token = await createToken(endpoint.workspace);
    for (const headers of [
      pair(token),
      pair(token, "Postern"),
      { authorization: `Bearer ${token.id}.${token.secret}` },
    ] as Record<string, string>[]) {
      expect(await endpoint.ask(headers)).toMatchObject({ status: 200, text: "inside" });
    }
    expect(endpoint.seen).toHaveLength(3);
    expect(JSON.stringify(endpoint.seen)).not.toMatch(/wk-|ws-|modal-|postern-key/);
  });

  test("hands an Authorization of the app's own through", async () => {
    const endpoint = await lockedEndpoint();
    const token = await createToken(endpoint.workspace);
    await endpoint.ask({ ...pair(token), authorization: "Bearer sk-of-the-app" });
    expect(endpoint.seen[0]).toContain("Bearer sk-of-the-app");
  });

  test("opens for its app's own token without asking anybody, and keeps it from the app", async () => {
    const asked = vi.spyOn(Workspace.prototype, "credentials");
    const endpoint = await lockedEndpoint();
    const headers = { authorization: `Bearer ${endpoint.appToken}` };
    expect(await endpoint.ask(headers)).toMatchObject({ status: 200, text: "inside" });
    expect(JSON.stringify(endpoint.seen)).not.toContain("pat-");
    expect(asked).not.toHaveBeenCalled();
  });

  test("is closed to the token of another app, and to a forged one", async () => {
    const endpoint = await lockedEndpoint();
    const neighbour = await mintAppToken(await gatewayKeys(env), {
      workspace: endpoint.workspace,
      id: `ap-${"0".repeat(26)}`,
    });
    const foreign = (await lockedEndpoint()).appToken;
    const { appToken } = endpoint;
    for (const [token, status] of [
      [neighbour, 403],
      [foreign, 401],
      [appToken.toUpperCase(), 401],
      [`${appToken}a`, 401],
      ["pat-", 401],
    ] as const) {
      const answer = await endpoint.ask({ authorization: `Bearer ${token}` });
      expect([token, answer.status]).toEqual([token, status]);
    }
    expect(endpoint.seen).toEqual([]);
  });

  test("is closed to a token for other paths, however they are spelt", async () => {
    const endpoint = await lockedEndpoint();
    const token = await createToken(endpoint.workspace, { paths: ["/v1/*"] });
    for (const path of ["/", "/v1", "/sleep", "/v1/..%2fsleep", "/v1/%252e%252e/sleep"]) {
      const answer = await endpoint.ask(pair(token), path);
      expect([path, answer.status]).toEqual([path, 403]);
      expect(answer.text).toContain("paths");
    }
    expect(endpoint.seen).toEqual([]);
    expect((await endpoint.ask(pair(token), "/v1/models?next=/sleep")).status).toBe(200);
  });

  test("closes its paths, for holders of a token alone: others get 401 there", async () => {
    const paths = { deny: ["/sleep"] };
    const settings = { timeout: 300, resultTtl: 3600, requiresProxyAuth: true, paths };
    const endpoint = await lockedEndpoint({ settings });
    const token = await createToken(endpoint.workspace);
    for (const path of ["/sleep", "/SLEEP/", "//sleep", "/sleep%0A", "/a/..;/sleep"]) {
      const answer = await endpoint.ask({ ...pair(token), accept: "application/json" }, path);
      expect([path, answer.status]).toEqual([path, 404]);
      expect(JSON.parse(answer.text)).toMatchObject({ code: "path_closed" });
      expect((await endpoint.ask({}, path)).status).toBe(401);
    }
    expect(endpoint.seen).toEqual([]);
    expect((await endpoint.ask(pair(token), "/sleepy")).status).toBe(200);
  });

  test("refuses a wrong secret, and a token of another workspace", async () => {
    const endpoint = await lockedEndpoint();
    const token = await createToken(endpoint.workspace);
    const foreign = await createToken("somewhere-else");
    for (const wrong of [{ ...token, secret: foreign.secret }, foreign]) {
      const answer = await endpoint.ask(pair(wrong));
      expect(answer.status).toBe(401);
      expect(answer.text).toBe("postern: invalid credentials for proxy authorization\n");
    }
    expect(endpoint.seen).toEqual([]);
  });

  test.each([
    [{ environments: ["main"], apps: ["chat"] }, 200],
    [{ environments: ["dev"] }, 403],
    [{ apps: ["voice"] }, 403],
  ])("honours a token's restrictions: %j gives %d", async (restrictions, status) => {
    const endpoint = await lockedEndpoint();
    const stub = workspaceStub(env, endpoint.workspace);
    await stub.createEnvironment({ name: "dev", webSuffix: undefined }, "test");
    const token = await createToken(endpoint.workspace, restrictions);
    expect((await endpoint.ask(pair(token))).status).toBe(status);
  });

  test("closes when the token expires", async () => {
    const endpoint = await lockedEndpoint();
    const token = await createToken(endpoint.workspace, { expiresAt: Date.now() + 2_000 });
    expect((await endpoint.ask(pair(token))).status).toBe(200);
    pass(2_000);
    expect((await endpoint.ask(pair(token))).status).toBe(401);
  });

  test("closes within 5 s of a token's revocation", async () => {
    const endpoint = await lockedEndpoint();
    const token = await createToken(endpoint.workspace);
    expect((await endpoint.ask(pair(token))).status).toBe(200);
    await workspaceStub(env, endpoint.workspace).revokeProxyToken(token.id);
    pass(5_000);
    expect((await endpoint.ask(pair(token))).status).toBe(401);
  });

  test("asks no object for a warm request, a wrong secret or a forged id", async () => {
    const endpoint = await lockedEndpoint();
    const token = await createToken(endpoint.workspace);
    await endpoint.ask(pair(token));
    const asked = [
      vi.spyOn(Workspace.prototype, "credentials"),
      vi.spyOn(Workspace.prototype, "proxyToken"),
      vi.spyOn(Workspace.prototype, "noteProxyTokenUse"),
    ];
    expect((await endpoint.ask(pair(token))).status).toBe(200);
    expect((await endpoint.ask(pair({ ...token, secret: "ws-" }))).status).toBe(401);
    const forged = { ...token, id: `wk-${"a".repeat(26)}` };
    expect((await endpoint.ask(pair(forged))).status).toBe(401);
    expect(asked.map((spy) => spy.mock.calls.length)).toEqual([0, 0, 0]);
    pass(3_000);
    expect((await endpoint.ask(pair(token))).status).toBe(200);
    expect(asked[0]).toHaveBeenCalledTimes(1);
  });

  test("looks an id of ours that is gone up once", async () => {
    const endpoint = await lockedEndpoint();
    const random = crypto.getRandomValues(new Uint8Array(TOKEN_RANDOM_BYTES));
    const lost = await mintToken(await gatewayKeys(env), "proxy", endpoint.workspace, random);
    const lookedUp = vi.spyOn(Workspace.prototype, "proxyToken");
    for (let round = 0; round < 3; round++) {
      expect((await endpoint.ask(pair(lost))).status).toBe(401);
    }
    expect(lookedUp).toHaveBeenCalledTimes(1);
  });

  test("notes a token's last use, and not again for ten minutes", async () => {
    const endpoint = await lockedEndpoint();
    const token = await createToken(endpoint.workspace);
    const lastUse = async () =>
      (await workspaceStub(env, endpoint.workspace).listProxyTokens({ limit: 1 })).items[0]
        ?.lastUsedAt;
    expect(await lastUse()).toBeNull();
    const first = Date.now();
    await endpoint.ask(pair(token));
    expect(await lastUse()).toBe(first);
    pass(60_000);
    await endpoint.ask(pair(token));
    expect(await lastUse()).toBe(first);
    pass(600_000);
    await endpoint.ask(pair(token));
    expect(await lastUse()).toBe(first + 660_000);
  });

  test("answers 503, not 401, while the workspace does not answer", async () => {
    const endpoint = await lockedEndpoint();
    vi.spyOn(Workspace.prototype, "credentials").mockImplementation(() => {
      throw new Error("reset");
    });
    const answer = await endpoint.ask(pair({ id: "wk-x", secret: "ws-x" }));
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toBe("1");
    expect(endpoint.seen).toEqual([]);
  });
});

test("an endpoint without a lock asks nobody for credentials", async () => {
  const endpoint = await lockedEndpoint({ settings: { timeout: 300, resultTtl: 3600 } });
  const asked = vi.spyOn(Workspace.prototype, "credentials");
  expect((await endpoint.ask()).status).toBe(200);
  expect(asked).not.toHaveBeenCalled();
});
