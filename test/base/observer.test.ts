import { expect, it } from "vitest";
import { TOPICS } from "../../base/events.ts";
import {
  jsonSink,
  NO_TOPICS,
  Observer,
  parseJsonLine,
  parseTopics,
  type Sink,
  textSink,
} from "../../base/observer.ts";

const AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
const CHANGE = {
  from: "starting",
  to: "ready",
  reason: "healthy",
  source: "chat",
  container: "ct-1",
};
const FRAME = { link: 0, direction: "in", type: "DATA", stream: 1, bytes: 5 } as const;

const REQUEST = {
  method: "GET",
  host: "h",
  path: "/",
  status: 200,
  durationMs: 3,
  requestId: "r",
} as const;

function observing(debug: string, sink: (write: (line: string) => void) => Sink) {
  const lines: string[] = [];
  const parsed = parseTopics(debug);
  if (!parsed.ok) throw new Error(parsed.error);
  const sinks = [sink((line) => lines.push(line))];
  return { lines, observer: new Observer({ sinks, now: () => AT_MS, debug: parsed.value }) };
}

const text = (write: (line: string) => void) => textSink(write, () => "03:04:05 ");

it("writes text: notices and an app's lines always, other events where their topic is on", () => {
  const { lines, observer } = observing("containers", text);
  observer.notice("postern: ready\n  and well");
  observer.emit("container.output", { source: "chat", line: "hello" });
  observer.emit("container.state", CHANGE);
  observer.emit("link.state", { from: "away", to: "connected", reason: "welcomed", link: 0 });
  observer.emit("log.dropped", { lines: 7 });
  expect(lines).toEqual([
    "03:04:05 postern: ready",
    "03:04:05   and well",
    "03:04:05 [chat] hello",
    "03:04:05 container.state starting -> ready (healthy) source=chat container=ct-1",
    "03:04:05 postern: 7 lines were left out: they came faster than they were read",
  ]);
});

it("writes JSON: each change of state, one line an event", () => {
  const { lines, observer } = observing("", jsonSink);
  observer.emit("container.state", CHANGE);
  observer.emit("gateway.request", REQUEST);
  observer.emit("call.state", { from: "queued", to: "running", reason: "a permit", callId: "c1" });
  observer.notice("two\nlines");
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { time: "2026-01-02T03:04:05.006Z", event: "container.state", ...CHANGE },
    {
      time: "2026-01-02T03:04:05.006Z",
      event: "gateway.request",
      method: "GET",
      host: "h",
      path: "/",
      status: 200,
      duration_ms: 3,
      request_id: "r",
    },
    { time: "2026-01-02T03:04:05.006Z", event: "notice", text: "two\nlines" },
  ]);
});

it("tells details of a topic that is on alone", () => {
  const { lines, observer } = observing("link", text);
  expect(observer.debug).toEqual({ ...NO_TOPICS, link: true });
  if (observer.debug.link) observer.emit("link.frame", FRAME);
  observer.emit("call.state", { from: "queued", to: "running", reason: "a permit", callId: "c1" });
  expect(lines).toEqual(["03:04:05 link.frame link=0 direction=in type=DATA stream=1 bytes=5"]);
});

it("reads an event back from its line, and nothing else", () => {
  const { lines, observer } = observing("", jsonSink);
  observer.emit("container.state", CHANGE);
  const debug = { ...NO_TOPICS, containers: true };
  expect(parseJsonLine(lines[0] ?? "", debug)).toEqual({
    name: "container.state",
    atMs: AT_MS,
    fields: CHANGE,
    isDebugged: true,
  });
  for (const line of ["", "a notice", "{", "{}", '{"event":"toString"}', '{"event":7}']) {
    expect(parseJsonLine(line, NO_TOPICS)).toBeUndefined();
  }
});

it("reads topics, and names one that is none with what was meant", () => {
  expect(parseTopics("")).toEqual({ ok: true, value: NO_TOPICS });
  expect(parseTopics("link, calls")).toMatchObject({ value: { link: true, calls: true } });
  const all = parseTopics("all");
  expect(TOPICS.every((topic) => all.ok && all.value[topic])).toBe(true);
  expect(parseTopics("links")).toEqual({
    ok: false,
    error: '"links" is no topic; did you mean link?',
  });
  expect(parseTopics("x,y")).toMatchObject({ ok: false });
});
