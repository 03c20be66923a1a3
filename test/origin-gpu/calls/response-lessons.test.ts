/** Session keys are learned of a response before its client can use them, and nothing else of it is touched. */
import { describe, expect, test } from "vitest";
import { ResponseLessons } from "../../../origin-gpu/calls/response-lessons.ts";
import { affinityRules, type AffinityRules } from "../../../routing/affinity/rules.ts";

const JSON_TYPE = ["content-type", "application/json"];
const JOIN = { method: "POST", target: "/gradio_api/queue/join?" };
const EVENT = Buffer.from('{"event_id": "e1"}');

function lessons(word: string, request: { method: string; target: string }) {
  const told: string[] = [];
  const rules = affinityRules([word]) as AffinityRules;
  const onKeys = (keys: readonly string[]) => void told.push(...keys);
  return { told, lessons: new ResponseLessons({ rules, request, onKeys }) };
}

describe("a key in the head", () => {
  test("is told at once", () => {
    const { told, lessons: learner } = lessons("mcp", { method: "POST", target: "/mcp" });
    learner.onHead({ status: 200, headers: ["mcp-session-id", "m1"] });
    expect(told).toEqual(["mcp-session-id=m1"]);
  });
});

describe("a key in JSON", () => {
  test("is told before the last byte of a body of known length goes on", () => {
    const { told, lessons: learner } = lessons("gradio", JOIN);
    const headers = [...JSON_TYPE, "content-length", `${EVENT.length}`];
    learner.onHead({ status: 200, headers });
    learner.onBody(EVENT.subarray(0, 5));
    expect(told).toEqual([]);
    learner.onBody(EVENT.subarray(5));
    expect(told).toEqual(["event_id=e1"]);
  });

  test("is told before the last byte of a body of unknown length goes on", () => {
    const { told, lessons: learner } = lessons("gradio", JOIN);
    learner.onHead({ status: 200, headers: JSON_TYPE });
    for (const byte of EVENT) {
      expect(told).toEqual([]);
      learner.onBody(Buffer.from([byte]));
    }
    expect(told).toEqual(["event_id=e1"]);
  });

  test("is told before the end, where a body ends as none does", () => {
    const { told, lessons: learner } = lessons("gradio", JOIN);
    learner.onHead({ status: 200, headers: JSON_TYPE });
    learner.onBody(Buffer.from('{"event_id": "e1"}   '));
    expect(told).toEqual([]);
    learner.onEnd();
    expect(told).toEqual(["event_id=e1"]);
  });

  test("survives the reader that uses its memory again", () => {
    const { told, lessons: learner } = lessons("gradio", JOIN);
    learner.onHead({ status: 200, headers: JSON_TYPE });
    const memory = Buffer.from(EVENT.subarray(0, 9));
    learner.onBody(memory);
    memory.fill(0);
    learner.onBody(EVENT.subarray(9));
    expect(told).toEqual(["event_id=e1"]);
  });

  test("is not looked for in more than 64 KiB", () => {
    const { told, lessons: learner } = lessons("gradio", JOIN);
    learner.onHead({ status: 200, headers: JSON_TYPE });
    learner.onBody(Buffer.alloc(64 * 1024, " "));
    learner.onBody(EVENT);
    learner.onEnd();
    const declared = [...JSON_TYPE, "content-length", `${65 * 1024}`];
    learner.onHead({ status: 200, headers: declared });
    learner.onBody(EVENT);
    learner.onEnd();
    expect(told).toEqual([]);
  });

  test("is that of the last run, where a call is run again", () => {
    const { told, lessons: learner } = lessons("gradio", JOIN);
    learner.onHead({ status: 200, headers: JSON_TYPE });
    learner.onBody(Buffer.from('{"event_id": "e0", '));
    learner.onHead({ status: 200, headers: JSON_TYPE });
    learner.onBody(EVENT);
    expect(told).toEqual(["event_id=e1"]);
  });
});

describe("a key at the beginning of a stream", () => {
  test("is told with the piece that completes it, and nothing after it is read", () => {
    const { told, lessons: learner } = lessons("mcp", { method: "GET", target: "/sse" });
    learner.onHead({ status: 200, headers: ["content-type", "text/event-stream"] });
    const event = Buffer.from("event: endpoint\ndata: /messages/?session_id=0a1b\n\n");
    learner.onBody(event.subarray(0, 44));
    expect(told).toEqual([]);
    learner.onBody(event.subarray(44));
    expect(told).toEqual(["mcp-sse=0a1b"]);
    learner.onBody(event);
    expect(told).toHaveLength(1);
  });

  test("is not looked for past the first KiB", () => {
    const { told, lessons: learner } = lessons("mcp", { method: "GET", target: "/sse" });
    learner.onHead({ status: 200, headers: ["content-type", "text/event-stream"] });
    learner.onBody(Buffer.alloc(1024, ":"));
    learner.onBody(Buffer.from("\ndata: /messages/?session_id=0a1b\n\n"));
    expect(told).toEqual([]);
  });
});

test("a response that hands out nothing is not read", () => {
  const { told, lessons: learner } = lessons("gradio", { method: "GET", target: "/config" });
  learner.onHead({ status: 200, headers: JSON_TYPE });
  const unreadable = new Proxy(EVENT, {
    get: () => expect.fail("the body was read"),
  });
  learner.onBody(unreadable);
  learner.onEnd();
  expect(told).toEqual([]);
});
