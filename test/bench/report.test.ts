import { expect, test } from "vitest";

import { type LoadResult, percentile } from "./load/usage.ts";
import { measureTable, median } from "./report.ts";
import type { Target } from "./targets.ts";

const result = (more: Partial<LoadResult>): LoadResult => ({
  count: 1000,
  elapsedMs: 1000,
  p50Ms: 1,
  p99Ms: 2,
  cpuSeconds: { app: 0.01 },
  generatorCpuSeconds: 0.02,
  machineBusy: 0.5,
  memoryGrowth: {},
  ...more,
});

const target = (name: string, role: Target["role"]): Target => ({
  name,
  role,
  address: { port: 1, host: "app.localhost" },
  pids: () => ({}),
});

const cells = (table: string, name: string): string[] =>
  (table.split("\n").find((line) => line.startsWith(`| ${name} |`)) ?? "").split(" | ");

test("percentiles and medians are values that were measured", () => {
  const sorted = Array.from({ length: 100 }, (_, at) => at);
  expect([percentile(sorted, 0.5), percentile(sorted, 0.99), percentile([], 0.5)]).toEqual([
    50, 99, 0,
  ]);
  expect(median([9, 1, 5])).toBe(5);
});

test("a row has the medians, their ratios to bare workerd and app, and CPU by server", () => {
  const samples = new Map([
    [target("app", "app"), [1, 1, 5].map((p50Ms) => result({ p50Ms }))],
    [target("bare", "bare"), [2, 2, 2].map((p50Ms) => result({ p50Ms }))],
    [
      target("other", "other"),
      [6, 7, 6].map((p50Ms) => result({ p50Ms, cpuSeconds: { app: 0.01, workerd: 0.03 } })),
    ],
  ]);
  const table = measureTable(
    { name: "first chunk", form: "latency", load: { kind: "first chunks", count: 1 } },
    samples,
  );
  expect(cells(table, "other")).toEqual([
    "| other",
    "6.00 (3.00, 6.00)",
    "2.00 (1.00, 1.00)",
    "40 (4.00, 4.00)",
    "30",
    "–",
    "–",
    "–",
    "10",
    "20 |",
  ]);
});

test("what a target adds to a call is without the app's own time in the same round", () => {
  const samples = new Map([
    [target("app", "app"), [1, 2].map((p50Ms) => result({ p50Ms }))],
    [target("bare", "bare"), [2, 3].map((p50Ms) => result({ p50Ms }))],
    [target("other", "other"), [4, 5].map((p50Ms) => result({ p50Ms }))],
  ]);
  const table = measureTable(
    {
      name: "a call",
      form: "wait",
      load: { kind: "waits", connections: 1, forMs: 1, waitMs: 10 },
    },
    samples,
  );
  expect(cells(table, "other")[1]).toBe("3.00 (3.00)");
});

test("delays of a machine without time to spare are called an upper bound", () => {
  const busy = result({ machineBusy: 0.97 });
  const load = { kind: "chunk delays", streams: 1, intervalMs: 20, settleMs: 1, forMs: 1 } as const;
  const table = measureTable(
    { name: "chunk delay", form: "delay", load },
    new Map([[target("app", "app"), [busy, busy, busy]]]),
  );
  expect(table).toContain("app: the machine was 97 % busy. Its delays are an upper bound.");
});
