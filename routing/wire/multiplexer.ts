/**
 * The streams of one link, for both of its ends: what may be sent when, what a received frame means,
 * and when a stream is over. Pure: frames come in by `receive`, go out by `takeFrames` when the owner
 * asks, and `onPending` says that there is something to take. It owns no socket and no timer.
 *
 * A stream is one attachment of a client to a call: the gateway opens it (OPEN starts the call, ATTACH
 * joins one), the request body flows to the agent, the answer back. It is over when the gateway has
 * handed the whole answer on (DONE), or when either side ended it (REFUSE, RESET from the agent; RESET,
 * CANCEL, DETACH from the gateway). Until DONE the agent keeps what it sent: it may never have arrived.
 * Frames for a stream that is over are late and are ignored.
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
import { INITIAL_WINDOW_BYTES, MAX_DATA_BYTES, MAX_STREAMS_PER_LINK } from "./limits.ts";
import type { Failure } from "./messages.ts";
import { GrantBudget, ReceiveWindow } from "./windows.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const NOTHING: readonly Uint8Array[] = [];

/** What the owner of a stream hears about it. After `onOver` nothing more comes. */
export interface StreamEvents {
  /** Gateway only: the answer's head (JSON text) with the first bytes of its body. */
  onHead?(head: string, body: Uint8Array, end: boolean): void;
  /** Body bytes; `stream.drained(n)` must follow when they were passed on. */
  onData(bytes: Uint8Array, end: boolean): void;
  /** The window opened: `stream.window` is above 0 again. */
  onWindow?(): void;
  /** The peer ended the stream. */
  onOver(ending: StreamEnding): void;
}

export type StreamEnding =
  | { readonly kind: "refused" | "reset"; readonly failure: string }
  | { readonly kind: "done" | "cancelled" | "detached" | "link_lost" };

/** What the agent's end hears of new streams; it answers with the events for each. */
export interface Acceptor {
  onOpen(stream: Stream, head: string, body: Uint8Array, end: boolean): StreamEvents;
  onAttach(stream: Stream, request: string): StreamEvents;
}

export class Stream {
  readonly id: number;
  readonly #link: Multiplexer;
  readonly #receiving: ReceiveWindow;
  /** Bytes that the peer may send before any CREDIT; OPEN and ATTACH tell it. */
  readonly initialGrant: number;
  events: StreamEvents | undefined;
  /** Body bytes that may be sent now. */
  window: number;
  over = false;
  /** The peer's half is complete (its END came). */
  received = false;
  /** Our half is complete (our END was sent). */
  sent = false;

  constructor(link: Multiplexer, id: number, sendWindow: number, receiveWindow: number) {
    this.#link = link;
    this.id = id;
    this.window = sendWindow;
    this.initialGrant = receiveWindow;
    this.#receiving = new ReceiveWindow(link.budget, receiveWindow, (bytes) => {
      link.send(FRAME.CREDIT, id, [uint32(bytes)]);
    });
  }

  /** Agent: sends the answer's head; body bytes must fit the window and, together, a DATA frame. */
  head(head: string, body: readonly Uint8Array[] = NOTHING, end = false): void {
    this.#spend(body);
    const json = encoder.encode(head);
    this.sent = end;
    this.#link.send(FRAME.HEAD, this.id, [uint32(json.length), json, ...body], end);
  }

  /** Sends body bytes, at most `window` and at most 64 KiB. */
  data(parts: readonly Uint8Array[], end = false): void {
    this.#spend(parts);
    this.sent = end;
    this.#link.send(FRAME.DATA, this.id, parts, end);
  }

  /** Received bytes were passed on; their credit returns to the peer. */
  drained(bytes: number): void {
    this.#receiving.drain(bytes);
  }

  /** Nobody will read what is still buffered: its memory counts no longer. */
  discard(): void {
    this.#receiving.discard();
  }

  /** Agent: not executed, or nothing to attach to. */
  refuse(failure: Failure): void {
    this.#end(FRAME.REFUSE, failure);
  }

  /** Agent: the call failed. Gateway: the request body will not arrive whole. */
  reset(failure: Failure): void {
    this.#end(FRAME.RESET, failure);
  }

  /** Gateway: the whole answer was handed on; the agent may forget the call. Nothing waits for this frame. */
  done(): void {
    if (this.over) return;
    this.#link.sendLazily(FRAME.DONE, this.id);
    this.#finish();
  }

  /** Gateway: the client left; the call's own policy decides what becomes of it. */
  cancel(): void {
    this.#end(FRAME.CANCEL);
  }

  /** Gateway: this attachment ends, the call lives on. */
  detach(): void {
    this.#end(FRAME.DETACH);
  }

  /** From the link alone: bytes of the peer's half. */
  acceptBody(bytes: Uint8Array, end: boolean): void {
    if (this.received) throw new ProtocolError(`stream ${this.id}: data after its end`);
    if (!this.#receiving.receive(bytes.length)) {
      throw new ProtocolError(`stream ${this.id}: ${bytes.length} bytes beyond its window`);
    }
    this.received = end;
    if (end) this.#receiving.close();
  }

  /** From the link alone: the stream left the link's table. */
  close(): void {
    this.over = true;
    this.#receiving.close();
  }

  #spend(parts: readonly Uint8Array[]): void {
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    if (this.over || this.sent) throw new Error(`stream ${this.id} is over`);
    if (bytes > this.window || bytes > MAX_DATA_BYTES) {
      throw new Error(`stream ${this.id}: ${bytes} bytes do not fit the window of ${this.window}`);
    }
    this.window -= bytes;
  }

  #end(type: FrameType, failure?: Failure): void {
    if (this.over) return;
    this.#link.send(
      type,
      this.id,
      failure === undefined ? NOTHING : [encoder.encode(JSON.stringify(failure))],
    );
    this.#finish();
  }

  #finish(): void {
    this.#link.forget(this);
  }
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
  budget?: GrantBudget;
}

export class Multiplexer {
  readonly role: "gateway" | "agent";
  readonly budget: GrantBudget;
  readonly #options: MultiplexerOptions;
  readonly #streams = new Map<number, Stream>();
  #lazy: OutgoingFrame[] = [];
  #control: OutgoingFrame[] = [];
  #data: OutgoingFrame[] = [];
  #nextStream: number;
  /** Gateway: what the agent grants a new stream's request body. */
  #requestWindow = INITIAL_WINDOW_BYTES;
  /** Agent: what it last told the gateway about that. */
  #announcedWindow = INITIAL_WINDOW_BYTES;
  /** Body bytes that were sent and not yet taken: the owner lets the socket drain before it sends more. */
  pendingBytes = 0;

  constructor(options: MultiplexerOptions) {
    this.#options = options;
    this.role = options.role;
    this.budget = options.budget ?? new GrantBudget();
    this.#nextStream = (options.firstStream ?? 1) >>> 0;
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** Gateway: the largest body that `open` takes along. */
  get requestWindow(): number {
    return this.#requestWindow;
  }

  /** Gateway: starts a call; undefined when the link has its 2,000 streams. */
  open(head: string, body: Uint8Array, end: boolean, events: StreamEvents): Stream | undefined {
    const stream = this.#create(events);
    if (stream === undefined) return undefined;
    const json = encoder.encode(head);
    const numbers = new Uint8Array(12);
    writeUint32(numbers, 0, this.#requestWindow);
    writeUint32(numbers, 4, stream.initialGrant);
    writeUint32(numbers, 8, json.length);
    stream.window -= body.length;
    this.send(FRAME.OPEN, stream.id, [numbers, json, body], end);
    return stream;
  }

  /** Gateway: joins a call that the agent may know. */
  attach(request: string, events: StreamEvents): Stream | undefined {
    const stream = this.#create(events);
    if (stream === undefined) return undefined;
    const grant = uint32(stream.initialGrant);
    this.send(FRAME.ATTACH, stream.id, [grant, encoder.encode(request)]);
    return stream;
  }

  /** HELLO and WELCOME. */
  control(type: FrameType, message: object): void {
    this.send(type, 0, [encoder.encode(JSON.stringify(message))]);
  }

  /** From streams alone: queues a frame; control frames overtake data. */
  send(type: FrameType, stream: number, parts: readonly Uint8Array[], end = false): void {
    const outgoing = frame(type, stream, parts, end);
    const idle = this.#control.length === 0 && this.#data.length === 0;
    // What ends or carries a body stays in its stream's order; the rest may overtake.
    if (type === FRAME.CREDIT || type === FRAME.HELLO || type === FRAME.WELCOME) {
      this.#control.push(outgoing);
    } else this.#data.push(outgoing);
    this.pendingBytes += outgoing.length;
    if (idle) this.#options.onPending();
  }

  /** From streams alone: queues a frame that goes with the next message. */
  sendLazily(type: FrameType, stream: number): void {
    if (this.#lazy.push(frame(type, stream)) === 1) this.#options.onLazy?.();
  }

  /** Everything that is to be sent now, control frames first. */
  takeFrames(): OutgoingFrame[] {
    const first = this.#lazy.length + this.#control.length;
    const frames = first === 0 ? this.#data : [...this.#lazy, ...this.#control, ...this.#data];
    this.#lazy = [];
    this.#control = [];
    this.#data = [];
    this.pendingBytes = 0;
    return frames;
  }

  /**
   * Takes in one message of the link.
   * @throws {ProtocolError} when the peer broke the protocol; the link must be closed.
   */
  receive(message: Uint8Array): void {
    unpackFrames(message, (incoming) => this.#receiveFrame(incoming));
  }

  /** The link is gone: every stream hears it. */
  lost(): void {
    for (const stream of this.#streams.values()) this.#over(stream, { kind: "link_lost" });
    this.#lazy = [];
    this.#control = [];
    this.#data = [];
    this.pendingBytes = 0;
  }

  /** From streams alone. */
  forget(stream: Stream): void {
    stream.close();
    this.#streams.delete(stream.id);
    if (this.role === "agent") this.#announceWindow();
  }

  #create(events: StreamEvents): Stream | undefined {
    if (this.#streams.size >= MAX_STREAMS_PER_LINK) return undefined;
    let id: number;
    do {
      id = this.#nextStream || 1;
      this.#nextStream = (id + 1) >>> 0;
    } while (this.#streams.has(id));
    const stream = new Stream(this, id, this.#requestWindow, this.budget.initialWindow());
    stream.events = events;
    this.#streams.set(id, stream);
    return stream;
  }

  #receiveFrame({ type, stream: id, end, payload }: IncomingFrame): void {
    const expected = this.role === "agent" ? FROM_GATEWAY : FROM_AGENT;
    if (!expected.has(type)) throw new ProtocolError(`frame type ${type} goes the other way`);
    if (id === 0) {
      if (type === FRAME.CREDIT) this.#requestWindow = creditOf(payload);
      else if (type === FRAME.HELLO || type === FRAME.WELCOME) {
        this.#options.onControl(type, text(payload));
      } else throw new ProtocolError(`frame type ${type} needs a stream`);
      return;
    }
    if (type === FRAME.OPEN) this.#accept(id, payload, end);
    else if (type === FRAME.ATTACH) this.#acceptAttach(id, payload);
    else {
      const stream = this.#streams.get(id);
      if (stream !== undefined) this.#deliver(stream, type, payload, end);
    }
  }

  #deliver(stream: Stream, type: FrameType, payload: Uint8Array, end: boolean): void {
    switch (type) {
      case FRAME.DATA:
        stream.acceptBody(payload, end);
        stream.events?.onData(payload, end);
        return;
      case FRAME.HEAD: {
        const { head, rest } = splitHead(payload, 0);
        stream.acceptBody(rest, end);
        stream.events?.onHead?.(head, rest, end);
        return;
      }
      case FRAME.CREDIT: {
        const shut = stream.window <= 0;
        stream.window += creditOf(payload);
        if (shut) stream.events?.onWindow?.();
        return;
      }
      case FRAME.RESET:
        this.#over(stream, { kind: "reset", failure: text(payload) });
        return;
      case FRAME.REFUSE:
        this.#over(stream, { kind: "refused", failure: text(payload) });
        return;
      case FRAME.DONE:
        this.#over(stream, { kind: "done" });
        return;
      case FRAME.CANCEL:
        this.#over(stream, { kind: "cancelled" });
        return;
      case FRAME.DETACH:
        this.#over(stream, { kind: "detached" });
        return;
      default:
        throw new ProtocolError(`frame type ${type} does not belong to a stream`);
    }
  }

  #over(stream: Stream, ending: StreamEnding): void {
    this.forget(stream);
    stream.events?.onOver(ending);
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
  }

  #acceptAttach(id: number, payload: Uint8Array): void {
    if (payload.length < 4) throw new ProtocolError("attach: cut off");
    const stream = this.#admit(id, 0, readUint32(payload, 0));
    if (stream === undefined) return;
    stream.received = true;
    stream.events = this.#acceptor().onAttach(stream, text(payload.subarray(4)));
  }

  #admit(id: number, receiveWindow: number, sendWindow: number): Stream | undefined {
    if (this.#streams.has(id)) throw new ProtocolError(`stream ${id} is already open`);
    if (receiveWindow > INITIAL_WINDOW_BYTES) throw new ProtocolError("open: assumed window");
    const stream = new Stream(this, id, sendWindow, receiveWindow);
    if (this.#streams.size >= MAX_STREAMS_PER_LINK) {
      stream.refuse({
        code: "queue_full",
        detail: "the link has its 2,000 streams",
        retryAfter: 1,
      });
      return undefined;
    }
    this.#streams.set(id, stream);
    this.#announceWindow();
    return stream;
  }

  /** Tells the gateway what a new stream's body may bring along, whenever that changed. */
  #announceWindow(): void {
    const window = this.budget.initialWindow();
    if (window === this.#announcedWindow) return;
    this.#announcedWindow = window;
    this.send(FRAME.CREDIT, 0, [uint32(window)]);
  }

  #acceptor(): Acceptor {
    const { acceptor } = this.#options;
    if (acceptor === undefined) throw new ProtocolError("this end accepts no streams");
    return acceptor;
  }
}

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
]);
const FROM_AGENT: ReadonlySet<FrameType> = new Set([
  FRAME.HELLO,
  FRAME.HEAD,
  FRAME.DATA,
  FRAME.CREDIT,
  FRAME.RESET,
  FRAME.REFUSE,
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
