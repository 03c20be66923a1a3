/**
 * The chunks whose delay the bench measures: server-sent events of one fixed length, as long as a
 * token's. Each has a sequence number and the time of its write. The reader takes them out of a chunked
 * response (RFC 9112, 7.1), whatever chunks and reads the servers on the way made of them.
 */

/** Digits of a fixed count, so that each chunk is as long as the others. */
const SEQUENCE_DIGITS = 7;
const TIME_DIGITS = 15;

const BEFORE_SEQUENCE = 'data: {"id":"chatcmpl-0001","index":';
const BEFORE_TIME = ',"at":';
const AFTER_TIME = ',"delta":" token"}\n\n';

const SEQUENCE_AT = BEFORE_SEQUENCE.length;
const TIME_AT = SEQUENCE_AT + SEQUENCE_DIGITS + BEFORE_TIME.length;

export const CHUNK_BYTES = TIME_AT + TIME_DIGITS + AFTER_TIME.length;

const SIZE_LINE = `${CHUNK_BYTES.toString(16)}\r\n`;
const HEAD_END = Buffer.from("\r\n\r\n");
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const DIGIT_ZERO = 0x30;

/** Both processes count from the machine's start: the time of one is the time of the other. */
const CLOCK_OFFSET_US = Number(process.hrtime.bigint()) / 1000 - performance.now() * 1000;

/** Microseconds on a clock that all processes of this machine share. */
export function sharedClockUs(): number {
  return Math.round(performance.now() * 1000 + CLOCK_OFFSET_US);
}

/** One chunk with its framing, all ASCII. */
export function framedChunk(sequence: number, writtenAtUs: number): string {
  const digits = String(sequence).padStart(SEQUENCE_DIGITS, "0");
  const time = String(writtenAtUs).padStart(TIME_DIGITS, "0");
  return `${SIZE_LINE}${BEFORE_SEQUENCE}${digits}${BEFORE_TIME}${time}${AFTER_TIME}\r\n`;
}

function number(bytes: Uint8Array, from: number, digits: number): number {
  let value = 0;
  for (let index = from; index < from + digits; index++) {
    value = value * 10 + (bytes[index] as number) - DIGIT_ZERO;
  }
  return value;
}

function hexDigit(byte: number): number {
  const value = Number.parseInt(String.fromCharCode(byte), 16);
  if (Number.isNaN(value)) throw new Error(`a chunk's size has the byte ${byte}`);
  return value;
}

/** Reads one response. Throws at another status, at a lost, doubled or reordered chunk, and at its end. */
export class ChunkReader {
  readonly #onChunk: (writtenAtUs: number) => void;
  #head: Buffer | undefined = Buffer.alloc(0);
  /** Of the current HTTP chunk: what its size line says so far, and what of its data is to come. */
  #size: number | undefined;
  #left = 0;
  /** The part of a chunk of ours that came in an earlier piece. */
  readonly #partial = Buffer.alloc(CHUNK_BYTES);
  #partialBytes = 0;
  #sequence = 0;

  constructor(onChunk: (writtenAtUs: number) => void) {
    this.#onChunk = onChunk;
  }

  /** The first `end` bytes of the buffer, which the caller may use again afterwards. */
  read(buffer: Buffer, end = buffer.length): void {
    if (this.#head === undefined) {
      this.#readBody(buffer, 0, end);
      return;
    }
    const head = Buffer.concat([this.#head, buffer.subarray(0, end)]);
    const headEnd = head.indexOf(HEAD_END);
    this.#head = headEnd === -1 ? head : undefined;
    if (headEnd === -1) return;
    const text = head.toString("latin1", 0, headEnd);
    if (!/^HTTP\/1\.1 200 [^]*\r\ntransfer-encoding: chunked/i.test(text)) {
      throw new Error(`unexpected answer: ${text}`);
    }
    this.#readBody(head, headEnd + HEAD_END.length, head.length);
  }

  #readBody(buffer: Buffer, from: number, end: number): void {
    let at = from;
    while (at < end) {
      if (this.#left > 0) {
        const dataEnd = Math.min(at + this.#left, end);
        this.#readData(buffer, at, dataEnd);
        this.#left -= dataEnd - at;
        at = dataEnd;
      } else {
        this.#readFraming(buffer[at++] as number);
      }
    }
  }

  /** A byte of a size line, or of the line end behind a chunk's data, which has no digits. */
  #readFraming(byte: number): void {
    if (byte === CARRIAGE_RETURN) return;
    if (byte !== LINE_FEED) {
      this.#size = (this.#size ?? 0) * 16 + hexDigit(byte);
      return;
    }
    if (this.#size === 0) throw new Error("the stream ended");
    this.#left = this.#size ?? 0;
    this.#size = undefined;
  }

  #readData(buffer: Buffer, from: number, end: number): void {
    let at = from;
    if (this.#partialBytes === 0) {
      for (; end - at >= CHUNK_BYTES; at += CHUNK_BYTES) this.#take(buffer, at);
    }
    while (at < end) {
      const taken = Math.min(CHUNK_BYTES - this.#partialBytes, end - at);
      buffer.copy(this.#partial, this.#partialBytes, at, at + taken);
      this.#partialBytes += taken;
      at += taken;
      if (this.#partialBytes < CHUNK_BYTES) return;
      this.#partialBytes = 0;
      this.#take(this.#partial, 0);
    }
  }

  #take(bytes: Uint8Array, from: number): void {
    const sequence = number(bytes, from + SEQUENCE_AT, SEQUENCE_DIGITS);
    if (sequence !== this.#sequence) {
      throw new Error(`chunk ${sequence} came in place of chunk ${this.#sequence}`);
    }
    this.#sequence++;
    this.#onChunk(number(bytes, from + TIME_AT, TIME_DIGITS));
  }
}
