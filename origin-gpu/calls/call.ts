/**
 * One call, as the agent owns it: it outlives the streams that carry it. A passing call's answer goes
 * into the replay ring; whoever is attached gets it from there, from any byte that the ring still has.
 * Nobody attached: the ring fills, then the app is held back, and after a while the call is cancelled.
 * A call that is kept before its answer begins (an Idempotency-Key, `respond-async`, a client that was
 * redirected) has its answer on the disk instead, for any number of clients, attached or not.
 */
import { COALESCE_MS, DETACHED_MS, KIB, MAX_DATA_BYTES } from "../../routing/wire/limits.ts";
import {
  contentLength,
  type Failure,
  type RequestHead,
  type ResponseHead,
} from "../../routing/wire/messages.ts";
import type { Stream, StreamEnding, StreamEvents } from "../../routing/wire/multiplexer.ts";
import type { Carrier } from "./carrier.ts";
import { deliver } from "./delivery.ts";
import { ReplayRing, type RingBudget } from "./replay-ring.ts";
import {
  type CallEvent,
  type CallState,
  type CallStatus,
  callStatus,
  mayHaveStarted,
  transition,
} from "./states.ts";
import { RequestBody } from "./request-body.ts";
import type { ResultSpool } from "./result-spool.ts";

/** What is shown of a path: a list of calls fits a frame. */
const SHOWN_PATH_CHARACTERS = 200;

/** Waiting bytes that are worth a frame at once. */
const FLUSH_BYTES = 16 * KIB;

/** The app's side of a call: what the call may do to it. */
export interface Exchange {
  pause(): void;
  resume(): void;
  /** Ends the app's request; the app sees a disconnect. */
  abort(reason: string): void;
}

/** What a call needs of the world. */
export interface CallContext {
  now(): number;
  /** Calls back in the next turn of the event loop: what one read of the app's socket brought shares a frame. */
  soon(callback: () => void): void;
  /** Calls back after `COALESCE_MS`, with everybody else who asked in that time. */
  later(callback: () => void): void;
  rings: RingBudget;
  /** The call is over for good: forget it. */
  forget(call: Call): void;
}

/** What an endpoint promises its calls. */
export interface CallTerms {
  /** Milliseconds that a kept answer can be read. */
  readonly resultTtlMs: number;
  /** Milliseconds that a passing call goes on when its client has left: 0, some, or Infinity. */
  readonly graceMs?: number;
}

/** A call's place among the kept ones; what it does never rejects. */
export interface Keeper {
  /** Notes the call; false when there is no room for it: then it cannot be kept. */
  accept(): Promise<boolean>;
  begin(head: ResponseHead, onDrain: () => void): ResultSpool;
  completed(): Promise<void>;
  failed(failure: Failure): Promise<void>;
  cancelled(): Promise<void>;
  /** The call never began: nothing is known of it any more, and its key is free. */
  forget(): Promise<void>;
}

/** A call as `postern call inspect` shows it; times in milliseconds since it was opened. */
export interface CallDescription {
  call: string;
  endpoint: string;
  /** Not noted of a call that has ended. */
  method?: string;
  path?: string;
  status: CallStatus;
  /** Its answer is or will be on the disk. */
  kept: boolean;
  elapsedMs: number;
  timeline: { state: CallState; atMs: number }[];
}

/** A client that waits for an answer that will be kept. */
interface Waiting {
  readonly carrier: Carrier;
  readonly offset: number;
  /** It will not wait any longer. */
  leaves: boolean;
}

export class Call {
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly #context: CallContext;
  readonly #graceMs: number;
  readonly #ring: ReplayRing;
  #exchange: Exchange | undefined;
  #answer: string | undefined;
  #wholeLength: number | undefined;
  #eager = false;
  #state: CallState;
  readonly #timeline: { state: CallState; at: number }[] = [];
  #failure: Failure | undefined;
  #over = false;
  #held = false;
  /** Its client has left, and it goes on all the same: what it answers is for nobody. */
  #abandoned = false;

  /** One function for all who call back later, so that they can be told apart. */
  readonly #pumpNow = (): void => this.#pump();

  #stream: Stream | undefined;
  #carrier: Carrier | undefined;
  #headSent = false;
  /** The next answer byte for the present attachment. */
  #offset = 0;
  #scheduled = false;
  #sentAt = 0;
  #leaving: ReturnType<typeof setTimeout> | undefined;

  readonly #openedAt: number;
  readonly #keeper: Keeper | undefined;
  /** Its answer will be on the disk, if it can be. */
  #keeping: boolean;
  /** It is in the journal. */
  #accepted = false;
  #spool: ResultSpool | undefined;
  readonly #waiting = new Map<Stream, Waiting>();
  /** The stream that brings the body. */
  #uploading: Stream | undefined;
  #settled: (() => void) | undefined;
  /** Somebody was told that the call goes on. */
  #sentAway = false;

  /**
   * @param keeper without one the call cannot be kept
   * @param kept it is being noted in the journal: `noted` says when it is
   */
  constructor(
    context: CallContext,
    terms: CallTerms,
    head: RequestHead,
    body: RequestBody,
    keeper?: Keeper,
    kept = false,
  ) {
    this.#context = context;
    this.#graceMs = terms.graceMs ?? 0;
    this.head = head;
    this.body = body;
    this.#ring = new ReplayRing(context.rings);
    this.#openedAt = context.now();
    this.#keeper = keeper;
    this.#keeping = kept;
    this.#state = body.incomplete ? "receiving" : "queued";
    this.#timeline.push({ state: this.#state, at: this.#openedAt });
  }

  /** Nobody is attached, and nothing of it will be kept. */
  get abandoned(): boolean {
    return !this.#keeping && this.#stream === undefined;
  }

  /** What a person who asks about this call is told. */
  describe(): CallDescription {
    return {
      call: this.head.call,
      endpoint: this.head.endpoint,
      method: this.head.method,
      path: (this.head.target.split("?", 1)[0] ?? "").slice(0, SHOWN_PATH_CHARACTERS),
      status: this.#status(),
      kept: this.#keeping,
      elapsedMs: Math.round(this.#context.now() - this.#openedAt),
      timeline: this.#timeline.map(({ state, at }) => ({
        state,
        atMs: Math.round(at - this.#openedAt),
      })),
    };
  }

  #status(): CallStatus {
    // An expired call is in nobody's hands any more.
    return this.#state === "expired" ? "lost" : callStatus(this.#state, this.#failure?.code);
  }

  /** Takes the state on, where that is legal; of two events that race, the later one is not. */
  #advance(event: CallEvent): boolean {
    const next = transition(this.#state, event);
    if (next === "illegal") return false;
    if (next !== this.#state) this.#timeline.push({ state: next, at: this.#context.now() });
    this.#state = next;
    return true;
  }

  #receive(bytes: Uint8Array, end: boolean): void {
    if (end) this.#advance("body_received");
    this.body.push(bytes, end);
    if (!end) return;
    this.#uploading = undefined;
    this.#letGo();
  }

  get over(): boolean {
    return this.#over;
  }

  /** Calls back once, when the app has no more to do with the call: then its slot is free. */
  whenSettled(callback: () => void): void {
    this.#settled = callback;
    if (this.#over) this.#settle();
  }

  /**
   * Answer bytes that may wait to be sent: above it the app is held back, below half of it it goes on.
   * It shrinks with the rings, since what waits is in them too.
   */
  get #unsentLimit(): number {
    return this.#context.rings.keep;
  }

  /** Attaches a stream from `offset` on; an older attachment gives way. */
  attach(stream: Stream, carrier: Carrier, offset: number): StreamEvents {
    if (this.body.incomplete) this.#uploading ??= stream;
    if (this.#keeping) return this.#attachToKept(stream, carrier, offset);
    clearTimeout(this.#leaving);
    const before = this.#stream;
    this.#stream = stream;
    this.#carrier = carrier;
    this.#headSent = false;
    this.#offset = offset;
    if (before !== undefined && !before.over) {
      before.reset({ code: "conflict", detail: "another attachment took this call over" });
    }
    if (this.#answer !== undefined || this.#failure !== undefined) this.#schedule();
    return {
      onData: (bytes, end) => this.#receive(bytes, end),
      onWindow: this.#pumpNow,
      onKeep: () => this.#keep(stream, carrier, offset),
      onOver: (ending) => this.#detached(stream, ending),
    };
  }

  #attachToKept(stream: Stream, carrier: Carrier, offset: number): StreamEvents {
    if (this.#spool !== undefined) return deliver(this.#spool, stream, carrier, offset);
    const waiting = { carrier, offset, leaves: false };
    this.#waiting.set(stream, waiting);
    return {
      onData: (bytes, end) => this.#receive(bytes, end),
      onKeep: () => {
        waiting.leaves = true;
        this.#letGo();
      },
      onOver: () => {
        this.#waiting.delete(stream);
        // Nobody can complete the body: the app must not take what came for the whole.
        if (stream === this.#uploading) this.#uploadBroke();
      },
    };
  }

  /** A client will not wait any longer. An answer that has begun is on its way to it, whatever it said. */
  #keep(stream: Stream, carrier: Carrier, offset: number): void {
    const keeper = this.#keeper;
    if (keeper === undefined || this.#over || this.#keeping) return;
    if (this.#answer !== undefined || this.#failure !== undefined) return;
    this.#keeping = true;
    this.#stream = undefined;
    stream.events = this.#attachToKept(stream, carrier, offset);
    stream.events.onKeep?.();
    void keeper.accept().then((accepted) => {
      this.#accepted = accepted;
      if (accepted) this.#letGo();
      else this.#passAfterAll();
    });
  }

  /** The call is in the journal, and has its place: whoever will not wait may go. */
  noted(): void {
    this.#accepted = true;
    this.#letGo();
  }

  /** Sends those away who will not wait any longer, once the call is safe. */
  #letGo(): void {
    if (!this.#accepted || this.#failure !== undefined) return;
    for (const [stream, { leaves }] of this.#waiting) {
      // Its stream still brings the body.
      if (!leaves || stream === this.#uploading) continue;
      this.#waiting.delete(stream);
      this.#sentAway = true;
      stream.kept({
        call: this.head.call,
        status: this.#exchange === undefined ? "pending" : "running",
        position: 0,
        elapsedMs: Math.round(this.#context.now() - this.#openedAt),
      });
    }
    if (!this.body.incomplete && this.#stream === undefined) this.body.compact();
  }

  /** There is no room to keep the call: its client waits on, as if it had not been asked to leave. */
  #passAfterAll(): void {
    if (this.#spool !== undefined || this.#over) return;
    this.#keeping = false;
    for (const [stream, { carrier, offset }] of this.#waiting) {
      stream.events = this.attach(stream, carrier, offset);
    }
    this.#waiting.clear();
    if (this.#stream === undefined) this.#awaitAttach();
  }

  #uploadBroke(): void {
    const failure = {
      code: "upload_interrupted",
      detail: "the request body did not arrive whole",
    } as const;
    for (const stream of this.#waiting.keys()) stream.reset(failure);
    this.#finish();
    this.#exchange?.abort(failure.detail);
    void this.#keeper?.forget();
  }

  /** Whether an attachment from this byte on can be served. */
  canResume(offset: number): boolean {
    if (this.#keeping) return true;
    if (this.#abandoned) return false;
    return offset >= this.#ring.start && offset <= this.#ring.end;
  }

  /** The app's request is on its way. */
  started(exchange: Exchange): void {
    this.#exchange = exchange;
    this.#advance("started");
    if (this.#over) exchange.abort("the call is over");
    else if (this.#held) exchange.pause();
  }

  /**
   * The app's answer begins.
   * @param eager a stream of events: its head is sent at once, not with the first of its body
   */
  answered(answer: ResponseHead, eager: boolean): void {
    if (!this.#advance("answered")) return;
    if (this.#keeping && this.#keeper !== undefined) {
      this.#answer = "";
      const spool = this.#keeper.begin(answer, () => this.#exchange?.resume());
      this.#spool = spool;
      for (const [stream, { carrier, offset }] of this.#waiting) {
        stream.events = deliver(spool, stream, carrier, offset);
      }
      this.#waiting.clear();
      return;
    }
    this.#answer = JSON.stringify(answer);
    this.#eager = eager;
    this.#wholeLength = contentLength(answer.headers);
    // An answer that fits one frame is one: its body is nearly always a moment behind its head.
    if (eager) this.#schedule();
    else this.#context.later(this.#pumpNow);
  }

  chunk(bytes: Uint8Array): void {
    if (this.#over || this.#abandoned) return;
    if (this.#spool !== undefined) {
      if (!this.#spool.append(bytes)) this.#exchange?.pause();
      return;
    }
    this.#ring.append(bytes);
    const unsent = this.#ring.end - this.#offset;
    if (unsent > this.#unsentLimit && !this.#held) {
      this.#held = true;
      this.#exchange?.pause();
    }
    const wholeSoon =
      !this.#headSent && !this.#eager && (this.#wholeLength ?? Infinity) < FLUSH_BYTES;
    if (wholeSoon && this.#ring.end < (this.#wholeLength as number)) return;
    const recent = this.#context.now() - this.#sentAt < COALESCE_MS;
    if (recent && unsent < FLUSH_BYTES) this.#context.later(this.#pumpNow);
    else this.#schedule();
  }

  /** The app's answer is complete. */
  completed(): void {
    if (!this.#advance("completed")) return;
    this.#settle();
    if (this.#spool !== undefined) {
      void this.#completeSpool(this.#spool);
      return;
    }
    // Sent in this very turn: everything is here.
    if (this.#abandoned) this.#finish();
    else this.#pump();
  }

  /** The call failed: before the answer's head that is the answer, later it cuts the client. */
  failed(failure: Failure): void {
    // Who was never sent away and never began may come again, under the same key too.
    const leavesNoTrace = !mayHaveStarted(this.#state) && !this.#sentAway;
    if (!this.#advance("failed")) return;
    this.#settle();
    this.#failure = failure;
    this.body.broke();
    if (!this.#keeping) {
      if (this.#abandoned) this.#finish();
      else this.#pump();
      return;
    }
    this.#spool?.discard(failure.detail);
    for (const stream of this.#waiting.keys()) stream.reset(failure);
    const told = leavesNoTrace ? this.#keeper?.forget() : this.#keeper?.failed(failure);
    void told?.then(() => this.#finish());
  }

  async #completeSpool(spool: ResultSpool): Promise<void> {
    try {
      await spool.complete();
      await this.#keeper?.completed();
    } catch (error) {
      const detail = error instanceof Error ? error.message : "the answer could not be kept";
      await this.#keeper?.failed({ code: "origin_error", detail });
    }
    this.#finish();
  }

  /** A WebSocket's two halves are coupled: it lives by itself, and holds its slot until it is closed. */
  handedOver(closed: Promise<unknown>): void {
    const settled = this.#settled;
    this.#settled = undefined;
    void closed.then(() => settled?.());
    this.#finish();
  }

  /** Ends the call and its work. */
  cancel(reason: string): void {
    if (this.#over) return;
    // One that is complete or failed only waits for who comes back: that ends, and nothing else.
    if (this.#advance("cancelled") && this.#keeping) {
      this.#spool?.discard(reason);
      for (const stream of this.#waiting.keys()) {
        stream.reset({ code: "call_lost", detail: reason });
      }
      void this.#keeper?.cancelled();
    }
    this.#finish();
    this.#exchange?.abort(reason);
  }

  #settle(): void {
    const settled = this.#settled;
    this.#settled = undefined;
    settled?.();
  }

  #detached(stream: Stream, ending: StreamEnding): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    switch (ending.kind) {
      case "done":
        this.#finish();
        return;
      case "cancelled":
        this.#clientLeft("the client left");
        return;
      case "reset":
        this.cancel("the request body did not arrive whole");
        return;
      case "link_lost":
      case "detached":
      case "refused":
      case "kept":
        // A body that was cut cannot be completed: the client would have to send it again.
        if (this.body.incomplete) this.cancel("the link broke during the upload");
        else this.#awaitAttach();
    }
  }

  #awaitAttach(): void {
    this.#leaving = setTimeout(() => this.#clientLeft("nobody attached again"), DETACHED_MS);
  }

  /** The endpoint decides whether work goes on for nobody; without its whole body it cannot. */
  #clientLeft(reason: string): void {
    const ended = this.#state === "complete" || this.#failure !== undefined;
    if (this.#graceMs === 0 || this.body.incomplete || ended) {
      this.cancel(reason);
      return;
    }
    this.#abandoned = true;
    this.#ring.release();
    if (this.#held) this.#exchange?.resume();
    this.#held = false;
    if (this.#graceMs === Infinity) return;
    this.#leaving = setTimeout(() => this.cancel(reason), this.#graceMs);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#context.soon(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  /** Sends what may be sent: the head with what is there of the body, then data, then the end. */
  #pump(): void {
    const stream = this.#stream;
    if (stream === undefined || stream.over || stream.sent) return;
    if (this.#answer === undefined) {
      if (this.#failure !== undefined) this.#sendFailure(stream, this.#failure);
      return;
    }
    const carrier = this.#carrier as Carrier;
    while (!stream.sent) {
      const ready = Math.min(this.#ring.end - this.#offset, stream.window, MAX_DATA_BYTES);
      const end = this.#state === "complete" && this.#offset + ready === this.#ring.end;
      // Nothing is left to send but that it failed: that needs no head, and before one it is the answer.
      const nothing = ready === 0 && !end;
      if (nothing && (this.#headSent || this.#failure !== undefined)) break;
      if (carrier.congested) {
        carrier.whenDrained(this.#pumpNow);
        break;
      }
      const parts = ready === 0 ? [] : this.#ring.slices(this.#offset, ready);
      this.#offset += ready;
      this.#sentAt = this.#context.now();
      if (this.#headSent) stream.data(parts, end);
      else {
        this.#headSent = true;
        stream.head(this.#answer, parts, end);
      }
    }
    this.#ring.sent(this.#offset);
    if (this.#failure !== undefined && this.#offset === this.#ring.end) {
      this.#sendFailure(stream, this.#failure);
    }
    if (this.#held && this.#ring.end - this.#offset < this.#unsentLimit / 2) {
      this.#held = false;
      this.#exchange?.resume();
    }
  }

  #sendFailure(stream: Stream, failure: Failure): void {
    stream.reset(failure);
    this.#stream = undefined;
    // The frame may never arrive: whoever attaches hears the same.
    this.#awaitAttach();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#settle();
    clearTimeout(this.#leaving);
    this.#stream = undefined;
    this.#waiting.clear();
    this.#context.forget(this);
    this.#ring.release();
    this.body.broke();
  }
}
