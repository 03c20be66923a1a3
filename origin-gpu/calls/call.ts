/**
 * One call, as the agent owns it: it outlives the streams that carry it. Here are its state, the request,
 * and the app that works on it. Its answer either passes to the client that is attached, or is kept for
 * whoever asks: a call begins to be kept when it is opened so, or when its client will not wait any
 * longer; from the answer's first byte on that changes no more.
 */
import type { Failure, KeptCall, RequestHead, ResponseHead } from "../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../routing/wire/multiplexer.ts";
import type { CallResponse, RespondingCall, Subscriber } from "./response/call-response.ts";
import type { Carrier } from "./response/carrier.ts";
import type { CallStorage } from "./store/call-storage.ts";
import { StoredResponse } from "./response/stored-response.ts";
import { StreamedResponse, type StreamedResponseContext } from "./response/streamed-response.ts";
import type { RequestBody } from "./request-body.ts";
import {
  type CallDescription,
  type CallEvent,
  type CallState,
  type CallStatus,
  callStatus,
  isEnded,
  mayHaveStarted,
  transition,
} from "./states.ts";

/** What is shown of a path: a list of calls fits a frame. */
const SHOWN_PATH_CHARACTERS = 200;

/** The app's side of a call: what the call may do to it. */
export interface AppWork {
  pause(): void;
  resume(): void;
  /** Ends the app's request; the app sees a disconnect. */
  abort(reason: string): void;
}

/** How the app's work on a call ended: it did everything, it broke the exchange, or it was told to stop. */
export type Settlement = "completed" | "broke" | "given_up";

/** What a call needs of the world. */
export interface CallContext extends StreamedResponseContext {
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

/** A state and the time in milliseconds at which the call came to it. */
interface Step {
  readonly state: CallState;
  readonly at: number;
}

export class Call implements RespondingCall {
  readonly id: string;
  readonly body: RequestBody;
  /** The id of the container that works on it, once one does. */
  container: string | undefined;
  /** As JSON while the call waits for nobody: the many small strings of a head take twice as much. */
  #head: RequestHead | string;
  readonly #context: CallContext;
  readonly #graceMs: number;
  readonly #keeper: CallStorage | undefined;
  #answer: CallResponse;
  #exchange: AppWork | undefined;
  #timeline: readonly [Step, ...Step[]];
  #state: CallState;
  #failure: Failure | undefined;
  #over = false;
  #settled: ((how: Settlement) => void) | undefined;

  /**
   * @param keeper without one the call cannot be kept
   * @param kept it is being noted in the journal: `noted` says when it is
   */
  constructor(
    context: CallContext,
    { graceMs = 0 }: CallTerms,
    head: RequestHead,
    body: RequestBody,
    keeper?: CallStorage,
    kept = false,
  ) {
    this.id = head.call;
    this.body = body;
    this.#head = head;
    this.#context = context;
    this.#graceMs = graceMs;
    this.#keeper = keeper;
    this.#answer =
      kept && keeper !== undefined
        ? new StoredResponse(this, keeper)
        : new StreamedResponse(this, context, graceMs);
    this.#state = body.incomplete ? "receiving" : "queued";
    this.#timeline = [{ state: this.#state, at: context.now() }];
  }

  /** What the client asked. */
  get head(): RequestHead {
    this.#head = unpacked(this.#head);
    return this.#head;
  }

  /** Nobody is attached, and nothing of it will be kept. */
  get abandoned(): boolean {
    return this.#answer.abandoned;
  }

  get over(): boolean {
    return this.#over;
  }

  /** By the clock of its context, in milliseconds. */
  get openedAt(): number {
    return this.#timeline[0].at;
  }

  /** What a person who asks about this call is told. */
  describe(): CallDescription {
    // Not through `head`: who only looks on leaves a waiting call as small as it is.
    const { endpoint, method, target } = unpacked(this.#head);
    return {
      call: this.id,
      endpoint,
      method,
      path: (target.split("?", 1)[0] ?? "").slice(0, SHOWN_PATH_CHARACTERS),
      status: this.#status(),
      ...(this.container !== undefined && { container: this.container }),
      kept: this.#answer instanceof StoredResponse,
      elapsedMs: this.#elapsedMs(this.#context.now()),
      timeline: this.#timeline.map(({ state, at }) => ({ state, atMs: this.#elapsedMs(at) })),
    };
  }

  #status(): CallStatus {
    // An expired call is in nobody's hands any more.
    return this.#state === "expired" ? "lost" : callStatus(this.#state, this.#failure?.code);
  }

  /** Milliseconds from its opening to this time. */
  #elapsedMs(at: number): number {
    return Math.round(at - this.#timeline[0].at);
  }

  /** Takes the state on, where that is legal; of two events that race, the later one is not. */
  #advance(event: CallEvent): boolean {
    const next = transition(this.#state, event);
    if (next === "illegal") return false;
    if (next !== this.#state) {
      this.#timeline = [...this.#timeline, { state: next, at: this.#context.now() }];
    }
    this.#state = next;
    return true;
  }

  /**
   * Calls back once, when the app has no more to do for the call. A later callback takes the place of an
   * earlier one.
   */
  whenSettled(callback: (how: Settlement) => void): void {
    this.#settled = callback;
    if (this.#over) this.#settle("given_up");
  }

  #settle(how: Settlement): void {
    const settled = this.#settled;
    this.#settled = undefined;
    settled?.(how);
  }

  /** Attaches a stream from `offset` on; an older attachment of a passing call gives way. */
  attach(stream: Stream, carrier: Carrier, offset: number): StreamEvents {
    return this.#answer.attach({ stream, carrier, offset });
  }

  /** Whether an attachment from this byte on can be served. */
  canResume(offset: number): boolean {
    return this.#answer.canResume(offset);
  }

  receive(bytes: Uint8Array, end: boolean): void {
    if (end) this.#advance("body_received");
    this.body.push(bytes, end);
    if (end) this.#answer.bodyReceived();
  }

  /** The call is in the journal, and has its place: whoever will not wait may go. */
  noted(): void {
    if (this.#answer instanceof StoredResponse) this.#answer.noted();
  }

  /** An answer that has begun is on its way to its client, whatever that said. */
  keep(attachment: Subscriber): void {
    const keeper = this.#keeper;
    const begun = this.#state === "responding" || isEnded(this.#state);
    if (keeper === undefined || this.#over || begun) return;
    this.#answer.release();
    const kept = new StoredResponse(this, keeper);
    this.#answer = kept;
    const { stream } = attachment;
    stream.events = kept.attach(attachment);
    stream.events.onKeep?.();
    void keeper.accept().then((accepted) => {
      if (accepted) kept.noted();
      else this.#passAfterAll(kept);
    });
  }

  /** There is no room to keep the call: its client waits on, as if it had not been asked to leave. */
  #passAfterAll(kept: StoredResponse): void {
    if (this.#state === "responding" || isEnded(this.#state) || this.#over) return;
    const passing = new StreamedResponse(this, this.#context, this.#graceMs);
    this.#answer = passing;
    for (const attachment of kept.waiting) {
      attachment.stream.events = passing.attach(attachment);
    }
    if (passing.abandoned) passing.awaitAttach();
  }

  progress(): KeptCall {
    return {
      call: this.id,
      status: this.#exchange === undefined ? "pending" : "running",
      position: 0,
      elapsedMs: this.#elapsedMs(this.#context.now()),
    };
  }

  shrink(): void {
    if (this.body.incomplete) return;
    // In a moment: one that does not have to wait has begun by then.
    this.#context.later(() => {
      if (this.#over || mayHaveStarted(this.#state)) return;
      this.body.compact();
      if (typeof this.#head !== "string") this.#head = JSON.stringify(this.#head);
    });
  }

  /** The app's request is on its way. */
  started(exchange: AppWork): void {
    this.#exchange = exchange;
    this.#advance("started");
    if (this.#over) exchange.abort("the call is over");
  }

  pauseApp(): void {
    this.#exchange?.pause();
  }

  resumeApp(): void {
    this.#exchange?.resume();
  }

  /**
   * The app's answer begins.
   * @param eager a stream of events: its head is sent at once, not with the first of its body
   */
  answered(head: ResponseHead, eager: boolean): void {
    if (this.#advance("answered")) this.#answer.begin(head, eager);
  }

  chunk(bytes: Uint8Array): void {
    if (!this.#over) this.#answer.chunk(bytes);
  }

  /** The app's answer is complete. */
  completed(): void {
    if (!this.#advance("completed")) return;
    this.#settle("completed");
    this.#answer.complete();
  }

  /** The call failed: before the answer's head that is the answer, later it cuts the client. */
  failed(failure: Failure): void {
    const mayHaveRun = mayHaveStarted(this.#state);
    if (!this.#advance("failed")) return;
    this.#settle(failure.code === "origin_error" ? "broke" : "given_up");
    this.#failure = failure;
    this.body.broke();
    this.#answer.fail(failure, mayHaveRun);
  }

  /** A WebSocket's two halves are coupled: it lives by itself, and holds its slot until it is closed. */
  handedOver(closed: Promise<unknown>): void {
    const settled = this.#settled;
    this.#settled = undefined;
    void closed.then(() => settled?.("given_up"));
    this.finish();
  }

  /** Ends the call and its work. */
  cancel(reason: string): void {
    if (this.#over) return;
    // One that is complete or failed only waits for who comes back: that ends, and nothing else.
    if (this.#advance("cancelled")) this.#answer.cancel(reason);
    this.end(reason);
  }

  end(reason: string): void {
    this.#advance("cancelled");
    this.finish();
    this.#exchange?.abort(reason);
  }

  finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#settle("given_up");
    this.#answer.release();
    this.#context.forget(this);
    this.body.broke();
  }
}

function unpacked(head: RequestHead | string): RequestHead {
  return typeof head === "string" ? (JSON.parse(head) as RequestHead) : head;
}
