import { describe, expect, test } from "vitest";
import {
  fallbackHeaders,
  fallbackResponseHeaders,
  fallbackUrl,
  mayFallBack,
  withModel,
} from "../../routing/fallback.ts";
import { isFallbackUrl, withVariables } from "../../routing/wire/fallback.ts";

const URL_ = "https://api.example.com/openai";

describe("a fallback's URL", () => {
  test.each([URL_, "https://api.example.com", "https://api.example.com:8443/"])(
    "may be %s",
    (url) => {
      expect(isFallbackUrl(url)).toBe(true);
    },
  );

  test.each([
    "http://api.example.com",
    "https://user:secret@api.example.com",
    "https://api.example.com/?a=b",
    "https://api.example.com/#a",
    "https://localhost",
    "https://app.localhost",
    "https://metadata.google.internal",
    "https://printer.local",
    "https://intranet",
    "https://127.0.0.1",
    "https://10.0.0.1.",
    "https://2130706433",
    "https://0x7f.1",
    "https://[::1]",
    "https://[fd00::1]",
    "ftp://api.example.com",
    "api.example.com",
  ])("is never %s", (url) => {
    expect(isFallbackUrl(url)).toBe(false);
  });

  test("has the request's path and query below its own", () => {
    expect(fallbackUrl({ url: URL_ }, "/v1/models?a=%2f")).toBe(`${URL_}/v1/models?a=%2f`);
    expect(fallbackUrl({ url: "https://a.example/" }, "/v1")).toBe("https://a.example/v1");
    expect(fallbackUrl({ url: "https://a.example/" }, "/v1/../v2")).toBe("https://a.example/v2");
    expect(fallbackUrl({ url: URL_ }, "//b.example/x")).toBe(`${URL_}//b.example/x`);
  });

  test.each([
    "/..",
    "/../",
    "/../keys",
    "/v1/../../keys",
    "/%2e%2E/keys",
    "/.%2e/keys",
    "/..\\keys",
    "/v1/..\\..\\keys",
    "/.\t./keys",
  ])("is none for %j, which leads above its own path", (target) => {
    expect(fallbackUrl({ url: URL_ }, target)).toBe(undefined);
    expect(fallbackUrl({ url: `${URL_}/` }, target)).toBe(undefined);
  });
});

test("it answers only calls that certainly reached no app, and that no box takes", () => {
  const plain = { method: "POST", isKeyed: false, isDurable: false };
  expect(mayFallBack("no_origin", "not_sent", plain)).toBe(true);
  expect(mayFallBack("queue_full", "not_sent", plain)).toBe(true);
  for (const progress of ["unknown", "started", "answered"] as const) {
    expect(mayFallBack("no_origin", progress, { ...plain, method: "GET" })).toBe(false);
  }
  expect(mayFallBack("bad_request", "not_sent", plain)).toBe(false);
  expect(mayFallBack("no_origin", "not_sent", { ...plain, isKeyed: true })).toBe(false);
  expect(mayFallBack("no_origin", "not_sent", { ...plain, isDurable: true })).toBe(false);
});

test("no credential of the client goes outside, and the fallback's own headers do", () => {
  const client = new Headers({
    authorization: "Bearer wk-1.ws-2",
    "modal-key": "wk-1",
    "modal-secret": "ws-2",
    cookie: "a=b",
    "x-forwarded-for": "192.0.2.1",
    "idempotency-key": "k",
    "content-type": "application/json",
    accept: "text/event-stream",
  });
  const fallback = { url: URL_, headers: { Authorization: "Bearer ${KEY}", "X-Team": "a" } };
  const lines = fallbackHeaders(fallback, (name) => client.get(name), { KEY: "sk-3" });
  expect(Object.fromEntries(lines ?? [])).toEqual({
    accept: "text/event-stream",
    "accept-encoding": "identity",
    authorization: "Bearer sk-3",
    "content-type": "application/json",
    "x-team": "a",
  });
  expect(fallbackHeaders(fallback, () => null, {})).toBeUndefined();
});

test("a variable that is missing, or has a line break, makes no header", () => {
  expect(withVariables("a $B ${C}d", { B: "1", C: "2" })).toBe("a 1 2d");
  expect(withVariables("$A", {})).toBeUndefined();
  expect(withVariables("$toString", {})).toBeUndefined();
  expect(withVariables("$A", { A: "b\r\nc: d" })).toBeUndefined();
});

test("a JSON body's model gets its name there, and any other body passes as it is", () => {
  const fallback = { url: URL_, models: { wonderland: "gpt-5-mini" } };
  const mapped = (text: string) =>
    new TextDecoder().decode(withModel(new TextEncoder().encode(text), fallback));
  expect(JSON.parse(mapped('{"model":"wonderland","stream":true}'))).toEqual({
    model: "gpt-5-mini",
    stream: true,
  });
  for (const other of [
    '{"model":"other"}',
    '{"model":5}',
    '{"model":"toString"}',
    "[1]",
    "model",
    "",
  ]) {
    expect(mapped(other)).toBe(other);
  }
  const body = new Uint8Array([0xff]);
  expect(withModel(body, fallback)).toBe(body);
});

test("its response sets no cookie and nothing of the gateway's", () => {
  const lines: [string, string][] = [
    ["content-type", "text/plain"],
    ["set-cookie", "a=b"],
    ["postern-fallback", "2"],
    ["alt-svc", "h3"],
    ["connection", "close"],
  ];
  expect(fallbackResponseHeaders(lines)).toEqual(["content-type", "text/plain"]);
});
