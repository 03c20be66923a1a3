import { expect, test } from "vitest";
import { useIn } from "../../../origin-gpu/core/load-report.ts";

test("vLLM's report, in both formats, says how full its cache is", () => {
  const named = { kv_cache_usage_perc: 0.4, num_requests_waiting: 0 };
  expect(useIn(`JSON ${JSON.stringify({ named_metrics: named })}`)).toBe(0.4);
  const text = "TEXT named_metrics.kv_cache_usage_perc=0.4, named_metrics.num_requests_waiting=0";
  expect(useIn(text)).toBe(0.4);
});

test("requests that wait inside the app mean that it can do no more", () => {
  expect(useIn("TEXT cpu_utilization=0.1,named_metrics.num_requests_waiting=3")).toBe(1);
});

test("the highest share counts, and never more than all", () => {
  expect(useIn('JSON {"cpu_utilization":0.3,"application_utilization":0.7}')).toBe(0.7);
  expect(useIn("TEXT cpu_utilization=2.5")).toBe(1);
});

test.each([
  "",
  "JSON {",
  "JSON null",
  "JSON []",
  "TEXT",
  "TEXT mem_utilization=0.9",
  "TEXT cpu_utilization=",
  "TEXT cpu_utilization=NaN",
  "TEXT cpu_utilization=-1",
  'JSON {"cpu_utilization":"high"}',
  "BIN AAAA",
  `TEXT cpu_utilization=0.5,${"x".repeat(5_000)}`,
])("%j says nothing", (report) => {
  expect(useIn(report)).toBeUndefined();
});
