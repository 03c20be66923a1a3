/**
 * The object's end of its local queue: opens the calls that the Worker puts there, and has each of them until
 * it is settled or the Worker claims it.
 */
import type { Multiplexer, Stream } from "../../../routing/wire/multiplexer.ts";
import { type LocalCall, LocalQueue } from "../../contracts/local-queue.ts";
import { ClaimableCall, type LocalEnd, WORKER_COMES } from "./claimable-call.ts";
import type { Deadlines } from "./deadlines.ts";

/** A queue without a call for this long is closed, so that the object may hibernate. */
const QUEUE_IDLE_MS = 5_000;

export class ClaimableCalls {
  readonly #deadlines: Deadlines;
  readonly #link: () => Multiplexer | undefined;
  readonly #onFault: (error: unknown) => void;
  /** By call id. */
  readonly #calls = new Map<string, ClaimableCall>();
  #queue: LocalQueue | undefined;

  /**
   * @param link the link that calls are opened on, while it is there
   * @param onFault told of an error that opening a call threw
   */
  constructor(
    deadlines: Deadlines,
    link: () => Multiplexer | undefined,
    onFault: (error: unknown) => void,
  ) {
    this.#deadlines = deadlines;
    this.#link = link;
    this.#onFault = onFault;
  }

  /**
   * Publishes the object's queue, until no call came for a while.
   * @param link the name of the object's link
   * @returns settles when the queue is closed, and keeps the object alive until then; undefined where the
   * queue is open already
   */
  publish(link: string): Promise<void> | undefined {
    const open = this.#queue;
    const queue = open ?? new LocalQueue(link);
    this.#queue = queue;
    queue.publish();
    return open === undefined ? this.#takeFrom(queue) : undefined;
  }

  /** A call that is neither settled nor claimed yet. */
  find(callId: string): ClaimableCall | undefined {
    return this.#calls.get(callId);
  }

  /** Has a parked call until its Worker claims it. */
  hold(callId: string, stream: Stream): void {
    this.#add(callId, WORKER_COMES).start(stream);
  }

  #add(callId: string, local: LocalEnd): ClaimableCall {
    const call = new ClaimableCall(local, this.#deadlines, () => {
      if (this.#calls.get(callId) === call) this.#calls.delete(callId);
    });
    this.#calls.set(callId, call);
    return call;
  }

  async #takeFrom(queue: LocalQueue): Promise<void> {
    const close = (): void => {
      if (this.#queue === queue) this.#queue = undefined;
      queue.close();
    };
    const watch = setInterval(() => {
      if (Date.now() - queue.usedAt > QUEUE_IDLE_MS) close();
    }, QUEUE_IDLE_MS);
    try {
      for (;;) {
        const calls = await queue.next();
        if (calls.length === 0) return;
        for (const call of calls) if (call.open()) this.#open(call);
      }
    } finally {
      clearInterval(watch);
      close();
    }
  }

  /** Opens a call; an error ends this one alone. */
  #open(local: LocalCall): void {
    try {
      this.#openOnLink(local);
    } catch (error) {
      this.#onFault(error);
      const begun = this.find(local.callId);
      if (begun === undefined) local.settle("not_opened");
      else begun.fail();
    }
  }

  #openOnLink(local: LocalCall): void {
    const { callId, head, body, share } = local;
    const link = this.#link();
    if (link === undefined || body.length > link.requestWindow) {
      local.settle("not_opened");
      return;
    }
    const call = this.#add(callId, local);
    const stream = link.open(head, body, true, call, share);
    local.sent();
    if (stream !== undefined) call.start(stream);
    else call.refuse();
  }
}
