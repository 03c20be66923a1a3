/**
 * What an app may do to a WebSocket client, right and wrong, as data; the counterpart of
 * websocket-cases.ts. The app here is a script that sends bytes, the client a real one.
 */
import { KIB, MIB } from "../../base/units.ts";
import { OPCODE } from "../../origin-gpu/websocket/frames.ts";
import { closePayload, fragments, unmaskedFrame } from "./websocket-frames.ts";

export interface AppCase {
  readonly id: string;
  /** What is sent when the client has said a word, each with one write, or in pieces of `chop` bytes. */
  readonly sends: readonly Uint8Array[];
  readonly chop?: number;
  /**
   * `message`: a last text follows, and the client closes with 1000 when it has it. `close`: the app has
   * sent a Close frame and waits for the client's. `fin`, `reset`: it ends the connection without one.
   */
  readonly ends: "message" | "close" | "fin" | "reset";
}

const { text: TEXT, binary: BINARY, continuation: MORE } = OPCODE;
const text = (payload: string | Uint8Array) => unmaskedFrame({ opcode: TEXT, payload });
const binary = (payload: string | Uint8Array) => unmaskedFrame({ opcode: BINARY, payload });
const ping = (payload: string | Uint8Array = "") => unmaskedFrame({ opcode: OPCODE.ping, payload });
const pong = (payload: string | Uint8Array = "") => unmaskedFrame({ opcode: OPCODE.pong, payload });
const close = (payload: string | Uint8Array = "") =>
  unmaskedFrame({ opcode: OPCODE.close, payload });
const part = (opcode: number, payload: string, fin: boolean) =>
  unmaskedFrame({ opcode, payload, fin });

function survives(id: string, ...sends: Uint8Array[]): AppCase {
  return { id, sends, ends: "message" };
}

function closes(id: string, ...sends: Uint8Array[]): AppCase {
  return { id, sends, ends: "close" };
}

function breaks(id: string, ends: "fin" | "reset", ...sends: Uint8Array[]): AppCase {
  return { id, sends, ends };
}

const LEGAL = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999];
const ILLEGAL = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535];
const GREEK = Buffer.from("κόσμε");
const NO_UTF8 = Buffer.from("ceba80", "hex");

export const APP_CASES: readonly AppCase[] = [
  ...[0, 1, 125, 126, 65_535, 65_536, MIB, 2 * MIB].flatMap((length) => [
    survives(`app/text-${length}`, text("*".repeat(length))),
    survives(`app/binary-${length}`, binary(Buffer.alloc(length, 0xfe))),
  ]),
  { ...survives("app/chopped", text(GREEK), binary(Buffer.alloc(130, 7))), chop: 1 },
  survives(
    "app/two-byte-length-of-5",
    unmaskedFrame({ opcode: TEXT, payload: "short", extendedLength: 2 }),
  ),
  survives(
    "app/eight-byte-length-of-5",
    unmaskedFrame({ opcode: TEXT, payload: "short", extendedLength: 8 }),
  ),
  survives("app/fragments", ...fragments(TEXT, ["hello ", "", "world"]).map(unmaskedFrame)),
  survives(
    "app/fragments-cut-in-a-character",
    ...fragments(TEXT, [GREEK.subarray(0, 3), GREEK.subarray(3)]).map(unmaskedFrame),
  ),
  survives(
    "app/1000-fragments",
    Buffer.concat(
      fragments(
        BINARY,
        Array.from({ length: 1000 }, () => Buffer.alloc(KIB, 7)),
      ).map(unmaskedFrame),
    ),
  ),
  survives(
    "app/fragments-with-ping-inside",
    part(TEXT, "a", false),
    ping("p"),
    part(MORE, "b", true),
  ),
  survives("app/ping", ping("hello")),
  survives("app/ping-125", ping(Buffer.alloc(125, 0x2a))),
  survives("app/ping-126", ping(Buffer.alloc(126, 0x2a))),
  survives("app/pong-unsolicited", pong("unasked")),
  ...[1, 2, 4, 7].map((reserved) =>
    survives(
      `app/reserved-bits-${reserved}`,
      unmaskedFrame({ opcode: TEXT, payload: "*", reserved }),
    ),
  ),
  ...[3, 7, 11, 15].map((opcode) =>
    survives(`app/opcode-${opcode}`, unmaskedFrame({ opcode, payload: "*" })),
  ),
  survives("app/ping-fragmented", part(OPCODE.ping, "a", false), part(MORE, "b", true)),
  survives("app/continuation-of-nothing", part(MORE, "lost", true)),
  survives("app/text-inside-text", part(TEXT, "a", false), part(TEXT, "b", true)),
  survives("app/text-no-utf8", text(NO_UTF8)),
  survives(
    "app/fragments-no-utf8",
    part(TEXT, "a", false),
    unmaskedFrame({ opcode: MORE, payload: NO_UTF8 }),
  ),
  survives("app/masked", Buffer.from("8185000000006265747465", "hex")),
  closes("app/close-without-code", close()),
  closes("app/close-one-byte", close("a")),
  closes("app/close-after-message", text("last words"), close(closePayload(1000, "done"))),
  closes("app/close-reason-123", close(closePayload(1000, "*".repeat(123)))),
  closes("app/close-reason-124", close(closePayload(1000, "*".repeat(124)))),
  closes("app/close-reason-no-utf8", close(closePayload(1000, NO_UTF8))),
  closes("app/close-inside-fragments", part(TEXT, "a", false), close(closePayload(1000))),
  closes("app/close-then-text", close(closePayload(1000)), text("too late")),
  ...LEGAL.map((code) => closes(`app/close-${code}`, close(closePayload(code, "going home")))),
  ...ILLEGAL.map((code) =>
    closes(`app/close-illegal-${code}`, close(closePayload(code, "going home"))),
  ),
  breaks("app/fin", "fin"),
  breaks("app/fin-inside-a-frame", "fin", text("last words").subarray(0, 5)),
  breaks("app/fin-inside-fragments", "fin", part(TEXT, "a", false)),
  breaks("app/reset", "reset"),
];
