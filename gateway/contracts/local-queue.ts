/**
 * Passes calls from the Worker to a link's object by memory, where both run in one isolate, as they do in a
 * self-hosted gateway. A request to the object takes a third of a short call's time; the local queue costs a
 * promise (docs/decisions/). The Worker puts only calls here whose request is whole. The object returns only
 * responses here that are whole and quick. For all others the Worker claims its call by a request (VERB.claim).
 *
 * Worker and object each await a promise that the other resolves. workerd resumes a continuation in the
 * request that created the promise, but only if the runtime created it (compatibility flag
 * handle_cross_request_promise_resolution). `Promise.withResolvers` always qualifies; `new Promise` and async
 * functions in optimised code do not. test/e2e/local-queue.test.ts runs enough calls for V8 to optimise every
 * function here.
 */
import type { UnparsedAttempt } from "./attempt.ts";

/**
 * The Worker claims its call after this time; most responses are there before. A start of a small app is too: to claim
 * the calls that waited for it would take longer than to answer them.
 */
export const CLAIM_AFTER_MS = 200;

/** The result of a local call, as the object gives it within CLAIM_AFTER_MS or as the Worker finds it then. */
export type LocalOutcome =
  /** A whole response, or the failure. */
  | UnparsedAttempt
  /** The call runs, and there is more to it: the Worker has to claim it. */
  | "running"
  /** The same, and its stream is parked: the agent has the whole request. */
  | "parked"
  /** The object has not opened the call: it has to be opened by a request. */
  | "not_opened";

/** One call on its way to the object, and what comes of it on the way back. */
export class LocalCall {
  readonly callId: string;
  /** The endpoint among whose streams its stream counts. */
  readonly share: string;
  readonly #settled = Promise.withResolvers<void>();
  #head: string;
  #body: Uint8Array;
  #opened = false;
  #outcome: LocalOutcome | undefined;
  #heard = false;

  constructor(callId: string, head: string, body: Uint8Array, share: string) {
    this.callId = callId;
    this.#head = head;
    this.#body = body;
    this.share = share;
  }

  /** The RequestHead as ASCII JSON; empty once it is sent. */
  get head(): string {
    return this.#head;
  }

  /** Empty once it is sent. */
  get body(): Uint8Array {
    return this.#body;
  }

  /** Object: the link has the request. It is let go: the call may wait for long, and the client's request is there. */
  sent(): void {
    this.#head = "";
    this.#body = NOTHING;
  }

  /** Object: opens the call; false when the Worker does not wait for it any more. */
  open(): boolean {
    if (this.#outcome !== undefined) return false;
    this.#opened = true;
    return true;
  }

  /** Object: tells the Worker; false when the Worker has stopped waiting, and comes to claim the call. */
  settle(outcome: LocalOutcome): boolean {
    if (this.#outcome !== undefined) return false;
    this.#outcome = outcome;
    this.#settled.resolve();
    return true;
  }

  /** Object: whether the Worker has heard the outcome. A Worker whose client left never hears of it. */
  get heard(): boolean {
    return this.#heard;
  }

  /** Worker: waits for the outcome. The timer also shows the runtime that this request waits for something. */
  async outcome(): Promise<LocalOutcome> {
    const timer = setTimeout(this.#settled.resolve, CLAIM_AFTER_MS);
    await this.#settled.promise;
    clearTimeout(timer);
    this.#heard = true;
    this.#outcome ??= this.#opened ? "running" : "not_opened";
    return this.#outcome;
  }
}

const NOTHING = new Uint8Array(0);

/** Where the object of one link takes local calls from. */
export class LocalQueue {
  readonly #link: string;
  #waiting: LocalCall[] = [];
  #wake: (() => void) | undefined;
  #closed = false;
  #usedAt = Date.now();

  /** @param link the name of the link */
  constructor(link: string) {
    this.#link = link;
  }

  /** When a call was last put here, in milliseconds of the epoch. */
  get usedAt(): number {
    return this.#usedAt;
  }

  /** Object: the Worker may put calls here from now on. */
  publish(): void {
    queues.set(this.#link, this);
  }

  /** The Worker puts no more calls here; the object still takes those that wait. */
  withdraw(): void {
    if (queues.get(this.#link) === this) queues.delete(this.#link);
  }

  /** Object: withdraws the queue and ends the wait for `next`. */
  close(): void {
    this.withdraw();
    this.#closed = true;
    this.#wake?.();
  }

  /** Object: waits for calls and takes all that came; none when the queue is closed. */
  async next(): Promise<readonly LocalCall[]> {
    if (this.#waiting.length === 0 && !this.#closed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    const calls = this.#waiting;
    this.#waiting = [];
    return calls;
  }

  /** Worker: puts a call here, and waits for what comes of it. */
  async put(callId: string, head: string, body: Uint8Array, share: string): Promise<LocalOutcome> {
    const call = new LocalCall(callId, head, body, share);
    this.#waiting.push(call);
    this.#usedAt = Date.now();
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
    const outcome = await call.outcome();
    // An object that was reset takes nothing any more. One that was only slow publishes its queue again.
    if (outcome === "not_opened") this.withdraw();
    return outcome;
  }
}

/** Of this isolate, by the names of links. */
const queues = new Map<string, LocalQueue>();

/** The queue of a link's object, where that object is in this isolate and takes calls. */
export function localQueueOf(link: string): LocalQueue | undefined {
  return queues.get(link);
}
