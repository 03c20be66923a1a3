/**
 * One direction of a relayed WebSocket. It takes a server's frames, in the pieces in which they were read, and writes
 * them masked. It changes nothing else of them and collects no message, but counts the bytes of each against a limit.
 * After a Close frame nothing passes any more (RFC 6455, 5.5.1). It knows no sockets.
 */
import { randomBytes } from "node:crypto";

import {
  applyMask,
  type FrameHead,
  FrameReader,
  type FrameSink,
  isControl,
  maskedClose,
  maskedHead,
  maskedInvalid,
  OPCODE,
} from "./frames.ts";

/** RFC 6455, 7.4.1. */
const CLOSE_WITHOUT_CODE = 1005;

/**
 * A key of zero bytes lets payloads pass untouched. Masking exists because a browser sends bytes that a
 * hostile page chose through intermediaries that might take them for HTTP (RFC 6455, 10.3); over
 * loopback, a Unix socket or TLS there is no such intermediary.
 */
const ZERO_KEY = new Uint8Array(4);

export interface ForwarderOptions {
  /** A fresh random key per frame instead of zeros; needed where others see the bytes on their way. */
  readonly randomMask: boolean;
  /** Payload bytes of one message, all its fragments together; and of any other frame. */
  readonly maxMessageBytes: number;
  /** Takes the bytes to send, in order. */
  readonly write: (pieces: Uint8Array[]) => void;
  /** A Close frame of the source has passed. 1005: it had no code. */
  readonly onClose: (code: number, reason: string) => void;
  /** The source began a message that may not pass; nothing of the frame has. Both ends must be closed. */
  readonly onTooLarge: () => void;
  /** The source broke the rules for servers; nothing of the frame has passed. */
  readonly onProtocolError: (what: string) => void;
}

export class Forwarder implements FrameSink {
  /** Payload bytes of messages that have passed. */
  bytes = 0;
  readonly #options: ForwarderOptions;
  readonly #reader = new FrameReader();
  #pieces: Uint8Array[] = [];
  #over = false;
  #messageBytes = 0;
  /** The frame that is passing: its opcode, its key, and how much of its payload has and has not passed. */
  #opcode = 0;
  #key: Uint8Array = ZERO_KEY;
  #passed = 0;
  #left = 0;
  #closePayload: Uint8Array[] = [];
  /** Our own Close frame, waiting for the frame that is passing to end. */
  #ownClose: Uint8Array | undefined;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** The last frame has left; later bytes of the source are dropped. */
  get over(): boolean {
    return this.#over;
  }

  /** Takes what was read of the source. Payloads may be masked in place. */
  read(chunk: Uint8Array): void {
    if (this.#over) return;
    this.#reader.read(chunk, this);
    this.#flush();
  }

  /** Sends a Close frame of ours as soon as the frame that is passing has ended, and nothing after it. */
  close(code: number, reason: string): void {
    if (this.#over) return;
    this.#ownClose ??= maskedClose(code, reason, this.#newKey());
    if (this.#left > 0) return;
    this.#endWithOwnClose();
    this.#flush();
  }

  /**
   * Passes on that the source broke off without a Close frame. No frame says so (1006 may not be sent),
   * and workerd does not pass a bare FIN on to its client; but a frame that is invalid makes the reader
   * fail the WebSocket, after everything that came before. Its client sees 1006.
   * @returns false inside a frame, where nothing can be said
   */
  breakOff(): boolean {
    if (this.#left > 0) return false;
    this.#over = true;
    this.#pieces.push(maskedInvalid(this.#newKey()));
    this.#flush();
    return true;
  }

  onHead(head: FrameHead): void {
    if (this.#over) return;
    const { opcode, length } = head;
    const { maxMessageBytes, onTooLarge, onProtocolError } = this.#options;
    if (head.maskingKey !== undefined) {
      onProtocolError("a server masked a frame");
      return;
    }
    const sum = isControl(opcode) ? length : this.#sumOfMessage(opcode, length);
    if (sum > maxMessageBytes) {
      onTooLarge();
      return;
    }
    this.#opcode = opcode;
    this.#key = this.#newKey();
    this.#passed = 0;
    this.#left = length;
    this.#pieces.push(maskedHead(head, this.#key));
    if (length === 0) this.#frameEnded();
  }

  onPayload(bytes: Uint8Array): void {
    if (this.#over) return;
    // A copy, which `slice` of a Buffer is not: the mask is put onto these very bytes.
    if (this.#opcode === OPCODE.close) this.#closePayload.push(new Uint8Array(bytes));
    else if (!isControl(this.#opcode)) this.bytes += bytes.length;
    if (this.#key !== ZERO_KEY) applyMask(bytes, this.#key, this.#passed);
    this.#pieces.push(bytes);
    this.#passed += bytes.length;
    this.#left -= bytes.length;
    if (this.#left === 0) this.#frameEnded();
  }

  /** Payload bytes of the message so far. A frame that is no continuation starts a new message. */
  #sumOfMessage(opcode: number, length: number): number {
    this.#messageBytes = (opcode === OPCODE.continuation ? this.#messageBytes : 0) + length;
    return this.#messageBytes;
  }

  #frameEnded(): void {
    if (this.#opcode === OPCODE.close) {
      this.#over = true;
      const payload = Buffer.concat(this.#closePayload);
      const code = payload.length < 2 ? CLOSE_WITHOUT_CODE : payload.readUInt16BE();
      this.#options.onClose(code, payload.toString("utf8", 2));
    } else if (this.#ownClose !== undefined) this.#endWithOwnClose();
  }

  #endWithOwnClose(): void {
    if (this.#ownClose !== undefined) this.#pieces.push(this.#ownClose);
    this.#over = true;
  }

  #newKey(): Uint8Array {
    return this.#options.randomMask ? randomBytes(ZERO_KEY.length) : ZERO_KEY;
  }

  #flush(): void {
    if (this.#pieces.length === 0) return;
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#options.write(pieces);
  }
}
