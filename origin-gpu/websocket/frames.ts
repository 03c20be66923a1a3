/**
 * Reads WebSocket frames (RFC 6455, 5.2) from a byte stream that may come in any pieces, and writes their heads
 * with the mask bit set. A payload leaves as views of the bytes that were read; none is collected. This file
 * judges no frame: reserved bits, opcodes and lengths pass as they are, and the peer that reads them judges.
 */

export const OPCODE = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

/** One of the opcodes that are "reserved for further control frames" (5.2). */
const RESERVED_OPCODE = 0xf;

const FIN_BIT = 0x80;
const MASK_BIT = 0x80;
const LENGTH_BITS = 0x7f;
const OPCODE_BITS = 0x0f;
/** Opcodes from here on are control frames (5.5), which are not fragmented and belong to no message. */
const FIRST_CONTROL_OPCODE = 0x8;
const MASKING_KEY_BYTES = 4;
/** Two bytes, eight of extended length, four of masking key (5.2). */
const MAX_HEAD_BYTES = 14;

export interface FrameHead {
  readonly fin: boolean;
  readonly opcode: number;
  /** Payload bytes. A length beyond 2^53 is rounded: it is over each limit in any case. */
  readonly length: number;
  /** Four bytes, where the mask bit is set. */
  readonly maskingKey: Uint8Array | undefined;
  /** The head as it came, without the masking key: the first byte, and the length in the peer's encoding. */
  readonly bytes: Uint8Array;
}

/** Gets the frames that a FrameReader finds, in order: a head, then its payload in any number of pieces. */
export interface FrameSink {
  onHead(head: FrameHead): void;
  /** The piece is not empty and ends within the frame. A masked payload is still masked. */
  onPayload(bytes: Uint8Array): void;
}

/** Finds the frames in a byte stream. */
export class FrameReader {
  /** The first bytes of a head whose rest has not come yet. */
  readonly #partial = new Uint8Array(MAX_HEAD_BYTES);
  #partialLength = 0;
  #payloadLeft = 0;

  read(chunk: Uint8Array, sink: FrameSink): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#payloadLeft > 0) {
        const end = Math.min(chunk.length, offset + this.#payloadLeft);
        this.#payloadLeft -= end - offset;
        sink.onPayload(chunk.subarray(offset, end));
        offset = end;
        continue;
      }
      if (this.#partialLength === 0) {
        const size = headSize(chunk, offset, chunk.length);
        if (size !== undefined && offset + size <= chunk.length) {
          this.#found(chunk.subarray(offset, offset + size), sink);
          offset += size;
          continue;
        }
      }
      offset = this.#readPartial(chunk, offset, sink);
    }
  }

  /** Reads a head byte by byte. Only a head that a read has cut in two comes here. */
  #readPartial(chunk: Uint8Array, start: number, sink: FrameSink): number {
    let offset = start;
    while (offset < chunk.length) {
      this.#partial[this.#partialLength] = chunk[offset] as number;
      this.#partialLength += 1;
      offset += 1;
      if (this.#partialLength === headSize(this.#partial, 0, this.#partialLength)) {
        const whole = this.#partial.slice(0, this.#partialLength);
        this.#partialLength = 0;
        this.#found(whole, sink);
        break;
      }
    }
    return offset;
  }

  #found(whole: Uint8Array, sink: FrameSink): void {
    const head = parseHead(whole);
    this.#payloadLeft = head.length;
    sink.onHead(head);
  }
}

/** Whether a frame is a control frame, which may stand between the fragments of a message (5.4). */
export function isControl(opcode: number): boolean {
  return opcode >= FIRST_CONTROL_OPCODE;
}

/** The same head with the mask bit set and this key: what a client sends (5.3). */
export function maskedHead(head: FrameHead, key: Uint8Array): Uint8Array {
  const { bytes } = head;
  const masked = new Uint8Array(bytes.length + MASKING_KEY_BYTES);
  masked.set(bytes);
  masked[1] = (bytes[1] as number) | MASK_BIT;
  masked.set(key, bytes.length);
  return masked;
}

/**
 * Masks or unmasks in place (5.3; the operation is its own inverse).
 * @param position how many bytes of the same payload came before these
 */
export function applyMask(bytes: Uint8Array, key: Uint8Array, position: number): void {
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = (bytes[index] as number) ^ (key[(position + index) & 3] as number);
  }
}

/** A whole masked Close frame (5.5.1). The reason is at most 123 bytes of UTF-8. */
export function maskedClose(code: number, reason: string, key: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(reason);
  const payload = new Uint8Array(2 + text.length);
  new DataView(payload.buffer).setUint16(0, code);
  payload.set(text, 2);
  return maskedControl(OPCODE.close, payload, key);
}

/** A masked frame with a reserved opcode. Its receiver must fail the WebSocket (5.2). */
export function maskedInvalid(key: Uint8Array): Uint8Array {
  return maskedControl(RESERVED_OPCODE, new Uint8Array(0), key);
}

function maskedControl(opcode: number, payload: Uint8Array, key: Uint8Array): Uint8Array {
  const frame = new Uint8Array(2 + MASKING_KEY_BYTES + payload.length);
  frame[0] = FIN_BIT | opcode;
  frame[1] = MASK_BIT | payload.length;
  frame.set(key, 2);
  frame.set(payload, 2 + MASKING_KEY_BYTES);
  applyMask(frame.subarray(2 + MASKING_KEY_BYTES), key, 0);
  return frame;
}

/** Bytes of the head that starts here, or undefined while its first two bytes are not there. */
function headSize(bytes: Uint8Array, offset: number, end: number): number | undefined {
  if (end - offset < 2) return undefined;
  const second = bytes[offset + 1] as number;
  return 2 + extendedLengthBytes(second) + (second & MASK_BIT ? MASKING_KEY_BYTES : 0);
}

function extendedLengthBytes(second: number): 0 | 2 | 8 {
  const length = second & LENGTH_BITS;
  if (length === 126) return 2;
  return length === 127 ? 8 : 0;
}

function parseHead(whole: Uint8Array): FrameHead {
  const first = whole[0] as number;
  const second = whole[1] as number;
  const extended = extendedLengthBytes(second);
  const view = new DataView(whole.buffer, whole.byteOffset, whole.byteLength);
  let length = second & LENGTH_BITS;
  if (extended === 2) length = view.getUint16(2);
  if (extended === 8) length = view.getUint32(2) * 2 ** 32 + view.getUint32(6);
  const masked = (second & MASK_BIT) !== 0;
  return {
    fin: (first & FIN_BIT) !== 0,
    opcode: first & OPCODE_BITS,
    length,
    maskingKey: masked ? whole.subarray(2 + extended) : undefined,
    bytes: whole.subarray(0, 2 + extended),
  };
}
