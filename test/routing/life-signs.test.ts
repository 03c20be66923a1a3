import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import {
  asksForStream,
  errorEvent,
  errorOfApp,
  eventOfJson,
  lifeSign,
  saysStream,
} from "../../routing/life-signs.ts";

type Headers = Readonly<Record<string, string>>;

const JSON_BODY = { "content-type": "application/json", "content-length": "40" };

function asked(method: string, headers: Headers): string {
  return asksForStream(method, (name) => headers[name] ?? null);
}

describe("a request asks for a stream", () => {
  it.each<[string, Headers]>([
    ["GET", { accept: "text/event-stream" }],
    ["POST", { ...JSON_BODY, accept: "text/event-stream" }],
    ["GET", { accept: "text/event-stream, */*;q=0.1" }],
  ])("by its Accept: %s %o", (method, headers) => {
    expect(asked(method, headers)).toBe("yes");
  });

  it.each<Headers>([
    JSON_BODY,
    { ...JSON_BODY, accept: "application/json" },
    { ...JSON_BODY, accept: "text/event-stream;q=0" },
    { ...JSON_BODY, "content-length": "65536" },
  ])("by its body: %o", (headers) => {
    expect(asked("POST", headers)).toBe("in_body");
  });

  it.each<[string, Headers]>([
    ["GET", {}],
    ["GET", { accept: "*/*" }],
    ["GET", JSON_BODY],
    ["HEAD", { accept: "text/event-stream" }],
    ["POST", { ...JSON_BODY, "content-length": "65537" }],
    ["POST", { "content-type": "application/json" }],
    ["POST", { ...JSON_BODY, "content-type": "text/plain" }],
    // A client of MCP reads the headers of its response.
    ["POST", { ...JSON_BODY, accept: "application/json, text/event-stream" }],
    ["GET", { accept: "text/event-stream", "mcp-session-id": "1" }],
    ["GET", { accept: "text/event-stream, application/json" }],
  ])("by nothing: %s %o", (method, headers) => {
    expect(asked(method, headers)).toBe("no");
  });

  it.each([
    ['{"stream": true}', true],
    ['{"model": "m", "stream":true, "messages": []}', true],
    ['{"stream": false}', false],
    ['{"stream": "true"}', false],
    ['{"options": {"stream": true}}', false],
    ['[{"stream": true}]', false],
    ["null", false],
    ["{", false],
    ["", false],
  ])("the body %s says so: %s", (body, says) => {
    expect(saysStream(new TextEncoder().encode(body))).toBe(says);
  });
});

/** The events of a stream's text, as a client reads them (HTML, "Interpreting an event stream"). */
function eventsOf(text: string): { event: string; data: string }[] {
  const events: { event: string; data: string }[] = [];
  let event = "";
  let data: string[] = [];
  for (const line of text.split(/\r\n|\r|\n/)) {
    if (line === "") {
      if (data.length > 0) events.push({ event: event || "message", data: data.join("\n") });
      event = "";
      data = [];
    } else if (line.startsWith("data: ")) data.push(line.slice(6));
    else if (line.startsWith("event: ")) event = line.slice(7);
  }
  return events;
}

describe("a sign of life", () => {
  const report = { callId: "c", status: "pending", position: 3, elapsedMs: 1 } as const;

  it.each([
    [undefined, ": waiting\n\n"],
    [report, ": waiting position=3\n\n"],
    [{ ...report, etaMs: 11_001 }, ": waiting position=3 eta=12\n\n"],
  ])("of %o is one comment, and a whole block", (said, text) => {
    expect(lifeSign(said)).toBe(text);
    expect(eventsOf(text)).toEqual([]);
  });
});

describe("an error event", () => {
  test("is one event with the error as its data", () => {
    const [event, ...others] = eventsOf(errorEvent({ message: "a\nb\r\nc", code: 500 }));
    expect(others).toEqual([]);
    expect(event?.event).toBe("error");
    expect(JSON.parse(event?.data ?? "")).toEqual({
      type: "error",
      error: { message: "a\nb\r\nc", code: 500 },
    });
  });

  it.each([
    [
      429,
      '{"error": {"message": "slow", "type": "x"}}',
      { message: "slow", type: "x", status: 429 },
    ],
    [
      400,
      '{"error": "no such model"}',
      { message: "no such model", type: "invalid_request_error" },
    ],
    [422, '{"detail": "wrong"}', { message: "wrong", code: 422 }],
    [422, '{"detail": [{"loc": 1}]}', { message: '{"detail": [{"loc": 1}]}' }],
    [500, "Internal Server Error", { message: "Internal Server Error", type: "server_error" }],
    [503, " ", { message: "the app answered with 503", type: "server_error" }],
    [307, "", { message: "the app answered with 307" }],
  ])("of the app's %s %s has its words", (status, text, error) => {
    expect(errorOfApp(status, text)).toMatchObject(error);
  });
});

it("makes one event of any JSON, whatever breaks its lines", () => {
  const spaces = fc.constantFrom(undefined, 1, 4, "\t");
  fc.assert(
    fc.property(
      fc.jsonValue(),
      spaces,
      fc.constantFrom("\n", "\r\n", "\r"),
      (value, space, end) => {
        const text = JSON.stringify(value, undefined, space).replaceAll("\n", end);
        const events = eventsOf(eventOfJson(text));
        expect(events).toHaveLength(1);
        expect(JSON.parse(events[0]?.data ?? "")).toEqual(JSON.parse(text));
      },
    ),
  );
});
