import { describe, expect, test } from "vitest";
import { Batching } from "../../../origin-gpu/link/batching.ts";

/** Whether each of some sends, `gapMs` apart, waits for more. */
function sends(count: number, gapMs: number, streams: number): boolean[] {
  const batching = new Batching();
  return Array.from({ length: count }, (_, index) => batching.waits(index * gapMs, streams));
}

describe("a link", () => {
  test("with few streams never waits, however often it sends", () => {
    expect(sends(1000, 0.1, 7)).not.toContain(true);
  });

  test("with many idle streams and now and then something to say does not wait", () => {
    expect(sends(100, 5, 1000)).not.toContain(true);
  });

  test("that is busy waits for more, from the ninth send on and as long as it is", () => {
    const waited = sends(100, 1.5, 16);
    expect(waited.indexOf(true)).toBe(8);
    expect(waited.slice(8)).not.toContain(false);
  });

  test("that falls silent sends at once again", () => {
    const batching = new Batching();
    for (let at = 0; at < 20; at += 1) batching.waits(at, 16);
    expect(batching.waits(20, 16)).toBe(true);
    expect(batching.waits(40, 16)).toBe(false);
  });
});
