import fc from "fast-check";
import { expect, test } from "vitest";

import { Forwarder } from "../../../origin-gpu/websocket/forwarder.ts";
import {
  applyMask,
  type FrameHead,
  FrameReader,
  OPCODE,
} from "../../../origin-gpu/websocket/frames.ts";
import {
  closePayload,
  fragments,
  maskedFrame,
  unmaskedFrame,
} from "../../support/websocket-frames.ts";

const LIMIT = 1000;

interface Sent {
  head: FrameHead;
  payload: Buffer;
}

/** A forwarder and what came out of it, unmasked again. */
function start(randomMask = false) {
  const out: Buffer[] = [];
  const events: string[] = [];
  const forwarder = new Forwarder({
    randomMask,
    maxMessageBytes: LIMIT,
    write: (pieces) => out.push(...pieces.map((piece) => Buffer.from(piece))),
    onClose: (code, reason) => events.push(`closed ${code} ${reason}`),
    onTooLarge: () => {
      events.push("too large");
      forwarder.close(1009, "");
    },
    onProtocolError: (what) => {
      events.push(what);
      forwarder.breakOff();
    },
  });
  const sent = (): Sent[] => {
    const frames: Sent[] = [];
    new FrameReader().read(Buffer.concat(out), {
      onHead: (head) => frames.push({ head, payload: Buffer.alloc(0) }),
      onPayload: (bytes) => {
        const frame = frames.at(-1) as Sent;
        applyMask(bytes, frame.head.maskingKey as Uint8Array, frame.payload.length);
        frame.payload = Buffer.concat([frame.payload, bytes]);
      },
    });
    return frames;
  };
  const codes = () =>
    sent().map(({ head, payload }) =>
      head.opcode === OPCODE.close ? `close ${payload.readUInt16BE()}` : head.opcode,
    );
  return { forwarder, events, sent, codes };
}

const text = (payload: string) => unmaskedFrame({ opcode: OPCODE.text, payload });

test.each([false, true])(
  "frames leave as they came, but masked (random mask: %s)",
  (randomMask) => {
    const part = fc.record({
      // A Close frame ends everything; it has its own tests.
      opcode: fc.integer({ min: 0, max: 15 }).filter((opcode) => opcode !== OPCODE.close),
      fin: fc.boolean(),
      reserved: fc.integer({ min: 0, max: 7 }),
      payload: fc.uint8Array({ maxLength: 100 }),
      extendedLength: fc.constantFrom(2 as const, 8 as const),
    });
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 8 }),
        fc.integer({ min: 1, max: 50 }),
        (parts, size) => {
          const { forwarder, sent } = start(randomMask);
          const stream = Buffer.concat(parts.map(unmaskedFrame));
          for (let at = 0; at < stream.length; at += size) {
            forwarder.read(Buffer.from(stream.subarray(at, at + size)));
          }
          const frames = sent();
          expect(frames).toHaveLength(parts.length);
          frames.forEach(({ head, payload }, index) => {
            const bytes = Buffer.from(head.bytes);
            bytes[1] = (bytes[1] as number) & 0x7f;
            expect(Buffer.concat([bytes, payload])).toEqual(
              unmaskedFrame(parts[index] as (typeof parts)[number]),
            );
            if (!randomMask) expect(head.maskingKey).toEqual(Buffer.alloc(4));
          });
        },
      ),
    );
  },
);

test("random masks differ from frame to frame", () => {
  const { forwarder, sent } = start(true);
  for (let count = 0; count < 8; count += 1) forwarder.read(text("same"));
  const keys = sent().map(({ head }) => Buffer.from(head.maskingKey as Uint8Array).toString("hex"));
  expect(new Set(keys).size).toBeGreaterThan(6);
});

test("a message of the largest size passes, one byte more is too large", () => {
  const { forwarder, events, codes } = start();
  forwarder.read(text("*".repeat(LIMIT)));
  expect(events).toEqual([]);
  forwarder.read(text("*".repeat(LIMIT + 1)));
  expect(events).toEqual(["too large"]);
  expect(codes()).toEqual([OPCODE.text, "close 1009"]);
});

test("the fragments of a message are counted together, with pings between them left out", () => {
  const { forwarder, events } = start();
  const half = "*".repeat(LIMIT / 2);
  const whole = fragments(OPCODE.text, [half, half]).map(unmaskedFrame);
  const ping = unmaskedFrame({ opcode: OPCODE.ping, payload: "*".repeat(125) });
  forwarder.read(Buffer.concat([whole[0] as Buffer, ping, whole[1] as Buffer]));
  expect(events).toEqual([]);
  forwarder.read(Buffer.concat(fragments(OPCODE.text, [half, half, "*"]).map(unmaskedFrame)));
  expect(events).toEqual(["too large"]);
});

test("a control frame may not be larger than a message either", () => {
  const { forwarder, events } = start();
  forwarder.read(Buffer.from("89ff7fffffffffffffff", "hex"));
  forwarder.read(unmaskedFrame({ opcode: OPCODE.ping, payload: "*".repeat(LIMIT + 1) }));
  expect(events).toHaveLength(1);
});

test("a length of 2^63 and more is too large and never waited for", () => {
  const { forwarder, events } = start();
  forwarder.read(Buffer.from("827fffffffffffffffff", "hex"));
  expect(events).toEqual(["too large"]);
});

test("a server that masks breaks the protocol", () => {
  const { forwarder, events, codes } = start();
  forwarder.read(maskedFrame({ opcode: OPCODE.text, payload: "hello" }));
  expect(events).toEqual(["a server masked a frame"]);
  expect(codes()).toEqual([0xf]);
});

test("a Close frame passes with code and reason, and nothing passes after it", () => {
  const { forwarder, events, sent } = start();
  const payload = closePayload(4001, "schön");
  forwarder.read(Buffer.concat([unmaskedFrame({ opcode: OPCODE.close, payload }), text("late")]));
  forwarder.read(text("later"));
  forwarder.close(1001, "latest");
  expect(events).toEqual(["closed 4001 schön"]);
  expect(sent().map((frame) => frame.payload)).toEqual([payload]);
  expect(forwarder.over).toBe(true);
});

test.each([
  ["", 1005],
  ["a", 1005],
])("a Close frame with payload %j is reported as %i", (payload, code) => {
  const { forwarder, events } = start();
  forwarder.read(unmaskedFrame({ opcode: OPCODE.close, payload }));
  expect(events).toEqual([`closed ${code} `]);
});

test("a Close frame of our own waits for the frame that is passing, and ends the stream", () => {
  const { forwarder, codes } = start();
  const frame = text("hello");
  forwarder.read(frame.subarray(0, 4));
  forwarder.close(1001, "going away");
  expect(forwarder.over).toBe(false);
  forwarder.read(Buffer.concat([frame.subarray(4), text("late")]));
  expect(codes()).toEqual([OPCODE.text, "close 1001"]);
  expect(forwarder.over).toBe(true);
});

test("a Close frame of our own goes out between fragments", () => {
  const { forwarder, codes } = start();
  forwarder.read(unmaskedFrame({ opcode: OPCODE.text, payload: "a", fin: false }));
  forwarder.close(1001, "going away");
  expect(codes()).toEqual([OPCODE.text, "close 1001"]);
});

test("a source that broke off is told by a frame that no reader accepts, but never inside a frame", () => {
  const between = start();
  between.forwarder.read(text("last words"));
  expect(between.forwarder.breakOff()).toBe(true);
  between.forwarder.read(text("late"));
  expect(between.codes()).toEqual([OPCODE.text, 0xf]);
  const inside = start();
  inside.forwarder.read(text("last words").subarray(0, 5));
  expect(inside.forwarder.breakOff()).toBe(false);
});

test("only payload of messages is counted", () => {
  const { forwarder } = start();
  const ping = unmaskedFrame({ opcode: OPCODE.ping, payload: "not counted" });
  const close = unmaskedFrame({ opcode: OPCODE.close, payload: closePayload(1000, "neither") });
  forwarder.read(Buffer.concat([text("12345"), ping, text("678"), close]));
  expect(forwarder.bytes).toBe(8);
});

test("a Close is reported as it came, also where it leaves under a random mask", () => {
  const { forwarder, events, codes } = start(true);
  const payload = closePayload(1001, "away");
  forwarder.read(Buffer.from(unmaskedFrame({ opcode: OPCODE.close, payload })));
  expect(events).toEqual(["closed 1001 away"]);
  expect(codes()).toEqual(["close 1001"]);
});
