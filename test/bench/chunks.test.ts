import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { CHUNK_BYTES, ChunkReader, framedChunk } from "./chunks.ts";

const HEAD = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/** The data of chunks without their framing. */
function data(sequences: readonly number[]): string {
  return sequences
    .map((sequence) =>
      framedChunk(sequence, 1000 + sequence).slice("62\r\n".length, -"\r\n".length),
    )
    .join("");
}

/** Cuts a text at the places, which are taken modulo its length. */
function pieces(text: string, cuts: readonly number[]): string[] {
  const places = [...new Set(cuts.map((cut) => cut % text.length))].toSorted((a, b) => a - b);
  return [0, ...places]
    .map((from, index) => text.slice(from, places[index] ?? text.length))
    .filter((piece) => piece !== "");
}

const chunked = (parts: readonly string[]): string =>
  parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("");

/** What the reader hands on, of a response that comes in these pieces through one buffer. */
function read(parts: readonly string[]): number[] {
  const times: number[] = [];
  const reader = new ChunkReader((writtenAtUs) => times.push(writtenAtUs));
  const buffer = Buffer.alloc(64 * 1024);
  for (const part of parts) reader.read(buffer, buffer.write(part, "latin1"));
  return times;
}

describe("the chunks of a stream", () => {
  test("each is as long as a token's event, whatever its number", () => {
    expect(CHUNK_BYTES).toBeGreaterThanOrEqual(60);
    expect(CHUNK_BYTES).toBeLessThanOrEqual(120);
    expect(data([0])).toHaveLength(CHUNK_BYTES);
    expect(data([9_999_999])).toHaveLength(CHUNK_BYTES);
  });

  test("are read with their times, however servers and sockets cut them", () => {
    const cuts = fc.array(fc.nat(), { maxLength: 12 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), cuts, cuts, (count, ofServers, ofSockets) => {
        const sequences = Array.from({ length: count }, (_, sequence) => sequence);
        const response = HEAD + chunked(pieces(data(sequences), ofServers));
        expect(read(pieces(response, ofSockets))).toEqual(sequences.map((at) => 1000 + at));
      }),
    );
  });

  test.each([
    ["lost", [0, 2]],
    ["doubled", [0, 1, 1]],
    ["reordered", [1, 0]],
  ])("one that is %s is an error", (_, sequences) => {
    expect(() => read([HEAD + chunked([data(sequences)])])).toThrow(/in place of chunk/);
  });

  test("another status, a stream's end and what is no size are errors", () => {
    expect(() => read([HEAD.replace("200 OK", "503 Busy")])).toThrow(/unexpected answer/);
    expect(() => read([`${HEAD}0\r\n\r\n`])).toThrow("the stream ended");
    expect(() => read([`${HEAD}data: x\n\n`])).toThrow(/a chunk's size/);
  });
});
