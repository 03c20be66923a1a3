/** Whatever frames an agent sends, the gateway's end keeps its bounds and the order of its events. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { FRAME, frame, packFrames, ProtocolError, uint32 } from "../../../routing/wire/frames.ts";
import { INITIAL_WINDOW_BYTES, MAX_GRANTED_BYTES_PER_LINK } from "../../../routing/wire/limits.ts";
import { Multiplexer, type Stream, type StreamEvents } from "../../../routing/wire/multiplexer.ts";

const STREAMS = 3;

/** Notes what a stream's owner hears, and that it hears it in order. */
class Owner implements StreamEvents {
  stream: Stream | undefined;
  #state: "waiting" | "flowing" | "complete" | "ended" = "waiting";

  onHead(_head: string, body: Uint8Array, end: boolean): void {
    expect(this.#state).toBe("waiting");
    this.#state = end ? "complete" : "flowing";
    this.stream?.consume(body.length);
  }

  onData(bytes: Uint8Array, end: boolean): void {
    expect(this.#state).toBe("flowing");
    if (end) this.#state = "complete";
    // Every other byte stays: a slow reader.
    this.stream?.consume(bytes.length >> 1);
  }

  onEnd(): void {
    expect(this.#state).not.toBe("ended");
    this.#state = "ended";
  }
}

const payload = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc
    .tuple(
      fc.oneof(fc.constantFrom("{}", '{"status":200,"headers":[]}', ""), fc.string()),
      fc.nat(100),
    )
    .map(([text, rest]) => headPayload(text, rest)),
  fc
    .constantFrom(0, 1, INITIAL_WINDOW_BYTES, INITIAL_WINDOW_BYTES + 1)
    .map((n) => new Uint8Array(n)),
  fc.constantFrom(0, 1, 1024, 0xffffffff).map(uint32),
  fc.constantFrom("{}", '{"code":"queue_full"}', "\n{}").map((text) => Buffer.from(text)),
);

function headPayload(text: string, rest: number): Uint8Array {
  const json = Buffer.from(text);
  return Buffer.concat([uint32(json.length), json, new Uint8Array(rest)]);
}

const message = fc
  .array(
    fc.record({
      type: fc.constantFrom(...Object.values(FRAME)),
      stream: fc.oneof(fc.integer({ min: 0, max: STREAMS + 1 }), fc.constant(0xffffffff)),
      end: fc.boolean(),
      payload,
    }),
    { minLength: 1, maxLength: 3 },
  )
  .map((frames) =>
    Buffer.concat(
      packFrames(frames.map((each) => frame(each.type, each.stream, [each.payload], each.end))),
    ),
  );

test("frames in any order are taken or are ProtocolError, within the bounds", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(message, fc.uint8Array({ maxLength: 30 })), { maxLength: 8 }),
      (said) => {
        const link = new Multiplexer({
          role: "gateway",
          onPending: () => undefined,
          onControl: () => undefined,
        });
        for (let count = 0; count < STREAMS; count += 1) {
          const owner = new Owner();
          owner.stream = link.open("{}", new Uint8Array(count), count !== 1, owner);
        }
        try {
          for (const each of said) {
            link.receive(each);
            expect(link.budget.granted).toBeLessThanOrEqual(MAX_GRANTED_BYTES_PER_LINK);
            link.takeFrames();
          }
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
        link.lost();
        expect({ streams: link.streams, granted: link.budget.granted }).toEqual({
          streams: 0,
          granted: 0,
        });
      },
    ),
    { numRuns: 2_000 },
  );
});
