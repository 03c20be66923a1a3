import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { responseHeaders } from "../../../routing/wire/headers.ts";

describe("an app's response headers", () => {
  it("pass with their names in lower case, in order", () => {
    expect(responseHeaders(["Content-Type", "text/plain", "ETag", 'W/"1"'])).toEqual([
      "content-type",
      "text/plain",
      "etag",
      'W/"1"',
    ]);
  });

  it("keep several Set-Cookie and join other lines of one name", () => {
    expect(
      responseHeaders(["Set-Cookie", "a=1", "Vary", "a", "set-cookie", "b=2, c", "VARY", "b"]),
    ).toEqual(["set-cookie", "a=1", "vary", "a, b", "set-cookie", "b=2, c"]);
  });

  it.each([
    "Connection",
    "Keep-Alive",
    "Transfer-Encoding",
    "Trailer",
    "TE",
    "Upgrade",
    "Proxy-Authenticate",
    "Alt-Svc",
    "X-Request-Id",
    "Postern-Call-Id",
    "POSTERN-anything",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
  ])("lose %s", (name) => {
    expect(responseHeaders([name, "close", "x-a", "1"])).toEqual(["x-a", "1"]);
  });

  it("keep what a WebSocket client must see: the subprotocol, and the versions of a refusal", () => {
    const headers = ["sec-websocket-protocol", "chat", "sec-websocket-version", "13"];
    expect(responseHeaders(headers)).toEqual(headers);
  });

  it("lose what any Connection line names, before it and after it", () => {
    const lines = [
      ["X-Auth", "1"],
      ["Connection", "close, X-AUTH"],
      ["X-Other", "2"],
      ["connection", "x-other, content-length"],
      ["x-auth", "3"],
      ["content-length", "0"],
    ];
    expect(responseHeaders(lines.flat())).toEqual(["content-length", "0"]);
  });

  it("have one length where a line of it is repeated", () => {
    const lines = ["Content-Length", "1", "content-length", "1"];
    expect(responseHeaders(lines)).toEqual(["content-length", "1"]);
  });

  it("are read as UTF-8 where they are that, else as Latin-1, from bytes and from text alike", () => {
    for (const [bytes, text] of [
      [Buffer.from("é 日本 🚪", "utf8"), "é 日本 🚪"],
      [Buffer.from("café", "latin1"), "café"],
      [Buffer.from([0xef, 0xbb, 0xbf, 0x61]), "\ufeffa"],
      [Buffer.from([0x80, 0xff]), "\u0080ÿ"],
      [Buffer.from([0xed, 0xa0, 0x80]), "í\u00a0\u0080"],
    ] as const) {
      expect(responseHeaders([Buffer.from("X-A"), bytes])).toEqual(["x-a", text]);
      expect(responseHeaders(["X-A", bytes.toString("latin1")])).toEqual(["x-a", text]);
    }
  });

  it.each([
    ["a control character", ["x-a", "a\u0001"]],
    ["a line break", ["x-a", "a\r\nx-b: 1"]],
    ["NUL in a dropped line", ["connection", "a\0"]],
    ["a space in a name", ["x a", "1"]],
    ["an empty name", ["", "1"]],
    ["a name outside ASCII", ["x-é", "1"]],
    ["two lengths", ["content-length", "1", "Content-Length", "2"]],
    ["more than 64 KiB", ["x-a", "x".repeat(65_536)]],
  ])("are refused with %s", (_, raw) => {
    expect(responseHeaders(raw)).toEqual({ refused: "origin_error", detail: expect.any(String) });
  });

  it("may fill 64 KiB to the last byte", () => {
    const value = "x".repeat(65_536 - "x-a: \r\n".length);
    expect(responseHeaders(["x-a", value])).toEqual(["x-a", value]);
    expect(responseHeaders(["x-a", `${value}x`])).toHaveProperty("refused");
  });

  it("come out well-formed or not at all, and pass a second time unchanged", () => {
    const name = fc.oneof(
      fc.stringMatching(/^[!-~]{1,10}$/),
      fc.constantFrom("Set-Cookie", "Vary", "Connection", "Postern-X", "Upgrade", "Content-Length"),
    );
    const value = fc.oneof(
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
      fc.string({ unit: "grapheme" }).map((text) => Buffer.from(text, "utf8")),
      fc.constantFrom("close, vary", "1").map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), (lines) => {
        const raw = lines.flatMap(([name, value]) => [Buffer.from(name), value]);
        const headers = responseHeaders(raw);
        if (!Array.isArray(headers)) return;
        for (const [index, text] of headers.entries()) {
          expect(text).not.toMatch(/[\r\n\0]/);
          if (index % 2 === 1) continue;
          expect(text).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+$/);
          expect(text).not.toMatch(/^(postern-|connection$|upgrade$)/);
        }
        // Written as UTF-8, as the gateway does.
        const written = headers.map((text) => Buffer.from(text, "utf8"));
        expect(responseHeaders(written)).toEqual(headers);
      }),
      { numRuns: 3000 },
    );
  });
});
