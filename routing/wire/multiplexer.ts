/**
 * The streams of one link, for both of its ends: what a received frame means, in which order frames leave,
 * and which streams there are. Pure: `receive` takes messages in, `takeFrames` gives frames out, and
 * `onPending` tells the owner that there are some. The multiplexer has no socket and no timer. Frames for a
 * closed stream are late, and ignored.
 */
import {
  FRAME,
  frame,
  frameInPlace,
  FRAME_HEADER_BYTES,
  type FrameType,
  type IncomingFrame,
  type OutgoingFrame,
  ProtocolError,
  SENT_BY,
  unpackFrames,
} from "./frames.ts";
import { FrameQueue } from "./frame-queue.ts";
import {
  INITIAL_WINDOW_BYTES,
  MAX_GRANTED_BYTES_PER_LINK,
  MAX_INITIAL_WINDOWS_BYTES,
  MAX_PARKED_PER_LINK,
  MAX_STREAMS_PER_LINK,
  PARKING_VERSION,
} from "./limits.ts";
import {
  packAttach,
  packOpen,
  unpackAttach,
  unpackCredit,
  unpackHead,
  unpackOpen,
  unpackText,
} from "./payloads.ts";
import { type LinkEnd, Stream, type StreamPlace } from "./stream.ts";
import type { StreamEvents } from "./stream-events.ts";
import { OPERATIONS, StreamShares } from "./stream-shares.ts";
import { GrantBudget, type InitialWindows } from "./windows.ts";

export { NO_EVENTS, type StreamEnding, type StreamEvents } from "./stream-events.ts";
export { type Stream } from "./stream.ts";

const encoder = new TextEncoder();
const NO_BODY = new Uint8Array(0);

const ENDED_BY = {
  [FRAME.DONE]: "done",
  [FRAME.CANCEL]: "cancelled",
  [FRAME.DETACH]: "detached",
} as const;

/** Takes the new streams at the agent's end, and returns the events of each. A body is valid until then. */
export interface Acceptor {
  onOpen(stream: Stream, head: string, body: Uint8Array, end: boolean): StreamEvents;
  onAttach(stream: Stream, request: string): StreamEvents;
}

/** Watches frames. @param bytes of the frame's payload */
export type FrameTap = (
  direction: "in" | "out",
  frame: Pick<IncomingFrame, "type" | "stream">,
  bytes: number,
) => void;

export interface MultiplexerOptions {
  role: "gateway" | "agent";
  /** There are frames to take. */
  onPending: () => void;
  /** There are frames that may wait up to half a second for the next message. */
  onLazy?: () => void;
  /** Gateway: sends the frames that wait, and then this message. Copies it. */
  onMessage?: (message: Uint8Array) => void;
  /** Agent only. */
  acceptor?: Acceptor;
  /** HELLO and WELCOME, as JSON text. */
  onControl: (type: FrameType, text: string) => void;
  /** Gateway: the first stream's number. A random one, so that none is repeated after hibernation. */
  firstStream?: number;
  /** For debugging (frame-tap.ts). */
  onFrame?: FrameTap | undefined;
}

export class Multiplexer implements LinkEnd {
  readonly role: "gateway" | "agent";
  readonly budget: GrantBudget;
  readonly #options: MultiplexerOptions;
  readonly #streams = new Map<number, Stream>();
  readonly #shares = new StreamShares<Stream>((stream) => stream.unpark());
  readonly #queue: FrameQueue;
  #nextStream: number;
  /** Gateway: what is left of the open streams' initial windows, in bytes. */
  #initialWindows = 0;
  #parked = 0;
  /** Agent: streams that count. At the gateway the shares count. */
  #counted = 0;
  #version = 0;
  #lost = false;

  constructor(options: MultiplexerOptions) {
    this.#options = options;
    this.role = options.role;
    // The agent's own grants leave room for the initial windows of requests: the sum keeps the limit.
    const reserved = options.role === "agent" ? MAX_INITIAL_WINDOWS_BYTES : 0;
    this.budget = new GrantBudget(MAX_GRANTED_BYTES_PER_LINK - reserved);
    this.#queue = new FrameQueue(options.onPending, options.onLazy);
    this.#nextStream = (options.firstStream ?? 1) >>> 0;
  }

  /** All streams, parked ones too. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Streams that count. */
  get counted(): number {
    return this.role === "agent" ? this.#counted : this.#shares.open;
  }

  get mayPark(): boolean {
    return this.#version >= PARKING_VERSION && this.#parked < MAX_PARKED_PER_LINK;
  }

  /** The peer may have parked streams, or begun them parked, that this end does not know of: at most all that count. */
  get takesParked(): boolean {
    const most = MAX_PARKED_PER_LINK + MAX_STREAMS_PER_LINK;
    return this.#version >= PARKING_VERSION && this.#parked < most;
  }

  /** Both ends have agreed on this version. */
  speak(version: number): void {
    this.#version = version;
  }

  /** Gateway: the largest body that `open` takes along, in bytes. */
  get requestWindow(): number {
    return Math.min(INITIAL_WINDOW_BYTES, MAX_INITIAL_WINDOWS_BYTES - this.#initialWindows);
  }

  /**
   * Gateway: starts a call or an operation; undefined when the link has no stream for it. A call whose body is whole
   * begins parked then, where the agent knows what that is.
   * @param head JSON @param body at most `requestWindow` bytes @param end there is no more of it
   * @param share the call's endpoint
   */
  open(
    head: string,
    body: Uint8Array,
    end: boolean,
    events: StreamEvents,
    share = OPERATIONS,
  ): Stream | undefined {
    const receive = this.#responseWindow(share, end);
    if (receive === undefined) return undefined;
    const windows = { send: end ? body.length : this.requestWindow, receive };
    const stream = this.#create(events, windows, share);
    if (stream.closed) return stream;
    stream.reserve([body], end);
    const { send: requestWindow, receive: responseWindow } = windows;
    const parts = packOpen({ requestWindow, responseWindow, head, body });
    this.send(FRAME.OPEN, stream.id, parts, end);
    return stream;
  }

  /**
   * Gateway: joins a call that the agent may know; undefined when the link has no stream for it.
   * @param request an AttachRequest as JSON @param share the call's endpoint
   */
  attach(request: string, events: StreamEvents, share = OPERATIONS): Stream | undefined {
    const receive = this.#responseWindow(share, true);
    if (receive === undefined) return undefined;
    const windows = { send: 0, receive };
    const stream = this.#create(events, windows, share);
    if (stream.closed) return stream;
    // The request's body went with OPEN, or it will never come.
    stream.localClosed = true;
    this.send(FRAME.ATTACH, stream.id, packAttach(windows.receive, request));
    return stream;
  }

  /** Sends HELLO or WELCOME. */
  control(type: FrameType, message: object): void {
    this.send(type, 0, [encoder.encode(JSON.stringify(message))]);
  }

  /** For streams: queues a frame. */
  send(type: FrameType, stream: number, parts: readonly Uint8Array[], end = false): void {
    if (!this.#lost) this.#queue.push(frame(type, stream, parts, end));
  }

  /** For streams: sends one frame as a message of its own, behind all frames that wait. */
  sendInPlace(type: FrameType, stream: number, message: Uint8Array): void {
    if (this.#lost) return;
    const { onMessage, onFrame } = this.#options;
    if (onMessage === undefined) throw new Error("this end only packs frames");
    frameInPlace(message, type, stream);
    onMessage(message);
    onFrame?.("out", { type, stream }, message.length - FRAME_HEADER_BYTES);
  }

  /** For streams: queues a frame that leaves with the next message. */
  sendLazily(type: FrameType, stream: number): void {
    if (!this.#lost) this.#queue.pushLazily(frame(type, stream));
  }

  /** Removes and returns all frames that wait to leave. */
  takeFrames(): OutgoingFrame[] {
    const frames = this.#queue.take();
    const { onFrame } = this.#options;
    if (onFrame !== undefined) for (const each of frames) onFrame("out", each, each.length);
    return frames;
  }

  /**
   * Takes in one message of the link. A message that arrives after the link was lost is ignored.
   * @throws {ProtocolError} when the peer broke the protocol; the owner must close the link
   */
  receive(message: Uint8Array): void {
    unpackFrames(message, (incoming) => {
      if (this.#lost) return;
      this.#options.onFrame?.("in", incoming, incoming.payload.length);
      this.#receiveFrame(incoming);
    });
  }

  /** Ends every stream, because the link is lost. */
  lost(): void {
    this.#lost = true;
    for (const stream of this.#streams.values()) {
      this.forget(stream);
      stream.events?.onEnd({ kind: "link_lost" });
    }
    this.#queue.take();
  }

  /** For streams. */
  forget(stream: Stream): void {
    stream.close();
    if (!this.#streams.delete(stream.id) || this.#lost) return;
    const { place, share } = stream;
    if (place === "parked") this.#parked -= 1;
    else if (this.role === "agent") this.#counted -= place === "counted" ? 1 : 0;
    else if (place === "counted") this.#shares.release(share);
    else this.#shares.leave(share, stream);
  }

  /** For streams. */
  onPlace(stream: Stream, from: StreamPlace): void {
    const { place, share } = stream;
    if (from === "parked") this.#parked -= 1;
    if (place === "parked") this.#parked += 1;
    if (this.role === "agent") {
      if (from === "counted") this.#counted -= 1;
      if (place === "counted") this.#counted += 1;
    } else if (place === "parked") this.#shares.release(share);
    else if (place === "called_back") this.#shares.takeOrWait(share, stream);
  }

  /** For streams. */
  releaseInitialWindow(bytes: number): void {
    this.#initialWindows -= bytes;
  }

  /** Gateway: a new stream's window for its response, 0 for one that begins parked; undefined where it has no place. */
  #responseWindow(share: string, isWhole: boolean): number | undefined {
    if (this.#shares.take(share)) return this.budget.initialWindow();
    return isWhole && share !== OPERATIONS && this.mayPark ? 0 : undefined;
  }

  #create(events: StreamEvents, windows: InitialWindows, share: string): Stream {
    let id: number;
    do {
      id = this.#nextStream || 1;
      this.#nextStream = (id + 1) >>> 0;
    } while (this.#streams.has(id));
    this.#initialWindows += windows.send;
    const stream = new Stream(this, id, windows, share);
    stream.events = events;
    this.#streams.set(id, stream);
    if (stream.place === "parked") this.#parked += 1;
    if (this.#lost) {
      // The owner awaited something while the link went away.
      this.forget(stream);
      events.onEnd({ kind: "link_lost" });
    }
    return stream;
  }

  #receiveFrame({ type, stream: id, end, payload }: IncomingFrame): void {
    const sender = this.role === "agent" ? "gateway" : "agent";
    if (!SENT_BY[sender].has(type))
      throw new ProtocolError(`frame type ${type} goes the other way`);
    if (type === FRAME.HELLO || type === FRAME.WELCOME) {
      if (id !== 0) throw new ProtocolError(`frame type ${type} belongs to no stream`);
      this.#options.onControl(type, unpackText(payload));
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
        const { head, body } = unpackHead(payload, 0);
        stream.acceptHead();
        stream.acceptBody(body, end);
        events?.onHead?.(head, body, end);
        return;
      }
      case FRAME.CREDIT:
        stream.acceptCredit(unpackCredit(payload));
        return;
      case FRAME.RESET:
      case FRAME.REFUSE: {
        const failure = unpackText(payload);
        this.forget(stream);
        events?.onEnd({ kind: type === FRAME.RESET ? "reset" : "refused", failure });
        return;
      }
      case FRAME.PARK:
        stream.acceptPark();
        events?.onPark?.();
        return;
      case FRAME.CALL_BACK:
        stream.acceptCallBack();
        return;
      case FRAME.DEFER:
        events?.onDefer?.();
        return;
      case FRAME.DEFERRED: {
        const call = unpackText(payload);
        this.forget(stream);
        events?.onEnd({ kind: "deferred", call });
        return;
      }
      case FRAME.DONE:
      case FRAME.CANCEL:
      case FRAME.DETACH:
        this.forget(stream);
        events?.onEnd({ kind: ENDED_BY[type] });
        return;
      default:
        throw new ProtocolError(`frame type ${type} does not belong to a stream`);
    }
  }

  #accept(id: number, payload: Uint8Array, end: boolean): void {
    const { requestWindow, responseWindow, head, body } = unpackOpen(payload);
    if (responseWindow === 0 && !end) {
      throw new ProtocolError(`stream ${id}: it begins parked, without its whole body`);
    }
    const stream = this.#admit(id, { receive: requestWindow, send: responseWindow });
    if (stream === undefined) return;
    stream.acceptBody(body, end);
    stream.events = this.#acceptor().onOpen(stream, head, body, end);
    if (requestWindow === 0) stream.replenish();
  }

  #acceptAttach(id: number, payload: Uint8Array): void {
    const { responseWindow, request } = unpackAttach(payload);
    const stream = this.#admit(id, { receive: 0, send: responseWindow });
    if (stream === undefined) return;
    stream.acceptBody(NO_BODY, true);
    stream.events = this.#acceptor().onAttach(stream, request);
  }

  /** A new stream; undefined when it had to be refused. */
  #admit(id: number, windows: InitialWindows): Stream | undefined {
    if (this.#streams.has(id)) throw new ProtocolError(`stream ${id} is already open`);
    const largest = Math.max(windows.receive, windows.send);
    if (largest > INITIAL_WINDOW_BYTES) {
      throw new ProtocolError(`stream ${id}: an initial window of ${largest} bytes`);
    }
    const stream = new Stream(this, id, windows);
    const isParked = stream.place === "parked";
    if (isParked ? !this.takesParked : this.#counted >= MAX_STREAMS_PER_LINK) {
      const detail = `the link has its ${MAX_STREAMS_PER_LINK} streams`;
      stream.refuse({ code: "queue_full", detail, retryAfter: 1 });
      return undefined;
    }
    this.#streams.set(id, stream);
    if (isParked) this.#parked += 1;
    else this.#counted += 1;
    return stream;
  }

  #acceptor(): Acceptor {
    const { acceptor } = this.#options;
    if (acceptor === undefined) throw new ProtocolError("this end accepts no streams");
    return acceptor;
  }
}
