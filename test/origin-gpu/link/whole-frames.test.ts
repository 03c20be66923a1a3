/** Frames of the link's WebSocket: whole, however the bytes come, from buffers that are used again. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { KIB } from "../../../base/units.ts";
import { WholeFrames } from "../../../origin-gpu/link/whole-frames.ts";
import { OPCODE } from "../../../origin-gpu/websocket/frames.ts";
import { maskedFrame, unmaskedFrame } from "../../support/websocket-frames.ts";

const MAX_BYTES = 600 * KIB;

interface Heard {
  frames: { opcode: number; fin: boolean; payload: Buffer }[];
  refusals: number;
}

/** Reads a stream in pieces that end at these offsets, all of them from one buffer. */
function readAll(stream: Uint8Array, cuts: readonly number[] = []): Heard {
  const heard: Heard = { frames: [], refusals: 0 };
  const frames = new WholeFrames(MAX_BYTES, {
    onFrame: ({ opcode, fin }, payload) =>
      heard.frames.push({ opcode, fin, payload: Buffer.from(payload) }),
    onRefused: () => {
      heard.refusals += 1;
    },
  });
  const buffer = new Uint8Array(stream.length);
  let start = 0;
  for (const cut of cuts.toSorted((a, b) => a - b).concat(stream.length)) {
    const piece = stream.subarray(start, cut);
    buffer.fill(0xee);
    buffer.set(piece);
    frames.read(buffer.subarray(0, piece.length));
    start = cut;
  }
  return heard;
}

/** Filled with a number of its own, so that no two payloads are alike. */
const anyPayload = fc
  .record({
    length: fc.oneof(
      fc.integer({ min: 0, max: 140 }),
      fc.constantFrom(0, 1, 125, 126, 65_535, 65_536, 512 * KIB + 8, 512 * KIB + 9, MAX_BYTES),
    ),
    fill: fc.integer({ min: 0, max: 255 }),
  })
  .map(({ length, fill }) => Buffer.alloc(length, fill));

const anyFrames = fc.array(
  fc.record({
    opcode: fc.integer({ min: 0, max: 15 }),
    fin: fc.boolean(),
    payload: anyPayload,
  }),
  { maxLength: 6 },
);

const anyCuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
  maxLength: 20,
  size: "max",
});

test("any split of any frames gives the same frames", () => {
  fc.assert(
    fc.property(anyFrames, anyCuts, (parts, shares) => {
      const stream = Buffer.concat(parts.map(unmaskedFrame));
      const cuts = shares.map((share) => Math.floor(share * stream.length));
      const heard = readAll(stream, cuts);
      expect(heard.refusals).toBe(0);
      expect(heard.frames.map(({ opcode, fin }) => ({ opcode, fin }))).toEqual(
        parts.map(({ opcode, fin }) => ({ opcode, fin })),
      );
      for (const [index, { payload }] of heard.frames.entries()) {
        expect(payload.equals(parts[index]?.payload ?? Buffer.alloc(0))).toBe(true);
      }
    }),
    { numRuns: 100 },
  );
});

test("any split of any bytes gives what the bytes give in one piece", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), anyCuts, (stream, shares) => {
      const cuts = shares.map((share) => Math.floor(share * stream.length));
      expect(readAll(stream, cuts)).toEqual(readAll(stream));
    }),
    { numRuns: 500 },
  );
});

test.each([
  ["a masked frame", maskedFrame({ opcode: OPCODE.binary, payload: "x" })],
  ["a masked frame without payload", maskedFrame({ opcode: OPCODE.binary })],
  ["a frame that is too long", unmaskedFrame({ opcode: 2, payload: Buffer.alloc(MAX_BYTES + 1) })],
])("%s is refused once, and ends the stream", (_, refused) => {
  const good = unmaskedFrame({ opcode: OPCODE.binary, payload: "good" });
  const stream = Buffer.concat([good, refused, good, refused]);
  for (const cuts of [[], [good.length + 1], Array.from({ length: 30 }, (__, index) => index)]) {
    const { frames, refusals } = readAll(stream, cuts);
    expect([frames.map(({ payload }) => String(payload)), refusals]).toEqual([["good"], 1]);
  }
});
