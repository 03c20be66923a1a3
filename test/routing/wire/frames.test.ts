/** The link's codec: whatever goes in comes out, and nothing that comes in does worse than ProtocolError. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  FRAME,
  FRAME_HEADER_BYTES,
  frame,
  type FrameType,
  type IncomingFrame,
  type OutgoingFrame,
  packFrames,
  ProtocolError,
  unpackFrames,
} from "../../../routing/wire/frames.ts";
import { MAX_FRAME_BYTES } from "../../../routing/wire/limits.ts";

const anyPart = fc.uint8Array({ maxLength: 300 });
const anyFrame: fc.Arbitrary<OutgoingFrame> = fc
  .record({
    type: fc.constantFrom<FrameType[]>(...Object.values(FRAME)),
    stream: fc.integer({ min: 0, max: 0xffffffff }),
    end: fc.boolean(),
    parts: fc.array(anyPart, { maxLength: 4 }),
  })
  .map(({ type, stream, end, parts }) => frame(type, stream, parts, end));

interface Flat {
  type: FrameType;
  stream: number;
  end: boolean;
  payload: Buffer;
}

function sent({ type, stream, end, parts }: OutgoingFrame): Flat {
  return { type, stream, end, payload: Buffer.concat(parts) };
}

function received({ type, stream, end, payload }: IncomingFrame): Flat {
  return { type, stream, end, payload: Buffer.from(payload) };
}

function unpacked(message: Uint8Array): Flat[] {
  const frames: Flat[] = [];
  unpackFrames(message, (incoming) => frames.push(received(incoming)));
  return frames;
}

/** Parses a message that may be anything; says how many frames came before the refusal. */
function tried(message: Uint8Array): { frames: number; refused: boolean } {
  let frames = 0;
  try {
    unpackFrames(message, ({ payload }) => {
      frames += 1;
      expect(payload.length).toBeLessThanOrEqual(MAX_FRAME_BYTES);
      expect(payload.byteOffset).toBeGreaterThanOrEqual(message.byteOffset);
      expect(payload.byteOffset + payload.length).toBeLessThanOrEqual(
        message.byteOffset + message.length,
      );
    });
    return { frames, refused: false };
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    return { frames, refused: true };
  }
}

describe("packing and unpacking", () => {
  test("any frames, in any messages, with any packing, come out as they went in", () => {
    const messages = fc.array(fc.array(anyFrame, { maxLength: 6 }), { maxLength: 5 });
    const referenceFrom = fc.constantFrom(0, 1, 16, 100, Number.POSITIVE_INFINITY);
    fc.assert(
      fc.property(messages, referenceFrom, (groups, threshold) => {
        const arrived = groups.flatMap((frames) =>
          unpacked(Buffer.concat(packFrames(frames, threshold))),
        );
        expect(arrived).toEqual(groups.flat().map(sent));
      }),
      { numRuns: 300 },
    );
  });

  test("a message may lie anywhere in a larger buffer", () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 4 }), fc.nat(50), (frames, before) => {
        const message = Buffer.concat(packFrames(frames));
        const larger = Buffer.concat([Buffer.alloc(before, 0xff), message, Buffer.alloc(9, 0xff)]);
        const view = larger.subarray(before, before + message.length);
        expect(unpacked(view)).toEqual(frames.map(sent));
      }),
    );
  });

  test("parts from the threshold on are handed over uncopied, smaller ones are not", () => {
    const small = new Uint8Array(15).fill(1);
    const large = new Uint8Array(16).fill(2);
    const segments = packFrames([frame(FRAME.DATA, 1, [small, large, small])], 16);
    expect(segments).toHaveLength(3);
    expect(segments[1]).toBe(large);
    expect(segments[0]).toHaveLength(FRAME_HEADER_BYTES + small.length);
    expect(segments[2]).toHaveLength(small.length);
  });

  test("the layout is the specified one", () => {
    const data = frame(FRAME.DATA, 0x01020304, [Uint8Array.of(0xaa, 0xbb)], true);
    expect(Buffer.concat(packFrames([data])).toString("hex")).toBe("8500000201020304aabb");
  });

  test("the largest frame passes, one byte more is refused", () => {
    const largest = frame(FRAME.OPEN, 7, [new Uint8Array(MAX_FRAME_BYTES)]);
    expect(tried(Buffer.concat(packFrames([largest])))).toEqual({ frames: 1, refused: false });
    const larger = frame(FRAME.OPEN, 7, [new Uint8Array(MAX_FRAME_BYTES + 1)]);
    expect(tried(Buffer.concat(packFrames([larger])))).toEqual({ frames: 0, refused: true });
  });
});

describe("hostile messages", () => {
  test("a message that is cut anywhere gives its whole frames and then ProtocolError", () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 4 }), fc.nat(), (frames, at) => {
        const message = Buffer.concat(packFrames(frames));
        const cut = at % message.length;
        const ends = frames.map((_, index) =>
          frames.slice(0, index + 1).reduce((sum, f) => sum + FRAME_HEADER_BYTES + f.length, 0),
        );
        const whole = ends.filter((end) => end <= cut).length;
        const clean = cut === 0 || ends.includes(cut);
        expect(tried(message.subarray(0, cut))).toEqual({ frames: whole, refused: !clean });
      }),
      { numRuns: 300 },
    );
  });

  test("any bytes whatever are frames or ProtocolError, never out of bounds", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void tried(bytes)),
      {
        numRuns: 2000,
      },
    );
  });

  test("any single byte changed is frames or ProtocolError", () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { minLength: 1, maxLength: 3 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (frames, at, change) => {
          const message = Buffer.concat(packFrames(frames));
          const index = at % message.length;
          message[index] = (message[index] as number) ^ change;
          tried(message);
        },
      ),
      { numRuns: 500 },
    );
  });

  test.each([0, Math.max(...Object.values(FRAME)) + 1, 0x7f])(
    "type %i is refused, with END too",
    (type) => {
      for (const first of [type, type | 0x80]) {
        expect(tried(Uint8Array.of(first, 0, 0, 0, 0, 0, 0, 1))).toEqual({
          frames: 0,
          refused: true,
        });
      }
    },
  );
});
