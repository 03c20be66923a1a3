import { describe, expect, test } from "vitest";
import { env } from "cloudflare:test";
import type { RequestHead } from "../../../../routing/wire/messages.ts";
import type { Stream } from "../../../../routing/wire/multiplexer.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

const HELLO = '{"status":200,"headers":["content-type","text/plain"]}';
const JSON_ONLY = { accept: "application/json" };
let boxes = 0;

/** An endpoint whose app never answers; its agent keeps every call when it is asked to. */
async function slowEndpoint(settings: Partial<{ cors: boolean }> = {}) {
  boxes += 1;
  const name = `results-${boxes}`;
  const opened: RequestHead[] = [];
  const attached: { offset: number; call: string }[] = [];
  const endpoint = { ...announcement(name, "f") };
  let answer: ((stream: Stream) => void) | undefined;
  const keep = (stream: Stream, call: string) => ({
    onKeep: () => stream.kept({ call, status: "running", position: 0, elapsedMs: 1000 }),
  });
  await connectAgent(name, {
    endpoints: [{ ...endpoint, settings: { ...endpoint.settings, ...settings } }],
    open: (stream, head) => {
      opened.push(head);
      if (head.async === true) {
        stream.kept({ call: head.call, status: "pending", position: 3, elapsedMs: 0 });
      }
      return keep(stream, head.call);
    },
    attach: (stream, request) => {
      attached.push(request);
      answer?.(stream);
      return keep(stream, request.call);
    },
  });
  return {
    opened,
    attached,
    ask: (path: string, init?: RequestInit) =>
      ask(`local--${name}-f`, path, { redirect: "manual", ...init }),
    answerWith: (reply: (stream: Stream) => void) => {
      answer = reply;
    },
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
    const location = first.headers.get("location") ?? "";
    expect(location).toMatch(/^\/work\?x=1&__postern_call=[\w-]+\.[\w-]+\.[\w-]+$/);

    const second = await endpoint.ask(location, { method: "POST", body: "q" });
    expect(second.status).toBe(303);
    const next = second.headers.get("location") ?? "";
    expect(next).toMatch(/^\/work\?x=1&__postern_call=/);
    expect(next).not.toBe(location);

    endpoint.answerWith((stream) => stream.head(HELLO, [new TextEncoder().encode("done")], true));
    const third = await endpoint.ask(next);
    expect(third.status).toBe(200);
    expect(await third.text()).toBe("done");
    expect(third.headers.get("postern-call-id")).toBe(endpoint.opened[0]?.call);
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
      call_id: endpoint.opened[0]?.call,
      status: "running",
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

describe("Prefer", () => {
  test("respond-async is answered with 202 before the app answers", async () => {
    requestTimeout("150");
    const endpoint = await slowEndpoint();
    const headers = { prefer: "respond-async" };
    const response = await endpoint.ask("/job", { method: "POST", body: "x", headers });
    expect(response.status).toBe(202);
    expect(response.headers.get("preference-applied")).toBe("respond-async");
    const body = await response.json<Record<string, unknown>>();
    expect(body).toMatchObject({ status: "pending", position: 3, eta_seconds: null });
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
    expect(other.headers.get("x-request-id")).toBe(endpoint.opened[0]?.call);
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

  test("gives a part of a complete answer where a Range asks for it", async () => {
    requestTimeout("0.02");
    const endpoint = await slowEndpoint();
    const first = await endpoint.ask("/");
    const body = new TextEncoder().encode("0123456789");
    endpoint.answerWith((stream) => {
      const { offset } = endpoint.attached.at(-1) ?? { offset: 0 };
      const head = '{"status":200,"headers":["content-length","10"],"length":10}';
      stream.head(head, [body.subarray(offset)], true);
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
