/**
 * Decides when a call may begin at an endpoint: by its counted places, and the bounded queue before them. A call that
 * waits takes little memory: its head is counted and packed, its body goes to the disk.
 */
import { KIB } from "../../base/units.ts";
import { contentLength } from "../../routing/wire/heads.ts";
import { BodySpoolFullError, type BodySpools } from "../calls/body-spool.ts";
import type { Call, Settlement } from "../calls/call.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import { ConcurrencyLimiter } from "../core/concurrency-limiter.ts";
import type { QueuedCall } from "./queued-call.ts";
import { pauseBeforeRetryMs } from "./retry-pause.ts";

/** Bodies up to this size wait in memory, whole. */
const SMALL_BODY_BYTES = 4 * KIB;

/** The operator gets a line when calls wait this long because others hold every place; at most one in this time. */
const BLOCKED_MS = 20_000;

export interface AdmissionOptions {
  readonly settings: EndpointConfig;
  /** Where bodies of waiting calls go; without it they wait in their windows. */
  readonly bodies: BodySpools | undefined;
  /** The call has its place. */
  readonly onAdmitted: (queued: QueuedCall) => void;
  /** The call that had a place or waited for one has ended: its place is to be released. */
  readonly onSettled: (queued: QueuedCall, how: Settlement) => void;
  /** One line for the operator. */
  readonly log: (line: string) => void;
}

/** The places of one endpoint and the queue before them. Calls back when a call gets its place, and when it ends. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #limiter: ConcurrencyLimiter;
  /** When the calls that have a place got it, in milliseconds of `performance.now()`. */
  readonly #heldSince = new Map<QueuedCall, number>();
  #watch: ReturnType<typeof setTimeout> | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    const { maxInputs, maxPending, maxPendingAsync } = options.settings;
    this.#limiter = new ConcurrencyLimiter(maxInputs, maxPending, maxPendingAsync);
  }

  /** Queues a call, and refuses it where the queue is full. The agent takes its body in while it waits. */
  admit(queued: QueuedCall): void {
    if (this.queue(queued) === "waits") this.#park(queued.call);
  }

  /** Queues a call whose body is looked after already. */
  queue(queued: QueuedCall): "waits" | "begins" | "refused" {
    const { call } = queued;
    const { onAdmitted, onSettled, settings } = this.#options;
    let hasBegun = false;
    const isAsync = call.head.async === true;
    const permit = this.#limiter.acquire(() => {
      hasBegun = true;
      this.#heldSince.set(queued, performance.now());
      onAdmitted(queued);
    }, isAsync);
    queued.permit = permit;
    if (permit !== undefined) {
      call.whenSettled((how) => {
        this.#heldSince.delete(queued);
        onSettled(queued, how);
      });
      if (hasBegun) return "begins";
      this.#watchWaiting();
      return "waits";
    }
    if (call.isPromised) {
      this.queueLater(queued);
      return "waits";
    }
    const { function: name, maxPending, maxPendingAsync } = settings;
    const detail = `${name} has ${isAsync ? maxPendingAsync : maxPending} calls waiting`;
    call.fail({ code: "queue_full", detail, retryAfter: 1 });
    return "refused";
  }

  /** Queues a call anew after a pause; meanwhile others have its place. */
  queueLater(queued: QueuedCall): void {
    const { call, lease, permit, unsent } = queued;
    let timer: ReturnType<typeof setTimeout> | undefined;
    this.#heldSince.delete(queued);
    call.whenSettled(() => clearTimeout(timer));
    lease?.release();
    permit?.release();
    const again: QueuedCall = {
      ...queued,
      arrivedAt: performance.now(),
      lease: undefined,
      permit: undefined,
      unsent: unsent + 1,
    };
    timer = setTimeout(() => this.queue(again), pauseBeforeRetryMs(unsent));
    timer.unref();
  }

  /** From now on so many calls run at a time; those that run keep their place. */
  resize(limit: number): void {
    this.#limiter.resize(limit);
  }

  /** Resolves when no call has a place. */
  async unused(): Promise<void> {
    await this.#limiter.unused();
  }

  /** Calls that wait for their turn, or have it and wait for a container. */
  get waiting(): number {
    const unleased = [...this.#heldSince.keys()].filter(({ lease }) => lease === undefined);
    return this.#limiter.waiting + unleased.length;
  }

  /** Tells the operator when calls wait because others hold every place for long: an open browser tab, mostly. */
  #watchWaiting(): void {
    if (this.#watch !== undefined) return;
    this.#watch = setTimeout(() => {
      this.#watch = undefined;
      const { waiting, held } = this.#limiter;
      if (waiting === 0) return;
      const { settings, log } = this.#options;
      const newestHeldAt = Math.max(...this.#heldSince.values());
      const heldS = Math.round((performance.now() - newestHeldAt) / 1000);
      if (held >= settings.maxInputs && heldS * 1000 >= BLOCKED_MS) {
        const requests = waiting === 1 ? "1 request waits" : `${waiting} requests wait`;
        log(
          `postern: ${held} of ${settings.maxInputs} places of ${settings.function} are held for ${heldS} s and more, ${requests}: raise max_inputs`,
        );
      }
      this.#watchWaiting();
    }, BLOCKED_MS);
    this.#watch.unref();
  }

  #park(call: Call): void {
    if (call.park()) void this.#takeBody(call);
    else {
      const detail = "the heads of waiting calls take all the room that they may";
      call.fail({ code: "queue_full", detail, retryAfter: 1 });
    }
  }

  /** Small bodies that are whole stay where they are. */
  async #takeBody(call: Call): Promise<void> {
    const { body, head } = call;
    const { bodies } = this.#options;
    if (bodies === undefined || (!body.incomplete && body.waitingBytes <= SMALL_BODY_BYTES)) return;
    try {
      await body.drainTo(bodies.begin(contentLength(head.headers)));
    } catch (error) {
      if (!(error instanceof BodySpoolFullError)) return;
      call.fail({ code: "queue_full", detail: error.message, retryAfter: 10 });
    }
  }
}
