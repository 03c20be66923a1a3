import { expect, it } from "vitest";
import { boundedNotices } from "../../base/bounded-notices.ts";
import { Observer, textSink } from "../../base/observer.ts";

it("passes a few equal notices, and tells how many more there were when the window is over", () => {
  const lines: string[] = [];
  let nowMs = 0;
  const sink = boundedNotices(
    textSink(
      (line) => lines.push(line),
      () => "",
    ),
  );
  const observer = new Observer({ sinks: [sink], now: () => nowMs });
  for (let count = 0; count < 1_000; count += 1) observer.notice("the disk is full");
  observer.notice("another line");
  expect(lines).toEqual([...Array.from({ length: 5 }, () => "the disk is full"), "another line"]);
  lines.length = 0;
  nowMs += 10_000;
  observer.notice("the disk is full");
  expect(lines).toEqual(["the disk is full (995 more times)", "the disk is full"]);
});

it("leaves alone what an app prints", () => {
  const lines: string[] = [];
  const sink = boundedNotices(
    textSink(
      (line) => lines.push(line),
      () => "",
    ),
  );
  const observer = new Observer({ sinks: [sink], now: () => 0 });
  for (let count = 0; count < 50; count += 1) {
    observer.emit("container.output", { source: "chat", line: "." });
  }
  expect(lines).toHaveLength(50);
});
