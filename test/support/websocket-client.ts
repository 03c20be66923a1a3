/**
 * A WebSocket client on a bare socket, for conformance tests: it sends exactly the bytes it is given and
 * writes down what it sees. It answers a Close frame and nothing else, and is as strict as a client must
 * be about what it receives (RFC 6455, 5 and 8.1; RFC 7692 where it was negotiated).
 */
import { isUtf8 } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import { constants, inflateRawSync } from "node:zlib";

import {
  applyMask,
  type FrameHead,
  FrameReader,
  OPCODE,
} from "../../origin-gpu/websocket/frames.ts";
import type { Address } from "./http-client.ts";
import { headerValues, RawConnection, type RawResponse } from "./raw-http.ts";
import { closePayload, maskedFrame } from "./websocket-frames.ts";

/** What a client has seen of a WebSocket, as far as it can be compared between two ways to one app. */
export interface Seen {
  /** Kind and content of each message; long ones by length and digest. */
  readonly messages: string[];
  readonly pongs: string[];
  /** Code and reason of the server's Close frame, or that there was none. */
  close: string;
}

/** How long a server may take to answer or to end the connection. */
const PATIENCE_MS = 5_000;
const SHOWN_CHARACTERS = 60;

export class ClientSocket {
  readonly response: RawResponse;
  readonly seen: Seen = { messages: [], pongs: [], close: "no Close frame" };
  readonly #connection: RawConnection;
  readonly #reader = new FrameReader();
  readonly #compressed: boolean;
  #head: FrameHead | undefined;
  #payload: Buffer[] = [];
  #left = 0;
  #message: { opcode: number; compressed: boolean; parts: Buffer[] } | undefined;
  #window = Buffer.alloc(0);
  #closeSent = false;
  #closed = false;
  #reading: Promise<Buffer> | undefined;
  #over = false;

  private constructor(connection: RawConnection, response: RawResponse) {
    this.#connection = connection;
    this.response = response;
    this.#compressed = headerValues(response, "sec-websocket-extensions").length > 0;
  }

  /** Sends a handshake and reads its answer, a refusal whole; that is no error here. */
  static async connect(
    address: Address,
    path: string,
    headers: readonly string[] = [],
  ): Promise<ClientSocket> {
    const connection = await RawConnection.connect(address.port);
    connection.send(handshakeRequest(address.host, path, headers));
    return new ClientSocket(connection, await connection.response());
  }

  /** Sends in one write, or in pieces that reach the server one by one. */
  async send(bytes: Uint8Array, pieceBytes = bytes.length): Promise<void> {
    for (let start = 0; start < bytes.length; start += pieceBytes) {
      this.#connection.send(bytes.subarray(start, start + pieceBytes));
      if (pieceBytes < bytes.length) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Sends a Close frame; the server's own is awaited by `ended`. */
  close(code: number, reason: string): void {
    this.#closeSent = true;
    this.#connection.send(
      maskedFrame({ opcode: OPCODE.close, payload: closePayload(code, reason) }),
    );
  }

  /** Marks that the bytes which were sent held a Close frame. */
  closedByHand(): void {
    this.#closeSent = true;
  }

  /** Stops reading, so that what the server sends piles up on the way. */
  pause(): void {
    this.#connection.socket.pause();
  }

  resume(): void {
    this.#connection.socket.resume();
  }

  /** What was sent and has not left this process yet. */
  get unsentBytes(): number {
    return this.#connection.socket.writableLength;
  }

  finish(): void {
    this.#connection.finish();
  }

  reset(): void {
    this.#connection.reset();
  }

  /** Reads until this message has come (true) or nothing more can come (false). */
  async awaitMessage(text: string): Promise<boolean> {
    while (this.seen.messages.at(-1) !== `text ${JSON.stringify(text)}`) {
      if (!(await this.#readMore())) return false;
    }
    return true;
  }

  /** Reads until the server has sent a Close frame or ended the connection (true), or the time is up. */
  async endsWithin(milliseconds: number): Promise<boolean> {
    const until = performance.now() + milliseconds;
    while (!this.#over && !this.#closed) {
      const left = until - performance.now();
      if (left <= 0) return false;
      await this.#readMore(left);
    }
    return true;
  }

  /** Reads until the server has ended the connection. */
  async ended(): Promise<void> {
    while (await this.#readMore());
    this.#connection.finish();
  }

  /** @param patience milliseconds; by default a server that takes longer will never end it */
  async #readMore(patience?: number): Promise<boolean> {
    if (this.#over) return false;
    // A read that was given up goes on, and the next one must not pass it.
    this.#reading ??= this.#connection.nextBytes(PATIENCE_MS);
    if (patience !== undefined && (await isLate(this.#reading, patience))) return false;
    let bytes: Buffer;
    try {
      bytes = await this.#reading;
    } catch {
      this.seen.close += ", never ended";
      this.#over = true;
      return false;
    } finally {
      this.#reading = undefined;
    }
    if (bytes.length === 0) {
      this.#over = true;
      return false;
    }
    this.#reader.read(bytes, {
      onHead: (head) => {
        this.#head = head;
        this.#payload = [];
        this.#left = head.length;
        if (head.length === 0) this.#frame(head, Buffer.alloc(0));
      },
      onPayload: (piece) => {
        this.#payload.push(Buffer.from(piece));
        this.#left -= piece.length;
        if (this.#left === 0 && this.#head) this.#frame(this.#head, Buffer.concat(this.#payload));
      },
    });
    return true;
  }

  #frame(head: FrameHead, payload: Buffer): void {
    if (head.maskingKey !== undefined) {
      applyMask(payload, head.maskingKey, 0);
      this.#fail("masked");
    }
    const reserved = ((head.bytes[0] as number) >> 4) & 7;
    const startsMessage = head.opcode === OPCODE.text || head.opcode === OPCODE.binary;
    if (reserved !== 0 && !(reserved === 4 && this.#compressed && startsMessage)) {
      this.#fail(`reserved bits ${reserved}`);
    }
    switch (head.opcode) {
      case OPCODE.text:
      case OPCODE.binary:
        if (this.#message !== undefined) this.#fail("a message inside a message");
        this.#message = { opcode: head.opcode, compressed: reserved === 4, parts: [payload] };
        break;
      case OPCODE.continuation:
        if (this.#message === undefined) this.#fail("a continuation of nothing");
        this.#message?.parts.push(payload);
        break;
      case OPCODE.close:
        this.#receivedClose(payload);
        return;
      case OPCODE.ping:
        return;
      case OPCODE.pong:
        this.seen.pongs.push(describe(payload, "hex"));
        return;
      default:
        this.#fail(`opcode ${head.opcode}`);
    }
    if (head.fin) this.#messageEnded();
  }

  #messageEnded(): void {
    if (this.#message === undefined) return;
    const { opcode, compressed, parts } = this.#message;
    this.#message = undefined;
    const sent = Buffer.concat(parts);
    const bytes = compressed ? this.#inflate(sent) : sent;
    if (opcode === OPCODE.binary) this.seen.messages.push(`binary ${describe(bytes, "hex")}`);
    else if (!isUtf8(bytes)) this.#fail("a text that is no UTF-8");
    else this.seen.messages.push(`text ${describe(bytes)}`);
  }

  /** RFC 7692, 7.2.2; the window goes on from message to message. */
  #inflate(bytes: Buffer): Buffer {
    const inflated = inflateRawSync(Buffer.concat([bytes, Buffer.from([0, 0, 0xff, 0xff])]), {
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(this.#window.length === 0 ? {} : { dictionary: this.#window }),
    });
    this.#window = Buffer.concat([this.#window, inflated]).subarray(-32_768);
    return inflated;
  }

  #receivedClose(payload: Buffer): void {
    this.#closed = true;
    if (payload.length === 0) this.seen.close = "Close without a code";
    else {
      const reason = payload.toString("utf8", 2);
      this.seen.close = `Close ${payload.readUInt16BE()} ${JSON.stringify(reason)}`;
    }
    if (this.#closeSent) return;
    this.#closeSent = true;
    this.#connection.send(maskedFrame({ opcode: OPCODE.close, payload: payload.subarray(0, 2) }));
  }

  #fail(what: string): void {
    this.seen.messages.push(`BROKEN FRAME: ${what}`);
  }
}

/** Whether a promise has not settled within so many milliseconds. */
async function isLate(promise: Promise<unknown>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), milliseconds);
  });
  const inTime = promise.then(
    () => false,
    () => false,
  );
  const result = await Promise.race([inTime, late]);
  clearTimeout(timer);
  return result;
}

/** A handshake request; lines that are given take the place of the usual ones. */
function handshakeRequest(host: string, path: string, headers: readonly string[]): string {
  const usual = [
    `Host: ${host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
  ];
  const nameOf = (line: string) => line.slice(0, line.indexOf(":")).toLowerCase();
  const given = new Set(headers.map(nameOf));
  const lines = [...usual.filter((line) => !given.has(nameOf(line))), ...headers];
  return `GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

function describe(bytes: Buffer, encoding: "utf8" | "hex" = "utf8"): string {
  if (bytes.length <= SHOWN_CHARACTERS) return JSON.stringify(bytes.toString(encoding));
  const digest = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  return `of ${bytes.length} bytes, ${digest}`;
}
