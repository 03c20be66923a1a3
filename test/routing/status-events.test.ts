import { expect, test } from "vitest";
import { isFinal, isNews, lostReport, statusEvent } from "../../routing/status-events.ts";
import type { CallStatusReport } from "../../routing/wire/call-descriptions.ts";

const WAITING: CallStatusReport = {
  callId: "c",
  status: "pending",
  position: 3,
  etaMs: 20_000,
  elapsedMs: 5_000,
};

test("an event says all that is known, with times in seconds", () => {
  expect(statusEvent(WAITING)).toBe(
    'event: status\ndata: {"call_id":"c","status":"pending","position":3,"eta_seconds":20,"elapsed_seconds":5}\n\n',
  );
  const { etaMs: _, ...unmeasured } = { ...WAITING, elapsedMs: 5_049 };
  expect(statusEvent(unmeasured)).toContain('"eta_seconds":null,"elapsed_seconds":5}');
});

test.each<[string, Partial<CallStatusReport>, boolean]>([
  ["time that passes as it was expected to", { elapsedMs: 10_000, etaMs: 15_000 }, false],
  ["an end that moves by a tenth of the time until then", { etaMs: 22_000 }, false],
  ["an end that moves by more", { etaMs: 24_000 }, true],
  ["an end that moves by a second, soon", { elapsedMs: 24_500, etaMs: 1_400 }, false],
  ["an end that is near and does not come", { elapsedMs: 27_000, etaMs: 0 }, true],
  ["another position", { position: 2 }, true],
  ["another status", { status: "running" }, true],
])("%s: news? %s", (_, now, isOne) => {
  expect(isNews(WAITING, { ...WAITING, ...now })).toBe(isOne);
});

test("the first report is news, and so is an estimate where there was none", () => {
  const { etaMs: _, ...unmeasured } = WAITING;
  expect(isNews(undefined, unmeasured)).toBe(true);
  expect(isNews(unmeasured, WAITING)).toBe(true);
  expect(isNews(unmeasured, unmeasured)).toBe(false);
});

test("every status but two is the last one", () => {
  const statuses = ["pending", "running", "success", "failure", "lost", "timeout"] as const;
  expect(statuses.filter((status) => isFinal({ status }))).toEqual([
    "success",
    "failure",
    "lost",
    "timeout",
  ]);
  expect(lostReport(WAITING)).toEqual({
    callId: "c",
    status: "lost",
    position: 0,
    elapsedMs: 5_000,
  });
});
