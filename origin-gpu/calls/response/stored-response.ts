/**
 * The answer of a call that is kept (an Idempotency-Key, `respond-async`, a client that was redirected):
 * on the disk from its first byte on, for any number of clients, attached or not. Until it begins they
 * wait here, and may be sent away once the call is in the journal.
 */
import type { Failure, ResponseHead } from "../../../routing/wire/messages.ts";
import type { StreamEvents } from "../../../routing/wire/multiplexer.ts";
import type { CallResponse, RespondingCall, Subscriber } from "./call-response.ts";
import { deliver, refuse } from "./delivery.ts";
import type { CallStorage } from "../store/call-storage.ts";
import type { ResultSpool } from "../store/result-spool.ts";
import { resultFailure } from "../store/stored-result.ts";

/** A client that waits for the answer to begin. */
interface Waiting extends Subscriber {
  /** It will not wait any longer. */
  leaves: boolean;
}

/** Shared, since a hundred thousand calls may wait for nobody. */
const NOBODY: readonly Waiting[] = [];

export class StoredResponse implements CallResponse {
  readonly abandoned = false;
  readonly #call: RespondingCall;
  readonly #keeper: CallStorage;
  /** The call is in the journal. */
  #noted = false;
  #spool: ResultSpool | undefined;
  #failure: Failure | undefined;
  #waiting = NOBODY;
  /** Somebody was told that the call goes on. */
  #sentAway = false;

  constructor(call: RespondingCall, keeper: CallStorage) {
    this.#call = call;
    this.#keeper = keeper;
  }

  /** Who waits for the answer to begin. */
  get waiting(): readonly Subscriber[] {
    return this.#waiting;
  }

  canResume(): boolean {
    return true;
  }

  attach({ stream, carrier, offset }: Subscriber): StreamEvents {
    // The journal is still writing that it failed.
    if (this.#failure !== undefined) return refuse(stream, this.#failure);
    if (this.#spool !== undefined) return deliver(this.#spool, stream, carrier, offset);
    const waiting: Waiting = { stream, carrier, offset, leaves: false };
    this.#waiting = [...this.#waiting, waiting];
    return {
      onData: (bytes, end) => this.#call.receive(bytes, end),
      onKeep: () => {
        waiting.leaves = true;
        this.#letGo();
      },
      onOver: () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        // Nobody can complete the body: the app must not take what came for the whole.
        if (this.#call.body.comesOver(stream)) this.#uploadBroke();
      },
    };
  }

  /** The call is in the journal, and has its place: whoever will not wait may go. */
  noted(): void {
    this.#noted = true;
    this.#letGo();
  }

  bodyReceived(): void {
    this.#letGo();
  }

  begin(head: ResponseHead): void {
    const spool = this.#keeper.begin(head, () => this.#call.resumeApp());
    this.#spool = spool;
    for (const { stream, carrier, offset } of this.#waiting) {
      stream.events = deliver(spool, stream, carrier, offset);
    }
    this.#waiting = NOBODY;
  }

  chunk(bytes: Uint8Array): void {
    if (this.#spool?.append(bytes) === false) this.#call.pauseApp();
  }

  complete(): void {
    if (this.#spool !== undefined) void this.#store(this.#spool);
  }

  fail(failure: Failure, mayHaveRun: boolean): void {
    this.#failure = failure;
    this.#spool?.discard(failure.detail);
    this.#tellWaiting(failure);
    // Who was never sent away and never began may come again, under the same key too.
    const leavesNoTrace = !mayHaveRun && !this.#sentAway;
    const told = leavesNoTrace ? this.#keeper.forget() : this.#keeper.failed(failure);
    void told.then(() => this.#call.finish());
  }

  cancel(reason: string): void {
    this.#spool?.discard(reason);
    this.#tellWaiting({ code: "call_lost", detail: reason });
    void this.#keeper.cancelled();
  }

  release(): void {
    this.#waiting = NOBODY;
  }

  /** Sends those away who will not wait any longer, once the call is safe. */
  #letGo(): void {
    if (!this.#noted || this.#failure !== undefined) return;
    this.#waiting = this.#waiting.filter(({ stream, leaves }) => {
      // Its stream still brings the body.
      if (!leaves || this.#call.body.comesOver(stream)) return true;
      this.#sentAway = true;
      stream.kept(this.#call.progress());
      return false;
    });
    if (this.#waiting.length === 0) this.#call.shrink();
  }

  #uploadBroke(): void {
    const detail = "the request body did not arrive whole";
    this.#tellWaiting({ code: "upload_interrupted", detail });
    this.#call.end(detail);
    void this.#keeper.forget();
  }

  #tellWaiting(failure: Failure): void {
    for (const { stream } of this.#waiting) stream.reset(failure);
    this.#waiting = NOBODY;
  }

  async #store(spool: ResultSpool): Promise<void> {
    try {
      await spool.complete();
      await this.#keeper.completed();
    } catch (error) {
      await this.#keeper.failed(resultFailure(error));
    }
    this.#call.finish();
  }
}
