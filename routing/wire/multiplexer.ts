/**
 * The streams of one link, for both of its ends: what a received frame means, in which order frames
 * leave, and which streams there are. Pure: messages come in by `receive`, frames go out by `takeFrames`
 * when the owner asks, and `onPending` says that there is something to take. It owns no socket and no
 * timer. Frames for a stream that is over are late and are ignored.
 */
import {
  FRAME,
  frame,
  type FrameType,
  type IncomingFrame,
  type OutgoingFrame,
  ProtocolError,
  readUint32,
  uint32,
  unpackFrames,
  writeUint32,
} from "./frames.ts";
import {
  INITIAL_WINDOW_BYTES,
  MAX_ASSUMED_BYTES_PER_LINK,
  MAX_GRANTED_BYTES_PER_LINK,
  MAX_STREAMS_PER_LINK,
} from "./limits.ts";
import { type InitialWindows, type LinkEnd, Stream, type StreamEvents } from "./stream.ts";
import { GrantBudget } from "./windows.ts";

export type { Stream, StreamEnding, StreamEvents } from "./stream.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What the agent's end hears of new streams; it answers with the events for each. */
export interface Acceptor {
  onOpen(stream: Stream, head: string, body: Uint8Array, end: boolean): StreamEvents;
  onAttach(stream: Stream, request: string): StreamEvents;
}

export interface MultiplexerOptions {
  role: "gateway" | "agent";
  /** There are frames to take. */
  onPending: () => void;
  /** There are frames that may wait for the next message, for half a second or so. */
  onLazy?: () => void;
  /** Agent: what to do with new streams. */
  acceptor?: Acceptor;
  /** Control frames of stream 0 (HELLO, WELCOME) go to the owner as JSON text. */
  onControl: (type: FrameType, text: string) => void;
  /** Gateway: the first stream id; anything, so that ids are not repeated after hibernation. */
  firstStream?: number;
}

export class Multiplexer implements LinkEnd {
  readonly role: "gateway" | "agent";
  readonly budget: GrantBudget;
  readonly #options: MultiplexerOptions;
  readonly #streams = new Map<number, Stream>();
  #lazy: OutgoingFrame[] = [];
  #control: OutgoingFrame[] = [];
  #data: OutgoingFrame[] = [];
  #nextStream: number;
  /** Gateway: what open streams may send to the agent without its having granted anything yet. */
  #assumed = 0;
  #lost = false;

  constructor(options: MultiplexerOptions) {
    this.#options = options;
    this.role = options.role;
    // The agent's own grants leave room for what the gateway assumes: together they keep the limit.
    const reserved = options.role === "agent" ? MAX_ASSUMED_BYTES_PER_LINK : 0;
    this.budget = new GrantBudget(MAX_GRANTED_BYTES_PER_LINK - reserved);
    this.#nextStream = (options.firstStream ?? 1) >>> 0;
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** Gateway: the largest body that `open` takes along. */
  get requestWindow(): number {
    return Math.min(INITIAL_WINDOW_BYTES, MAX_ASSUMED_BYTES_PER_LINK - this.#assumed);
  }

  /**
   * Gateway: starts a call; undefined when the link has its 2,000 streams.
   * @param body at most `requestWindow` bytes @param end there is no more of it
   */
  open(head: string, body: Uint8Array, end: boolean, events: StreamEvents): Stream | undefined {
    const windows = {
      send: end ? body.length : this.requestWindow,
      receive: this.budget.initialWindow(),
    };
    const stream = this.#create(events, windows);
    if (stream === undefined || stream.over) return stream;
    stream.spend([body], end);
    const json = encoder.encode(head);
    const numbers = new Uint8Array(12);
    writeUint32(numbers, 0, windows.send);
    writeUint32(numbers, 4, windows.receive);
    writeUint32(numbers, 8, json.length);
    this.send(FRAME.OPEN, stream.id, [numbers, json, body], end);
    return stream;
  }

  /** Gateway: joins a call that the agent may know; undefined when the link has its 2,000 streams. */
  attach(request: string, events: StreamEvents): Stream | undefined {
    const windows = { send: 0, receive: this.budget.initialWindow() };
    const stream = this.#create(events, windows);
    if (stream === undefined || stream.over) return stream;
    // The request body went with OPEN, or it will never come.
    stream.sent = true;
    this.send(FRAME.ATTACH, stream.id, [uint32(windows.receive), encoder.encode(request)]);
    return stream;
  }

  /** HELLO and WELCOME. */
  control(type: FrameType, message: object): void {
    this.send(type, 0, [encoder.encode(JSON.stringify(message))]);
  }

  /** From streams alone: queues a frame; control frames overtake data. */
  send(type: FrameType, stream: number, parts: readonly Uint8Array[], end = false): void {
    if (this.#lost) return;
    const outgoing = frame(type, stream, parts, end);
    const idle = this.#control.length === 0 && this.#data.length === 0;
    // What opens, ends or carries a body stays in its stream's order; the rest may overtake.
    if (type === FRAME.CREDIT || type === FRAME.HELLO || type === FRAME.WELCOME) {
      this.#control.push(outgoing);
    } else this.#data.push(outgoing);
    if (idle) this.#options.onPending();
  }

  /** From streams alone: queues a frame that goes with the next message. */
  sendLazily(type: FrameType, stream: number): void {
    if (this.#lost) return;
    if (this.#lazy.push(frame(type, stream)) === 1) this.#options.onLazy?.();
  }

  /** Everything that is to be sent now, control frames first. */
  takeFrames(): OutgoingFrame[] {
    const first = this.#lazy.length + this.#control.length;
    const frames = first === 0 ? this.#data : [...this.#lazy, ...this.#control, ...this.#data];
    this.#lazy = [];
    this.#control = [];
    this.#data = [];
    return frames;
  }

  /**
   * Takes in one message of the link; one that arrives after the link was lost is ignored.
   * @throws {ProtocolError} when the peer broke the protocol; the link must be closed.
   */
  receive(message: Uint8Array): void {
    unpackFrames(message, (incoming) => {
      if (!this.#lost) this.#receiveFrame(incoming);
    });
  }

  /** The link is gone: every stream hears it. */
  lost(): void {
    this.#lost = true;
    for (const stream of this.#streams.values()) {
      this.forget(stream);
      stream.events?.onOver({ kind: "link_lost" });
    }
    this.takeFrames();
  }

  /** From streams alone. */
  forget(stream: Stream): void {
    stream.close();
    this.#streams.delete(stream.id);
  }

  /** From streams alone. */
  confirm(bytes: number): void {
    this.#assumed -= bytes;
  }

  #create(events: StreamEvents, windows: InitialWindows): Stream | undefined {
    if (this.#streams.size >= MAX_STREAMS_PER_LINK) return undefined;
    let id: number;
    do {
      id = this.#nextStream || 1;
      this.#nextStream = (id + 1) >>> 0;
    } while (this.#streams.has(id));
    this.#assumed += windows.send;
    const stream = new Stream(this, id, windows);
    stream.events = events;
    this.#streams.set(id, stream);
    if (this.#lost) {
      // Whoever awaited something while the link went away hears it like everybody else.
      this.forget(stream);
      events.onOver({ kind: "link_lost" });
    }
    return stream;
  }

  #receiveFrame({ type, stream: id, end, payload }: IncomingFrame): void {
    const expected = this.role === "agent" ? FROM_GATEWAY : FROM_AGENT;
    if (!expected.has(type)) throw new ProtocolError(`frame type ${type} goes the other way`);
    if (type === FRAME.HELLO || type === FRAME.WELCOME) {
      if (id !== 0) throw new ProtocolError(`frame type ${type} belongs to no stream`);
      this.#options.onControl(type, text(payload));
      return;
    }
    if (id === 0) throw new ProtocolError(`frame type ${type} needs a stream`);
    if (type === FRAME.OPEN) this.#accept(id, payload, end);
    else if (type === FRAME.ATTACH) this.#acceptAttach(id, payload);
    else {
      const stream = this.#streams.get(id);
      if (stream !== undefined) this.#deliver(stream, type, payload, end);
    }
  }

  #deliver(stream: Stream, type: FrameType, payload: Uint8Array, end: boolean): void {
    const { events } = stream;
    switch (type) {
      case FRAME.DATA:
        stream.acceptBody(payload, end);
        events?.onData(payload, end);
        return;
      case FRAME.HEAD: {
        const { head, rest } = splitHead(payload, 0);
        stream.acceptHead();
        stream.acceptBody(rest, end);
        events?.onHead?.(head, rest, end);
        return;
      }
      case FRAME.CREDIT:
        stream.acceptCredit(creditOf(payload));
        return;
      case FRAME.RESET:
      case FRAME.REFUSE: {
        const failure = text(payload);
        this.forget(stream);
        events?.onOver({ kind: type === FRAME.RESET ? "reset" : "refused", failure });
        return;
      }
      case FRAME.KEEP:
        events?.onKeep?.();
        return;
      case FRAME.KEPT: {
        const call = text(payload);
        this.forget(stream);
        events?.onOver({ kind: "kept", call });
        return;
      }
      case FRAME.DONE:
        this.forget(stream);
        events?.onOver({ kind: "done" });
        return;
      case FRAME.CANCEL:
        this.forget(stream);
        events?.onOver({ kind: "cancelled" });
        return;
      case FRAME.DETACH:
        this.forget(stream);
        events?.onOver({ kind: "detached" });
        return;
      default:
        throw new ProtocolError(`frame type ${type} does not belong to a stream`);
    }
  }

  #accept(id: number, payload: Uint8Array, end: boolean): void {
    if (payload.length < 12) throw new ProtocolError("open: cut off");
    const granted = readUint32(payload, 0);
    const window = readUint32(payload, 4);
    const { head, rest } = splitHead(payload, 8);
    const stream = this.#admit(id, granted, window);
    if (stream === undefined) return;
    stream.acceptBody(rest, end);
    stream.events = this.#acceptor().onOpen(stream, head, rest, end);
    if (granted === 0) stream.replenish();
  }

  #acceptAttach(id: number, payload: Uint8Array): void {
    if (payload.length < 4) throw new ProtocolError("attach: cut off");
    const request = text(payload.subarray(4));
    const stream = this.#admit(id, 0, readUint32(payload, 0));
    if (stream === undefined) return;
    stream.acceptBody(NOTHING, true);
    stream.events = this.#acceptor().onAttach(stream, request);
  }

  /** A new stream with what it may receive and send; undefined when it had to be refused. */
  #admit(id: number, receive: number, send: number): Stream | undefined {
    if (this.#streams.has(id)) throw new ProtocolError(`stream ${id} is already open`);
    if (Math.max(receive, send) > INITIAL_WINDOW_BYTES) {
      throw new ProtocolError(`stream ${id}: a first window of ${Math.max(receive, send)} bytes`);
    }
    const stream = new Stream(this, id, { send, receive });
    if (this.#streams.size >= MAX_STREAMS_PER_LINK) {
      const detail = `the link has its ${MAX_STREAMS_PER_LINK} streams`;
      stream.refuse({ code: "queue_full", detail, retryAfter: 1 });
      return undefined;
    }
    this.#streams.set(id, stream);
    return stream;
  }

  #acceptor(): Acceptor {
    const { acceptor } = this.#options;
    if (acceptor === undefined) throw new ProtocolError("this end accepts no streams");
    return acceptor;
  }
}

const NOTHING = new Uint8Array(0);

const FROM_GATEWAY: ReadonlySet<FrameType> = new Set([
  FRAME.WELCOME,
  FRAME.OPEN,
  FRAME.ATTACH,
  FRAME.DATA,
  FRAME.CREDIT,
  FRAME.RESET,
  FRAME.CANCEL,
  FRAME.DETACH,
  FRAME.DONE,
  FRAME.KEEP,
]);
const FROM_AGENT: ReadonlySet<FrameType> = new Set([
  FRAME.HELLO,
  FRAME.HEAD,
  FRAME.DATA,
  FRAME.CREDIT,
  FRAME.RESET,
  FRAME.REFUSE,
  FRAME.KEPT,
]);

function splitHead(payload: Uint8Array, at: number): { head: string; rest: Uint8Array } {
  const start = at + 4;
  if (payload.length < start) throw new ProtocolError("a head is cut off");
  const end = start + readUint32(payload, at);
  if (end > payload.length) throw new ProtocolError("a head is cut off");
  return { head: text(payload.subarray(start, end)), rest: payload.subarray(end) };
}

function creditOf(payload: Uint8Array): number {
  if (payload.length !== 4) throw new ProtocolError("credit: not four bytes");
  return readUint32(payload, 0);
}

function text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new ProtocolError("text that is not UTF-8");
  }
}
