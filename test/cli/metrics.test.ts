import { describe, expect, test } from "vitest";
import { Counters } from "../../base/counters.ts";
import { serveMetrics } from "../../cli/metrics.ts";
import { parseMetricsAddress } from "../../cli/metrics-address.ts";

describe("POSTERN_METRICS", () => {
  test.each([
    ["9100", { host: "127.0.0.1", port: 9100 }],
    ["0.0.0.0:9100", { host: "0.0.0.0", port: 9100 }],
    ["gpu-1.internal:65535", { host: "gpu-1.internal", port: 65535 }],
    ["[::1]:9100", { host: "::1", port: 9100 }],
  ])("%s is an address", (text, address) => {
    expect(parseMetricsAddress(text)).toEqual(address);
  });

  test.each(["", "0", "65536", "yes", ":9100", "http://localhost:9100", "::1", "localhost:"])(
    "%j is none",
    (text) => {
      expect(parseMetricsAddress(text)).toBeUndefined();
    },
  );
});

test("the counts are read at /metrics alone", async () => {
  const counters = new Counters();
  const { port } = await serveMetrics(counters, { host: "127.0.0.1", port: 0 });
  counters.sink({ name: "notice", atMs: 0, fields: { text: "a line" }, isDebugged: false });
  const read = await fetch(`http://127.0.0.1:${port}/metrics`);
  expect(read.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await read.text()).toContain("postern_notice_total 1\n");
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404);
  expect((await fetch(`http://127.0.0.1:${port}/metrics`, { method: "POST" })).status).toBe(404);
});
