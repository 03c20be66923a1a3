import { expect, test } from "vitest";
import { Counters } from "../../base/counters.ts";
import { NO_TOPICS, Observer } from "../../base/observer.ts";

test("counts events by their labels, in Prometheus' text format, and no details", () => {
  const counters = new Counters();
  const debug = { ...NO_TOPICS, calls: true };
  const observer = new Observer({ sinks: [counters.sink], now: () => 0, debug });
  const ready = { from: "starting", to: "ready", reason: "healthy", container: "ct-1" };
  observer.emit("container.state", { ...ready, source: "web" });
  observer.emit("container.state", { ...ready, source: "web" });
  observer.emit("container.state", { ...ready, source: 'a"b\\c\nd' });
  observer.emit("call.state", { from: "queued", to: "running", reason: "a permit", callId: "c1" });
  observer.notice("a line");
  expect(counters.text().split("\n")).toEqual([
    "# HELP postern_container_state_total Events container.state since this process began.",
    "# TYPE postern_container_state_total counter",
    'postern_container_state_total{source="web",to="ready"} 2',
    'postern_container_state_total{source="a\\"b\\\\c\\nd",to="ready"} 1',
    "# HELP postern_notice_total Events notice since this process began.",
    "# TYPE postern_notice_total counter",
    "postern_notice_total 1",
    "",
  ]);
});
