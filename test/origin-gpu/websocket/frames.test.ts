import fc from "fast-check";
import { expect, test } from "vitest";

import {
  applyMask,
  type FrameHead,
  FrameReader,
  maskedClose,
  maskedHead,
  OPCODE,
} from "../../../origin-gpu/websocket/frames.ts";
import { closePayload, maskedFrame, unmaskedFrame } from "../../support/websocket-frames.ts";

interface Read {
  head: FrameHead;
  payload: Buffer;
}

/** Reads a byte stream in pieces that end at these offsets. */
function readAll(stream: Uint8Array, cuts: readonly number[] = []): Read[] {
  const frames: Read[] = [];
  const reader = new FrameReader();
  let start = 0;
  for (const cut of [...cuts].sort((a, b) => a - b).concat(stream.length)) {
    reader.read(stream.subarray(start, cut), {
      onHead: (head) => frames.push({ head, payload: Buffer.alloc(0) }),
      onPayload: (bytes) => {
        expect(bytes.length).toBeGreaterThan(0);
        const frame = frames.at(-1) as Read;
        frame.payload = Buffer.concat([frame.payload, bytes]);
      },
    });
    start = cut;
  }
  return frames;
}

const frameParts = fc.record({
  opcode: fc.integer({ min: 0, max: 15 }),
  fin: fc.boolean(),
  reserved: fc.integer({ min: 0, max: 7 }),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 140 }),
    fc.constantFrom(125, 126, 127, 65_535, 65_536).map((length) => new Uint8Array(length)),
  ),
  masked: fc.boolean(),
});

const streamAndCuts = fc
  .array(frameParts, { maxLength: 8 })
  .map((parts) => {
    const frames = parts.map((part) => (part.masked ? maskedFrame(part) : unmaskedFrame(part)));
    return { parts, stream: Buffer.concat(frames) };
  })
  .chain(({ parts, stream }) =>
    fc.record({
      parts: fc.constant(parts),
      stream: fc.constant(stream),
      cuts: fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 30, size: "max" }),
    }),
  );

test("any split of a byte stream gives the frames that were written", () => {
  fc.assert(
    fc.property(streamAndCuts, ({ parts, stream, cuts }) => {
      const frames = readAll(stream, cuts);
      expect(frames).toHaveLength(parts.length);
      frames.forEach(({ head, payload }, index) => {
        const part = parts[index] as (typeof parts)[number];
        expect(head.opcode).toBe(part.opcode);
        expect(head.fin).toBe(part.fin);
        expect(head.length).toBe(part.payload.length);
        expect(head.maskingKey !== undefined).toBe(part.masked);
        if (head.maskingKey !== undefined) applyMask(payload, head.maskingKey, 0);
        expect(payload.equals(part.payload)).toBe(true);
      });
    }),
    { numRuns: 100 },
  );
});

test("a head cut at every byte is the same head", () => {
  const stream = maskedFrame({ opcode: OPCODE.binary, payload: new Uint8Array(65_536) });
  const everywhere = Array.from({ length: 20 }, (_, index) => index);
  const [frame] = readAll(stream, everywhere) as [Read];
  expect(frame.head).toMatchObject({ fin: true, opcode: OPCODE.binary, length: 65_536 });
  expect(Buffer.from(frame.head.bytes)).toEqual(Buffer.from("82ff0000000000010000", "hex"));
  expect(Buffer.from(frame.head.maskingKey ?? [])).toEqual(stream.subarray(10, 14));
});

test("a masked head differs from the one that came by the mask bit and the key alone", () => {
  const key = Buffer.from("01020304", "hex");
  for (const extendedLength of [0, 2, 8] as const) {
    const stream = unmaskedFrame({
      opcode: 5,
      reserved: 3,
      fin: false,
      payload: "12345",
      extendedLength,
    });
    const [frame] = readAll(stream);
    const masked = Buffer.from(maskedHead((frame as Read).head, key));
    const expected = Buffer.concat([stream.subarray(0, 2 + extendedLength), key]);
    expected[1] = (expected[1] as number) | 0x80;
    expect(masked).toEqual(expected);
  }
});

test("a length of 64 bits is read whole", () => {
  const head = (digits: string) => readAll(Buffer.from(`827f${digits}`, "hex"))[0]?.head.length;
  expect(head("0000000100000002")).toBe(2 ** 32 + 2);
  expect(head("ffffffffffffffff")).toBeGreaterThan(Number.MAX_SAFE_INTEGER);
});

test("masking in pieces is masking as a whole, and undoes itself", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 60 }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.nat(60),
      (bytes, key, at) => {
        const cut = Math.min(at, bytes.length);
        const whole = bytes.slice();
        applyMask(whole, key, 0);
        const pieces = bytes.slice();
        applyMask(pieces.subarray(0, cut), key, 0);
        applyMask(pieces.subarray(cut), key, cut);
        expect(pieces).toEqual(whole);
        applyMask(whole, key, 0);
        expect(whole).toEqual(bytes);
      },
    ),
  );
});

test("a Close frame of our own carries code and reason", () => {
  const key = Buffer.from("a1b2c3d4", "hex");
  const [frame] = readAll(maskedClose(1009, "zu groß", key)) as [Read];
  expect(frame.head).toMatchObject({ fin: true, opcode: OPCODE.close });
  applyMask(frame.payload, key, 0);
  expect(frame.payload).toEqual(closePayload(1009, "zu groß"));
});
