/**
 * One call's place among the kept ones: what happens to the call goes into the journal and to the
 * results under its id. Nothing here rejects: what the disk refuses goes to the operator's log, and the
 * call goes on as well as it can.
 */
import type { Failure, RequestHead, ResponseHead } from "../../../routing/wire/messages.ts";
import type { DurableCalls } from "./durable-calls.ts";
import type { ResultSpool } from "./result-spool.ts";

/** What all calls that may be kept share. */
export interface StorageContext {
  readonly kept: DurableCalls;
  /** One line for the operator. */
  readonly log: (line: string) => void;
}

/** Small, and holds no more of the request than its id: a hundred thousand of them may wait. */
export class CallStorage {
  readonly #context: StorageContext;
  readonly #id: string;
  readonly #endpoint: string;
  readonly #ttlMs: number;

  /** @param ttlMs milliseconds that the answer can be read */
  constructor(context: StorageContext, { call, endpoint }: RequestHead, ttlMs: number) {
    this.#context = context;
    this.#id = call;
    this.#endpoint = endpoint;
    this.#ttlMs = ttlMs;
  }

  /** Notes the call; false when there is no room for it: then it cannot be kept. */
  async accept(): Promise<boolean> {
    try {
      await this.#context.kept.accept({ id: this.#id, endpoint: this.#endpoint });
      return true;
    } catch (error) {
      this.#context.log(`a call cannot be kept: ${String(error)}`);
      return false;
    }
  }

  /** The answer begins. @param onDrain the app may go on after `append` returned false */
  begin(head: ResponseHead, onDrain: () => void): ResultSpool {
    return this.#context.kept.begin(this.#id, this.#endpoint, head, this.#ttlMs, onDrain);
  }

  async completed(): Promise<void> {
    await this.#quietly(this.#context.kept.completed(this.#id, this.#ttlMs));
  }

  async failed(failure: Failure): Promise<void> {
    await this.#quietly(this.#context.kept.failed(this.#id, failure, this.#ttlMs));
  }

  async cancelled(): Promise<void> {
    await this.#quietly(this.#context.kept.cancelled(this.#id, this.#ttlMs));
  }

  /** The call never began: nothing is known of it any more, and its key is free. */
  async forget(): Promise<void> {
    await this.#quietly(this.#context.kept.forget(this.#id));
  }

  async #quietly(what: Promise<void>): Promise<void> {
    await what.catch((error: unknown) => this.#context.log(`the journal: ${String(error)}`));
  }
}
