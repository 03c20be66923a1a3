/**
 * The server's side of a WebSocket (RFC 6455), by hand: the handshake, whole text messages in, whole
 * text messages out, pings, and an orderly end. It refuses what a chat of text does not need: binary
 * messages (1003), messages over 64 KiB (1009), extensions and subprotocols (never negotiated).
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

const MESSAGE_MAX_BYTES = 64 * 1024;
/** How long the peer may take to answer a close frame, and to close, before it is cut. */
const CLOSE_LIMIT_MS = 2_000;
/** Section 1.3: what the server appends to the client's key to show that it speaks WebSocket. */
const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const CONTINUATION = 0x0;
const TEXT = 0x1;
const BINARY = 0x2;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
const OPCODES = new Set([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG]);

/** Close codes that a server sends, section 7.4.1. */
export const CLOSE_CODE = {
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  invalidPayload: 1007,
  messageTooBig: 1009,
} as const;

interface Frame {
  readonly final: boolean;
  readonly opcode: number;
  readonly payload: Buffer;
  /** Bytes of the frame with its header. */
  readonly size: number;
}

/** The peer did something that ends the connection with `code`. */
class Violation extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Takes over the connection of a WebSocket handshake; undefined when it was refused with a 4xx. */
export function acceptTextSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): TextSocket | undefined {
  const key = request.headers["sec-websocket-key"] ?? "";
  const refusal =
    request.method !== "GET" || Buffer.from(key, "base64").length !== 16
      ? "400 Bad Request"
      : request.headers["sec-websocket-version"] !== "13"
        ? "426 Upgrade Required\r\nSec-WebSocket-Version: 13"
        : undefined;
  if (refusal !== undefined) {
    socket.on("error", () => socket.destroy());
    socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    return undefined;
  }
  const accept = createHash("sha1").update(key + ACCEPT_SUFFIX);
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${accept.digest("base64")}\r\n\r\n`,
  );
  return new TextSocket(socket, head);
}

export class TextSocket {
  /** Called with each whole text message, until the close starts. */
  onMessage: (text: string) => void = () => {};
  /** Aborted once nothing can be said any more. */
  readonly gone: AbortSignal;

  readonly #socket: Duplex;
  readonly #ended = new AbortController();
  #received: Buffer;
  /** The message that arrives in fragments, and how much of it is there; undefined between messages. */
  readonly #message = Buffer.alloc(MESSAGE_MAX_BYTES);
  #messageBytes: number | undefined;
  #closing = false;

  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    this.#received = head;
    this.gone = this.#ended.signal;
    socket.on("data", (bytes: Buffer) => {
      if (this.#closing) return;
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#read();
    });
    socket.on("end", () => this.#end());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#ended.abort("client left"));
    // Frames that came with the handshake wait until the caller has set `onMessage`.
    queueMicrotask(() => this.#read());
  }

  /** Sends a text message; resolves when there is room for the next, or nobody to send it to. */
  async send(text: string): Promise<void> {
    if (this.#closing || this.#write(TEXT, Buffer.from(text))) return;
    await once(this.#socket, "drain", { signal: this.gone }).catch(() => undefined);
  }

  /** Says goodbye, and cuts the connection if the peer does not close it in time. */
  close(code: number, reason = ""): void {
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
    payload.writeUInt16BE(code);
    payload.write(reason, 2);
    this.#end(payload);
  }

  #end(closePayload?: Buffer): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#ended.abort("client left");
    this.#received = Buffer.alloc(0);
    if (closePayload !== undefined) this.#write(CLOSE, closePayload);
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), CLOSE_LIMIT_MS).unref();
  }

  #read(): void {
    try {
      while (!this.#closing) {
        const frame = parseFrame(this.#received);
        if (frame === undefined) return;
        this.#received = this.#received.subarray(frame.size);
        this.#take(frame);
      }
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.close(error.code, error.message);
    }
  }

  #take({ opcode, payload, final }: Frame): void {
    switch (opcode) {
      case PONG:
        return;
      case PING:
        // A peer that pings but does not read gets no more pongs: the last ping's is enough (5.5.3).
        if (!this.#socket.writableNeedDrain) this.#write(PONG, payload);
        return;
      case CLOSE:
        checkClose(payload);
        this.#end(payload);
        return;
      case BINARY:
        throw new Violation(CLOSE_CODE.unsupportedData, "text messages only");
      default:
        this.#takeText(opcode, payload, final);
    }
  }

  #takeText(opcode: number, payload: Buffer, final: boolean): void {
    if ((opcode === CONTINUATION) !== (this.#messageBytes !== undefined))
      throw new Violation(CLOSE_CODE.protocolError, "fragments out of order");
    const before = this.#messageBytes ?? 0;
    const length = before + payload.length;
    if (length > MESSAGE_MAX_BYTES)
      throw new Violation(CLOSE_CODE.messageTooBig, "message over 64 KiB");
    payload.copy(this.#message, before);
    this.#messageBytes = final ? undefined : length;
    if (final) this.onMessage(decodeUtf8(this.#message.subarray(0, length)));
  }

  #write(opcode: number, payload: Buffer): boolean {
    const { length } = payload;
    const header =
      length < 126
        ? Buffer.from([0x80 | opcode, length])
        : length < 65_536
          ? Buffer.from([0x80 | opcode, 126, length >> 8, length & 0xff])
          : Buffer.from([0x80 | opcode, 127, 0, 0, 0, 0, 0, 0, 0, 0]);
    if (length >= 65_536) header.writeBigUInt64BE(BigInt(length), 2);
    return this.#socket.write(Buffer.concat([header, payload]));
  }
}

/** Section 5.2; undefined while the frame is not whole. Fails with what a frame must not be. */
function parseFrame(bytes: Buffer): Frame | undefined {
  if (bytes.length < 2) return undefined;
  const first = bytes.readUInt8(0);
  const second = bytes.readUInt8(1);
  const final = (first & 0x80) !== 0;
  const opcode = first & 0x0f;
  const shortLength = second & 0x7f;
  if ((first & 0x70) !== 0 || !OPCODES.has(opcode))
    throw new Violation(CLOSE_CODE.protocolError, "reserved bit or opcode");
  if ((second & 0x80) === 0) throw new Violation(CLOSE_CODE.protocolError, "frame without mask");
  if (opcode >= CLOSE && (!final || shortLength > 125))
    throw new Violation(CLOSE_CODE.protocolError, "control frame in fragments or over 125 bytes");

  const maskAt = shortLength < 126 ? 2 : shortLength === 126 ? 4 : 10;
  if (bytes.length < maskAt) return undefined;
  const length =
    maskAt === 2
      ? shortLength
      : maskAt === 4
        ? bytes.readUInt16BE(2)
        : Number(bytes.readBigUInt64BE(2));
  if (length > MESSAGE_MAX_BYTES)
    throw new Violation(CLOSE_CODE.messageTooBig, "message over 64 KiB");

  const payloadAt = maskAt + 4;
  const size = payloadAt + length;
  if (bytes.length < size) return undefined;
  const payload = Buffer.from(bytes.subarray(payloadAt, size));
  for (let index = 0; index < length; index++)
    payload[index] = bytes.readUInt8(payloadAt + index) ^ bytes.readUInt8(maskAt + (index % 4));
  return { final, opcode, payload, size };
}

/** Section 7.4: an empty close, or a code that may be sent and a reason in UTF-8. */
function checkClose(payload: Buffer): void {
  if (payload.length === 0) return;
  const code = payload.length === 1 ? 0 : payload.readUInt16BE(0);
  const allowed =
    (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) ||
    (code >= 3000 && code <= 4999);
  if (!allowed) throw new Violation(CLOSE_CODE.protocolError, "invalid close code");
  decodeUtf8(payload.subarray(2));
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Violation(CLOSE_CODE.invalidPayload, "not UTF-8");
  }
}
