/** What a call holds of its response: the right bytes, no more of them than it may, and paid back once. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KIB } from "../../../../base/units.ts";
import { ReplayRing, RingBudget } from "../../../../origin-gpu/calls/response/replay-ring.ts";
import { REPLAY_RING_BYTES, SHORT_REPLAY_RING_BYTES } from "../../../../routing/wire/limits.ts";

/** Bytes that no two offsets nearby share. */
const PATTERN = Uint8Array.from({ length: 4096 * KIB }, (_, index) => (index * 2654435761) >>> 13);

function read(ring: ReplayRing, offset: number, max: number): Buffer {
  return Buffer.concat(ring.slices(offset, max));
}

test("any chunks, read from any offset that is held, in any amount, are the bytes that came", () => {
  const step = fc.record({
    chunk: fc.oneof(fc.nat(40), fc.nat(5000), fc.nat(200 * KIB)),
    sent: fc.integer({ min: 0, max: 1000 }),
    at: fc.integer({ min: 0, max: 1000 }),
    max: fc.oneof(fc.nat(100), fc.nat(64 * KIB)),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), fc.boolean(), (steps, short) => {
      const budget = new RingBudget(short ? 0 : undefined);
      const ring = new ReplayRing(budget);
      const keep = short ? SHORT_REPLAY_RING_BYTES : REPLAY_RING_BYTES;
      let end = 0;
      let sent = 0;
      for (const { chunk, sent: share, at, max } of steps) {
        if (end + chunk > PATTERN.length) break;
        ring.append(PATTERN.subarray(end, end + chunk));
        end += chunk;
        sent += Math.floor(((end - sent) * share) / 1000);
        ring.sent(sent);
        expect(ring.end).toBe(end);
        expect(ring.start).toBeLessThanOrEqual(Math.max(0, sent - keep));
        expect(budget.held).toBe(ring.end - ring.start);
        const from = ring.start + Math.floor(((ring.end - ring.start) * at) / 1000);
        const expected = PATTERN.subarray(from, Math.min(from + max, end));
        expect(Buffer.compare(read(ring, from, max), expected)).toBe(0);
      }
      ring.release();
      ring.release();
      expect(budget.held).toBe(0);
    }),
    { numRuns: 100 },
  );
});

describe("what is held", () => {
  test("of a long response that was sent: the ring's size and at most one read more", () => {
    const ring = new ReplayRing(new RingBudget());
    for (let end = 0; end < 20 * REPLAY_RING_BYTES; end += 64 * KIB) {
      ring.append(new Uint8Array(64 * KIB));
      ring.sent(ring.end);
    }
    expect(ring.end - ring.start).toBeGreaterThanOrEqual(REPLAY_RING_BYTES);
    expect(ring.end - ring.start).toBeLessThanOrEqual(REPLAY_RING_BYTES + 64 * KIB);
  });

  test("nothing that was not sent is let go", () => {
    const ring = new ReplayRing(new RingBudget(0));
    for (let count = 0; count < 40; count += 1) ring.append(new Uint8Array(64 * KIB));
    ring.sent(0);
    expect(ring.start).toBe(0);
  });

  test("less while all rings together hold more than they may", () => {
    const budget = new RingBudget(4096 * KIB);
    const others = new ReplayRing(budget);
    const ring = new ReplayRing(budget);
    for (let count = 0; count < 16; count += 1) ring.append(new Uint8Array(64 * KIB));
    ring.sent(ring.end);
    expect(ring.start).toBe(0);
    others.append(new Uint8Array(8192 * KIB));
    ring.sent(ring.end);
    expect(ring.end - ring.start).toBe(SHORT_REPLAY_RING_BYTES);
    others.release();
    expect(budget.keep).toBe(REPLAY_RING_BYTES);
  });

  test("many small chunks are held as few large ones", () => {
    const ring = new ReplayRing(new RingBudget());
    for (let end = 0; end < 100_000; end += 1) ring.append(PATTERN.subarray(end, end + 1));
    expect(ring.slices(0, 100_000).length).toBeLessThan(30);
    expect(Buffer.compare(read(ring, 0, 100_000), PATTERN.subarray(0, 100_000))).toBe(0);
  });

  test.each([
    ["Uint8Array", PATTERN],
    ["Buffer", Buffer.from(PATTERN.buffer)],
  ] as const)("a small view of a large %s does not hold it", (_kind, large) => {
    const ring = new ReplayRing(new RingBudget());
    for (const length of [10, 20 * KIB]) ring.append(large.subarray(0, length));
    for (const { buffer } of ring.slices(0, 40 * KIB)) {
      expect(buffer.byteLength).toBeLessThan(64 * KIB);
    }
  });

  test("a view that was handed out stays as it was while more is appended", () => {
    const ring = new ReplayRing(new RingBudget());
    ring.append(Uint8Array.of(1, 2));
    const [before] = ring.slices(0, 2);
    for (let count = 0; count < 5000; count += 1) ring.append(Uint8Array.of(9));
    expect(before).toEqual(Uint8Array.of(1, 2));
  });
});
