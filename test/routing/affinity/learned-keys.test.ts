import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { learnedKeys, learnsFromBody } from "../../../routing/affinity/learned-keys.ts";
import { PRESETS } from "../../../routing/affinity/presets.ts";
import { keysOf } from "../../../routing/affinity/request-keys.ts";
import { requestWith, rulesOf } from "./requests.ts";

const HASH = "0f".repeat(32);
const JSON_TYPE = ["content-type", "application/json"];

function learned(
  words: string[],
  [method, target]: [string, string],
  headers: string[],
  body?: string,
  status = 200,
): string[] {
  const bytes = body === undefined ? undefined : new TextEncoder().encode(body);
  return learnedKeys(rulesOf(...words), { method, target }, { status, headers }, bytes);
}

describe("a header hands out a key", () => {
  test("that a later request carries in the header of that name", () => {
    const headers = ["mcp-session-id", "m1"];
    const keys = learned(["learned:header:Mcp-Session-Id"], ["POST", "/mcp"], headers);
    expect(keys).toEqual(["learned:header:mcp-session-id=m1"]);
    const later = requestWith({ headers: { "mcp-session-id": "m1" } });
    expect(keysOf(rulesOf("learned:header:Mcp-Session-Id"), later)).toEqual(keys);
  });

  test("unless the response is an error", () => {
    const headers = ["mcp-session-id", "m1"];
    expect(learned(["mcp"], ["POST", "/mcp"], headers, undefined, 404)).toEqual([]);
  });

  test("and chosen headers hand out none", () => {
    expect(learned(["header:x", "query:x"], ["GET", "/?x=1"], ["x", "1"])).toEqual([]);
  });
});

describe("a cookie of the app hands out a key", () => {
  test("that a later request carries in that cookie, redirects included", () => {
    const headers = ["set-cookie", "a=b; Path=/", "set-cookie", " JSESSIONID = abc ; HttpOnly"];
    const keys = learned(
      ["learned:cookie:JSESSIONID"],
      ["POST", "/login"],
      headers,
      undefined,
      302,
    );
    expect(keys).toEqual(["learned:cookie:JSESSIONID=abc"]);
    const later = requestWith({ headers: { cookie: "JSESSIONID=abc" } });
    expect(keysOf(rulesOf("learned:cookie:JSESSIONID"), later)).toEqual(keys);
  });

  test("and none where it is deleted", () => {
    const headers = ["set-cookie", "JSESSIONID=; Max-Age=0"];
    expect(learned(["learned:cookie:JSESSIONID"], ["GET", "/"], headers)).toEqual([]);
  });
});

describe("JSON hands out a key", () => {
  test("in a member, for query, body and path of later requests", () => {
    const keys = learned(["learned:json:id"], ["POST", "/jobs"], JSON_TYPE, '{"id":"job-1"}');
    expect(keys).toEqual(["learned:json:id=job-1"]);
    const later = requestWith({ target: "/state?id=job-1" });
    expect(keysOf(rulesOf("learned:json:id"), later)).toEqual(keys);
  });

  test.each(['{"id":"job-1"', "[]", '[{"id":"job-1"}]', "null", "", '{"id":{}}'])(
    "and none where it has no such member: %s",
    (body) => {
      expect(learned(["learned:json:id"], ["POST", "/jobs"], JSON_TYPE, body)).toEqual([]);
    },
  );

  test("and none before its body is there, from a compressed one, or from more than 64 KiB", () => {
    const request: [string, string] = ["POST", "/jobs"];
    expect(learned(["learned:json:id"], request, JSON_TYPE)).toEqual([]);
    const gzip = [...JSON_TYPE, "content-encoding", "gzip"];
    expect(learned(["learned:json:id"], request, gzip, '{"id":"1"}')).toEqual([]);
    const long = JSON.stringify({ id: "1", fill: "x".repeat(70_000) });
    expect(learned(["learned:json:id"], request, JSON_TYPE, long)).toEqual([]);
  });
});

describe("Gradio hands out", () => {
  test.each(["/call/predict", "/gradio_api/call/v2/predict/", "/demo/gradio_api/queue/join"])(
    "an event for POST %s",
    (target) => {
      const keys = learned(["gradio"], ["POST", target], JSON_TYPE, '{"event_id":"e1"}');
      expect(keys).toEqual(["event_id=e1"]);
    },
  );

  test("folders for an upload", () => {
    const body = JSON.stringify([`/tmp/gradio/${HASH}/a b.png`, `/tmp/gradio/${HASH}/c.png`]);
    const keys = learned(["gradio"], ["POST", "/gradio_api/upload?upload_id=u"], JSON_TYPE, body);
    expect(keys).toEqual([`file=${HASH}`]);
  });

  test("nothing for anything else", () => {
    for (const target of ["/config", "/gradio_api/info", "/api/predict"]) {
      expect(learned(["gradio"], ["POST", target], JSON_TYPE, '{"event_id":"e1"}')).toEqual([]);
    }
  });
});

describe("MCP's server hands out", () => {
  test("a header", () => {
    expect(learned(["mcp"], ["POST", "/mcp"], ["mcp-session-id", "m1"])).toEqual([
      "mcp-session-id=m1",
    ]);
  });

  test.each([
    ["event: endpoint\r\ndata: /messages/?session_id=0f1e\r\n\r\n", "mcp-sse=0f1e"],
    ["event: endpoint\ndata: /message?sessionId=0f-1e\n\n", "mcp-sse=0f-1e"],
    ["data:/m?a=b&session_id=0f1e&c=d\n", "mcp-sse=0f1e"],
  ])("the session of its first event: %j", (body, key) => {
    const type = ["content-type", "text/event-stream; charset=utf-8"];
    expect(learned(["mcp"], ["GET", "/sse"], type, body)).toEqual([key]);
    // Half an id is none.
    const half = body.slice(0, body.indexOf("0f") + 2);
    expect(learned(["mcp"], ["GET", "/sse"], type, half)).toEqual([]);
  });
});

describe("Engine.IO hands out a sid", () => {
  const open = '{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000}';
  test.each([`0${open}`, `96:0${open}`, `96:0${open}2:40`])("in its open packet: %s", (body) => {
    const type = ["content-type", "text/plain; charset=UTF-8"];
    const request: [string, string] = ["GET", "/socket.io/?EIO=4&transport=polling"];
    expect(learned(["socket.io"], request, type, body)).toEqual(["sid=lv_VI97HAXpY6yYWAAAC"]);
  });

  test("in the bytes of protocol 3", () => {
    const packet = new TextEncoder().encode(`0${open}`);
    const body = Uint8Array.from([0, 8, 1, 0xff, ...packet]);
    const headers = ["content-type", "application/octet-stream"];
    const keys = learnedKeys(
      rulesOf("socket.io"),
      { method: "GET", target: "/socket.io/?EIO=3&transport=polling" },
      { status: 200, headers },
      body,
    );
    expect(keys).toEqual(["sid=lv_VI97HAXpY6yYWAAAC"]);
  });

  test("and a message of the app hands out none", () => {
    const type = ["content-type", "text/plain"];
    const request: [string, string] = ["GET", "/socket.io/?EIO=4&transport=polling&sid=s1"];
    expect(learned(["socket.io"], request, type, `42["say",{"sid":"other"}]`)).toEqual([]);
  });
});

test("Jupyter hands out the ids of a session and of its kernel", () => {
  const body = '{"id":"s1","path":"a.ipynb","kernel":{"id":"k1","name":"python3"}}';
  const keys = learned(["jupyter"], ["POST", "/api/sessions"], JSON_TYPE, body);
  expect(keys).toEqual(["kernel=s1", "kernel=k1"]);
});

describe("a body is looked into", () => {
  const wanted = (words: string[], method: string, target: string, type: string) =>
    learnsFromBody(
      rulesOf(...words),
      { method, target },
      { status: 200, headers: ["content-type", type] },
    )?.part;

  test("whole as JSON, by its beginning else, and where a row asks alone", () => {
    expect(wanted(["gradio"], "POST", "/call/f", "application/json")).toBe("whole");
    expect(wanted(["mcp"], "GET", "/sse", "text/event-stream")).toBe("beginning");
    expect(wanted(["socket.io"], "GET", "/socket.io/", "text/plain")).toBe("beginning");
    expect(wanted(["gradio"], "GET", "/queue/data", "text/event-stream")).toBeUndefined();
    expect(wanted(["gradio"], "POST", "/call/f", "text/html")).toBeUndefined();
    expect(wanted(["mcp"], "POST", "/mcp", "text/event-stream")).toBeUndefined();
    expect(wanted(["cookie", "llm"], "POST", "/", "application/json")).toBeUndefined();
  });

  test("never of an error", () => {
    const head = { status: 500, headers: JSON_TYPE };
    const request = { method: "POST", target: "/call/f" };
    expect(learnsFromBody(rulesOf("gradio"), request, head)).toBeUndefined();
  });
});

test("whatever an app responds, the keys are few, short and visible", () => {
  const rules = rulesOf(...Object.keys(PRESETS), "learned:json:id", "learned:cookie:c");
  const types = ["application/json", "text/plain", "text/event-stream"];
  const pieces = ["0{", '"sid":"', "data: /?session_id=", "\n", `/${HASH}/`, '{"id":"x"}', '"'];
  fc.assert(
    fc.property(
      fc.constantFrom(...types),
      fc.constantFrom("/call/f", "/upload", "/api/kernels", "/"),
      fc.constantFrom("GET", "POST"),
      fc.oneof(
        fc.uint8Array({ maxLength: 3_000 }),
        fc.json().map((text) => new TextEncoder().encode(text)),
        fc
          .array(fc.oneof(fc.string(), fc.constantFrom(...pieces)), { maxLength: 40 })
          .map((parts) => new TextEncoder().encode(parts.join(""))),
      ),
      fc.string({ unit: "binary", maxLength: 300 }),
      (type, target, method, body, value) => {
        const headers = ["content-type", type, "mcp-session-id", value, "set-cookie", `c=${value}`];
        const keys = learnedKeys(rules, { method, target }, { status: 200, headers }, body);
        expect(keys.length).toBeLessThanOrEqual(16);
        for (const key of keys) expect(key).toMatch(/^[!-~]{1,200}$/);
      },
    ),
  );
});
