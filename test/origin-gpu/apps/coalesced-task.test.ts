import { describe, expect, test } from "vitest";

import { CoalescedTask } from "../../../origin-gpu/apps/coalesced-task.ts";
import { ManualTimers } from "./manual-timers.ts";

/** An action whose ends the test decides. */
class Action {
  readonly timers = new ManualTimers();
  readonly failures: unknown[] = [];
  readonly running: PromiseWithResolvers<void>[] = [];
  times = 0;
  readonly repeated = new CoalescedTask(
    async () => {
      this.times += 1;
      const run = Promise.withResolvers<void>();
      this.running.push(run);
      await run.promise;
    },
    (error) => this.failures.push(error),
    this.timers.later,
  );

  async end(): Promise<void> {
    this.running.shift()?.resolve();
    await new Promise(setImmediate);
  }

  async fail(): Promise<void> {
    this.running.shift()?.reject(new Error("no"));
    await new Promise(setImmediate);
  }
}

describe("a repeated action", () => {
  test("runs once for all who ask before it begins, and once more for those who ask meanwhile", async () => {
    const action = new Action();
    action.repeated.ask();
    expect(action.times).toBe(1);
    action.repeated.ask();
    action.repeated.ask();
    expect(action.times).toBe(1);
    await action.end();
    expect(action.times).toBe(2);
    await action.end();
    expect(action.times).toBe(2);
    await action.repeated.idle();
  });

  test("that fails is tried again later and later, until it succeeds", async () => {
    const action = new Action();
    action.repeated.ask();
    for (const delayMs of [1_000, 2_000, 4_000]) {
      await action.fail();
      expect(action.timers.delays).toEqual([delayMs]);
      action.timers.fire();
    }
    await action.end();
    expect(action.failures).toHaveLength(3);
    action.repeated.ask();
    await action.fail();
    expect(action.timers.delays).toEqual([1_000]);
  });

  test("that is asked for while it waits to be tried again is tried at once, and once", async () => {
    const action = new Action();
    action.repeated.ask();
    await action.fail();
    action.repeated.ask();
    expect(action.times).toBe(2);
    expect(action.timers.delays).toEqual([]);
  });

  test("is not begun any more once it is closed", async () => {
    const action = new Action();
    action.repeated.ask();
    action.repeated.ask();
    action.repeated.close();
    await action.fail();
    expect(action.times).toBe(1);
    expect(action.timers.delays).toEqual([]);
    expect(action.failures).toEqual([]);
  });
});
