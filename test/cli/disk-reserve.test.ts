import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { DiskReserve, RESERVE_BYTES } from "../../cli/gateway/disk-reserve.ts";
import { temporaryDirectory } from "../support/temporary.ts";

function reserve() {
  const path = join(temporaryDirectory(), "reserve");
  const lines: string[] = [];
  const timers: (() => void)[] = [];
  const clock = { ms: 0 };
  const timer = (callback: () => void) => {
    timers.push(callback);
    return () => undefined;
  };
  const held = new DiskReserve({
    path,
    notice: (line) => lines.push(line),
    timer,
    now: () => clock.ms,
  });
  return { path, lines, timers, clock, held };
}

test("room is held by written bytes, given up on a full disk, and taken again later", () => {
  const { path, lines, timers, held } = reserve();
  expect(held.keep()).toBe(true);
  const { size, blocks } = statSync(path);
  expect(size).toBe(RESERVE_BYTES);
  expect(blocks * 512).toBeGreaterThanOrEqual(RESERVE_BYTES);
  held.onFull();
  expect(existsSync(path)).toBe(false);
  expect(lines.at(-1)).toBe(
    `the gateway's disk is full: make room on the file system of ${path}; ` +
      "boxes and requests are served, and deployments, tokens and names may fail until then",
  );
  for (const callback of timers) callback();
  expect(existsSync(path)).toBe(true);
  expect(lines.at(-1)).toBe("the gateway's disk has room again");
});

test("a disk that stays full is said once a minute, and looked at by one timer", () => {
  const { lines, timers, clock, held } = reserve();
  for (let index = 0; index < 120; index += 1) {
    clock.ms = index * 1_000;
    held.onFull();
  }
  expect(lines).toHaveLength(2);
  expect(timers).toHaveLength(1);
});

test("a directory that is gone costs nothing but the room", () => {
  const path = join(temporaryDirectory(), "missing", "reserve");
  const held = new DiskReserve({
    path,
    notice: () => undefined,
    timer: () => () => undefined,
    now: () => 0,
  });
  expect(held.keep()).toBe(false);
});
