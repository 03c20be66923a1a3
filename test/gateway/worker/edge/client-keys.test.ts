/** A key in each place where a client may have one: it opens a private endpoint, and no app sees it. */
import { env as bindings } from "cloudflare:test";
import { beforeAll, describe, expect, test } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import type { RequestHead } from "../../../../routing/wire/heads.ts";
import {
  announcement,
  ask,
  connectAgent,
  dialBack,
  enrolledBox,
  HANDSHAKE,
} from "../../fake-agent.ts";

const env = bindings as unknown as Env;
const BOX = "client-keys";

/** The heads that the app was given. */
const asked: RequestHead[] = [];
let key = "";

beforeAll(async () => {
  const identity = await enrolledBox(BOX);
  const open = announcement(BOX, "open");
  const locked = announcement(BOX, "locked");
  await connectAgent(BOX, {
    endpoints: [open, { ...locked, settings: { ...locked.settings, requiresProxyAuth: true } }],
    open: (stream, head) => {
      asked.push(head);
      if (head.websocket === undefined) stream.sendHead('{"status":200,"headers":[]}', [], true);
      else {
        const chosen = protocolsOf(head)?.split(",")[0];
        const headers = chosen === undefined ? [] : ["sec-websocket-protocol", chosen];
        stream.sendHead(JSON.stringify({ status: 101, headers }), [], false);
        void dialBack(identity, head.websocket);
      }
      return {};
    },
  });
  const chosen = { name: "", environments: [], apps: [], paths: [], expiresAt: null };
  const created = await workspaceStub(env, "local").createProxyToken(chosen, "test");
  if (!created.ok) throw new Error(created.error.detail);
  key = `${created.value.id}.${created.value.secret}`;
});

function protocolsOf({ headers }: RequestHead): string | undefined {
  const at = headers.indexOf("sec-websocket-protocol");
  return at === -1 ? undefined : headers[at + 1];
}

/** The head of the one request that this reaches the app with. */
async function headOf(name: string, headers: Record<string, string>): Promise<RequestHead> {
  asked.length = 0;
  const response = await ask(`local--${BOX}-${name}`, "/", { headers });
  expect(response.status).toBe(200);
  await response.text();
  const [head, ...more] = asked;
  if (head === undefined || more.length > 0) throw new Error(`${asked.length} requests came`);
  return head;
}

/** Opens a WebSocket; what the app was offered, and what the client was answered. */
async function offer(name: string, offered: string) {
  asked.length = 0;
  const headers = { ...HANDSHAKE, "sec-websocket-protocol": offered };
  const response = await ask(`local--${BOX}-${name}`, "/", { headers });
  if (response.webSocket !== null) {
    response.webSocket.accept();
    response.webSocket.close(1000);
  } else await response.text();
  const [head] = asked;
  return {
    status: response.status,
    offered: head && protocolsOf(head),
    chosen: response.headers.get("sec-websocket-protocol"),
    head: JSON.stringify(head),
  };
}

const spelt = (): [string, Record<string, string>][] => [
  ["x-api-key", { "x-api-key": key }],
  ["api-key", { "api-key": key }],
  ["authorization", { authorization: `Bearer ${key}` }],
  ["sec-websocket-protocol", { "sec-websocket-protocol": `openai-insecure-api-key.${key}` }],
];

describe.each(["locked", "open"])("at a %s endpoint", (name) => {
  test("a key passes in each header, and no app sees it", async () => {
    for (const [header, headers] of spelt()) {
      const head = await headOf(name, headers);
      expect(head.headers, header).not.toContain(header);
      expect(JSON.stringify(head)).not.toContain(key.slice(-32));
    }
  });

  test("a key in a subprotocol opens a WebSocket whose subprotocol is the app's", async () => {
    const own = `openai-insecure-api-key.${key}`;
    const both = await offer(name, `${own}, realtime, v1`);
    expect(both).toMatchObject({ status: 101, offered: "realtime, v1", chosen: "realtime" });
    expect(both.head).not.toContain(key.slice(-32));
    // A browser that offered something needs an answer, and the app was offered nothing.
    const alone = await offer(name, own);
    expect(alone).toMatchObject({ status: 101, offered: undefined, chosen: own });
    expect(alone.head).not.toContain(key.slice(-32));
  });
});

test("an app's own keys reach it, beside one of ours", async () => {
  const own = { "x-api-key": "sk-of-the-app", "api-key": "also-the-apps" };
  const { headers } = await headOf("locked", { ...own, authorization: `Bearer ${key}` });
  expect(headers.join("\n")).toContain("x-api-key\nsk-of-the-app");
  expect(headers.join("\n")).toContain("api-key\nalso-the-apps");
});

test("a wrong key is refused alike wherever it stands", async () => {
  const wrong = `${key.slice(0, -1)}${key.endsWith("a") ? "b" : "a"}`;
  const { status } = await offer("locked", `openai-insecure-api-key.${wrong}, realtime`);
  expect(status).toBe(401);
  for (const name of ["x-api-key", "api-key"]) {
    const response = await ask(`local--${BOX}-locked`, "/", { headers: { [name]: wrong } });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ code: "invalid_credentials" });
  }
});
