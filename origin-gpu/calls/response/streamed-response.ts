/**
 * Sends a transient call's response to its one subscriber, through the replay ring, from any byte that the ring
 * still has. Without a subscriber the ring fills, then the app is held back, and after `DETACHED_MS` the call is
 * cancelled. No byte of the response is written to the disk.
 */
import { KIB } from "../../../base/units.ts";
import { COALESCE_MS, DETACHED_MS } from "../../../routing/wire/limits.ts";
import { contentLength, type ResponseHead } from "../../../routing/wire/heads.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { CallProgress } from "../../../routing/wire/resend.ts";
import type { Stream, StreamEnding, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import type { CallResponse, RespondingCall, Subscriber } from "./call-response.ts";
import type { Carrier } from "../../../routing/wire/stream-writer.ts";
import { ReplayRing, type RingBudget } from "./replay-ring.ts";

/** So many unsent bytes are worth a frame at once. */
const FLUSH_BYTES = 16 * KIB;

/** The services that streamed responses use: the clock, timers and the memory of their rings. */
export interface StreamedResponseContext {
  now(): number;
  /** Calls back in the next turn of the event loop: the bytes of one read of the app's socket share a frame. */
  soon(callback: () => void): void;
  /** Calls back after `COALESCE_MS`, together with all who asked in that time. */
  later(callback: () => void): void;
  rings: RingBudget;
}

export class StreamedResponse implements CallResponse {
  readonly #call: RespondingCall;
  readonly #context: StreamedResponseContext;
  readonly #graceMs: number;
  readonly #ring: ReplayRing;
  /** As JSON, once the response has begun. */
  #head: string | undefined;
  #wholeLength: number | undefined;
  #eager = false;
  #complete = false;
  #failure: Failure | undefined;
  #reachedNoApp = false;
  /** The app is held back, since `#heldAt`. */
  #held = false;
  #heldAt = 0;
  /** The client has left, and the app's work goes on: the rest of the response is discarded. */
  #discarding = false;

  /** One function for every `later` and `whenDrained`: these collect callbacks in a set. */
  readonly #pumpNow = (): void => this.#pump();

  #stream: Stream | undefined;
  #carrier: Carrier | undefined;
  #headSent = false;
  /** The next byte of the body for the present subscriber. */
  #offset = 0;
  #scheduled = false;
  #sentAt = 0;
  #leaving: ReturnType<typeof setTimeout> | undefined;

  /** @param graceMs milliseconds that the work goes on when its client has left: 0, some, or Infinity */
  constructor(call: RespondingCall, context: StreamedResponseContext, graceMs: number) {
    this.#call = call;
    this.#context = context;
    this.#graceMs = graceMs;
    this.#ring = new ReplayRing(context.rings);
  }

  get abandoned(): boolean {
    return this.#stream === undefined;
  }

  get stalledSinceMs(): number | undefined {
    return this.#held ? Math.max(this.#heldAt, this.#sentAt) : undefined;
  }

  canResume(offset: number): boolean {
    if (this.#discarding) return false;
    return offset >= this.#ring.start && offset <= this.#ring.end;
  }

  /** An older subscriber's stream is reset. */
  attach(subscriber: Subscriber): StreamEvents {
    const { stream, carrier, offset } = subscriber;
    clearTimeout(this.#leaving);
    const before = this.#stream;
    this.#stream = stream;
    this.#carrier = carrier;
    this.#headSent = false;
    this.#offset = offset;
    if (before !== undefined && !before.closed) {
      before.reset({ code: "conflict", detail: "another stream attached to this call" });
    }
    if (this.#head !== undefined || this.#failure !== undefined) this.#schedule();
    return {
      onData: (bytes, end) => this.#call.receive(stream, bytes, end),
      onWindow: this.#pumpNow,
      onDefer: () => this.#call.makeDurable(subscriber),
      onEnd: (ending) => this.#detached(stream, ending),
    };
  }

  /** Waits for a subscriber; without one the call ends. */
  awaitAttach(): void {
    this.#leaving = setTimeout(() => this.#clientLeft("no client attached again"), DETACHED_MS);
  }

  onClientsGone(): void {
    const isAwaited = this.#stream === undefined && !this.#discarding;
    if (!isAwaited) return;
    clearTimeout(this.#leaving);
    this.#clientLeft("the gateway ended, and its clients' connections with it");
  }

  onBodyReceived(): void {
    // A transient call's client stays until the response comes.
  }

  park(): void {
    this.#stream?.park();
  }

  callBack(): void {
    this.#stream?.callBack();
  }

  begin(head: ResponseHead, eager: boolean): void {
    this.#head = JSON.stringify(head);
    this.#eager = eager;
    this.#wholeLength = contentLength(head.headers);
    // A response that fits one frame becomes one: its body is nearly always a moment behind its head.
    if (eager) this.#schedule();
    else this.#context.later(this.#pumpNow);
  }

  append(bytes: Uint8Array): void {
    if (this.#discarding) return;
    this.#ring.append(bytes);
    const unsent = this.#ring.end - this.#offset;
    if (unsent > this.#unsentLimit && !this.#held) {
      this.#held = true;
      this.#heldAt = this.#context.now();
      this.#call.pauseApp();
    }
    const wholeSoon =
      !this.#headSent && !this.#eager && (this.#wholeLength ?? Infinity) < FLUSH_BYTES;
    if (wholeSoon && this.#ring.end < (this.#wholeLength as number)) return;
    const recent = this.#context.now() - this.#sentAt < COALESCE_MS;
    if (recent && unsent < FLUSH_BYTES) this.#context.later(this.#pumpNow);
    else this.#schedule();
  }

  complete(): void {
    this.#complete = true;
    // In this very turn: the response is whole.
    this.#end();
  }

  /** Before the response's head the failure is the response, later it cuts the client. */
  fail(failure: Failure, progress: CallProgress): void {
    this.#failure = failure;
    this.#reachedNoApp = progress === "not_sent";
    this.#end();
  }

  cancel(reason: string): void {
    this.#stream?.reset({ code: "call_lost", detail: reason });
  }

  abandon(failure: Failure, progress: CallProgress): void {
    if (progress === "not_sent") this.#stream?.refuse(failure);
    else this.#stream?.reset(failure);
  }

  release(): void {
    clearTimeout(this.#leaving);
    this.#stream = undefined;
    this.#ring.release();
  }

  #end(): void {
    if (this.#discarding) this.#call.finish();
    else this.#pump();
  }

  /**
   * Bytes that may wait to be sent: above this number the app is held back, below half of it the app goes on.
   * It shrinks with the rings, which hold the waiting bytes too.
   */
  get #unsentLimit(): number {
    return this.#context.rings.keep;
  }

  #detached(stream: Stream, ending: StreamEnding): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    switch (ending.kind) {
      case "done":
        this.#call.finish();
        return;
      case "cancelled":
        this.#clientLeft("the client left");
        return;
      case "reset":
        this.#call.cancel("the request body did not arrive whole");
        return;
      case "link_lost":
      case "detached":
      case "refused":
      case "deferred":
        // A body that was cut cannot be completed: only the client could send it again.
        if (this.#call.body.incomplete) this.#call.cancel("the link broke during the upload");
        else this.awaitAttach();
    }
  }

  /** The endpoint's `on_disconnect` decides whether the work goes on; without its whole body it cannot. */
  #clientLeft(reason: string): void {
    const ended = this.#complete || this.#failure !== undefined;
    if (this.#graceMs === 0 || this.#call.body.incomplete || ended) {
      this.#call.cancel(reason);
      return;
    }
    this.#discarding = true;
    this.#ring.release();
    this.#letAppGoOn();
    if (this.#graceMs === Infinity) return;
    this.#leaving = setTimeout(() => this.#call.cancel(reason), this.#graceMs);
  }

  #letAppGoOn(): void {
    if (this.#held) this.#call.resumeApp();
    this.#held = false;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#context.soon(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  /** Sends as much as the windows allow: the head with the first of the body, then data, then the end. */
  #pump(): void {
    const stream = this.#stream;
    if (stream === undefined || stream.closed || stream.localClosed) return;
    if (this.#head === undefined) {
      if (this.#failure !== undefined) this.#sendFailure(stream, this.#failure);
      return;
    }
    const carrier = this.#carrier as Carrier;
    while (!stream.localClosed) {
      const ready = Math.min(this.#ring.end - this.#offset, stream.room);
      const end = this.#complete && this.#offset + ready === this.#ring.end;
      // Only the failure is left to send: it needs no head, and before the head it is the response.
      const isEmpty = ready === 0 && !end;
      if (isEmpty && (this.#headSent || this.#failure !== undefined)) break;
      if (carrier.congested) {
        carrier.whenDrained(this.#pumpNow);
        break;
      }
      const parts = ready === 0 ? [] : this.#ring.slices(this.#offset, ready);
      this.#offset += ready;
      this.#sentAt = this.#context.now();
      if (this.#headSent) stream.sendData(parts, end);
      else {
        this.#headSent = true;
        stream.sendHead(this.#head, parts, end);
      }
    }
    this.#ring.sent(this.#offset);
    if (this.#failure !== undefined && this.#offset === this.#ring.end) {
      this.#sendFailure(stream, this.#failure);
    }
    if (this.#ring.end - this.#offset < this.#unsentLimit / 2) this.#letAppGoOn();
  }

  #sendFailure(stream: Stream, failure: Failure): void {
    // Another box, or the endpoint's fallback, may take a call that no app has seen.
    if (this.#reachedNoApp) stream.refuse(failure);
    else stream.reset(failure);
    this.#stream = undefined;
    // The frame may never arrive: a client that attaches is sent the same.
    this.awaitAttach();
  }
}
