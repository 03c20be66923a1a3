/** Connect tokens at a real edge: who passes by which carrier, and what the app sees of it. */
import { env as bindings } from "cloudflare:test";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { firstApiToken } from "../../../../auth/tokens.ts";
import { signConnectToken } from "../../../../auth/connect-token.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { gatewayKeys } from "../../../../gateway/contracts/keys.ts";
import { Workspace } from "../../../../gateway/objects/workspace/workspace.ts";
import type { RequestHead } from "../../../../routing/wire/heads.ts";
import { call } from "../../api-client.ts";
import { announcement, ask, connectAgent, HANDSHAKE } from "../../fake-agent.ts";

const env = bindings as unknown as Env;
const APP = "connected";
const OURS = "_postern_connect_token";
const HOST = `local--${APP}-locked.localhost:8787`;
const USER = '{"user":"ada"}';

const asked: RequestHead[] = [];
let token = "";

beforeAll(async () => {
  const open = announcement(APP, "open");
  const locked = { timeout: 300, resultTtl: 3600, requiresProxyAuth: true };
  await connectAgent(APP, {
    endpoints: [
      open,
      { ...announcement(APP, "locked"), settings: locked },
      { ...announcement(APP, "other"), settings: locked },
    ],
    open: (stream, head) => {
      asked.push(head);
      if (head.target.startsWith("/slow")) {
        stream.confirmDeferred({
          callId: head.callId,
          status: "pending",
          position: 0,
          elapsedMs: 0,
        });
      } else {
        const evil = ["set-cookie", `${OURS}=forged`, "set-cookie", "a=b"];
        stream.sendHead(JSON.stringify({ status: 200, headers: evil }), [], true);
      }
      return {};
    },
  });
  token = (await create("locked", { user_metadata: USER })).json.token as string;
});

async function create(name: string, more: object = {}) {
  const admin = await firstApiToken(await gatewayKeys(env), "local");
  const body = { function: name, ...more };
  return await call("POST", `/apps/${APP}/connect-tokens`, { token: admin, body });
}

interface Asked {
  readonly name?: string;
  readonly headers?: Record<string, string>;
  readonly method?: string;
}

async function answer(path: string, { name = "locked", headers = {}, method = "GET" }: Asked = {}) {
  asked.length = 0;
  const init = { method, headers, redirect: "manual" } as const;
  const response = await ask(`local--${APP}-${name}`, path, init);
  const text = await response.text();
  const [head] = asked;
  return {
    status: response.status,
    code: text.startsWith("{") ? (JSON.parse(text) as { code?: string }).code : undefined,
    location: response.headers.get("location"),
    cookies: response.headers.getSetCookie(),
    target: head?.target,
    user: head && valueOf(head, "x-verified-user-data"),
    seen: JSON.stringify(head ?? null),
  };
}

function valueOf({ headers }: RequestHead, name: string): string | undefined {
  const at = headers.indexOf(name);
  return at === -1 ? undefined : headers[at + 1];
}

describe("a connect token", () => {
  test("is made for a function that there is, and comes with a URL that opens", async () => {
    const created = await create("locked");
    expect(created.status).toBe(201);
    expect(created.json.url).toBe(`http://${HOST}/?${OURS}=${created.json.token}`);
    const day = Date.parse(String(created.json.expires_at)) - Date.now();
    expect(Math.abs(day - 86_400_000)).toBeLessThan(10_000);
    expect((await create("nosuch")).json).toMatchObject({ code: "not_found" });
    for (const wrong of [
      { user_metadata: "a\nb" },
      { user_metadata: "x".repeat(512) },
      { expires_in: 0 },
    ]) {
      expect((await create("locked", wrong)).json).toMatchObject({ code: "parameter_invalid" });
    }
  });

  test("passes in each header, in the query and as a cookie, and the app sees its text alone", async () => {
    const carriers: [string, Record<string, string>][] = [
      ["/x?a=1", { authorization: `Bearer ${token}` }],
      ["/x?a=1", { "x-api-key": token }],
      ["/x?a=1", { "sec-websocket-protocol": `openai-insecure-api-key.${token}` }],
      [`/x?${OURS}=${token}&a=1`, {}],
      [`/x?a=1&_modal_connect_token=${token}`, {}],
      ["/x?a=1", { cookie: `b=c; ${OURS}=${token}` }],
      ["/x?a=1", { cookie: `_modal_connect_token=${token}; ${OURS}=old` }],
      ["/x?a=1", { cookie: `${OURS}=${token}`, referer: `http://${HOST}/?${OURS}=${token}` }],
    ];
    for (const [path, headers] of carriers) {
      const forged = { "x-verified-user-data": "root", "x-verified-user_data": "root" };
      const got = await answer(path, { headers: { ...headers, ...forged } });
      expect(got).toMatchObject({ status: 200, target: "/x?a=1", user: USER });
      expect(got.seen).not.toContain("pct-");
      expect(got.seen).not.toContain("root");
      expect(got.cookies).not.toContain(`${OURS}=forged`);
      expect(got.cookies).toContain("a=b");
    }
  });

  test("in a URL becomes a cookie of the name that it had, as long as it lasts", async () => {
    for (const name of [OURS, "_modal_connect_token"]) {
      const { cookies } = await answer(`/?${name}=${token}`);
      const line = cookies.find((cookie) => cookie.startsWith(`${name}=`)) ?? "";
      expect(line).toMatch(/; Path=\/; Max-Age=8\d{4}; HttpOnly; SameSite=Lax$/);
      const cookie = line.split(";", 1)[0] ?? "";
      expect(await answer("/", { headers: { cookie } })).toMatchObject({ status: 200, user: USER });
    }
    expect((await answer("/", { headers: { cookie: `${OURS}=${token}` } })).cookies).toEqual([
      "a=b",
    ]);
  });

  test("opens one endpoint, until it expires", async () => {
    const headers = { authorization: `Bearer ${token}` };
    const other = await answer("/", { name: "other", headers });
    expect(other).toMatchObject({ status: 403, code: "forbidden", target: undefined });
    const { connectTokens } = await gatewayKeys(env);
    const claims = { workspace: "local", environment: "main", app: APP, userData: "" };
    const expired = await signConnectToken(
      { ...claims, endpoint: `main/${APP}/locked`, expiresAtS: Math.floor(Date.now() / 1_000) },
      connectTokens,
    );
    const foreign = await signConnectToken(
      { ...claims, workspace: "else", endpoint: `main/${APP}/locked`, expiresAtS: 4e9 },
      connectTokens,
    );
    for (const wrong of [expired, foreign, `${token}x`, "pct-x"]) {
      const got = await answer("/", { headers: { authorization: `Bearer ${wrong}` } });
      expect(got).toMatchObject({ status: 401, code: "invalid_credentials" });
      expect((await answer(`/?${OURS}=${wrong}`)).cookies).toEqual([]);
    }
    expect(await answer("/")).toMatchObject({ status: 401, code: "missing_credentials" });
  });

  test("of an old link does not lock out a browser whose cookie is good", async () => {
    const headers = { cookie: `${OURS}=pct-planted; ${OURS}=${token}` };
    expect(await answer(`/?${OURS}=pct-old`, { headers })).toMatchObject({
      status: 200,
      user: USER,
    });
  });

  test("as a cookie speaks for no other page", async () => {
    const cookie = `${OURS}=${token}`;
    for (const headers of [
      { cookie, origin: "http://local--evil-f.localhost:8787" },
      { cookie, "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors" },
      { ...HANDSHAKE, cookie, origin: "http://local--evil-f.localhost:8787" },
    ]) {
      expect(await answer("/", { headers })).toMatchObject({ status: 401, target: undefined });
    }
    const own = { cookie, origin: `http://${HOST}` };
    expect((await answer("/", { headers: own, method: "POST" })).status).toBe(200);
  });

  test("goes with the client to its result, and never with the call", async () => {
    const slow = await answer(`/slow?${OURS}=${token}&a=1`, {
      headers: { prefer: "respond-async" },
    });
    expect(slow).toMatchObject({ status: 202, target: "/slow?a=1" });
    expect(slow.location).toMatch(new RegExp(`^/slow\\?${OURS}=${token}&a=1&__postern_call=`));
  });

  test("at a public endpoint tells the app who is there, and a wrong one keeps nobody out", async () => {
    const open = (await create("open", { user_metadata: "bob" })).json.token as string;
    const asks = (presented: string) =>
      answer("/", { name: "open", headers: { cookie: `${OURS}=${presented}` } });
    expect(await asks(open)).toMatchObject({ status: 200, user: "bob" });
    for (const wrong of [token, "pct-x"]) {
      const got = await asks(wrong);
      expect(got).toMatchObject({ status: 200, user: undefined });
      expect(got.seen).not.toContain("pct-");
    }
    const forged = await answer("/", { name: "open", headers: { "x-verified-user-data": "root" } });
    expect(forged.user).toBeUndefined();
  });

  test("asks no object", async () => {
    const looked = vi.spyOn(Workspace.prototype, "credentials");
    await answer("/", { headers: { authorization: `Bearer ${token}` } });
    expect(looked).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  test("tells its holder's calls under a key from another's", async () => {
    const other = (await create("locked", { user_metadata: "bob" })).json.token as string;
    const keyOf = async (path: string, headers: Record<string, string> = {}) => {
      await answer(path, { method: "POST", headers: { ...headers, "idempotency-key": "k" } });
      return asked[0]?.key;
    };
    const first = await keyOf(`/k?${OURS}=${token}`);
    expect(first).toBeDefined();
    expect(await keyOf(`/k?${OURS}=${token}`)).toBe(first);
    expect(await keyOf(`/k?${OURS}=${other}`)).not.toBe(first);
    const cookies = { cookie: `${OURS}=${token}` };
    expect(await keyOf("/k", cookies)).not.toBe(await keyOf("/k", { cookie: `${OURS}=${other}` }));
  });
});
