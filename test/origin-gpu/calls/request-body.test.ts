/** A request body between its stream and the app: whole, in order, with credit only for what was taken. */
import type { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RequestBody } from "../../../origin-gpu/calls/request-body.ts";
import type { Stream } from "../../../routing/wire/multiplexer.ts";

const NOTHING = new Uint8Array(0);

/** The one thing that a body asks of its stream. */
class Credit {
  bytes = 0;
  consume(bytes: number): void {
    this.bytes += bytes;
  }
}

function body(first: Uint8Array, end: boolean): { body: RequestBody; credit: Credit } {
  const credit = new Credit();
  return { body: new RequestBody(credit as unknown as Stream, first, end), credit };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a body that is there when the app is asked", () => {
  test("no body is null", () => {
    expect(body(NOTHING, true).body.whole()).toBeNull();
  });

  test("one that came with OPEN is handed over with its credit, and is not the link's buffer", () => {
    const first = Uint8Array.of(1, 2, 3);
    const { body: whole, credit } = body(first, true);
    first.fill(0xee);
    expect(whole.whole()).toEqual(Uint8Array.of(1, 2, 3));
    expect(credit.bytes).toBe(3);
    expect(whole.incomplete).toBe(false);
  });

  test("one that waits without a client leaves the buffer that it was copied into", () => {
    const message = Buffer.alloc(20_000, "x");
    const { body: waiting, credit } = body(message, true);
    waiting.compact(true);
    const whole = waiting.whole();
    expect(whole).toEqual(new Uint8Array(message));
    expect(whole?.buffer.byteLength).toBe(20_000);
    expect(credit.bytes).toBe(0);
  });

  test("one that came in pieces while the container started is whole", () => {
    const { body: whole, credit } = body(Uint8Array.of(1), false);
    expect(whole.whole()).toBeUndefined();
    whole.push(Uint8Array.of(2, 3), false);
    whole.push(Uint8Array.of(4), true);
    expect(Buffer.from(whole.whole() ?? NOTHING).toString("hex")).toBe("01020304");
    expect(credit.bytes).toBe(4);
  });

  test("one that broke is never taken for a whole one", async () => {
    const { body: broken } = body(Uint8Array.of(1), true);
    broken.abort();
    expect(broken.whole()).toBeUndefined();
    await expect(broken.chunks().next()).rejects.toThrow(/broke off/);
  });
});

test("a body that is read in part, and skipped then, gives credit for all that came", async () => {
  const { body: skipped, credit } = body(Uint8Array.of(1, 2), false);
  skipped.push(Uint8Array.of(3), false);
  for await (const _ of skipped.chunks()) break;
  expect(credit.bytes).toBe(2);
  skipped.skip();
  expect(credit.bytes).toBe(3);
  await expect(skipped.chunks().next()).rejects.toThrow(/broke off/);
});

describe("a body that streams to an app", () => {
  async function bytesOf(readable: Readable): Promise<Buffer> {
    return Buffer.concat((await readable.toArray()) as Buffer[]);
  }

  test("comes in order, however it is cut and whenever it is read", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 10 }),
        fc.array(fc.boolean(), { minLength: 10, maxLength: 10 }),
        async (chunks, pauses) => {
          const [first, ...rest] = chunks as [Uint8Array, ...Uint8Array[]];
          const { body: streamed, credit } = body(first, rest.length === 0);
          const read = bytesOf(streamed.readable());
          for (const [index, chunk] of rest.entries()) {
            if (pauses[index]) await turn();
            const message = Uint8Array.from(chunk);
            streamed.push(message, index === rest.length - 1);
            message.fill(0xee);
          }
          const all = Buffer.concat(chunks);
          expect(await read).toEqual(all);
          expect(credit.bytes).toBe(all.length);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("gives credit as it is read, and reads one part ahead", async () => {
    const { body: streamed, credit } = body(Uint8Array.of(1, 2), false);
    streamed.push(Uint8Array.of(3), false);
    streamed.push(Uint8Array.of(4), false);
    const readable = streamed.readable();
    await turn();
    expect(credit.bytes).toBe(0);
    readable.read();
    await turn();
    expect(credit.bytes).toBe(2);
  });

  test("awaits its sender once all that came was taken, until more comes", async () => {
    const { body: streamed } = body(Uint8Array.of(1), false);
    expect(streamed.awaitsSender).toBe(false);
    const readable = streamed.readable().resume();
    await turn();
    expect(streamed.awaitsSender).toBe(true);
    readable.pause();
    streamed.push(Uint8Array.of(2), false);
    expect(streamed.awaitsSender).toBe(false);
    readable.destroy();
  });

  test("one that breaks off fails, and is not a short body", async () => {
    for (const breaksBeforeReading of [true, false]) {
      const { body: streamed } = body(Uint8Array.of(1), false);
      if (breaksBeforeReading) streamed.abort();
      const broken = expect(bytesOf(streamed.readable())).rejects.toThrow(/broke off/);
      await turn();
      streamed.push(Uint8Array.of(2), true);
      streamed.abort();
      await broken;
    }
  });
});

describe("a body that streams", () => {
  test("comes in order, however it is cut and whenever it is read", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 10 }),
        fc.array(fc.boolean(), { minLength: 10, maxLength: 10 }),
        async (chunks, pauses) => {
          const [first, ...rest] = chunks as [Uint8Array, ...Uint8Array[]];
          const { body: streamed, credit } = body(first, rest.length === 0);
          const read = (async () => {
            const parts: Uint8Array[] = [];
            for await (const chunk of streamed.chunks()) parts.push(chunk);
            return Buffer.concat(parts);
          })();
          for (const [index, chunk] of rest.entries()) {
            if (pauses[index]) await turn();
            streamed.push(chunk, index === rest.length - 1);
          }
          const all = Buffer.concat(chunks);
          expect(await read).toEqual(all);
          expect(credit.bytes).toBe(all.length);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("gives credit for a chunk when the app asks for the next one", async () => {
    const { body: streamed, credit } = body(Uint8Array.of(1, 2), false);
    streamed.push(Uint8Array.of(3), false);
    const chunks = streamed.chunks();
    await chunks.next();
    expect(credit.bytes).toBe(0);
    await chunks.next();
    expect(credit.bytes).toBe(2);
  });

  test("one that breaks off is an error of the reader, at once, and not a short body", async () => {
    const { body: streamed } = body(Uint8Array.of(1), false);
    const chunks = streamed.chunks();
    await chunks.next();
    const next = chunks.next();
    streamed.abort();
    await expect(next).rejects.toThrow(/broke off/);
  });

  test("what had come and was not read before the break is not read after it", async () => {
    const { body: streamed } = body(Uint8Array.of(1), false);
    streamed.push(Uint8Array.of(2), true);
    streamed.abort();
    await expect(streamed.chunks().next()).rejects.toThrow(/broke off/);
  });
});
