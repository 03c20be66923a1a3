/**
 * Calls that the Worker hands to an `Origin` object by memory, where both run in one isolate: those of a
 * self-hosted gateway do. A request to the object costs a third of a short call's whole way; this costs a
 * promise. Only calls whose request is whole go this way, and only answers that are whole and quick come
 * back on it: for anything else the Worker comes for its call with a request of its own (`VERB.claim`).
 *
 * Each side waits for a promise that the other one settles. workerd runs the continuations of a promise in
 * the context of the request that made it, which it knows by a tag (compatibility flag
 * handle_cross_request_promise_resolution). Promises that optimised code makes in place, by `new Promise`
 * or an async function, have no tag, and go on in whatever context settles them. Those of
 * `Promise.withResolvers` are always made by the runtime: what the other side settles must be one of them.
 * test/e2e/local-queue.test.ts shows it over enough calls for every function here to be optimised.
 */
import type { Ending } from "./link.ts";

/** The Worker comes for its call after this time; most answers are there before. */
export const CLAIM_AFTER_MS = 100;

/** What became of a call that was handed over. */
export type Outcome =
  /** The whole answer: a ResponseHead as JSON, and the body. */
  | { readonly kind: "answered"; readonly head: string; readonly body: Uint8Array }
  /** There will be none. `failure`: a Failure as JSON. */
  | { readonly kind: "ended"; readonly ending: Ending; readonly failure: string }
  /** It runs, and there is more to it: the Worker has to come for it. */
  | { readonly kind: "runs" }
  /** The object has not begun it: it has to be opened by a request. */
  | { readonly kind: "not_begun" };

const RUNS: Outcome = { kind: "runs" };
const NOT_BEGUN: Outcome = { kind: "not_begun" };

/** One call on its way, and its answer on the way back. */
export class Handover {
  readonly id: string;
  /** The RequestHead as ASCII JSON. */
  readonly head: string;
  readonly body: Uint8Array;
  readonly #settled = Promise.withResolvers<void>();
  #begun = false;
  #outcome: Outcome | undefined;
  #heard = false;

  constructor(id: string, head: string, body: Uint8Array) {
    this.id = id;
    this.head = head;
    this.body = body;
  }

  /** Object: begins the call; false when the Worker will not have it from here any more. */
  begin(): boolean {
    if (this.#outcome !== undefined) return false;
    this.#begun = true;
    return true;
  }

  /** Object: tells the Worker; false when the Worker has stopped waiting, and comes for the call. */
  settle(outcome: Outcome): boolean {
    if (this.#outcome !== undefined) return false;
    this.#outcome = outcome;
    this.#settled.resolve();
    return true;
  }

  /** Object: the Worker has more to do for the call than here. */
  runs(): void {
    this.settle(RUNS);
  }

  /** Object: it cannot begin the call. */
  refuse(): void {
    this.settle(NOT_BEGUN);
  }

  /** Object: the Worker is still there; one whose client left never hears of anything. */
  get heard(): boolean {
    return this.#heard;
  }

  /** Worker: waits for the outcome. The timer also shows the runtime that this request waits for something. */
  async outcome(): Promise<Outcome> {
    const timer = setTimeout(this.#settled.resolve, CLAIM_AFTER_MS);
    await this.#settled.promise;
    clearTimeout(timer);
    this.#heard = true;
    this.#outcome ??= this.#begun ? RUNS : NOT_BEGUN;
    return this.#outcome;
  }
}

/** Where an `Origin` object takes calls from. */
export class Desk {
  readonly #name: string;
  #waiting: Handover[] = [];
  #wake: (() => void) | undefined;
  #closed = false;
  #usedAt = Date.now();

  /** @param name of the object's link */
  constructor(name: string) {
    this.#name = name;
  }

  /** When a call was last handed over, in milliseconds of the epoch. */
  get usedAt(): number {
    return this.#usedAt;
  }

  /** Object: calls may be handed over here. */
  offer(): void {
    desks.set(this.#name, this);
  }

  /** Hands no more calls over here; those that wait are taken still. */
  withdraw(): void {
    if (desks.get(this.#name) === this) desks.delete(this.#name);
  }

  /** Object: ends what waits for `next`. */
  close(): void {
    this.withdraw();
    this.#closed = true;
    this.#wake?.();
  }

  /** Object: the calls that were handed over meanwhile, waited for; none when the desk is closed. */
  async next(): Promise<readonly Handover[]> {
    if (this.#waiting.length === 0 && !this.#closed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    const calls = this.#waiting;
    this.#waiting = [];
    return calls;
  }

  /** Worker: hands a call over, and waits for what becomes of it. */
  async handOver(id: string, head: string, body: Uint8Array): Promise<Outcome> {
    const call = new Handover(id, head, body);
    this.#waiting.push(call);
    this.#usedAt = Date.now();
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
    const outcome = await call.outcome();
    // An object that was reset takes nothing any more. One that was slow offers itself again.
    if (outcome === NOT_BEGUN) this.withdraw();
    return outcome;
  }
}

/** Of this isolate, by the names of links. */
const desks = new Map<string, Desk>();

/** The desk of a link's object, where that is in this isolate and takes calls. */
export function deskOf(link: string): Desk | undefined {
  return desks.get(link);
}
