/**
 * One call's access to the store: what happens to the call goes into the journal and to the results under
 * its callId. Only `start` can fail: any other write that the disk refuses is reported to the operator, and
 * the call goes on as well as it can.
 */
import type { RequestHead, ResponseHead } from "../../../routing/wire/heads.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { RequestBody } from "../request-body.ts";
import type { AcceptedRequest, DurableCalls } from "./durable-calls.ts";
import type { ResultSpool } from "./result-spool.ts";

/** Holds no more of the request than its callId: a hundred thousand calls may wait. */
export class CallStorage {
  readonly #calls: DurableCalls;
  readonly #callId: string;
  readonly #endpoint: string;
  /** Milliseconds that the stored response can be read. */
  readonly ttlMs: number;

  constructor(calls: DurableCalls, { callId, endpoint }: RequestHead, ttlMs: number) {
    this.#calls = calls;
    this.#callId = callId;
    this.#endpoint = endpoint;
    this.ttlMs = ttlMs;
  }

  /** Whether its response could be stored now, as far as one can know before it comes. */
  async hasRoom(): Promise<boolean> {
    return await this.#calls.room.isThere();
  }

  /** Writes the call to the journal. @returns false when it could not be written: the call stays transient */
  async accept(
    request: Pick<AcceptedRequest, "method" | "path" | "ageMs" | "started">,
  ): Promise<boolean> {
    try {
      await this.#calls.accept({
        callId: this.#callId,
        endpoint: this.#endpoint,
        ...request,
      });
      return true;
    } catch (error) {
      this.#calls.report(error);
      return false;
    }
  }

  /** @returns false when it could not be written: then the call must not be given to an app */
  async start(): Promise<boolean> {
    try {
      await this.#calls.start(this.#callId);
      return true;
    } catch (error) {
      this.#calls.report(error);
      return false;
    }
  }

  /** Withdraws `start`: no byte of the call reached an app. */
  async requeue(): Promise<void> {
    await this.#calls.requeue(this.#callId);
  }

  /** As `DurableCalls.isSaved`. */
  get isSaved(): boolean {
    return this.#calls.isSaved(this.#callId);
  }

  /** Saves the call's request. @returns false where it could not be written */
  async save(head: RequestHead, body: RequestBody): Promise<boolean> {
    return await this.#calls.save({ head, ttlMs: this.ttlMs }, body);
  }

  /**
   * Leaves a call to the next agent that is not durable here: its client attaches there.
   * @param graceMs as in `CallTerms` @returns false where its request could not be written, or is too long
   */
  async handOver(
    head: RequestHead,
    body: RequestBody,
    request: Pick<AcceptedRequest, "method" | "path" | "ageMs">,
    graceMs: number,
  ): Promise<boolean> {
    if (!(await this.accept({ ...request, started: false }))) return false;
    const attached = { graceMs: Number.isFinite(graceMs) ? graceMs : null };
    await this.#calls.save({ head, ttlMs: this.ttlMs, attached }, body);
    if (this.isSaved) return true;
    await this.forget();
    return false;
  }

  /** Begins the stored response. @param onDrain the app may go on after `append` returned false */
  begin(head: ResponseHead, onDrain: () => void): ResultSpool {
    return this.#calls.begin(this.#callId, this.#endpoint, head, this.ttlMs, onDrain);
  }

  async complete(): Promise<void> {
    await this.#calls.end(this.#callId, { kind: "completed" }, this.ttlMs);
  }

  async fail(failure: Failure): Promise<void> {
    await this.#calls.end(this.#callId, { kind: "failed", failure }, this.ttlMs);
  }

  async cancel(): Promise<void> {
    await this.#calls.end(this.#callId, { kind: "cancelled" }, this.ttlMs);
  }

  /** The agent stops. @param mayHaveRun the app may have begun */
  async abandon(mayHaveRun: boolean): Promise<void> {
    const kind = mayHaveRun ? "lost" : "not_started";
    await this.#calls.end(this.#callId, { kind }, this.ttlMs);
  }

  /** Forgets the call, which never began: its key is free. @returns as `DurableCalls.forget` */
  async forget(): Promise<boolean> {
    return await this.#calls.forget(this.#callId);
  }
}
