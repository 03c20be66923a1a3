/**
 * What a WebSocket client may do to an echo server, right and wrong, as data: framing, pings, reserved
 * bits and opcodes, fragmentation, UTF-8, closing, compression, handshakes. A case says only what the
 * client does; what is right is what the same app shows when it is asked directly. The sections follow
 * RFC 6455; what a public conformance suite tests stands here in our own words.
 */
import { constants, deflateRawSync } from "node:zlib";

import { KIB, MIB } from "../../base/units.ts";
import { OPCODE } from "../../origin-gpu/websocket/frames.ts";
import {
  closePayload,
  type FrameParts,
  fragments,
  maskedFrame,
  unmaskedFrame,
} from "./websocket-frames.ts";

export interface ClientCase {
  readonly id: string;
  /** Header lines of the handshake. */
  readonly headers?: readonly string[];
  readonly path?: string;
  /** What is sent, in one write or in pieces of `chop` bytes; a string is awaited first as the echo of a text. */
  readonly sends: readonly (Uint8Array | string)[];
  readonly chop?: number;
  /**
   * - `message`: a last text must come back, then the client closes with 1000.
   * - `verdict`: the same, but the server gets time to end the connection first.
   * - `close`: the client has sent a Close frame.
   * - `server`: the client waits for the server to end the connection.
   * - `fin`, `reset`: the client ends the connection without a Close frame.
   */
  readonly ends: "message" | "verdict" | "close" | "server" | "fin" | "reset";
}

const text = (payload: string | Uint8Array) => maskedFrame({ opcode: OPCODE.text, payload });
const binary = (payload: string | Uint8Array) => maskedFrame({ opcode: OPCODE.binary, payload });
const ping = (payload: string | Uint8Array = "") => maskedFrame({ opcode: OPCODE.ping, payload });
const pong = (payload: string | Uint8Array = "") => maskedFrame({ opcode: OPCODE.pong, payload });
const close = (payload: string | Uint8Array = "") => maskedFrame({ opcode: OPCODE.close, payload });
const fragmented = (opcode: number, payloads: readonly (string | Uint8Array)[]) =>
  fragments(opcode, payloads).map(maskedFrame);

function survives(id: string, ...sends: ClientCase["sends"]): ClientCase {
  return { id, sends, ends: "message" };
}

/** Against the rules: what comes of it is for the server to say. */
function breaks(id: string, ...sends: ClientCase["sends"]): ClientCase {
  return { id, sends, ends: "verdict" };
}

function waits(id: string, ...sends: ClientCase["sends"]): ClientCase {
  return { id, sends, ends: "server" };
}

function closes(id: string, ...sends: ClientCase["sends"]): ClientCase {
  return { id, sends, ends: "close" };
}

/** The same, sent in pieces of so many bytes. */
function chopped(chop: number, client: ClientCase): ClientCase {
  return { ...client, chop };
}

function appCloses(code: number, reason: string): ClientCase {
  const path = `/close?code=${code}&reason=${encodeURIComponent(reason)}`;
  return { id: `close/app-first-${code}`, path, sends: [], ends: "server" };
}

/** 5.2: every border of the length encoding, and what a message may have at most. */
function framing(): ClientCase[] {
  const lengths = [0, 1, 125, 126, 127, 128, 65_535, 65_536, MIB, 2 * MIB];
  return [
    ...lengths.flatMap((length) => [
      survives(`framing/text-${length}`, text("*".repeat(length))),
      survives(`framing/binary-${length}`, binary(Buffer.alloc(length, 0xfe))),
    ]),
    ...[1, 2, 7].map((chop) =>
      chopped(
        chop,
        survives(`framing/chopped-${chop}`, text("é".repeat(70)), binary(Buffer.alloc(130, 0xfe))),
      ),
    ),
    ...[997, 1460, 4097].map((chop) =>
      chopped(chop, survives(`framing/65536-chopped-${chop}`, text("*".repeat(65_536)))),
    ),
    survives("framing/many-in-one-write", Buffer.concat(numbered(200).map(text))),
    survives(
      "framing/two-byte-length-of-5",
      maskedFrame({ opcode: OPCODE.text, payload: "short", extendedLength: 2 }),
    ),
    survives(
      "framing/eight-byte-length-of-5",
      maskedFrame({ opcode: OPCODE.text, payload: "short", extendedLength: 8 }),
    ),
    waits("framing/length-with-highest-bit", Buffer.from("81ffffffffffffffffff00000000", "hex")),
    breaks("framing/unmasked-text", unmaskedFrame({ opcode: OPCODE.text, payload: "bare" })),
    breaks("framing/unmasked-ping", unmaskedFrame({ opcode: OPCODE.ping, payload: "bare" })),
  ];
}

/** 5.5.2, 5.5.3. */
function pings(): ClientCase[] {
  const every = Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0x00]);
  return [
    survives("ping/empty", ping()),
    survives("ping/text", ping("hello")),
    survives("ping/binary", ping(every)),
    survives("ping/125", ping(Buffer.alloc(125, 0x2a))),
    breaks("ping/126", ping(Buffer.alloc(126, 0x2a))),
    chopped(1, survives("ping/chopped", ping(Buffer.alloc(125, 0x2a)))),
    survives(
      "ping/two-byte-length-of-5",
      maskedFrame({ opcode: OPCODE.ping, payload: "short", extendedLength: 2 }),
    ),
    survives("ping/ten-in-a-row", Buffer.concat(numbered(10).map(ping))),
    survives("ping/between-messages", text("one"), ping("p"), text("two")),
    survives("pong/unsolicited-empty", pong()),
    survives("pong/unsolicited", pong("unasked")),
    survives("pong/unsolicited-then-ping", pong("unasked"), ping("asked")),
    breaks("pong/126", pong(Buffer.alloc(126, 0x2a))),
  ];
}

/** 5.2: no extension gives them a meaning. */
function reserved(): ClientCase[] {
  const bits = [1, 2, 3, 4, 5, 6, 7];
  const opcodes = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15];
  const kinds = Object.entries(OPCODE).filter(([, opcode]) => opcode !== OPCODE.continuation);
  return [
    ...bits.map((bit) =>
      breaks(
        `reserved/bits-${bit}`,
        text("before"),
        "before",
        maskedFrame({ opcode: OPCODE.text, payload: "*", reserved: bit }),
      ),
    ),
    ...kinds.flatMap(([kind, opcode]) =>
      [1, 4].map((bit) =>
        breaks(`reserved/${kind}-bits-${bit}`, maskedFrame({ opcode, reserved: bit })),
      ),
    ),
    breaks(
      "reserved/bits-in-a-continuation",
      maskedFrame({ opcode: OPCODE.text, payload: "a", fin: false }),
      maskedFrame({ opcode: OPCODE.continuation, payload: "b", reserved: 2 }),
    ),
    ...opcodes.flatMap((opcode) => [
      breaks(`reserved/opcode-${opcode}`, maskedFrame({ opcode })),
      breaks(
        `reserved/opcode-${opcode}-with-payload`,
        text("before"),
        "before",
        maskedFrame({ opcode, payload: "later" }),
      ),
    ]),
  ];
}

/** 5.4. */
function fragmentation(): ClientCase[] {
  const part = (opcode: number, payload: string, fin: boolean) =>
    maskedFrame({ opcode, payload, fin });
  const { text: TEXT, binary: BINARY, continuation: MORE } = OPCODE;
  return [
    survives("fragments/text-2", ...fragmented(TEXT, ["hello ", "world"])),
    survives("fragments/binary-3", ...fragmented(BINARY, ["a", "b", "c"])),
    survives("fragments/empty-parts", ...fragmented(TEXT, ["", "", ""])),
    survives("fragments/empty-around-one", ...fragmented(TEXT, ["", "middle", ""])),
    survives("fragments/one-byte-each", ...fragmented(TEXT, "fragments of one byte".split(""))),
    survives(
      "fragments/1000-of-1-KiB",
      Buffer.concat(
        fragmented(
          BINARY,
          Array.from({ length: 1000 }, () => Buffer.alloc(KIB, 7)),
        ),
      ),
    ),
    survives(
      "fragments/2-MiB-in-64-KiB",
      ...fragmented(
        BINARY,
        Array.from({ length: 32 }, () => Buffer.alloc(64 * KIB, 7)),
      ),
    ),
    chopped(1, survives("fragments/chopped", ...fragmented(TEXT, ["hello ", "wörld"]))),
    survives("fragments/ping-between", part(TEXT, "a", false), ping("p"), part(MORE, "b", true)),
    survives("fragments/pong-between", part(TEXT, "a", false), pong("p"), part(MORE, "b", true)),
    survives(
      "fragments/pings-between-all",
      part(TEXT, "a", false),
      ping("1"),
      part(MORE, "b", false),
      ping("2"),
      part(MORE, "c", true),
    ),
    closes(
      "fragments/close-between",
      part(TEXT, "a", false),
      close(closePayload(1000)),
      part(MORE, "b", true),
    ),
    breaks("fragments/ping-fragmented", part(OPCODE.ping, "a", false), part(MORE, "b", true)),
    breaks("fragments/pong-fragmented", part(OPCODE.pong, "a", false), part(MORE, "b", true)),
    waits("fragments/close-fragmented", part(OPCODE.close, "\x03\xe8", false)),
    breaks("fragments/continuation-of-nothing", part(MORE, "lost", true)),
    breaks(
      "fragments/unfinished-continuation-of-nothing",
      part(MORE, "lost", false),
      part(MORE, "too", true),
    ),
    breaks(
      "fragments/continuation-after-the-last",
      ...fragmented(TEXT, ["a", "b"]),
      part(MORE, "c", true),
    ),
    breaks("fragments/text-inside-text", part(TEXT, "a", false), part(TEXT, "b", true)),
    breaks("fragments/binary-inside-text", part(TEXT, "a", false), part(BINARY, "b", true)),
    breaks(
      "fragments/unfinished-text-inside-text",
      part(TEXT, "a", false),
      part(TEXT, "b", false),
      part(MORE, "c", true),
    ),
    { ...waits("fragments/reset-inside", part(TEXT, "a", false)), ends: "reset" },
  ];
}

/** 8.1, RFC 3629. */
function utf8(): ClientCase[] {
  const hex = (digits: string) => Buffer.from(digits.replaceAll(" ", ""), "hex");
  const valid: Record<string, string> = {
    greek: "ce ba e1 bd b9 cf 83 ce bc ce b5",
    nul: "00",
    "last-1-byte": "7f",
    "first-2-byte": "c2 80",
    "last-2-byte": "df bf",
    "first-3-byte": "e0 a0 80",
    "before-surrogates": "ed 9f bf",
    "after-surrogates": "ee 80 80",
    replacement: "ef bf bd",
    "non-character": "ef bf bf",
    "byte-order-mark": "ef bb bf 61",
    "first-4-byte": "f0 90 80 80",
    "last-4-byte": "f4 8f bf bf",
  };
  const invalid: Record<string, string> = {
    "lone-continuation": "80",
    "two-continuations": "80 bf",
    "cut-2-byte": "c2",
    "cut-3-byte": "e2 82",
    "cut-4-byte": "f0 90 80",
    "2-byte-without-continuation": "c3 28",
    "3-byte-without-continuation": "e2 28 a1",
    "overlong-slash": "c0 af",
    "overlong-nul": "c0 80",
    "overlong-3-byte": "e0 80 af",
    "overlong-4-byte": "f0 80 80 af",
    "first-surrogate": "ed a0 80",
    "last-surrogate": "ed bf bf",
    "surrogate-pair": "ed a0 80 ed b0 80",
    "over-the-last": "f4 90 80 80",
    "5-byte": "f8 88 80 80 80",
    "6-byte": "fc 84 80 80 80 80",
    fe: "fe",
    ff: "ff",
    "greek-then-surrogate": "ce ba e1 bd b9 cf 83 ce bc ce b5 ed a0 80 65 64 69 74 65 64",
  };
  const byteByByte = (bytes: Buffer) =>
    Array.from(bytes, (_, index) => bytes.subarray(index, index + 1));
  return [
    ...Object.entries(valid).flatMap(([name, digits]) => [
      survives(`utf8/${name}`, text(hex(digits))),
      survives(`utf8/${name}-in-fragments`, ...fragmented(OPCODE.text, byteByByte(hex(digits)))),
    ]),
    ...Object.entries(invalid).flatMap(([name, digits]) => [
      breaks(`utf8/bad-${name}`, text("before"), "before", text(hex(digits))),
      breaks(`utf8/bad-${name}-in-fragments`, ...fragmented(OPCODE.text, byteByByte(hex(digits)))),
    ]),
    breaks(
      "utf8/bad-with-ping-inside",
      maskedFrame({ opcode: OPCODE.text, payload: hex("ce"), fin: false }),
      ping("p"),
      maskedFrame({ opcode: OPCODE.continuation, payload: hex("ce") }),
    ),
    survives("utf8/any-bytes-in-binary", binary(hex("00 ff fe c0 80 ed a0 80"))),
  ];
}

/** 5.5.1, 7. */
function closing(): ClientCase[] {
  const legal = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
  ];
  const illegal = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
  const reason = "going home";
  return [
    closes("close/without-code", close()),
    closes("close/one-byte", close("a")),
    closes("close/code-alone", close(closePayload(1000))),
    closes("close/reason", close(closePayload(1000, reason))),
    closes("close/reason-not-ascii", close(closePayload(1000, "nach Hause, schöne Grüße ☃"))),
    closes("close/reason-123", close(closePayload(1000, "*".repeat(123)))),
    closes("close/reason-124", close(closePayload(1000, "*".repeat(124)))),
    closes("close/reason-no-utf8", close(closePayload(1000, Buffer.from("ceba80", "hex")))),
    closes("close/reason-surrogate", close(closePayload(1000, Buffer.from("eda080", "hex")))),
    chopped(1, closes("close/chopped", close(closePayload(4001, reason)))),
    ...legal.map((code) => closes(`close/code-${code}`, close(closePayload(code, reason)))),
    ...illegal.map((code) => closes(`close/illegal-${code}`, close(closePayload(code, reason)))),
    closes("close/illegal-1005-without-reason", close(closePayload(1005))),
    closes("close/twice", close(closePayload(1000)), close(closePayload(1001))),
    closes("close/then-text", close(closePayload(1000)), text("too late")),
    closes("close/then-ping", close(closePayload(1000)), ping("too late")),
    closes("close/then-rubbish", close(closePayload(1000)), Buffer.alloc(1000, 0xff)),
    { ...waits("close/fin-at-once"), ends: "fin" },
    { ...waits("close/fin-after-message", text("last words")), ends: "fin" },
    { ...waits("close/reset-at-once"), ends: "reset" },
    { ...waits("close/reset-after-message", text("last words")), ends: "reset" },
    appCloses(1000, reason),
    appCloses(1001, ""),
    appCloses(1008, "no"),
    appCloses(1011, "crashed"),
    appCloses(3000, ""),
    appCloses(4999, "☃"),
  ];
}

/** RFC 7692, negotiated with whoever answers the handshake. */
function compression(): ClientCase[] {
  const offer = (extensions: string) => [`Sec-WebSocket-Extensions: ${extensions}`];
  const plain = (id: string, extensions: string): ClientCase => ({
    ...survives(`deflate/${id}`, text("plain"), binary("*".repeat(100_000))),
    headers: offer(extensions),
  });
  const squeezed = (payload: string | Buffer, opcode: number = OPCODE.text) =>
    maskedFrame({ opcode, payload: deflate(payload), reserved: 4 });
  const lorem = "Lorem ipsum dolor sit amet. ".repeat(3000);
  const offered = { headers: offer("permessage-deflate") };
  return [
    plain("plain-messages", "permessage-deflate"),
    plain(
      "no-context-takeover",
      "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
    ),
    plain("server-window-9", "permessage-deflate; server_max_window_bits=9"),
    plain("client-window", "permessage-deflate; client_max_window_bits"),
    plain("two-offers", "permessage-deflate; server_max_window_bits=9, permessage-deflate"),
    plain("unknown-parameter", "permessage-deflate; postern=1"),
    plain("unknown-extension", "x-postern-unknown"),
    { ...survives("deflate/text", squeezed(lorem)), ...offered },
    { ...survives("deflate/binary", squeezed(lorem, OPCODE.binary)), ...offered },
    { ...survives("deflate/empty", squeezed("")), ...offered },
    {
      ...survives("deflate/2-MiB", squeezed(Buffer.alloc(2 * MIB, "0123456789"), OPCODE.binary)),
      ...offered,
    },
    { ...survives("deflate/several", ...numbered(20).map((n) => squeezed(lorem + n))), ...offered },
    {
      ...survives("deflate/plain-between", squeezed("one"), text("two"), squeezed("three")),
      ...offered,
    },
    { ...survives("deflate/fragments", ...squeezedFragments(lorem)), ...offered },
    {
      ...breaks(
        "deflate/ping-compressed",
        maskedFrame({ opcode: OPCODE.ping, payload: "p", reserved: 4 }),
      ),
      ...offered,
    },
    {
      ...breaks(
        "deflate/continuation-marked",
        maskedFrame({ opcode: OPCODE.text, payload: "a", fin: false }),
        maskedFrame({ opcode: OPCODE.continuation, payload: "b", reserved: 4 }),
      ),
      ...offered,
    },
    {
      ...breaks(
        "deflate/rubbish",
        maskedFrame({ opcode: OPCODE.text, payload: Buffer.alloc(40, 0xff), reserved: 4 }),
      ),
      ...offered,
    },
    { ...breaks("deflate/bad-utf8", squeezed(Buffer.from("ceba80", "hex"))), ...offered },
    breaks("deflate/not-offered", squeezed("hello")),
  ];

  function squeezedFragments(payload: string): Buffer[] {
    const bytes = deflate(payload);
    const half = bytes.length >> 1;
    const parts: FrameParts[] = fragments(OPCODE.text, [
      bytes.subarray(0, half),
      bytes.subarray(half),
    ]);
    return parts.map((part, index) => maskedFrame(index === 0 ? { ...part, reserved: 4 } : part));
  }
}

/** 4.2: what is asked for, and by whom it may be refused. */
function handshakes(): ClientCase[] {
  const asks = (id: string, ...headers: string[]): ClientCase => ({
    ...survives(`handshake/${id}`),
    headers,
  });
  return [
    asks("subprotocol", "Sec-WebSocket-Protocol: postern.v1"),
    asks("subprotocols", "Sec-WebSocket-Protocol: chat, postern.v2, postern.v1"),
    asks(
      "subprotocols-in-lines",
      "Sec-WebSocket-Protocol: chat",
      "Sec-WebSocket-Protocol: postern.v2",
    ),
    asks("subprotocol-unknown", "Sec-WebSocket-Protocol: chat"),
    asks("upgrade-in-capitals", "Upgrade: WebSocket"),
    asks("connection-list", "Connection: keep-alive, Upgrade"),
    asks("origin", "Origin: https://example.com"),
    asks("version-8", "Sec-WebSocket-Version: 8"),
    asks("version-none", "Sec-WebSocket-Version:"),
    asks("key-none", "Sec-WebSocket-Key:"),
    asks("key-too-short", "Sec-WebSocket-Key: c2hvcnQ="),
    { ...asks("refused-403"), path: "/refuse?status=403" },
    { ...asks("refused-503"), path: "/refuse?status=503" },
    { ...asks("rejected"), path: "/reject" },
  ];
}

/** Without the four bytes that end every flush (RFC 7692, 7.2.1). */
function deflate(payload: string | Buffer): Buffer {
  const flushed = deflateRawSync(payload, { finishFlush: constants.Z_SYNC_FLUSH });
  return flushed.subarray(0, -4);
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `number ${index}`);
}

export const CLIENT_CASES: readonly ClientCase[] = [
  ...framing(),
  ...pings(),
  ...reserved(),
  ...fragmentation(),
  ...utf8(),
  ...closing(),
  ...compression(),
  ...handshakes(),
];
