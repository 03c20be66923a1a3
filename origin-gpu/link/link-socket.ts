/**
 * The link's WebSocket (RFC 6455) at the agent's end, over the raw socket of a finished handshake. It takes whole
 * binary messages in, sends segments without a copy, and keeps the link alive. The gateway is the server: its frames
 * come unmasked and ours leave masked.
 */
import type { Socket } from "node:net";
import { MIB } from "../../base/units.ts";
import { KEEPALIVE_INTERVAL_MS, KEEPALIVE_TIMEOUT_MS } from "../../routing/wire/limits.ts";
import { type FrameHead, OPCODE } from "../websocket/frames.ts";
import type { SocketReads } from "../websocket/socket-reads.ts";
import { WholeFrames } from "./whole-frames.ts";

/** No gateway of ours sends a larger message: a link grants it 32 MiB at most, which it sends in pieces. */
const MAX_MESSAGE_BYTES = 64 * MIB;

/** How long the peer may take to end its half after the closing handshake. */
const CLOSE_TIMEOUT_MS = 5_000;

export interface LinkSocketEvents {
  /** The bytes are valid until this returns. */
  onMessage(message: Uint8Array): void;
  onDrain(): void;
  /** Once. The code is 1006 where the connection ended without a close frame. */
  onClose(code: number, reason: string): void;
}

export class LinkSocket {
  readonly #socket: Socket;
  readonly #events: LinkSocketEvents;
  readonly #randomMask: (() => Uint8Array) | undefined;
  readonly #frames = new WholeFrames(MAX_MESSAGE_BYTES, {
    onFrame: (head, payload) => this.#onFrame(head, payload),
    onRefused: () => this.close(1002, "a frame that this agent does not take"),
  });
  #fragments: Buffer[] = [];
  /** Something came since the last look. */
  #hasHeard = true;
  /** Looks in a row before which nothing came. */
  #silentLooks = 0;
  #keepalive: ReturnType<typeof setInterval>;
  #closed = false;

  /**
   * @param head bytes that came with the handshake
   * @param reads of this socket
   * @param randomMask makes four random bytes for each frame, where the path is neither TLS nor loopback: no peer
   *   may choose the bytes that an intermediary sees (RFC 6455, 10.3). Elsewhere the zero mask saves a pass.
   */
  constructor(
    socket: Socket,
    head: Buffer,
    reads: SocketReads,
    events: LinkSocketEvents,
    randomMask?: () => Uint8Array,
  ) {
    this.#socket = socket;
    this.#events = events;
    this.#randomMask = randomMask;
    socket.setNoDelay(true);
    socket.on("drain", () => events.onDrain());
    socket.on("error", () => undefined);
    socket.on("close", () => this.#ended(1006, "the connection ended"));
    socket.on("end", () => socket.destroy());
    this.#keepalive = setInterval(() => this.#keepAlive(), KEEPALIVE_INTERVAL_MS);
    queueMicrotask(() => {
      this.#receive(head);
      reads.start((bytes) => this.#receive(bytes));
    });
  }

  /** More waits to leave than the kernel takes. */
  get congested(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** Sends one binary message that consists of these segments. */
  send(segments: readonly Uint8Array[]): void {
    this.#sendFrame(OPCODE.binary, segments);
  }

  close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#sendFrame(OPCODE.close, [closePayload(code, reason)]);
    this.#end();
    this.#ended(code, reason);
  }

  /** Cuts the connection without a word. @param reason for `onClose` */
  destroy(reason = "cut"): void {
    this.#socket.resetAndDestroy();
    this.#ended(1006, reason);
  }

  #sendFrame(opcode: number, segments: readonly Uint8Array[]): void {
    if (this.#closed) return;
    let length = 0;
    for (const segment of segments) length += segment.length;
    const socket = this.#socket;
    const mask = this.#randomMask?.();
    socket.cork();
    socket.write(frameHeader(opcode, length, mask));
    if (mask === undefined) for (const segment of segments) socket.write(segment);
    else socket.write(masked(segments, length, mask));
    socket.uncork();
  }

  #receive(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#hasHeard = true;
    this.#frames.read(bytes);
  }

  #onFrame({ opcode, fin }: FrameHead, payload: Uint8Array): void {
    if (this.#closed) return;
    switch (opcode) {
      case OPCODE.binary:
      case OPCODE.continuation:
        if (fin && this.#fragments.length === 0) this.#events.onMessage(payload);
        else {
          this.#fragments.push(Buffer.from(payload));
          if (!fin) return;
          const message = Buffer.concat(this.#fragments);
          this.#fragments = [];
          this.#events.onMessage(message);
        }
        return;
      case OPCODE.ping:
        this.#sendFrame(OPCODE.pong, [Buffer.from(payload)]);
        return;
      case OPCODE.close: {
        const answer = Buffer.from(payload);
        const code = answer.length >= 2 ? answer.readUInt16BE(0) : 1005;
        const reason = answer.toString("utf8", 2);
        this.#sendFrame(OPCODE.close, [answer]);
        this.#end();
        this.#ended(code, reason);
        return;
      }
      default:
      // A text is the gateway's response to a ping; its content does not matter.
    }
  }

  /**
   * The gateway's runtime answers the ping, even while its object sleeps. This counts looks, and no time: a process that
   * got no processor for a while looks late, and reads what came meanwhile before it looks again.
   */
  #keepAlive(): void {
    this.#silentLooks = this.#hasHeard ? 0 : this.#silentLooks + 1;
    this.#hasHeard = false;
    if (this.#silentLooks * KEEPALIVE_INTERVAL_MS >= KEEPALIVE_TIMEOUT_MS) {
      this.#socket.destroy();
      this.#ended(1006, "nothing was heard of the gateway");
    } else this.#sendFrame(OPCODE.text, [Buffer.from("ping")]);
  }

  /** Ends the connection, after a bounded wait for the peer to end its half. */
  #end(): void {
    const socket = this.#socket;
    socket.end();
    setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS).unref();
  }

  #ended(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#keepalive);
    this.#events.onClose(code, reason);
  }
}

function frameHeader(opcode: number, length: number, mask: Uint8Array | undefined): Buffer {
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const header = Buffer.alloc(6 + extended);
  header[0] = 0x80 | opcode;
  if (extended === 0) header[1] = 0x80 | length;
  else if (extended === 2) {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(length, 2);
  } else {
    header[1] = 0x80 | 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  if (mask !== undefined) header.set(mask, 2 + extended);
  return header;
}

function masked(segments: readonly Uint8Array[], length: number, mask: Uint8Array): Buffer {
  const bytes = Buffer.concat(segments, length);
  for (let index = 0; index < length; index += 1) {
    bytes[index] = (bytes[index] as number) ^ (mask[index & 3] as number);
  }
  return bytes;
}

function closePayload(code: number, reason: string): Buffer {
  const text = Buffer.from(reason, "utf8").subarray(0, 123);
  const payload = Buffer.alloc(2 + text.length);
  payload.writeUInt16BE(code, 0);
  text.copy(payload, 2);
  return payload;
}
