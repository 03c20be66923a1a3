/** The JSON of the link: what a well-behaved peer says is read, anything else is ProtocolError and no more. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../../routing/wire/frames.ts";
import { parseRequestHead, parseResponseHead } from "../../../routing/wire/heads.ts";
import {
  parseAttach,
  parseFailure,
  parseHello,
  parseDeferredCall,
  parseWelcome,
} from "../../../routing/wire/messages.ts";

const parsers = {
  parseHello,
  parseWelcome,
  parseRequestHead,
  parseResponseHead,
  parseAttach,
  parseDeferredCall,
  parseFailure,
};

const endpoint = {
  workspace: "local",
  environment: "main",
  app: "speech",
  function: "serve",
  endpoint: "main/speech/serve",
  settings: { cors: true, requiresProxyAuth: true, timeout: 300, resultTtl: 604_800 },
};
const hello = {
  versions: [1],
  agent: "postern",
  incarnation: "0123456789abcdef0123456789abcdef",
  links: 2,
  endpoints: [endpoint],
};
const welcome = {
  version: 1,
  endpoints: [
    { url: "http://x.localhost", appToken: "pat-a" },
    { refused: "label_held", detail: "x is held" },
  ],
};
const requestHead = {
  callId: "b2",
  endpoint: "main/speech/serve",
  method: "POST",
  target: "/a/../b?c=%2f",
  headers: ["accept", "*/*"],
};
const responseHead = {
  status: 200,
  headers: ["set-cookie", "a=1", "set-cookie", "b=2"],
  timing: { queue: 0, start: 12, app: 3 },
  load: { running: 1, waiting: 0, room: 1, coming: 0 },
};
const attach = { callId: "b2", offset: 1234 };
const deferredCall = { callId: "b2", status: "running", position: 0, elapsedMs: 150_000 };
const load = { running: 3, waiting: 2, room: 0, coming: 4, reported: 2, sessions: 1 };
const failure = {
  code: "call_lost",
  detail: "gone",
  retryAfter: 1,
  knownSinceMs: 20,
  load,
  followed: true,
};

/** `valid` with `value` at `path`. */
function changed(valid: object, path: string, value: unknown): string {
  const copy = structuredClone(valid);
  const keys = path.split(".");
  const last = keys.pop() as string;
  let at = copy as Record<string, unknown>;
  for (const key of keys) at = at[key] as Record<string, unknown>;
  at[last] = value;
  return JSON.stringify(copy);
}

describe("what a well-behaved peer says", () => {
  test.each([
    [parseHello, hello],
    [parseHello, { ...hello, endpoints: [{ ...endpoint, label: "tts", devSuffix: "dev" }] }],
    [parseWelcome, welcome],
    [parseRequestHead, requestHead],
    [parseRequestHead, { ...requestHead, websocket: "0123456789abcdef0123456789abcdef" }],
    [parseResponseHead, responseHead],
    [parseResponseHead, { status: 101, headers: [] }],
    [
      parseResponseHead,
      { status: 599, headers: ["x-a", "é\t日本", "content-length", "0"], length: 0 },
    ],
    [parseRequestHead, { ...requestHead, async: true, key: "5feceb66" }],
    [parseRequestHead, { ...requestHead, session: { keys: [] } }],
    [parseRequestHead, { ...requestHead, session: { keys: ["cookie=a"], container: "ct-0f" } }],
    [parseResponseHead, { ...responseHead, session: { container: "ct-0f", state: "moved" } }],
    [parseAttach, attach],
    [parseDeferredCall, deferredCall],
    [parseFailure, failure],
  ] as [(text: string) => unknown, object][])("%o reads %o", (parse, message) => {
    expect(parse(JSON.stringify(message))).toEqual(message);
  });

  test("link 1 announces nothing", () => {
    const { endpoints: _, ...without } = hello;
    expect(parseHello(JSON.stringify(without))).toEqual(without);
  });

  test("unknown versions are kept for the answer, what is no version is dropped", () => {
    expect(parseHello(changed(hello, "versions", [1, 99, "2", 1.5, null])).versions).toEqual([
      1, 99,
    ]);
  });

  test("a failure code that this side does not know is an origin error", () => {
    expect(parseFailure('{"code":"invented","detail":"x"}')).toEqual({
      code: "origin_error",
      detail: "x",
    });
  });

  test("a name of Object's prototype is no failure code", () => {
    expect(parseFailure('{"code":"constructor","detail":""}').code).toBe("origin_error");
  });
});

describe("what it must not say", () => {
  test.each([
    [parseHello, hello, "versions", "1"],
    [parseHello, hello, "agent", 1],
    [parseHello, hello, "incarnation", "0123"],
    [parseHello, hello, "incarnation", "0123456789ABCDEF0123456789ABCDEF"],
    [parseHello, hello, "links", 0],
    [parseHello, hello, "links", 17],
    [parseHello, hello, "links", 1.5],
    [parseHello, hello, "endpoints", {}],
    [parseHello, hello, "endpoints", null],
    [parseHello, hello, "endpoints", Array.from({ length: 1001 }, () => endpoint)],
    [parseHello, hello, "endpoints.0", null],
    [parseHello, hello, "endpoints.0", "endpoint"],
    [parseHello, hello, "endpoints.0.app", 5],
    [parseHello, hello, "endpoints.0.endpoint", undefined],
    [parseHello, hello, "endpoints.0.label", null],
    [parseHello, hello, "endpoints.0.devSuffix", 1],
    [parseHello, hello, "endpoints.0.settings", null],
    [parseHello, hello, "endpoints.0.settings", undefined],
    [parseHello, hello, "agent", "x".repeat(65)],
    [parseHello, hello, "versions", Array.from({ length: 65 }, () => 1)],
    [parseHello, hello, "endpoints.0.app", "x".repeat(129)],
    [parseHello, hello, "endpoints.0.endpoint", "x".repeat(513)],
    [parseHello, hello, "endpoints.0.settings.cors", { origins: "*" }],
    [parseHello, hello, "endpoints.0.settings.cors", { origins: Array(101).fill("a") }],
    [parseHello, hello, "endpoints.0.settings.cors", { headers: ["x".repeat(257)] }],
    [parseHello, hello, "endpoints.0.settings.cors", { headers: [""] }],
    [parseHello, hello, "endpoints.0.settings.timeout", "300"],
    [parseHello, hello, "endpoints.0.settings.timeout", 0],
    [parseHello, hello, "endpoints.0.settings.timeout", 86_401],
    [parseHello, hello, "endpoints.0.settings.resultTtl", 604_801],
    [parseHello, hello, "endpoints.0.settings.resultTtl", -1],
    [parseHello, hello, "endpoints.0.settings.api", "anthropic"],
    [parseHello, hello, "endpoints.0.settings.requestTimeout", true],
    [parseHello, hello, "endpoints.0.settings.requestTimeout", 0],
    [parseHello, hello, "endpoints.0.settings.requestTimeout", 86_401],
    [parseHello, hello, "endpoints.0.settings.requiresProxyAuth", "false"],
    [parseWelcome, welcome, "version", "1"],
    [parseWelcome, welcome, "endpoints", null],
    [parseWelcome, welcome, "endpoints.0", null],
    [parseWelcome, welcome, "endpoints.0", "http://x.localhost"],
    [parseWelcome, welcome, "endpoints.0.url", 1],
    [parseWelcome, welcome, "endpoints.1.detail", 1],
    [parseRequestHead, requestHead, "callId", 1],
    [parseRequestHead, requestHead, "endpoint", null],
    [parseRequestHead, requestHead, "method", undefined],
    [parseRequestHead, requestHead, "target", ["/"]],
    [parseRequestHead, requestHead, "headers", {}],
    [parseRequestHead, requestHead, "headers", ["accept"]],
    [parseRequestHead, requestHead, "headers", ["accept", null]],
    [parseRequestHead, requestHead, "websocket", true],
    [parseRequestHead, requestHead, "async", 1],
    [parseRequestHead, requestHead, "key", null],
    [parseRequestHead, requestHead, "session", "cookie=a"],
    [parseRequestHead, requestHead, "session", {}],
    [parseRequestHead, requestHead, "session", { keys: ["cookie=a", 1] }],
    [parseRequestHead, requestHead, "session", { keys: [""] }],
    [parseRequestHead, requestHead, "session", { keys: ["a".repeat(257)] }],
    [parseRequestHead, requestHead, "session", { keys: Array<string>(33).fill("a") }],
    [parseRequestHead, requestHead, "session", { keys: [], container: "../x" }],
    [parseResponseHead, responseHead, "status", "200"],
    [parseResponseHead, responseHead, "status", 100],
    [parseResponseHead, responseHead, "status", 102],
    [parseResponseHead, responseHead, "status", 199],
    [parseResponseHead, responseHead, "status", 600],
    [parseResponseHead, responseHead, "status", 1000],
    [parseResponseHead, responseHead, "status", 200.5],
    [parseResponseHead, responseHead, "headers", undefined],
    [parseResponseHead, responseHead, "headers", ["a", "b", "c"]],
    [parseResponseHead, responseHead, "headers", ["a", 1]],
    [parseResponseHead, responseHead, "headers", ["", "b"]],
    [parseResponseHead, responseHead, "headers", ["a b", "c"]],
    [parseResponseHead, responseHead, "headers", ["a\n", "c"]],
    [parseResponseHead, responseHead, "headers", ["é", "c"]],
    [parseResponseHead, responseHead, "headers", ["Alt-Svc", "h3"]],
    [parseResponseHead, responseHead, "headers", ["a", "b\r\nc: d"]],
    [parseResponseHead, responseHead, "headers", ["a", "b\u0000"]],
    [parseResponseHead, responseHead, "headers", ["a", "b\u007f"]],
    [parseResponseHead, responseHead, "headers", ["a", "b\ud800"]],
    [parseResponseHead, responseHead, "headers", ["content-length", "1", "content-length", "2"]],
    [parseResponseHead, responseHead, "headers", ["content-length", "1, 1"]],
    [parseResponseHead, responseHead, "headers", ["content-length", "-1"]],
    [parseResponseHead, responseHead, "headers", ["a", "b".repeat(64 * 1024)]],
    [parseResponseHead, responseHead, "length", -1],
    [parseResponseHead, responseHead, "length", "5"],
    [parseResponseHead, responseHead, "timing", "fast"],
    [parseResponseHead, responseHead, "timing", null],
    [parseResponseHead, responseHead, "timing.app", "3\r\nx: y"],
    [parseResponseHead, responseHead, "session", null],
    [parseResponseHead, responseHead, "session", { container: "ct-0f" }],
    [parseResponseHead, responseHead, "session", { container: "ct-0f", state: "lost" }],
    [parseResponseHead, responseHead, "session", { container: "ct-0f\r\n", state: "new" }],
    [parseResponseHead, responseHead, "load", "heavy"],
    [parseResponseHead, responseHead, "load", { running: 1, waiting: 0, room: -1, coming: 0 }],
    [parseResponseHead, responseHead, "load", { running: 1, waiting: 0, room: 1 }],
    [parseResponseHead, responseHead, "load", { ...load, reported: "2" }],
    [parseAttach, attach, "callId", 1],
    [parseAttach, attach, "offset", -1],
    [parseAttach, attach, "offset", 0.5],
    [parseAttach, attach, "offset", 2 ** 53],
    [parseAttach, attach, "offset", "0"],
    [parseDeferredCall, deferredCall, "callId", undefined],
    [parseDeferredCall, deferredCall, "callId", "a b"],
    [parseDeferredCall, deferredCall, "callId", "x".repeat(65)],
    [parseDeferredCall, deferredCall, "status", "success"],
    [parseDeferredCall, deferredCall, "position", "0"],
    [parseDeferredCall, deferredCall, "elapsedMs", -1],
  ] as [(text: string) => unknown, object, string, unknown][])(
    "%o refuses %o with another %s: %j",
    (parse, valid, path, value) => {
      expect(() => parse(changed(valid, path, value))).toThrow(ProtocolError);
    },
  );

  test("a failure's numbers are numbers that a header can carry, or are left out", () => {
    for (const value of ["5", -1, true, 3601]) {
      const { retryAfter, knownSinceMs } = parseFailure(
        JSON.stringify({ code: "no_origin", detail: "", retryAfter: value, knownSinceMs: value }),
      );
      expect(retryAfter).toBeUndefined();
      expect(knownSinceMs).toBe(value === 3601 ? 3601 : undefined);
    }
    // It says that no time helps.
    expect(parseFailure('{"code":"starting_failed","retryAfter":null}').retryAfter).toBeNull();
    expect(parseFailure("{}")).toEqual({ code: "origin_error", detail: "" });
    expect(parseFailure('{"code":"no_origin","retryAfter":1e999}').retryAfter).toBeUndefined();
  });

  test("a failure's detail is cut at a length that a person reads", () => {
    const detail = "x".repeat(100_000);
    expect(parseFailure(JSON.stringify({ code: "no_origin", detail })).detail).toHaveLength(1_000);
  });

  test.each(Object.entries(parsers))("%s: any text is a message or ProtocolError", (_, parse) => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.constantFrom("", "null", "1", '"x"', "[]", "{", "[null]", '{"__proto__":null}'),
    );
    fc.assert(
      fc.property(text, (value) => {
        try {
          parse(value);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    ["parseHello", parseHello, hello],
    ["parseWelcome", parseWelcome, welcome],
    ["parseRequestHead", parseRequestHead, requestHead],
    ["parseResponseHead", parseResponseHead, responseHead],
    ["parseAttach", parseAttach, attach],
    ["parseDeferredCall", parseDeferredCall, deferredCall],
    ["parseFailure", parseFailure, failure],
  ] as [string, (text: string) => unknown, object][])(
    "%s: any value anywhere in a valid message is a message or ProtocolError",
    (_, parse, valid) => {
      const paths = pathsOf(valid);
      fc.assert(
        fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
          try {
            parse(changed(valid, path, value));
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        }),
        { numRuns: 300 },
      );
    },
  );
});

/** Every place in a message where something else could stand. */
function pathsOf(value: object, under = ""): string[] {
  const paths: string[] = [];
  for (const [key, inner] of Object.entries(value)) {
    paths.push(under + key);
    if (typeof inner === "object" && inner !== null) {
      paths.push(...pathsOf(inner as object, `${under}${key}.`));
    }
  }
  return paths;
}
