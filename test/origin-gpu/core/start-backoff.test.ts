import { expect, test } from "vitest";

import {
  NO_FAILURES,
  afterCrash,
  afterFailedStart,
  afterReady,
} from "../../../origin-gpu/core/start-backoff.ts";

const MINUTE_MS = 60_000;

test("failed starts wait a second, then twice as long each time, up to a minute", () => {
  let history = NO_FAILURES;
  const waits: number[] = [];
  for (let now = 0; waits.length < 9; now = history.notBeforeMs) {
    history = afterFailedStart(history, now);
    waits.push(history.notBeforeMs - now);
  }
  expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, MINUTE_MS, MINUTE_MS, MINUTE_MS]);
});

test("a first crash may start again at once, further ones wait as failed starts do", () => {
  const first = afterCrash(NO_FAILURES, 10, 100);
  expect(first.notBeforeMs).toBe(100);
  const second = afterCrash(first, 10, 200);
  expect(second.notBeforeMs).toBe(1200);
  expect(afterCrash(second, 10, 1200).notBeforeMs).toBe(3200);
});

test("a container that served for a minute begins a new story", () => {
  const troubled = afterFailedStart(afterFailedStart(NO_FAILURES, 0), 0);
  const crashed = afterCrash(troubled, MINUTE_MS, 5000);
  expect(crashed).toEqual({ failures: 1, notBeforeMs: 5000 });
  expect(afterCrash(troubled, MINUTE_MS - 1, 5000).notBeforeMs).toBe(7000);
});

test("failures before a minute of service are forgotten, whatever fails next", () => {
  const troubled = afterFailedStart(afterFailedStart(NO_FAILURES, 0), 0);
  const ready = afterReady(afterReady(troubled, 1_000), 30_000);
  expect(afterFailedStart(ready, 1_000 + MINUTE_MS).failures).toBe(1);
  expect(afterFailedStart(ready, 999 + MINUTE_MS).failures).toBe(3);
  // A failure in between begins the minute anew.
  const failed = afterReady(afterCrash(ready, 10, 30_000), 31_000);
  expect(afterFailedStart(failed, 1_000 + MINUTE_MS).failures).toBe(4);
});
