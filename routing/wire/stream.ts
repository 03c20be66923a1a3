/**
 * One stream of a link, as its owner sees it: what may be sent, and how it ends. A stream is one
 * attachment of a client to a call: the gateway opens it (OPEN starts the call, ATTACH joins one), the
 * request body flows to the agent, the answer back. It is over when the gateway has handed the whole
 * answer on (DONE), or when either side ended it (REFUSE, RESET, KEPT from the agent; RESET, CANCEL,
 * DETACH from the gateway). Until DONE the agent keeps what it sent: it may never have arrived.
 */
import { FRAME, type FrameType, ProtocolError, uint32 } from "./frames.ts";
import { MAX_DATA_BYTES, MAX_WINDOW_BYTES } from "./limits.ts";
import type { Failure, KeptCall } from "./messages.ts";
import { type GrantBudget, ReceiveWindow } from "./windows.ts";

const encoder = new TextEncoder();
const NOTHING: readonly Uint8Array[] = [];

/** What the owner of a stream hears about it. After `onOver` nothing more comes. */
export interface StreamEvents {
  /** Gateway only: the answer's head (JSON text) with the first bytes of its body. */
  onHead?(head: string, body: Uint8Array, end: boolean): void;
  /** Body bytes; `stream.drained(n)` must follow when they were passed on. */
  onData(bytes: Uint8Array, end: boolean): void;
  /** The window opened: `stream.window` is above 0 again. */
  onWindow?(): void;
  /** Agent only: the client will not wait any longer; the call should be kept, if it has no answer yet. */
  onKeep?(): void;
  /** The peer ended the stream. */
  onOver(ending: StreamEnding): void;
}

export type StreamEnding =
  | { readonly kind: "refused" | "reset"; readonly failure: string }
  /** Gateway: the call goes on without this stream, and its answer will be kept. JSON: `KeptCall`. */
  | { readonly kind: "kept"; readonly call: string }
  | { readonly kind: "done" | "cancelled" | "detached" | "link_lost" };

/** This end of the link, as far as a stream needs it. */
export interface LinkEnd {
  readonly role: "gateway" | "agent";
  readonly budget: GrantBudget;
  send(type: FrameType, stream: number, parts: readonly Uint8Array[], end?: boolean): void;
  sendLazily(type: FrameType, stream: number): void;
  /** The stream is over. */
  forget(stream: Stream): void;
  /** The gateway takes that much less for granted. */
  confirm(bytes: number): void;
}

export interface InitialWindows {
  /** What this side may send. */
  send: number;
  /** What the peer may send before any CREDIT. */
  receive: number;
}

export class Stream {
  readonly id: number;
  readonly #link: LinkEnd;
  readonly #receiving: ReceiveWindow;
  events: StreamEvents | undefined;
  /** Body bytes that may be sent now. */
  window: number;
  over = false;
  /** The peer's half is complete (its END came). */
  received = false;
  /** Our half is complete (our END was sent). */
  sent = false;
  /** Gateway: the answer's head came. */
  #headed = false;
  /** Gateway: what this stream was opened with and the agent has not granted yet. */
  #assumed: number;

  constructor(link: LinkEnd, id: number, windows: InitialWindows) {
    this.#link = link;
    this.id = id;
    this.window = windows.send;
    this.#assumed = link.role === "gateway" ? windows.send : 0;
    this.#receiving = new ReceiveWindow(link.budget, windows.receive, (bytes) => {
      link.send(FRAME.CREDIT, id, [uint32(bytes)]);
    });
  }

  /** Agent: sends the answer's head; body bytes must fit the window and, together, a DATA frame. */
  head(head: string, body: readonly Uint8Array[] = NOTHING, end = false): void {
    this.spend(body, end);
    const json = encoder.encode(head);
    this.#link.send(FRAME.HEAD, this.id, [uint32(json.length), json, ...body], end);
  }

  /** Sends body bytes, at most `window` and at most 64 KiB. */
  data(parts: readonly Uint8Array[], end = false): void {
    this.spend(parts, end);
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
    this.#link.forget(this);
  }

  /** Gateway: the client will not wait any longer. The answer, if it comes first, or `kept` follows. */
  keep(): void {
    if (!this.over) this.#link.send(FRAME.KEEP, this.id, NOTHING);
  }

  /** Agent: the call is kept from here on, with or without a client; this stream is over. */
  kept(call: KeptCall): void {
    if (this.over) return;
    this.#link.send(FRAME.KEPT, this.id, [encoder.encode(JSON.stringify(call))]);
    this.#link.forget(this);
  }

  /** Gateway: the client left; the call's own policy decides what becomes of it. */
  cancel(): void {
    this.#end(FRAME.CANCEL);
  }

  /** Gateway: this attachment ends, the call lives on. */
  detach(): void {
    this.#end(FRAME.DETACH);
  }

  /** From the link alone: the answer's head came, once and before its body. */
  acceptHead(): void {
    if (this.#headed) throw new ProtocolError(`stream ${this.id}: a second head`);
    this.#headed = true;
  }

  /** From the link alone: bytes of the peer's half. */
  acceptBody(bytes: Uint8Array, end: boolean): void {
    if (this.received) throw new ProtocolError(`stream ${this.id}: data after its end`);
    if (this.#link.role === "gateway" && !this.#headed) {
      throw new ProtocolError(`stream ${this.id}: data before its head`);
    }
    if (!this.#receiving.receive(bytes.length)) {
      throw new ProtocolError(`stream ${this.id}: ${bytes.length} bytes beyond its window`);
    }
    this.received = end;
    if (end) this.#receiving.close();
  }

  /** From the link alone: the peer granted more. */
  acceptCredit(bytes: number): void {
    this.#confirm(this.#assumed);
    const shut = this.window === 0;
    this.window += bytes;
    if (this.window > MAX_WINDOW_BYTES) {
      throw new ProtocolError(`stream ${this.id}: a window of ${this.window} bytes`);
    }
    if (shut && bytes > 0) this.events?.onWindow?.();
  }

  /** From the link alone: the peer may always send something. */
  replenish(): void {
    this.#receiving.replenish();
  }

  /** From the link alone: counts body bytes that go out, and the end of this side's half. */
  spend(parts: readonly Uint8Array[], end: boolean): void {
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    if (this.over || this.sent) throw new Error(`stream ${this.id} is over`);
    if (bytes > this.window || bytes > MAX_DATA_BYTES) {
      throw new Error(`stream ${this.id}: ${bytes} bytes do not fit the window of ${this.window}`);
    }
    this.window -= bytes;
    this.sent = end;
    // What was not used will not be.
    if (end) this.#confirm(Math.min(this.#assumed, this.window));
  }

  /** From the link alone: the stream left the link's table. */
  close(): void {
    this.over = true;
    this.#confirm(this.#assumed);
    this.#receiving.discard();
  }

  #confirm(bytes: number): void {
    if (bytes === 0) return;
    this.#assumed -= bytes;
    this.#link.confirm(bytes);
  }

  #end(type: FrameType, failure?: Failure): void {
    if (this.over) return;
    const parts = failure === undefined ? NOTHING : [encoder.encode(JSON.stringify(failure))];
    this.#link.send(type, this.id, parts);
    this.#link.forget(this);
  }
}
