/** A box's report of its use by tokens: who may send one, and what it does to a budget. */
import { env as bindings, SELF } from "cloudflare:test";
import { expect, test } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import { announcement, ask, authorizationOf, connectAgent, enrolledBox } from "../../fake-agent.ts";

const env = bindings as unknown as Env;
const HOST = "localhost:8787";
const INCARNATION = "a".repeat(32);

async function report(box: string, body: unknown, headers: Record<string, string> = {}) {
  const text = JSON.stringify(body);
  return await SELF.fetch(`http://${HOST}/_postern/usage`, {
    method: "POST",
    headers: {
      host: HOST,
      authorization: await authorizationOf(await enrolledBox(box)),
      "postern-incarnation": INCARNATION,
      "content-length": String(text.length),
      ...headers,
    },
    body: text,
  });
}

const row = (token: string, containerMs: number) => ({
  token,
  endpoint: "main/metered/f",
  requests: 1,
  containerMs,
});

test("container-seconds that a box reports spend a token's budget", async () => {
  const plain = announcement("metered", "f");
  await connectAgent("box-of-metered", {
    endpoints: [{ ...plain, settings: { ...plain.settings, requiresProxyAuth: true } }],
    open: (stream) => {
      stream.sendHead('{"status":200,"headers":["content-length","0"]}', [], true);
      return {};
    },
  });
  const limits = { dailyContainerSeconds: 60 };
  const chosen = { name: "", environments: [], apps: [], paths: [], limits, expiresAt: null };
  const created = await workspaceStub(env, "local").createProxyToken(chosen, "test");
  if (!created.ok) throw new Error(created.error.detail);
  const { id, secret } = created.value;
  const status = async () => {
    const headers = { "modal-key": id, "modal-secret": secret };
    return (await ask("local--metered-f", "/", { headers })).status;
  };
  const batch = { batch: 1, rows: [row(id, 59_999)] };
  for (let time = 0; time < 2; time += 1) {
    expect((await report("box-of-metered", batch)).status).toBe(204);
  }
  expect(await status()).toBe(200);
  expect((await report("box-of-metered", { batch: 2, rows: [row(id, 1)] })).status).toBe(204);
  // The isolate looks within some seconds, behind a request.
  await expect.poll(status, { timeout: 20_000, interval: 200 }).toBe(429);
});

test.each([
  ["without its agent's name", { "postern-incarnation": "" }, undefined, 400],
  ["with a stranger's credential", { authorization: "Bearer x" }, undefined, 401],
  ["of a token that is none", {}, { batch: 1, rows: [row("ak-x", 1)] }, 400],
  ["of a time that is none", {}, { batch: 1, rows: [row("wk-a", -1)] }, 400],
  ["without a number", {}, { rows: [] }, 400],
])("a report %s is refused", async (_, headers, body, status) => {
  const given = body ?? { batch: 1, rows: [row("wk-a", 1)] };
  expect((await report("box-of-refused", given, headers)).status).toBe(status);
});
