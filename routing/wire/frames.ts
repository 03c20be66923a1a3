/**
 * The link's codec. A binary WebSocket message of a link is a sequence of whole frames:
 *
 *     u8 type (high bit: END) | u24 payload length | u32 stream | payload          (big endian)
 *
 * docs/protocol.md defines each type and who may send it. This file packs and unpacks without state;
 * multiplexer.ts judges the order of frames.
 */
import { MAX_FRAME_BYTES } from "./limits.ts";

/** Frame types. OPEN, HEAD and DATA may carry END, which closes the sender's half of the stream. */
export const FRAME = {
  HELLO: 1,
  WELCOME: 2,
  OPEN: 3,
  HEAD: 4,
  DATA: 5,
  CREDIT: 6,
  RESET: 7,
  REFUSE: 8,
  ATTACH: 9,
  CANCEL: 10,
  DETACH: 11,
  DONE: 12,
  DEFER: 13,
  DEFERRED: 14,
  PARK: 15,
  CALL_BACK: 16,
} as const;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

/** Which end may send which types. */
export const SENT_BY: Readonly<Record<"gateway" | "agent", ReadonlySet<FrameType>>> = {
  gateway: new Set([
    FRAME.WELCOME,
    FRAME.OPEN,
    FRAME.ATTACH,
    FRAME.DATA,
    FRAME.CREDIT,
    FRAME.RESET,
    FRAME.CANCEL,
    FRAME.DETACH,
    FRAME.DONE,
    FRAME.DEFER,
  ]),
  agent: new Set([
    FRAME.HELLO,
    FRAME.HEAD,
    FRAME.DATA,
    FRAME.CREDIT,
    FRAME.RESET,
    FRAME.REFUSE,
    FRAME.DEFERRED,
    FRAME.PARK,
    FRAME.CALL_BACK,
  ]),
};

/** A type's name as it stands in docs/protocol.md, for logs. */
export function frameName(type: FrameType): string {
  return Object.entries(FRAME).find(([, value]) => value === type)?.[0] ?? String(type);
}

const END_FLAG = 0x80;
const HIGHEST_TYPE = FRAME.CALL_BACK;

/** Bytes before a frame's payload. */
export const FRAME_HEADER_BYTES = 8;

/** A frame to send. Its payload is the concatenation of `parts`. */
export interface OutgoingFrame {
  readonly type: FrameType;
  readonly stream: number;
  readonly end: boolean;
  readonly parts: readonly Uint8Array[];
  /** The sum of the parts' lengths in bytes. */
  readonly length: number;
}

/** A received frame. `payload` is a view into the message. */
export interface IncomingFrame {
  readonly type: FrameType;
  readonly stream: number;
  readonly end: boolean;
  readonly payload: Uint8Array;
}

/** The peer broke the protocol. The link is closed with 4002 and this message. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

export function frame(
  type: FrameType,
  stream: number,
  parts: readonly Uint8Array[] = [],
  end = false,
): OutgoingFrame {
  let length = 0;
  for (const part of parts) length += part.length;
  return { type, stream, end, parts, length };
}

/**
 * Packs frames into the payload of one WebSocket message, as segments to send one after the other. Parts of
 * at least `referenceFrom` bytes become segments of their own, without a copy. Smaller ones are copied
 * together, because a system call for a few bytes costs more than their copy.
 */
export function packFrames(
  frames: readonly OutgoingFrame[],
  referenceFrom = Number.POSITIVE_INFINITY,
): Uint8Array[] {
  let copied = 0;
  for (const { parts } of frames) {
    copied += FRAME_HEADER_BYTES;
    for (const part of parts) if (part.length < referenceFrom) copied += part.length;
  }
  const buffer = new Uint8Array(copied);
  const segments: Uint8Array[] = [];
  let start = 0;
  let offset = 0;
  for (const { type, stream, end, parts, length } of frames) {
    writeHeader(buffer, offset, type, stream, length, end);
    offset += FRAME_HEADER_BYTES;
    for (const part of parts) {
      if (part.length < referenceFrom) {
        buffer.set(part, offset);
        offset += part.length;
      } else {
        segments.push(buffer.subarray(start, offset), part);
        start = offset;
      }
    }
  }
  if (offset > start) segments.push(buffer.subarray(start, offset));
  return segments;
}

/** Makes a message of one frame: writes the frame's header into the room before its payload. */
export function frameInPlace(message: Uint8Array, type: FrameType, stream: number): void {
  writeHeader(message, 0, type, stream, message.length - FRAME_HEADER_BYTES, false);
}

function writeHeader(
  buffer: Uint8Array,
  offset: number,
  type: FrameType,
  stream: number,
  length: number,
  end: boolean,
): void {
  buffer[offset] = end ? type | END_FLAG : type;
  buffer[offset + 1] = length >>> 16;
  buffer[offset + 2] = length >>> 8;
  buffer[offset + 3] = length;
  writeUint32(buffer, offset + 4, stream);
}

/**
 * Calls `deliver` for each frame of a message, in order.
 * @throws {ProtocolError} for an unknown type, or a length beyond the message or `MAX_FRAME_BYTES`
 */
export function unpackFrames(message: Uint8Array, deliver: (frame: IncomingFrame) => void): void {
  let offset = 0;
  while (offset < message.length) {
    if (message.length - offset < FRAME_HEADER_BYTES) {
      throw new ProtocolError("a frame header is cut off");
    }
    const first = message[offset] as number;
    const type = first & ~END_FLAG;
    if (type === 0 || type > HIGHEST_TYPE) throw new ProtocolError(`unknown frame type ${type}`);
    const length = readUint32(message, offset) & 0xffffff;
    const stream = readUint32(message, offset + 4);
    offset += FRAME_HEADER_BYTES;
    if (length > MAX_FRAME_BYTES)
      throw new ProtocolError(`a frame of ${length} bytes is too large`);
    if (length > message.length - offset) throw new ProtocolError("a frame payload is cut off");
    const payload = message.subarray(offset, offset + length);
    offset += length;
    deliver({ type: type as FrameType, stream, end: (first & END_FLAG) !== 0, payload });
  }
}

export function readUint32(bytes: Uint8Array, offset: number): number {
  return (
    (((bytes[offset] as number) << 24) |
      ((bytes[offset + 1] as number) << 16) |
      ((bytes[offset + 2] as number) << 8) |
      (bytes[offset + 3] as number)) >>>
    0
  );
}

export function writeUint32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeUint32(bytes, 0, value);
  return bytes;
}
