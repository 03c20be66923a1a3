/** Where no box takes a call, the endpoint's fallback answers it. */
import { env as bindings } from "cloudflare:test";
import { afterEach, expect, test, vi } from "vitest";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { namesShard, workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import type { Fallback } from "../../../../routing/wire/fallback.ts";
import { HANDSHAKE, announcement, ask, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;

afterEach(() => {
  vi.restoreAllMocks();
});

/** A name of an endpoint with this fallback, on a box of the same name. */
async function served(app: string, fallback: Fallback): Promise<string> {
  const { workspace, environment, endpoint, settings } = announcement(app, "f");
  const name = `local--${app}-f`;
  const shard = await namesShard(env, name);
  const boxes = [{ box: app, links: 1 }];
  const snapshot = { workspace, environment, app, appId: `ap-${app}`, boxes, endpoint };
  await shard.commit(
    name,
    { owner: `ap-${app}`, workspace, kind: "deployed", startedAt: 0 },
    { ...snapshot, settings: { ...settings, fallback } },
  );
  return name;
}

/** The servers outside. */
function outside(answer: (request: Request) => Response | Promise<Response>) {
  const asked: { url: string; body: string; authorization: string | null }[] = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    const { url, headers } = request;
    asked.push({
      url,
      body: await request.clone().text(),
      authorization: headers.get("authorization"),
    });
    return await answer(request);
  });
  return asked;
}

const URL_ = "https://api.example.com/v9";
const POST = {
  method: "POST",
  body: '{"model":"mine"}',
  headers: { authorization: "Bearer wk-a.ws-b", "content-type": "application/json" },
};

test("the fallback answers while no box is there, and says so", async () => {
  const headers = { "content-type": "text/event-stream", "set-cookie": "a=b" };
  const asked = outside(() => new Response("data: 1\n\n", { status: 201, headers }));
  const name = await served("fallback-away", { url: URL_, models: { mine: "theirs" } });
  const response = await ask(name, "/chat?x=1", POST);
  expect([response.status, await response.text()]).toEqual([201, "data: 1\n\n"]);
  expect(response.headers.get("postern-fallback")).toBe("1");
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  expect(response.headers.get("set-cookie")).toBeNull();
  expect(asked).toEqual([
    { url: `${URL_}/chat?x=1`, body: '{"model":"theirs"}', authorization: null },
  ]);
});

test("it gets headers with the secrets of the app's environment", async () => {
  const variables = { API_KEY: "sk-1" };
  const secret = { environment: "main", name: "outside", variables, replace: true };
  expect(await workspaceStub(env, "local").putSecret(secret, "test")).toMatchObject({ ok: true });
  const asked = outside(() => new Response("ok"));
  const given = { url: URL_, headers: { authorization: "Bearer $API_KEY" }, secrets: ["outside"] };
  expect(await (await ask(await served("fallback-secret", given))).text()).toBe("ok");
  expect(asked).toMatchObject([{ authorization: "Bearer sk-1" }]);
  const missing = await served("fallback-missing", { ...given, secrets: ["nowhere"] });
  expect((await ask(missing)).status).toBe(503);
  expect(asked).toHaveLength(1);
});

test("a box that takes calls answers them itself, also where it fails them", async () => {
  const asked = outside(() => new Response("outside"));
  const name = await served("fallback-there", { url: URL_ });
  await connectAgent("fallback-there", {
    open: (stream, { target }) => {
      if (target === "/full") stream.refuse({ code: "queue_full", detail: "full" });
      else if (target === "/broken") stream.reset({ code: "origin_error", detail: "broke" });
      else stream.sendHead('{"status":200,"headers":["postern-fallback","1"]}', [], true);
      return {};
    },
  });
  const answer = await ask(name);
  expect([answer.status, answer.headers.get("postern-fallback")]).toEqual([200, null]);
  expect((await ask(name, "/broken", POST)).status).toBe(502);
  expect(asked).toEqual([]);
  expect(await (await ask(name, "/full")).text()).toBe("outside");
});

test("calls under a key, asynchronous ones and WebSockets stay with the endpoint", async () => {
  const asked = outside(() => new Response("outside"));
  const name = await served("fallback-bound", { url: URL_ });
  for (const headers of [{ "idempotency-key": "k" }, { prefer: "respond-async" }, HANDSHAKE]) {
    const response = await ask(name, "/", { headers });
    expect([response.status, response.headers.get("postern-fallback")]).toEqual([503, null]);
  }
  expect(asked).toEqual([]);
});

test("a call keeps its failure where the fallback does not answer", async () => {
  outside(() => Promise.reject(new Error("connection refused")));
  const response = await ask(await served("fallback-broken", { url: URL_ }));
  expect([response.status, response.headers.get("postern-fallback")]).toEqual([503, null]);
});

test("a body that streams goes there whole while no box is there", async () => {
  const asked = outside(() => new Response("ok"));
  const body = "0123456789".repeat(20_000);
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  void writer.write(new TextEncoder().encode(body)).then(async () => await writer.close());
  const name = await served("fallback-streamed", { url: URL_ });
  expect(await (await ask(name, "/", { method: "POST", body: readable })).text()).toBe("ok");
  expect(asked).toMatchObject([{ body }]);
});
