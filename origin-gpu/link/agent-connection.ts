/**
 * One connection of a link, at the agent's end: a socket and the streams on it, and when frames leave. It lives
 * from a finished dial until the socket closes; link.ts dials the next one.
 */
import { randomBytes } from "node:crypto";
import type { Observer } from "../../base/observer.ts";
import { KIB, MIB } from "../../base/units.ts";
import { frameTap } from "../../routing/wire/frame-tap.ts";
import {
  FRAME,
  type FrameType,
  type OutgoingFrame,
  packFrames,
  ProtocolError,
} from "../../routing/wire/frames.ts";
import { type Acceptor, Multiplexer } from "../../routing/wire/multiplexer.ts";
import { BATCH_MS, Batching } from "./batching.ts";
import type { SocketReads } from "../websocket/socket-reads.ts";
import type { Dialled } from "./gateway-address.ts";
import { LinkSocket } from "./link-socket.ts";

/** Parts of a message from this size on are handed to the socket as they are. */
const REFERENCE_FROM_BYTES = 4 * KIB;

/** Frames are packed into messages of about this size, which bounds what a peer must take in at once. */
const MESSAGE_BYTES = MIB;

/** The agent's close codes (docs/protocol.md). */
const CLOSE_PROTOCOL_ERROR = 4002;

export interface AgentConnectionOptions {
  readonly dialled: Extract<Dialled, { kind: "open" }>;
  readonly reads: SocketReads;
  /** Frames leave with a random mask. */
  readonly needsMask: boolean;
  readonly number: number;
  readonly acceptor: Acceptor;
  readonly observer: Observer;
  /** WELCOME, as JSON text. @throws {ProtocolError} */
  readonly onWelcome: (text: string) => void;
  readonly onDrained: () => void;
  /** Once. */
  readonly onClosed: (code: number, reason: string) => void;
}

export class AgentConnection {
  readonly #socket: LinkSocket;
  readonly #streams: Multiplexer;

  constructor(options: AgentConnectionOptions) {
    const { dialled, reads, needsMask, number, acceptor, observer, onDrained, onClosed } = options;
    const batching = new Batching();
    const streams = new Multiplexer({
      role: "agent",
      acceptor,
      onPending: () => {
        if (batching.waits(performance.now(), streams.counted)) setTimeout(flush, BATCH_MS);
        else setImmediate(flush);
      },
      onControl: (type, text) => {
        if (type === FRAME.WELCOME) options.onWelcome(text);
      },
      onFrame: frameTap(observer, { link: number }),
    });
    const socket = new LinkSocket(
      dialled.socket,
      dialled.head,
      reads,
      {
        onMessage: (message) => {
          try {
            streams.receive(message);
          } catch (error) {
            if (!(error instanceof ProtocolError)) throw error;
            socket.close(CLOSE_PROTOCOL_ERROR, error.message);
          }
        },
        onDrain: onDrained,
        onClose: onClosed,
      },
      needsMask ? () => randomBytes(4) : undefined,
    );
    const flush = (): void => {
      for (const frames of messages(streams.takeFrames())) {
        socket.send(packFrames(frames, REFERENCE_FROM_BYTES));
      }
    };
    this.#socket = socket;
    this.#streams = streams;
  }

  /** More waits to leave than the kernel takes. */
  get congested(): boolean {
    return this.#socket.congested;
  }

  /** The gateway has chosen this version of the protocol. */
  speak(version: number): void {
    this.#streams.speak(version);
  }

  /** Sends HELLO. */
  send(type: FrameType, message: object): void {
    this.#streams.control(type, message);
  }

  /** Ends every stream: the socket is closed. */
  end(): void {
    this.#streams.lost();
  }

  /** Says goodbye and closes. */
  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Cuts the connection without a word, so that the gateway expects the agent back. */
  cut(reason: string): void {
    this.#socket.destroy(reason);
  }
}

/** Cuts a list of frames into messages. */
function* messages(frames: readonly OutgoingFrame[]): Generator<readonly OutgoingFrame[]> {
  let start = 0;
  let bytes = 0;
  for (const [index, { length }] of frames.entries()) {
    bytes += length;
    if (bytes < MESSAGE_BYTES) continue;
    yield frames.slice(start, index + 1);
    start = index + 1;
    bytes = 0;
  }
  if (start < frames.length) yield start === 0 ? frames : frames.slice(start);
}
