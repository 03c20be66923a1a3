/** A request's body on its way through the link's object, as its agent receives it. */
import { expect, test, vi } from "vitest";
import { KIB } from "../../../../base/units.ts";
import { DRAIN_IDLE_MS } from "../../../../gateway/contracts/drained-body.ts";
import type { Env } from "../../../../gateway/contracts/env.ts";
import { RequestBodySender } from "../../../../gateway/objects/link/request-body-sender.ts";
import { FRAME_HEADER_BYTES } from "../../../../routing/wire/frames.ts";
import { MAX_DATA_BYTES } from "../../../../routing/wire/limits.ts";
import type { Stream } from "../../../../routing/wire/multiplexer.ts";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

const OK = JSON.stringify({ status: 200, headers: [] });

/** Bytes that differ from each other wherever a buffer might be mixed up with its successor. */
function numbered(bytes: number): Uint8Array {
  const words = new Uint32Array(bytes / 4);
  for (let index = 0; index < words.length; index += 1) words[index] = index;
  return new Uint8Array(words.buffer);
}

/** A body in parts, each of which is asked for. */
function inParts(parts: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  const rest = parts.values();
  return new ReadableStream({
    pull: (controller) => {
      const { value } = rest.next();
      if (value === undefined) controller.close();
      else controller.enqueue(value);
    },
  });
}

test.each([
  ["in large parts, each framed where it was read", "large", 600],
  ["in parts small enough to be packed with others", "small", 1],
])("a body %s arrives as it was sent, however late it is read", async (_, app, partKib) => {
  const isLarge = partKib > 64;
  const received: Uint8Array[] = [];
  await connectAgent(`${app}-upload`, {
    endpoints: [announcement(app, "web")],
    open: (stream, _head, body, end) => {
      // Credit only once the window is used up: until then the gateway sends on from the same buffer.
      let held = body.length;
      const take = (bytes: Uint8Array, isLast: boolean): void => {
        received.push(bytes);
        if (isLast) stream.sendHead(OK, [], true);
      };
      take(body, end);
      return {
        onData: (bytes, isLast) => {
          held += bytes.length;
          take(bytes, isLast);
          if (held < 64 * KIB) return;
          stream.consume(held);
          held = 0;
        },
      };
    },
  });
  const whole = numbered(1200 * KIB);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < whole.length; at += partKib * KIB) {
    parts.push(whole.slice(at, at + partKib * KIB));
  }
  const response = await ask(`local--${app}-web`, "/", { method: "POST", body: inParts(parts) });
  expect(response.status).toBe(200);
  const joined = new Uint8Array(await new Blob(received).arrayBuffer());
  expect(joined.length).toBe(whole.length);
  expect(joined.findIndex((byte, index) => byte !== whole[index])).toBe(-1);
  const longest = Math.max(...received.map(({ length }) => length));
  expect(longest).toBeGreaterThan(isLarge ? 64 * KIB : 0);
  expect(longest).toBeLessThanOrEqual(isLarge ? MAX_DATA_BYTES : 64 * KIB);
});

const PIECE_BYTES = 64 * KIB;
const PIECES = 20;

/** A stream that gets no credit beyond its first window, and what the object sends on it. */
function streamWithWindow(windowBytes: number) {
  const sent: (number | string)[] = [];
  const stream = {
    closed: false,
    window: windowBytes,
    get room() {
      return Math.min(stream.window, MAX_DATA_BYTES);
    },
    sendData: (_parts: readonly Uint8Array[], end: boolean) => sent.push(end ? "the end" : "data"),
    sendInPlace(message: Uint8Array) {
      stream.window -= message.length - FRAME_HEADER_BYTES;
      sent.push(message.length - FRAME_HEADER_BYTES);
    },
    reset: () => sent.push("reset"),
  };
  return { sent, stream: stream as unknown as Stream };
}

/** Uploads in pieces, each when the one before it was read. */
function startUpload() {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const upload = { body: readable, piecesRead: 0, ending: Promise.resolve("") };
  const write = async (): Promise<string> => {
    for (; upload.piecesRead < PIECES; upload.piecesRead += 1) {
      await writer.write(new Uint8Array(PIECE_BYTES));
    }
    await writer.close();
    return "whole";
  };
  upload.ending = write().catch(() => "cancelled");
  return upload;
}

test.each([
  ["the rest is read to its end", "1", "whole", PIECES],
  ["the platform has the rest where it is not ours to read", "0", "cancelled", 1],
])(
  "a body that the app has answered before its end is sent no further: %s",
  async (_, oneIsolate, ending, piecesRead) => {
    const { sent, stream } = streamWithWindow(PIECE_BYTES);
    const events = { onSent: () => sent.push("sent"), onFailed: () => sent.push("failed") };
    const sender = new RequestBodySender(stream, events);
    const upload = startUpload();
    const sending = sender.send(upload.body, { POSTERN_ONE_ISOLATE: oneIsolate } as Env, "{}");
    await vi.waitFor(() => expect(sent).toEqual([PIECE_BYTES]));
    expect(sender.isSending).toBe(true);
    await sender.abandon();
    await sending;
    expect(await upload.ending).toBe(ending);
    expect(upload.piecesRead).toBe(piecesRead);
    expect(sent).toEqual([PIECE_BYTES]);
    expect(sender.isSending).toBe(false);
  },
);

test("a client that stalls holds its early response up for no more than the drain's patience", async () => {
  const { sent, stream } = streamWithWindow(PIECE_BYTES);
  const sender = new RequestBodySender(stream, {
    onSent: () => sent.push("sent"),
    onFailed: () => sent.push("failed"),
  });
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const sending = sender.send(readable, { POSTERN_ONE_ISOLATE: "1" } as Env, "{}");
  // It waits for what the client sends next.
  await scheduler.wait(0);
  const startedAt = Date.now();
  await sender.abandon();
  expect(Date.now() - startedAt).toBeLessThan(2 * DRAIN_IDLE_MS);
  // What comes later goes to nobody.
  await writer.write(new Uint8Array(PIECE_BYTES));
  await writer.close();
  await sending;
  expect(sent).toEqual([]);
});

test("the platform's send copies: a buffer may be written to as soon as it has returned", async () => {
  const { 0: reader, 1: writer } = new WebSocketPair();
  const received: Uint8Array[] = [];
  const all = Promise.withResolvers<void>();
  reader.binaryType = "arraybuffer";
  writer.accept();
  const buffer = new Uint8Array(64 * KIB);
  for (let count = 0; count < 20; count += 1) {
    buffer.fill(count);
    writer.send(buffer);
  }
  buffer.fill(0xff);
  reader.addEventListener("message", ({ data }) => {
    if (received.push(new Uint8Array(data as ArrayBuffer)) === 20) all.resolve();
  });
  reader.accept();
  await all.promise;
  expect(received.every((bytes, count) => bytes.every((byte) => byte === count))).toBe(true);
});
