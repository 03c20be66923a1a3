import { expect, it } from "vitest";
import type { Timer } from "../../../base/runtime/timer.ts";
import { within } from "../../../base/runtime/within.ts";

/** A timer that fires when the test says so. */
function manualTimer(): { timer: Timer; fire: () => void; isSet: () => boolean } {
  let due: (() => void) | undefined;
  return {
    timer: (callback) => {
      due = callback;
      return () => (due = undefined);
    },
    fire: () => due?.(),
    isSet: () => due !== undefined,
  };
}

it("settles as the work does and leaves no timer", async () => {
  const { timer, isSet } = manualTimer();
  await expect(within(1_000, Promise.resolve(7), { timer })).resolves.toBe(7);
  await expect(within(1_000, Promise.reject(new Error("broken")), { timer })).rejects.toThrow(
    "broken",
  );
  expect(isSet()).toBe(false);
});

it("is undefined when the time is over, and a later failure of the work disturbs nobody", async () => {
  const { timer, fire } = manualTimer();
  const work = Promise.withResolvers<number>();
  const result = within(1_000, work.promise, { timer });
  fire();
  await expect(result).resolves.toBeUndefined();
  // An unhandled rejection would fail this test's run.
  work.reject(new Error("too late"));
});

it("is undefined when its signal says so, before or meanwhile, and forgets the signal", async () => {
  const { timer, isSet } = manualTimer();
  const never = new Promise<number>(() => {});
  const closing = new AbortController();
  const result = within(1_000, never, { timer, signal: closing.signal });
  closing.abort();
  await expect(result).resolves.toBeUndefined();
  await expect(within(1_000, never, { timer, signal: closing.signal })).resolves.toBeUndefined();
  expect(isSet()).toBe(false);
});
