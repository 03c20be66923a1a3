/** Frames as tests write them: valid or not, masked or not, exactly these bytes (RFC 6455, 5.2). */
import { randomBytes } from "node:crypto";

import { applyMask, OPCODE } from "../../origin-gpu/websocket/frames.ts";

export interface FrameParts {
  readonly opcode: number;
  readonly payload?: string | Uint8Array;
  /** True unless said otherwise. */
  readonly fin?: boolean;
  /** The three reserved bits as a number, RSV1 the highest. */
  readonly reserved?: number;
  /** Bytes of extended length; by default as few as do. */
  readonly extendedLength?: 0 | 2 | 8;
}

/** A frame as a server sends it, or as a client that forgot the mask. */
export function unmaskedFrame(parts: FrameParts): Buffer {
  const payload = Buffer.from(parts.payload ?? "");
  return Buffer.concat([head(parts, payload.length), payload]);
}

/** A frame as a client sends it. */
export function maskedFrame(parts: FrameParts): Buffer {
  const payload = Buffer.from(parts.payload ?? "");
  const key = randomBytes(4);
  const bytes = head(parts, payload.length);
  bytes[1] = (bytes[1] as number) | 0x80;
  applyMask(payload, key, 0);
  return Buffer.concat([bytes, key, payload]);
}

/** The payload of a Close frame. */
export function closePayload(code: number, reason: string | Uint8Array = ""): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(code);
  return Buffer.concat([bytes, Buffer.from(reason)]);
}

/** A message cut into fragments of these payloads. */
export function fragments(
  opcode: number,
  payloads: readonly (string | Uint8Array)[],
): FrameParts[] {
  return payloads.map((payload, index) => ({
    opcode: index === 0 ? opcode : OPCODE.continuation,
    payload,
    fin: index === payloads.length - 1,
  }));
}

function head(parts: FrameParts, length: number): Buffer {
  const { opcode, fin = true, reserved = 0 } = parts;
  const fewest = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const extended = parts.extendedLength ?? fewest;
  const bytes = Buffer.alloc(2 + extended);
  bytes[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  bytes[1] = extended === 0 ? length : extended === 2 ? 126 : 127;
  if (extended === 2) bytes.writeUInt16BE(length, 2);
  if (extended === 8) bytes.writeBigUInt64BE(BigInt(length), 2);
  return bytes;
}
