/**
 * One stream of a link, as its owner sees it: what it may send, and how the stream ends. A stream carries one
 * client's request for a call: OPEN starts the call, ATTACH joins one, and the response flows back. The words
 * are RFC 9113's (5.1 and 5.2). A stream is local closed when this end has sent its END, remote closed when
 * the peer's END has come, and closed when either end has ended it. END from both does not close it: the agent
 * keeps what it sent until DONE says that the client has the whole response.
 *
 * The stream of a call that waits is parked: it has its number and nothing else, no window and no place among the
 * link's streams. The agent calls back when the call begins, and the gateway gives the stream place and window again.
 */
import { FRAME, FRAME_HEADER_BYTES, type FrameType, ProtocolError, uint32 } from "./frames.ts";
import { MAX_DATA_BYTES, MAX_HEAD_BODY_BYTES, MAX_WINDOW_BYTES } from "./limits.ts";
import type { DeferredCall, Failure } from "./messages.ts";
import { OPERATIONS } from "./stream-shares.ts";
import type { StreamEvents } from "./stream-events.ts";
import { type GrantBudget, type InitialWindows, ReceiveWindow } from "./windows.ts";

const encoder = new TextEncoder();
const NOTHING: readonly Uint8Array[] = [];

/** This end of the link, as far as a stream needs it. */
export interface LinkEnd {
  readonly role: "gateway" | "agent";
  readonly budget: GrantBudget;
  send(type: FrameType, stream: number, parts: readonly Uint8Array[], end?: boolean): void;
  /** @param message room for the frame's header, then its payload */
  sendInPlace(type: FrameType, stream: number, message: Uint8Array): void;
  sendLazily(type: FrameType, stream: number): void;
  /** Removes a closed stream. */
  forget(stream: Stream): void;
  /** Whether this end may park another stream. */
  readonly mayPark: boolean;
  /** Whether the peer may have parked another one. */
  readonly takesParked: boolean;
  /** The place of this stream among those that count has changed. */
  onPlace(stream: Stream, from: StreamPlace): void;
  /** Gateway: gives bytes of an initial window back to the link. */
  releaseInitialWindow(bytes: number): void;
}

/** Whether a stream counts among the streams of its link. */
export type StreamPlace =
  | "counted"
  | "parked"
  /** It was parked, the agent has called back, and the gateway gives it a window when it has a place for it. */
  | "called_back";

export class Stream {
  readonly id: number;
  /** Gateway: the endpoint among whose streams it counts (stream-shares.ts). */
  readonly share: string;
  readonly #link: LinkEnd;
  #receiving: ReceiveWindow;
  #place: StreamPlace;
  events: StreamEvents | undefined;
  /** Body bytes that may be sent now. */
  window: number;
  /** The stream has ended: nothing is sent any more, and what still comes is ignored. */
  closed = false;
  /** The peer's END came. */
  remoteClosed = false;
  /** Our END was sent. */
  localClosed = false;
  /** The response's head has come, or was sent. */
  #hasHead = false;
  /** Gateway: the part of the initial send window that still counts against the link's sum. */
  #initialWindow: number;

  /** @param windows a response's window of 0 begins a parked stream */
  constructor(link: LinkEnd, id: number, windows: InitialWindows, share = OPERATIONS) {
    this.#link = link;
    this.id = id;
    this.share = share;
    const responseWindow = link.role === "gateway" ? windows.receive : windows.send;
    this.#place = responseWindow === 0 ? "parked" : "counted";
    this.window = windows.send;
    this.#initialWindow = link.role === "gateway" ? windows.send : 0;
    this.#receiving = this.#receiveWindow(windows.receive);
  }

  #receiveWindow(initial: number): ReceiveWindow {
    return new ReceiveWindow(this.#link.budget, initial, (bytes) => {
      this.#link.send(FRAME.CREDIT, this.id, [uint32(bytes)]);
    });
  }

  get place(): StreamPlace {
    return this.#place;
  }

  #enter(place: StreamPlace): void {
    const from = this.#place;
    this.#place = place;
    this.#link.onPlace(this, from);
  }

  /** Agent: the call waits. Has no effect before the request's body is whole, nor where the peer cannot park. */
  park(): void {
    if (this.closed || this.#hasHead || !this.remoteClosed) return;
    if (this.#place !== "counted" || !this.#link.mayPark) return;
    this.#receiving.discard();
    this.window = 0;
    this.#link.send(FRAME.PARK, this.id, NOTHING);
    this.#enter("parked");
  }

  /** Agent: the call has begun, or has its response. The gateway grants a window. */
  callBack(): void {
    if (this.closed || this.#place !== "parked") return;
    this.#link.send(FRAME.CALL_BACK, this.id, NOTHING);
    this.#enter("called_back");
  }

  /** For the link, at the gateway: the agent has parked the stream. @throws {ProtocolError} */
  acceptPark(): void {
    const mayBe = this.#place === "counted" && this.localClosed && !this.#hasHead;
    if (!mayBe || !this.#link.takesParked) {
      throw new ProtocolError(`stream ${this.id}: it cannot be parked`);
    }
    this.#receiving.discard();
    this.#enter("parked");
  }

  /** For the link, at the gateway: the agent has called back. @throws {ProtocolError} */
  acceptCallBack(): void {
    if (this.#place !== "parked") throw new ProtocolError(`stream ${this.id}: it is not parked`);
    this.#enter("called_back");
  }

  /** For the link, at the gateway: there is a place for a stream that was called back. */
  unpark(): void {
    const bytes = this.#link.budget.initialWindow();
    this.#receiving = this.#receiveWindow(bytes);
    this.#link.send(FRAME.CREDIT, this.id, [uint32(bytes)]);
    this.#enter("counted");
  }

  /** Body bytes that the next frame may have. The agent's first one brings the head, too. */
  get room(): number {
    const isHead = this.#link.role === "agent" && !this.#hasHead;
    return Math.min(this.window, isHead ? MAX_HEAD_BODY_BYTES : MAX_DATA_BYTES);
  }

  /** Agent: sends the response's head. The body has at most `room` bytes. */
  sendHead(head: string, body: readonly Uint8Array[] = NOTHING, end = false): void {
    this.callBack();
    this.reserve(body, end);
    this.#hasHead = true;
    const json = encoder.encode(head);
    this.#link.send(FRAME.HEAD, this.id, [uint32(json.length), json, ...body], end);
  }

  /** Sends body bytes, at most `room`. */
  sendData(parts: readonly Uint8Array[], end = false): void {
    this.reserve(parts, end);
    this.#link.send(FRAME.DATA, this.id, parts, end);
  }

  /**
   * Gateway: sends body bytes without a copy of ours, at once. The caller may reuse the buffer afterwards.
   * @param message `FRAME_HEADER_BYTES`, then at most `room` bytes of body
   */
  sendInPlace(message: Uint8Array): void {
    this.#reserve(message.length - FRAME_HEADER_BYTES, false);
    this.#link.sendInPlace(FRAME.DATA, this.id, message);
  }

  /** Returns the credit of received bytes that were passed on. */
  consume(bytes: number): void {
    this.#receiving.consume(bytes);
  }

  /** Returns the memory of all bytes that were received and will not be read. */
  discard(): void {
    this.#receiving.discard();
  }

  /** Agent: the call was not executed, or there is nothing to attach to. */
  refuse(failure: Failure): void {
    this.#end(FRAME.REFUSE, failure);
  }

  /** Agent: the call failed. Gateway: the request's body will not arrive whole. */
  reset(failure: Failure): void {
    this.#end(FRAME.RESET, failure);
  }

  /** Gateway: the client has the whole response, and the agent may forget it. The frame waits for others. */
  finish(): void {
    if (this.closed) return;
    this.#link.sendLazily(FRAME.DONE, this.id);
    this.#link.forget(this);
  }

  /** Gateway: the client stops waiting. The head follows where it came first, else the end `deferred`. */
  defer(): void {
    if (!this.closed) this.#link.send(FRAME.DEFER, this.id, NOTHING);
  }

  /** Agent: ends the stream of a call that is durable from now on. */
  confirmDeferred(call: DeferredCall): void {
    if (this.closed) return;
    this.#link.send(FRAME.DEFERRED, this.id, [encoder.encode(JSON.stringify(call))]);
    this.#link.forget(this);
  }

  /** Gateway: the client left. The endpoint's policy decides what becomes of the call. */
  cancel(): void {
    this.#end(FRAME.CANCEL);
  }

  /** Gateway: ends this stream alone; its call goes on. */
  detach(): void {
    this.#end(FRAME.DETACH);
  }

  /** For the link: the response's head came. @throws {ProtocolError} for a second one */
  acceptHead(): void {
    if (this.#hasHead) throw new ProtocolError(`stream ${this.id}: a second head`);
    if (this.#place === "parked") throw new ProtocolError(`stream ${this.id}: it is parked`);
    this.#hasHead = true;
  }

  /** For the link: body bytes came. @throws {ProtocolError} before the head, after END, beyond the window */
  acceptBody(bytes: Uint8Array, end: boolean): void {
    if (this.remoteClosed) throw new ProtocolError(`stream ${this.id}: data after its end`);
    if (this.#link.role === "gateway" && !this.#hasHead) {
      throw new ProtocolError(`stream ${this.id}: data before its head`);
    }
    if (!this.#receiving.receive(bytes.length)) {
      throw new ProtocolError(`stream ${this.id}: ${bytes.length} bytes beyond its window`);
    }
    this.remoteClosed = end;
    if (end) this.#receiving.close();
  }

  /** For the link: the peer granted more. @throws {ProtocolError} for a window of more than 1 MiB */
  acceptCredit(bytes: number): void {
    if (this.#link.role === "agent" && this.#place !== "counted") {
      if (this.#place === "parked") throw new ProtocolError(`stream ${this.id}: it is parked`);
      this.#enter("counted");
    }
    this.#releaseInitialWindow(this.#initialWindow);
    const wasShut = this.window === 0;
    this.window += bytes;
    if (this.window > MAX_WINDOW_BYTES) {
      throw new ProtocolError(`stream ${this.id}: a window of ${this.window} bytes`);
    }
    if (wasShut && bytes > 0) this.events?.onWindow?.();
  }

  /** For the link: grants a window to a peer that may send nothing. */
  replenish(): void {
    this.#receiving.replenish();
  }

  /**
   * For the link: takes bytes that are about to be sent from the window, and notes END.
   * @throws Error when the owner sends on a closed stream or beyond the window
   */
  reserve(parts: readonly Uint8Array[], end: boolean): void {
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    this.#reserve(bytes, end);
  }

  #reserve(bytes: number, end: boolean): void {
    if (this.closed || this.localClosed) throw new Error(`stream ${this.id} is closed`);
    if (bytes > this.room) {
      throw new Error(`stream ${this.id}: ${bytes} bytes do not fit the window of ${this.window}`);
    }
    this.window -= bytes;
    this.localClosed = end;
    // After END the rest of the initial window will not be used.
    if (end) this.#releaseInitialWindow(Math.min(this.#initialWindow, this.window));
  }

  /** For the link: the stream left its table. */
  close(): void {
    this.closed = true;
    this.#releaseInitialWindow(this.#initialWindow);
    this.#receiving.discard();
  }

  #releaseInitialWindow(bytes: number): void {
    if (bytes === 0) return;
    this.#initialWindow -= bytes;
    this.#link.releaseInitialWindow(bytes);
  }

  #end(type: FrameType, failure?: Failure): void {
    if (this.closed) return;
    const parts = failure === undefined ? NOTHING : [encoder.encode(JSON.stringify(failure))];
    this.#link.send(type, this.id, parts);
    this.#link.forget(this);
  }
}
