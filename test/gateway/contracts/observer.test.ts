import { afterEach, expect, test, vi } from "vitest";
import type { Env } from "../../../gateway/contracts/env.ts";
import { observerOf, reportError } from "../../../gateway/contracts/observer.ts";
import { logRequest } from "../../../gateway/worker/edge/access-log.ts";
import { RequestContext } from "../../../gateway/worker/edge/request-context.ts";

const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

afterEach(() => vi.restoreAllMocks());

function logging(variables: Partial<Env>) {
  const written = vi.spyOn(console, "log").mockReturnValue();
  return { env: variables as Env, lines: () => written.mock.calls.map(([line]) => String(line)) };
}

test("a line of the operator's log names a full disk", () => {
  const { env, lines } = logging({});
  reportError(env, "registering gpu-1", new Error("database or disk is full: SQLITE_FULL"));
  expect(lines()).toEqual([
    expect.stringContaining("registering gpu-1: the gateway's disk is full"),
  ]);
});

test("a request is one line of JSON, without what opens a result", () => {
  const { env, lines } = logging({ POSTERN_LOG: "json" });
  const request = new Request("http://chat.example.com/slow?__postern_call=secret", {
    headers: { host: "chat.example.com", traceparent: TRACE },
  });
  logRequest(env, new RequestContext(request), { status: 303 });
  expect(JSON.parse(lines()[0] ?? "")).toMatchObject({
    event: "gateway.request",
    path: "/slow",
    status: 303,
    traceparent: TRACE,
    duration_ms: expect.any(Number) as number,
  });
});

test("a trace that is none is not in the log", () => {
  const { env, lines } = logging({ POSTERN_LOG: "json" });
  const request = new Request("http://chat.example.com/", { headers: { traceparent: "forged" } });
  logRequest(env, new RequestContext(request), { status: 404 });
  expect(JSON.parse(lines()[0] ?? "")).not.toHaveProperty("traceparent");
});

test("one environment has one observer", () => {
  const { env } = logging({});
  expect(observerOf(env)).toBe(observerOf(env));
});
