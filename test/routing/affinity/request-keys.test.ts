import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KIB, MIB } from "../../../base/units.ts";
import { keysOf, looksAtBody } from "../../../routing/affinity/request-keys.ts";
import { PRESETS } from "../../../routing/affinity/presets.ts";
import { requestWith, rulesOf } from "./requests.ts";

const HASH = "0f".repeat(32);

describe("a body that is looked into", () => {
  /** JSON of so many bytes. */
  const textOf = (bytes: number, member: string) => `{${member}}`.padEnd(bytes);

  test("has 1 MiB at most where a member of it is the key", () => {
    const rules = rulesOf("learned:json:id");
    const id = "resp_0123456789abcdef";
    const keys = (bytes: number) =>
      keysOf(rules, requestWith({ text: textOf(bytes, `"id":"${id}"`) }));
    for (const bytes of [MIB - 1, MIB]) expect(keys(bytes)).toEqual([`learned:json:id=${id}`]);
    expect(keys(MIB + 1)).toEqual([]);
  });

  test("has 256 KiB at most where its prompt is the key", () => {
    const rules = rulesOf("llm");
    const member = '"prompt_cache_key":"chat-7"';
    const keys = (bytes: number) => keysOf(rules, requestWith({ text: textOf(bytes, member) }));
    for (const bytes of [256 * KIB - 1, 256 * KIB]) {
      expect(keys(bytes)).toEqual(["prompt_cache_key=chat-7"]);
    }
    expect(keys(256 * KIB + 1)).toEqual([]);
  });
});

describe("keys of one word", () => {
  test("are in the order of the words", () => {
    const request = requestWith({ target: "/?user=ann", headers: { "x-team": "blue" } });
    expect(keysOf(rulesOf("query:user", "header:X-Team", "client-ip"), request)).toEqual([
      "query:user=ann",
      "header:x-team=blue",
      "client-ip=192.0.2.1",
    ]);
  });

  test("begin with Modal-Session-ID whatever the words are", () => {
    const request = requestWith({ headers: { "Modal-Session-ID": "s1" }, cookieId: "c1" });
    expect(keysOf(rulesOf("cookie"), request)).toEqual(["modal-session-id=s1", "cookie=c1"]);
  });

  test("are none where the request carries nothing", () => {
    expect(keysOf(rulesOf("cookie", "header:x", "query:x"), requestWith())).toEqual([]);
  });

  test.each([
    ["/?user=a%20b", "query:user=sha256:", "the value is decoded"],
    ["/?user=a+b", "query:user=sha256:", "a plus is a space"],
    ["/?other=1&user=ann&user=bob", "query:user=ann", "the first of two counts"],
    ["/?us%65r=ann", "query:user=ann", "an encoded name is the name"],
    ["/?user=%zz", "query:user=%zz", "a wrong escape stands as it is"],
    ["/x?user=ann?user=bob", "query:user=ann?user=bob", "a second question mark is text"],
  ])("of a query: %s", (target, key) => {
    const [first = ""] = keysOf(rulesOf("query:user"), requestWith({ target }));
    expect(first.startsWith(key)).toBe(true);
  });

  test.each(["/", "/?", "/?user", "/?user=", "/?username=ann", "/user=ann", "/?&&&"])(
    "of a query without the parameter are none: %s",
    (target) => {
      expect(keysOf(rulesOf("query:user"), requestWith({ target }))).toEqual([]);
    },
  );

  test("of a learned cookie come of the app's own cookie of that very name", () => {
    const headers = { cookie: "xJSESSIONID=no; a=b; JSESSIONID=abc, later=1" };
    expect(keysOf(rulesOf("learned:cookie:JSESSIONID"), requestWith({ headers }))).toEqual([
      "learned:cookie:JSESSIONID=abc",
    ]);
  });

  test("of a learned member come of query, body and path", () => {
    const rules = rulesOf("learned:json:id");
    const id = "resp_0123456789abcdef";
    const key = `learned:json:id=${id}`;
    expect(keysOf(rules, requestWith({ target: `/poll?id=${id}` }))).toEqual([key]);
    expect(keysOf(rules, requestWith({ target: "/poll", json: { id } }))).toEqual([key]);
    expect(keysOf(rules, requestWith({ target: `/v1/responses/${id}?x=1` }))).toEqual([key]);
  });

  test("of a learned member do not come of words and files in a path", () => {
    const rules = rulesOf("learned:json:id");
    for (const target of ["/assets/index-0123456789abcdef.js", "/settings/notifications", "/a/1"]) {
      expect(keysOf(rules, requestWith({ target }))).toEqual([]);
    }
  });
});

describe("keys of Gradio's clients", () => {
  const rules = rulesOf("gradio");
  const of = (request: Parameters<typeof requestWith>[0]): string[] =>
    keysOf(rules, requestWith(request));

  test.each(["", "/gradio_api", "/demo/gradio_api"])("below %j", (base) => {
    const get = (path: string): string[] => of({ target: `${base}${path}` });
    expect(get("/heartbeat/h1")).toEqual(["session_hash=h1"]);
    expect(get("/queue/data?session_hash=h1")).toEqual(["session_hash=h1"]);
    expect(get("/stream/h1/3/7/playlist.m3u8")).toEqual(["session_hash=h1"]);
    expect(get("/stream/h1/3/7")).toEqual(["session_hash=h1"]);
    expect(get("/call/predict/e1")).toEqual(["event_id=e1"]);
    expect(get("/call/v2/predict/e1")).toEqual(["event_id=e1"]);
    expect(get("/upload_progress?upload_id=u1")).toEqual(["upload_id=u1"]);
    expect(get(`/file=/tmp/gradio/${HASH}/cat.png`)).toEqual([`file=${HASH}`]);
    expect(get(`/file=%2Ftmp%2Fgradio%2F${HASH}%2Fcat.png`)).toEqual([`file=${HASH}`]);
    expect(get(`/file/tmp/gradio/${HASH}/cat.png`)).toEqual([`file=${HASH}`]);
    for (const path of ["/", "/config", "/gradio_api/info", "/assets/index.js", "/theme.css"]) {
      expect(get(path)).toEqual([]);
    }
  });

  test("join a queue under the hash in the body, with the folders of their files", () => {
    const json = {
      data: [{ path: `/tmp/gradio/${HASH}/cat.png`, meta: { _type: "gradio.FileData" } }, "text"],
      fn_index: 2,
      session_hash: "h1",
    };
    expect(of({ target: "/gradio_api/queue/join?", json })).toEqual([
      "session_hash=h1",
      `file=${HASH}`,
    ]);
  });

  test("cancel under the hash, and reset under the event", () => {
    const cancel = { session_hash: "h1", fn_index: 0, event_id: "e1" };
    expect(of({ target: "/cancel", json: cancel })).toEqual(["session_hash=h1", "event_id=e1"]);
    expect(of({ target: "/reset", json: { event_id: "e1" } })).toEqual(["event_id=e1"]);
  });

  test("send pieces of a stream under their event", () => {
    expect(of({ method: "POST", target: "/gradio_api/stream/e1" })).toEqual(["event_id=e1"]);
    expect(of({ method: "POST", target: "/gradio_api/stream/e1/close" })).toEqual(["event_id=e1"]);
  });

  test("call without a key, or with the hash that the caller chose", () => {
    const target = "/gradio_api/call/predict";
    expect(of({ target, json: { data: [] } })).toEqual([]);
    expect(of({ target, json: { data: [], session_hash: "h1" } })).toEqual(["session_hash=h1"]);
  });

  test("follow their hash before their cookie, and their cookie before a file", () => {
    const target = `/file=/tmp/gradio/${HASH}/cat.png?session_hash=h1`;
    expect(of({ target, cookieId: "c1" }).map((key) => key.split("=")[0])).toEqual([
      "session_hash",
      "cookie",
      "file",
    ]);
  });

  test("name at most eight files that count", () => {
    const paths = Array.from({ length: 40 }, (_, index) => ({
      path: `/tmp/gradio/${`${index}`.padStart(64, "0")}/x`,
    }));
    expect(of({ json: { data: [paths] } })).toHaveLength(8);
  });

  test("have a hash in a body of up to 1 MiB", () => {
    const fill = (bytes: number): string => "x".repeat(bytes);
    expect(of({ json: { data: [fill(1_000_000)], session_hash: "h1" } })).toEqual([
      "session_hash=h1",
    ]);
    expect(of({ json: { data: [fill(1_100_000)], session_hash: "h1" } })).toEqual([]);
  });
});

describe("keys of other presets", () => {
  test("mcp: the header, or the query of the transport with events", () => {
    const rules = rulesOf("mcp");
    expect(keysOf(rules, requestWith({ headers: { "Mcp-Session-Id": "m1" } }))).toEqual([
      "mcp-session-id=m1",
    ]);
    for (const name of ["session_id", "sessionId"]) {
      const target = `/messages/?${name}=m1`;
      expect(keysOf(rules, requestWith({ target }))).toEqual(["mcp-sse=m1"]);
    }
  });

  test("socket.io: sid, before the cookie", () => {
    const target = "/socket.io/?EIO=4&transport=polling&t=abc&sid=s1";
    expect(keysOf(rulesOf("socket.io"), requestWith({ target, cookieId: "c1" }))).toEqual([
      "sid=s1",
      "cookie=c1",
    ]);
  });

  test("streamlit: the session of an upload, and of a page that reconnects", () => {
    const rules = rulesOf("streamlit");
    const upload = requestWith({ method: "PUT", target: "/app/_stcore/upload_file/st1/f1" });
    expect(keysOf(rules, upload)).toEqual(["streamlit=st1"]);
    const target = "/app/_stcore/stream";
    const headers = { "Sec-WebSocket-Protocol": "streamlit, xsrf, st1" };
    expect(keysOf(rules, requestWith({ target, headers }))).toEqual(["streamlit=st1"]);
    const first = { "Sec-WebSocket-Protocol": "streamlit, xsrf" };
    expect(keysOf(rules, requestWith({ target, headers: first, cookieId: "c1" }))).toEqual([
      "cookie=c1",
    ]);
  });

  test("jupyter: kernels and sessions by id, the rest by cookie", () => {
    const rules = rulesOf("jupyter");
    for (const path of ["/api/kernels/k1", "/user/x/api/kernels/k1/channels?session_id=z"]) {
      expect(keysOf(rules, requestWith({ target: path }))).toEqual(["kernel=k1"]);
    }
    expect(keysOf(rules, requestWith({ target: "/api/sessions/k1" }))).toEqual(["kernel=k1"]);
    const terminal = requestWith({ target: "/terminals/websocket/1", cookieId: "c1" });
    expect(keysOf(rules, terminal)).toEqual(["cookie=c1"]);
  });
});

describe("the key of a conversation", () => {
  const rules = rulesOf("llm");
  const keyOf = (json: unknown, caller = "ann"): string | undefined =>
    keysOf(rules, requestWith({ json, caller: () => caller }))[0];
  const system = { role: "system", content: "You are kind." };
  const hello = { role: "user", content: "Hello" };

  test("is the one that the client chose", () => {
    const json = { prompt_cache_key: "chat-7", messages: [system, hello] };
    expect(keyOf(json)).toBe("prompt_cache_key=chat-7");
  });

  test("stays the same while the conversation goes on", () => {
    const later = [system, hello, { role: "assistant", content: "Hi" }, { ...hello, content: "?" }];
    expect(keyOf({ messages: [system, hello] })).toMatch(/^prompt=[0-9a-f]{64}$/);
    expect(keyOf({ messages: later })).toBe(keyOf({ messages: [system, hello] }));
  });

  test("is another one for another caller, model, system prompt, first message or tool", () => {
    const messages = [system, hello];
    const keys = [
      keyOf({ messages }),
      keyOf({ messages }, "bob"),
      keyOf({ messages, model: "large" }),
      keyOf({ messages: [{ ...system, content: "You are rude." }, hello] }),
      keyOf({ messages: [system, { ...hello, content: "Bye" }] }),
      keyOf({ messages, tools: [{ type: "function", function: { name: "f" } }] }),
      keyOf({ messages, system: "You are kind." }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  test("is found in bodies of the Responses API, and in bare prompts that are long enough", () => {
    expect(keyOf({ instructions: "x", input: "Hello" })).toMatch(/^prompt=/);
    expect(keyOf({ input: [hello] })).toMatch(/^prompt=/);
    const prompt = "Once upon a time ".repeat(40);
    expect(keyOf({ prompt: `${prompt} and then` })).toBe(keyOf({ prompt }));
    expect(keyOf({ prompt: "Once" })).toBeUndefined();
  });

  test("is none where the body is no conversation", () => {
    for (const json of [{}, [], null, 1, "x", { messages: [] }, { messages: [system] }]) {
      expect(keyOf(json)).toBeUndefined();
    }
  });

  test("is none in a body of more than 256 KiB", () => {
    const content = "x".repeat(300_000);
    expect(keyOf({ messages: [system, { role: "user", content }] })).toBeUndefined();
  });
});

describe("a body", () => {
  const rules = rulesOf("gradio");
  const json = { session_hash: "h1" };

  test("is asked for only where a row looks into it, and only as JSON", () => {
    const post = requestWith({ json });
    expect(looksAtBody(rules, post)).toBe(2 ** 20);
    expect(looksAtBody(rulesOf("llm"), post)).toBe(2 ** 18);
    expect(looksAtBody(rulesOf("llm", "gradio"), post)).toBe(2 ** 20);
    expect(looksAtBody(rulesOf("cookie", "mcp"), post)).toBe(0);
    expect(looksAtBody(rules, requestWith())).toBe(0);
    const form = requestWith({ json, headers: { "content-type": "multipart/form-data" } });
    expect(looksAtBody(rules, form)).toBe(0);
  });

  test.each([
    ["application/json", true],
    ["application/json; charset=utf-8", true],
    ["Application/JSON", true],
    ["application/problem+json", true],
    ["application/jsonl", false],
    ["text/plain", false],
    ["", false],
  ])("of type %j is looked into: %s", (type, isLookedInto) => {
    const request = requestWith({ json, headers: { "content-type": type } });
    expect(keysOf(rules, request)).toEqual(isLookedInto ? ["session_hash=h1"] : []);
  });

  test("that is compressed is not looked into", () => {
    const headers = { "content-encoding": "gzip" };
    expect(keysOf(rules, requestWith({ json, headers }))).toEqual([]);
  });

  test("that is no JSON, or no object, has no key", () => {
    for (const text of ['{"session_hash":"h1"', "[1]", '"session_hash"', "null", "", "\u0000"]) {
      expect(keysOf(rules, requestWith({ text }))).toEqual([]);
    }
    const deep = "[".repeat(100_000);
    expect(keysOf(rules, requestWith({ text: deep }))).toEqual([]);
  });

  test("has no key in a member that is no text and no number", () => {
    for (const session_hash of [{}, [], null, true, 1.5, ""]) {
      expect(keysOf(rules, requestWith({ json: { session_hash } }))).toEqual([]);
    }
    expect(keysOf(rules, requestWith({ json: { session_hash: 7 } }))).toEqual(["session_hash=7"]);
    expect(keysOf(rulesOf("learned:json:__proto__"), requestWith({ json: {} }))).toEqual([]);
  });
});

test("whatever a request consists of, its keys are few, short, visible and each once", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary", maxLength: 400 }),
    fc.string({ maxLength: 400 }),
    fc.constantFrom("sid", "session_hash", "event_id", "?", "&", "=", "%", "/", `/${HASH}/`),
  );
  const printable = hostile.map((text) => text.replaceAll(/[^\x20-\x7e]/g, "").trim());
  const rules = rulesOf(
    ...Object.keys(PRESETS),
    "client-ip",
    "query:q",
    "header:x",
    "learned:json:id",
  );
  fc.assert(
    fc.property(
      fc.record({
        method: fc.constantFrom("GET", "POST"),
        target: fc.array(hostile, { maxLength: 12 }).map((parts) => `/${parts.join("")}`),
        text: fc.oneof(hostile, fc.json()),
        clientNetwork: hostile,
        headers: fc.record({
          x: printable,
          "mcp-session-id": printable,
          "sec-websocket-protocol": printable,
          cookie: printable,
        }),
      }),
      (parts) => {
        const keys = keysOf(rules, requestWith(parts));
        expect(keys.length).toBeLessThanOrEqual(16);
        expect(new Set(keys).size).toBe(keys.length);
        for (const key of keys) expect(key).toMatch(/^[!-~]{1,200}$/);
        expect(keysOf(rules, requestWith(parts))).toEqual(keys);
      },
    ),
  );
});

test("targets of the greatest length are read in time that grows with their length alone", () => {
  const rules = rulesOf(...Object.keys(PRESETS), "learned:json:id");
  for (const part of ["&", "/call/", "/file=/", "/stream/", "%", "?sid", `/${HASH}`]) {
    const request = requestWith({ target: `/${part.repeat(Math.floor(32_000 / part.length))}` });
    // A pattern that goes back takes a second for each, and the test its whole time.
    for (let round = 0; round < 50; round += 1) keysOf(rules, request);
  }
});
