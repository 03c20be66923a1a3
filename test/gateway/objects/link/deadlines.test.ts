/** Many waits on one timer a length. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Deadlines } from "../../../../gateway/objects/link/deadlines.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("waits of one length expire in their order, each at its time, those that ended never", () => {
  const deadlines = new Deadlines();
  const expired: string[] = [];
  deadlines.start(100, () => expired.push("first"));
  vi.advanceTimersByTime(50);
  deadlines.start(100, () => expired.push("second"));
  deadlines.start(100, () => expired.push("ended"))();
  vi.advanceTimersByTime(50);
  expect(expired).toEqual(["first"]);
  vi.advanceTimersByTime(50);
  expect(expired).toEqual(["first", "second"]);
  expect(vi.getTimerCount()).toBe(0);
});

test("a wait that throws leaves the others of its length", () => {
  const deadlines = new Deadlines();
  const expired: string[] = [];
  const reported = vi.spyOn(console, "error").mockReturnValue();
  deadlines.start(100, () => {
    throw new Error("broken");
  });
  deadlines.start(100, () => expired.push("second"));
  vi.advanceTimersByTime(100);
  expect(expired).toEqual(["second"]);
  deadlines.start(100, () => expired.push("third"));
  vi.advanceTimersByTime(100);
  expect(expired).toEqual(["second", "third"]);
  expect(reported).toHaveBeenCalledOnce();
  reported.mockRestore();
});

test("trimmed, it keeps no timer that nothing waits for, and one that something waits for", () => {
  const deadlines = new Deadlines();
  const expired: string[] = [];
  deadlines.start(150_000, () => undefined)();
  deadlines.start(100, () => expired.push("kept"));
  expect(vi.getTimerCount()).toBe(2);
  deadlines.trim();
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(100);
  expect(expired).toEqual(["kept"]);
});

test("lengths that are many share timers, each expires at most a 32nd late, and never early", () => {
  const deadlines = new Deadlines();
  const started = Date.now();
  const lateBy: number[] = [];
  for (let lengthMs = 20_000; lengthMs < 150_000; lengthMs += 13) {
    deadlines.start(lengthMs, () => lateBy.push((Date.now() - started - lengthMs) / lengthMs));
  }
  const waits = (150_000 - 20_000) / 13;
  expect(vi.getTimerCount()).toBeLessThan(200);
  vi.advanceTimersByTime(160_000);
  expect(lateBy).toHaveLength(waits);
  expect(Math.min(...lateBy)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...lateBy)).toBeLessThanOrEqual(1 / 32);
});
