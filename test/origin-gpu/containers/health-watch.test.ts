import { describe, expect, onTestFinished, test } from "vitest";
import type { ContainerAnswer } from "../../../origin-gpu/containers/container-request.ts";
import { HealthWatch } from "../../../origin-gpu/containers/health-watch.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** A watch over a container that answers what the test says; `never`: it does not answer. */
function watch({ healthInterval = 10, isBusy = false } = {}) {
  const clock = new VirtualClock();
  const container = { answer: 200 as number | "broken" | "never", isBusy };
  const askedAtMs: number[] = [];
  const hung: string[] = [];
  const watching = new HealthWatch({
    settings: { healthInterval, timeout: 60 },
    healthPath: "/health",
    address: { origin: "http://127.0.0.1:1" },
    isBusy: () => container.isBusy,
    onHung: (reason) => hung.push(reason),
    timer: clock.timer,
    now: clock.now,
    ask: async (signal): Promise<ContainerAnswer> => {
      askedAtMs.push(clock.now());
      const { answer } = container;
      if (answer === "broken") return { kind: "broken" };
      if (answer !== "never") return { kind: "answered", status: answer };
      await new Promise((resolve) => {
        signal.addEventListener("abort", resolve);
      });
      return { kind: "silent" };
    },
  });
  onTestFinished(() => watching.stop());
  return { clock, container, askedAtMs, hung, watching };
}

test("asks once each interval", async () => {
  const { clock, askedAtMs, hung } = watch();
  await clock.advance(35_000);
  expect(askedAtMs).toEqual([10_000, 20_000, 30_000]);
  expect(hung).toEqual([]);
});

test.each([
  [500, "was answered 500"],
  [302, "was answered 302"],
  ["broken", "got no answer: the connection broke, or there was none"],
] as const)("%s three times in a row is told, once", async (answer, words) => {
  const { clock, container, hung } = watch();
  container.answer = answer;
  await clock.advance(29_999);
  expect(hung).toEqual([]);
  await clock.advance(60_000);
  expect(hung).toEqual([`GET /health ${words}, 3 times in a row`]);
});

test("silence is an answer when the next question is due", async () => {
  const { clock, container, hung, askedAtMs } = watch({ healthInterval: 2 });
  container.answer = "never";
  await clock.advance(8_000);
  expect(askedAtMs).toEqual([2_000, 4_000, 6_000]);
  expect(hung).toEqual(["GET /health was not answered in time, 3 times in a row"]);
});

test("silence is waited for 10 s at most", async () => {
  const { clock, container, hung } = watch({ healthInterval: 60 });
  container.answer = "never";
  await clock.advance(189_999);
  expect(hung).toEqual([]);
  await clock.advance(1);
  expect(hung).toHaveLength(1);
});

describe("a container that works on a call", () => {
  test("may be silent for as long as a call may", async () => {
    const { clock, container, hung } = watch({ isBusy: true });
    container.answer = "never";
    await clock.advance(69_999);
    expect(hung).toEqual([]);
    await clock.advance(1);
    expect(hung).toHaveLength(1);
  });

  test("is well again when it answers in that time", async () => {
    const { clock, container, hung } = watch({ isBusy: true });
    container.answer = "never";
    await clock.advance(55_000);
    container.answer = 200;
    await clock.advance(20_000);
    container.answer = "never";
    await clock.advance(60_000);
    expect(hung).toEqual([]);
  });
});

test("asks no more once it is stopped, and tells nothing of what was under way", async () => {
  const { clock, container, hung, watching, askedAtMs } = watch();
  container.answer = "never";
  await clock.advance(35_000);
  watching.stop();
  await clock.advance(60_000);
  expect(hung).toEqual([]);
  expect(askedAtMs).toHaveLength(3);
  expect(clock.pending).toBe(0);
});
