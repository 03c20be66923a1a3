/**
 * One call's access to the store: what happens to the call goes into the journal and to the results under
 * its callId. No method rejects. A write that the disk refuses is reported to the operator's log, and the
 * call goes on as well as it can.
 */
import type { RequestHead, ResponseHead } from "../../../routing/wire/heads.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { DurableCalls } from "./durable-calls.ts";
import type { ResultSpool } from "./result-spool.ts";

/** What all calls that may become durable share. */
export interface StorageContext {
  readonly durable: DurableCalls;
  /** One line for the operator. */
  readonly log: (line: string) => void;
}

/** Holds no more of the request than its callId: a hundred thousand calls may wait. */
export class CallStorage {
  readonly #context: StorageContext;
  readonly #callId: string;
  readonly #endpoint: string;
  readonly #ttlMs: number;

  /** @param ttlMs milliseconds that the stored response can be read */
  constructor(context: StorageContext, { callId, endpoint }: RequestHead, ttlMs: number) {
    this.#context = context;
    this.#callId = callId;
    this.#endpoint = endpoint;
    this.#ttlMs = ttlMs;
  }

  /** Writes the call to the journal. @returns false when there is no room: it stays transient */
  async accept(): Promise<boolean> {
    try {
      await this.#context.durable.accept({ callId: this.#callId, endpoint: this.#endpoint });
      return true;
    } catch (error) {
      this.#context.log(`a call cannot be stored: ${String(error)}`);
      return false;
    }
  }

  /** Begins the stored response. @param onDrain the app may go on after `append` returned false */
  begin(head: ResponseHead, onDrain: () => void): ResultSpool {
    return this.#context.durable.begin(this.#callId, this.#endpoint, head, this.#ttlMs, onDrain);
  }

  async complete(): Promise<void> {
    await this.#reported(this.#context.durable.complete(this.#callId, this.#ttlMs));
  }

  async fail(failure: Failure): Promise<void> {
    await this.#reported(this.#context.durable.fail(this.#callId, failure, this.#ttlMs));
  }

  async cancel(): Promise<void> {
    await this.#reported(this.#context.durable.cancel(this.#callId, this.#ttlMs));
  }

  /** Forgets the call, which never began: its key is free. */
  async forget(): Promise<void> {
    await this.#reported(this.#context.durable.forget(this.#callId));
  }

  async #reported(write: Promise<void>): Promise<void> {
    await write.catch((error: unknown) => this.#context.log(`the journal: ${String(error)}`));
  }
}
