import { describe, expect, test, vi } from "vitest";
import { env as bindings } from "cloudflare:test";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { workspaceStub } from "../../../../gateway/contracts/stubs.ts";
import type { RequestHead } from "../../../../routing/wire/heads.ts";
import type { EndpointSettings } from "../../../../routing/wire/messages.ts";
import type { Stream } from "../../../../routing/wire/multiplexer.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

const env = bindings as unknown as Env;

const HELLO = '{"status":200,"headers":["content-type","text/plain"]}';
const JSON_ONLY = { accept: "application/json" };
let boxes = 0;

/** An endpoint whose app never answers; its agent keeps every call when it is asked to. */
async function slowEndpoint(
  settings: Partial<Pick<EndpointSettings, "cors" | "requestTimeout" | "affinity">> = {},
  { workspace = "local", app = "", functionName = "f" } = {},
) {
  boxes += 1;
  const box = `results-${boxes}`;
  const name = app === "" ? box : app;
  const opened: RequestHead[] = [];
  const attached: { offset: number; callId: string }[] = [];
  const endpoint = { ...announcement(name, functionName), workspace };
  let answer: ((stream: Stream) => void) | undefined;
  const keep = (stream: Stream, callId: string) => ({
    onDefer: () =>
      stream.confirmDeferred({ callId, status: "running", position: 0, elapsedMs: 1000 }),
  });
  const streams: Stream[] = [];
  await connectAgent(box, {
    endpoints: [{ ...endpoint, settings: { ...endpoint.settings, ...settings } }],
    open: (stream, head) => {
      opened.push(head);
      streams.push(stream);
      if (head.async === true) {
        stream.confirmDeferred({
          callId: head.callId,
          status: "pending",
          position: 3,
          etaMs: 12_480,
          elapsedMs: 0,
        });
      }
      return keep(stream, head.callId);
    },
    attach: (stream, request) => {
      attached.push(request);
      streams.push(stream);
      answer?.(stream);
      return keep(stream, request.callId);
    },
  });
  return {
    opened,
    attached,
    ask: (path: string, init?: RequestInit) =>
      ask(`${workspace}--${name}-${functionName}`.toLowerCase(), path, {
        redirect: "manual",
        ...init,
      }),
    answerWith: (reply: (stream: Stream) => void) => {
      answer = reply;
    },
    streams,
  };
}

/** The request timeout is a variable of the Worker: short here, so that no test has to wait. */
function requestTimeout(seconds: string): void {
  Object.assign(env, { POSTERN_REQUEST_TIMEOUT: seconds });
}

describe("a call that takes longer than the request timeout", () => {
  test("is answered with 303 to a result URL that brings its answer, exactly and without a second call", async () => {
    requestTimeout("0.05");
    const endpoint = await slowEndpoint();
    const first = await endpoint.ask("/work?x=1", { method: "POST", body: "q" });
    expect(first.status).toBe(303);
    expect(first.headers.get("cache-control")).toBe("no-store");
    expect(first.headers.get("referrer-policy")).toBe("no-referrer");
    expect(first.headers.get("server-timing")).toMatch(/^position;desc=0, route;dur=/);
    const location = first.headers.get("location") ?? "";
    expect(location).toMatch(/^\/work\?x=1&__postern_call=[\w-]+\.[\w-]+\.[\w-]+$/);

    const second = await endpoint.ask(location, { method: "POST", body: "q" });
    expect(second.status).toBe(303);
    const next = second.headers.get("location") ?? "";
    expect(next).toMatch(/^\/work\?x=1&__postern_call=/);
    expect(next).not.toBe(location);

    endpoint.answerWith((stream) =>
      stream.sendHead(HELLO, [new TextEncoder().encode("done")], true),
    );
    const third = await endpoint.ask(next);
    expect(third.status).toBe(200);
    expect(await third.text()).toBe("done");
    expect(third.headers.get("postern-call-id")).toBe(endpoint.opened[0]?.callId);
    expect(endpoint.opened).toHaveLength(1);
  });

  test("ends in a 202 one hop before its client would give up", async () => {
    requestTimeout("0.02");
    const endpoint = await slowEndpoint();
    const headers = { "user-agent": "Go-http-client/1.1" };
    let path = "/";
    let hops = 0;
    let response = await endpoint.ask(path, { headers });
    while (response.status === 303) {
      hops += 1;
      path = response.headers.get("location") ?? "";
      response = await endpoint.ask(path, { headers });
    }
    expect(hops).toBe(8);
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({
      call_id: endpoint.opened[0]?.callId,
      status: "running",
      eta_seconds: null,
      elapsed_seconds: 1,
    });
  });

  test("of a page of another origin is readable there, redirects included", async () => {
    requestTimeout("0.02");
    const endpoint = await slowEndpoint({ cors: true });
    const origin = { origin: "https://page.example" };
    const preflight = await endpoint.ask("/", {
      method: "OPTIONS",
      headers: { ...origin, "access-control-request-method": "POST" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe("*");
    const response = await endpoint.ask("/", { method: "POST", body: "x", headers: origin });
    expect(response.status).toBe(303);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(endpoint.opened).toHaveLength(1);
  });
});

/** Asks, and answers when a request of another endpoint that came later has been redirected. */
async function askHeld(
  endpoint: Awaited<ReturnType<typeof slowEndpoint>>,
  init: RequestInit = {},
  path = "/",
): Promise<Response> {
  const opened = endpoint.streams.length;
  const asked = endpoint.ask(path, init);
  await vi.waitFor(() => expect(endpoint.streams.length).toBeGreaterThan(opened), 15_000);
  const other = await slowEndpoint();
  expect((await other.ask("/")).status).toBe(303);
  endpoint.streams.at(-1)?.sendHead(HELLO, [new TextEncoder().encode("held")], true);
  return await asked;
}

describe("a request that is held gets its response after the request timeout", () => {
  const MCP = { accept: "application/json, text/event-stream", "content-type": "application/json" };

  test.for<[string, Parameters<typeof slowEndpoint>[0], RequestInit]>([
    ["by the endpoint's request_timeout = false", { requestTimeout: false }, {}],
    ["by the endpoint's longer one", { requestTimeout: 150 }, { method: "POST", body: "x" }],
    ["as its client asks by Prefer: wait", {}, { headers: { prefer: "wait=100" } }],
    ["as one of MCP, by its headers", {}, { method: "POST", body: "{}", headers: MCP }],
    [
      "as one of MCP, by the affinity",
      { affinity: { rules: ["mcp"], mode: "soft" } },
      { method: "POST", body: "{}" },
    ],
    ["as its client follows no redirect", {}, { headers: { "user-agent": "python-httpx/0.28.1" } }],
  ])("%s", async ([, settings, init]) => {
    requestTimeout("0.02");
    const response = await askHeld(await slowEndpoint(settings), init);
    expect([response.status, await response.text()]).toEqual([200, "held"]);
  });

  test("also on a result URL", async () => {
    requestTimeout("0.02");
    const endpoint = await slowEndpoint();
    const first = await endpoint.ask("/");
    const headers = { "user-agent": "Java-http-client/17.0.15" };
    const response = await askHeld(endpoint, { headers }, first.headers.get("location") ?? "");
    expect([response.status, await response.text()]).toEqual([200, "held"]);
    expect(endpoint.opened).toHaveLength(1);
  });
});

test("an endpoint's request_timeout that is shorter than the gateway's redirects", async () => {
  requestTimeout("150");
  const endpoint = await slowEndpoint({ requestTimeout: 0.02 });
  const response = await endpoint.ask("/", { method: "POST", body: "x" });
  expect(response.status).toBe(303);
});

describe("an app that does CORS itself", () => {
  const origin = { origin: "https://page.example" };

  test("has Postern's own redirects and errors readable by the page that asked", async () => {
    requestTimeout("0.02");
    const endpoint = await slowEndpoint();
    const redirect = await endpoint.ask("/", { method: "POST", body: "x", headers: origin });
    expect(redirect.status).toBe(303);
    expect(redirect.headers.get("access-control-allow-origin")).toBe("https://page.example");
    expect(redirect.headers.get("access-control-allow-credentials")).toBe("true");
    const result = redirect.headers.get("location") ?? "";
    const asked = { ...origin, "access-control-request-method": "GET" };
    const preflight = await endpoint.ask(result, {
      method: "OPTIONS",
      headers: { ...asked, "access-control-request-headers": "authorization" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-headers")).toBe("authorization");
    const error = await endpoint.ask("/?__postern_call=forged", { headers: origin });
    expect(error.status).toBe(404);
    expect(error.headers.get("access-control-allow-origin")).toBe("https://page.example");
    await error.text();
  });

  test("decides by itself who reads its responses", async () => {
    requestTimeout("0.02");
    const endpoint = await slowEndpoint();
    const first = await endpoint.ask("/", { headers: origin });
    endpoint.answerWith((stream) =>
      stream.sendHead(HELLO, [new TextEncoder().encode("done")], true),
    );
    const response = await endpoint.ask(first.headers.get("location") ?? "", { headers: origin });
    expect(await response.text()).toBe("done");
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  });

  test("gets the preflights of its own URLs", async () => {
    const endpoint = await slowEndpoint();
    requestTimeout("0.02");
    const headers = { ...origin, "access-control-request-method": "POST" };
    const response = await endpoint.ask("/", { method: "OPTIONS", headers });
    expect(response.status).toBe(303);
    expect(endpoint.opened).toMatchObject([{ method: "OPTIONS" }]);
  });
});

describe("Prefer", () => {
  test("respond-async is answered with 202 before the app answers", async () => {
    requestTimeout("150");
    const endpoint = await slowEndpoint();
    const headers = { prefer: "respond-async" };
    const response = await endpoint.ask("/job", { method: "POST", body: "x", headers });
    expect(response.status).toBe(202);
    expect(response.headers.get("preference-applied")).toBe("respond-async");
    expect(response.headers.get("server-timing")).toMatch(/^position;desc=3, eta;dur=12480, route/);
    const body = await response.json<Record<string, unknown>>();
    expect(body).toMatchObject({ status: "pending", position: 3, eta_seconds: 12.5 });
    expect(body["result_url"]).toMatch(/^http:\/\/local--results-\d+-f\.localhost:8787\/job\?__po/);
    expect(endpoint.opened[0]?.async).toBe(true);
  });

  test("the way to a result stays on its host, whatever the target begins with", async () => {
    const endpoint = await slowEndpoint();
    const headers = { prefer: "respond-async" };
    const response = await endpoint.ask("//example.com/job", { headers });
    expect(response.headers.get("location")).toMatch(/^\/\.\/\/example\.com\/job\?__postern_call=/);
    await response.text();
  });

  test("wait=N that ran out is answered with 202, which names each preference that was applied", async () => {
    requestTimeout("150");
    const endpoint = await slowEndpoint({ requestTimeout: false });
    for (const prefer of ["wait=0", "respond-async, wait=0"]) {
      const response = await endpoint.ask("/job", { headers: { prefer } });
      expect(response.status).toBe(202);
      expect(response.headers.get("preference-applied")).toBe(prefer);
      await response.text();
    }
  });

  test("wait=0 on a result URL asks without waiting", async () => {
    requestTimeout("0.02");
    const endpoint = await slowEndpoint();
    const first = await endpoint.ask("/");
    const headers = { prefer: "wait=0" };
    const response = await endpoint.ask(first.headers.get("location") ?? "", { headers });
    expect(response.status).toBe(202);
    await response.text();
  });
});

describe("a result URL", () => {
  test("is answered under the X-Request-Id of who asks, or the call's id", async () => {
    requestTimeout("0.02");
    const endpoint = await slowEndpoint();
    const first = await endpoint.ask("/");
    const location = first.headers.get("location") ?? "";
    const mine = await endpoint.ask(location, { headers: { "x-request-id": "mine" } });
    expect(mine.headers.get("x-request-id")).toBe("mine");
    const other = await endpoint.ask(location);
    expect(other.headers.get("x-request-id")).toBe(endpoint.opened[0]?.callId);
  });

  test("with a token that is not ours is 404 and asks no object", async () => {
    requestTimeout("0.02");
    const endpoint = await slowEndpoint();
    const first = await endpoint.ask("/");
    const location = first.headers.get("location") ?? "";
    const forged = `${location.slice(0, -4)}AAAA`;
    const response = await endpoint.ask(forged, { headers: JSON_ONLY });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: "no_such_call" });
    expect(endpoint.attached).toHaveLength(0);
  });

  test("opens its call at no endpoint of another tenant, though its names read alike", async () => {
    requestTimeout("0.02");
    const alice = await slowEndpoint({}, { workspace: "alice", app: "chat" });
    const bob = await slowEndpoint({}, { workspace: "bob", app: "chat" });
    alice.answerWith((stream) =>
      stream.sendHead(HELLO, [new TextEncoder().encode("private")], true),
    );
    const location = (await alice.ask("/")).headers.get("location") ?? "";
    const stolen = await bob.ask(location, { headers: JSON_ONLY });
    expect([stolen.status, await stolen.json()]).toMatchObject([404, { code: "no_such_call" }]);
    expect([...alice.attached, ...bob.attached]).toHaveLength(0);
    expect(await (await alice.ask(location)).text()).toBe("private");
  });

  test("is given for the longest names that an app may have", async () => {
    requestTimeout("0.02");
    const environment = "e".repeat(64);
    const workspace = workspaceStub(env, "local");
    await workspace.createEnvironment({ name: environment, webSuffix: "longest" }, "test");
    const named = announcement("a".repeat(64), "f".repeat(128));
    const endpoint = named.endpoint.replace("main", environment);
    await connectAgent("longest-names", {
      endpoints: [{ ...named, environment, endpoint, label: "longest" }],
      open: (stream, { callId }) => ({
        onDefer: () =>
          stream.confirmDeferred({ callId, status: "running", position: 0, elapsedMs: 1 }),
      }),
    });
    const response = await ask("local-longest--longest", "/", { redirect: "manual" });
    expect(response.status).toBe(303);
  });

  test("gives a part of a complete answer where a Range asks for it", async () => {
    requestTimeout("0.02");
    const endpoint = await slowEndpoint();
    const first = await endpoint.ask("/");
    const body = new TextEncoder().encode("0123456789");
    endpoint.answerWith((stream) => {
      const { offset } = endpoint.attached.at(-1) ?? { offset: 0 };
      const head = '{"status":200,"headers":["content-length","10"],"length":10}';
      stream.sendHead(head, [body.subarray(offset)], true);
    });
    const location = first.headers.get("location") ?? "";
    const part = await endpoint.ask(location, { headers: { range: "bytes=2-5" } });
    expect(part.status).toBe(206);
    expect(part.headers.get("content-range")).toBe("bytes 2-5/10");
    expect(await part.text()).toBe("2345");
    const rest = await endpoint.ask(location, { headers: { range: "bytes=7-" } });
    expect(await rest.text()).toBe("789");
    const all = await endpoint.ask(location, { headers: { range: "bytes=99-" } });
    expect([all.status, await all.text()]).toEqual([200, "0123456789"]);
  });
});

describe("an events_url", () => {
  /** An endpoint of a call that waits, and the call's events_url as path and query. */
  async function waiting(box: string, settings: { cors?: boolean } = {}) {
    const endpoint = announcement(box, "f");
    const state = { status: "pending", position: 4 };
    await connectAgent(box, {
      endpoints: [{ ...endpoint, settings: { ...endpoint.settings, ...settings } }],
      open: (stream, { callId }) => {
        stream.confirmDeferred({ callId, status: "pending", position: 4, elapsedMs: 0 });
        return {};
      },
      operate: (stream, { operation, parameters }) => {
        if (operation !== "reportStatus") throw new Error(`asked for ${operation}`);
        const { callIds } = parameters as { callIds: string[] };
        const calls = callIds.map((callId) => Object.assign({ callId, elapsedMs: 1_000 }, state));
        const answer = new TextEncoder().encode(JSON.stringify({ calls }));
        stream.sendHead('{"status":200,"headers":[]}', [answer], true);
        return {};
      },
    });
    const name = `local--${box}-f`;
    const accepted = await ask(name, "/job?x=1", { headers: { prefer: "respond-async" } });
    const { events_url: url } = await accepted.json<{ events_url: string }>();
    return { name, state, path: url.slice(url.indexOf("/job")) };
  }

  test("has the call's status as events, until it has ended", async () => {
    const { name, state, path } = await waiting("events");
    expect(path).toMatch(/^\/job\?x=1&__postern_events=/);
    const response = await ask(name, path, { headers: { origin: "https://page.example" } });
    expect([response.status, response.headers.get("content-type")]).toEqual([
      200,
      "text/event-stream",
    ]);
    expect(response.headers.get("cache-control")).toBe("no-store");
    state.status = "success";
    const events = (await response.text()).split("\n\n");
    expect(events[1]).toContain('"status":"pending","position":4');
    expect(events.at(-2)).toContain('"status":"success"');
  });

  test("opens nothing with a HEAD, and is not the app's with another method", async () => {
    const { name, path } = await waiting("events-head");
    const head = await ask(name, path, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const post = await ask(name, path, { method: "POST", body: "x" });
    expect(post.headers.get("content-type")).toBe("text/event-stream");
    await post.body?.cancel();
  });

  test("is readable for a page of another origin where the endpoint allows that", async () => {
    const { name, path } = await waiting("events-cors", { cors: true });
    const response = await ask(name, path, { headers: { origin: "https://page.example" } });
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    await response.body?.cancel();
  });

  test("of a box with an older agent is 501", async () => {
    const box = "events-older";
    await connectAgent(box, {
      endpoints: [announcement(box, "f")],
      open: (stream, { callId }) => {
        stream.confirmDeferred({ callId, status: "pending", position: 0, elapsedMs: 0 });
        return {};
      },
      operate: (stream) => {
        stream.refuse({ code: "not_supported", detail: "this agent is older: update it" });
        return {};
      },
    });
    const headers = { prefer: "respond-async" };
    const accepted = await ask(`local--${box}-f`, "/job", { headers });
    const { events_url: url } = await accepted.json<{ events_url: string }>();
    const response = await ask(`local--${box}-f`, url.slice(url.indexOf("/job")));
    expect(response.status).toBe(501);
  });
});
