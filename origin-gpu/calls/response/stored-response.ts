/**
 * The response of a durable call (an Idempotency-Key, `respond-async`, a client that was redirected). It is
 * stored from its first byte on, for any number of subscribers. Until it begins they wait here. A client
 * that will not wait is sent away once the call is in the journal.
 */
import type { ResponseHead } from "../../../routing/wire/heads.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import { type CallProgress, mayResend } from "../../../routing/wire/resend.ts";
import type { StreamEvents } from "../../../routing/wire/multiplexer.ts";
import type { CallStorage } from "../store/call-storage.ts";
import type { ResultSpool } from "../store/result-spool.ts";
import { resultFailure } from "../store/result-error.ts";
import type { CallResponse, RespondingCall, Subscriber } from "./call-response.ts";
import { deliver, refuse } from "./delivery.ts";

/** A subscriber that waits for the response to begin. */
interface WaitingSubscriber extends Subscriber {
  /** Its client will not wait any longer. */
  leaves: boolean;
}

/** One array for all: a hundred thousand calls may wait without a subscriber. */
const NO_SUBSCRIBERS: readonly WaitingSubscriber[] = [];

export class StoredResponse implements CallResponse {
  readonly abandoned = false;
  /** The disk takes it, whatever its subscribers do. */
  readonly stalledSinceMs = undefined;
  readonly #call: RespondingCall;
  readonly #storage: CallStorage;
  /** The call is in the journal. */
  #journaled = false;
  #spool: ResultSpool | undefined;
  #failure: Failure | undefined;
  #waiting = NO_SUBSCRIBERS;
  #isPromised = false;
  /** An agent that starts after a kill of this one runs the call, or knows that it may have run. */
  #isSecured = false;
  #isSecuring = false;

  constructor(call: RespondingCall, storage: CallStorage) {
    this.#call = call;
    this.#storage = storage;
  }

  /** The subscribers that wait for the response to begin. */
  get waiting(): readonly Subscriber[] {
    return this.#waiting;
  }

  /** A client was told that the call goes on: one that never began waits, and does not fail. */
  get isPromised(): boolean {
    return this.#isPromised;
  }

  /** An earlier agent has put the call into the journal, and may have sent its client away. */
  onRestored(): void {
    this.#isPromised = true;
    this.#isSecured = true;
    this.onJournaled();
  }

  get isJournaled(): boolean {
    return this.#journaled;
  }

  canResume(): boolean {
    return true;
  }

  attach({ stream, carrier, offset }: Subscriber): StreamEvents {
    // The journal is still writing the failure.
    if (this.#failure !== undefined) return refuse(stream, this.#failure);
    if (this.#spool !== undefined) return deliver(this.#spool, stream, carrier, offset);
    const waiting: WaitingSubscriber = { stream, carrier, offset, leaves: false };
    this.#waiting = [...this.#waiting, waiting];
    return {
      onData: (bytes, end) => this.#call.receive(stream, bytes, end),
      onDefer: () => {
        waiting.leaves = true;
        this.#sendAway();
      },
      onEnd: () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        // The rest of the body cannot come: the app must not take a part for the whole.
        if (this.#call.body.comesOver(stream)) this.#interruptUpload();
      },
    };
  }

  /** The call is in the journal and in its endpoint's queue. */
  onJournaled(): void {
    this.#journaled = true;
    this.#sendAway();
  }

  onClientsGone(): void {
    // Another connection may ask for what is stored.
  }

  onBodyReceived(): void {
    this.#sendAway();
  }

  park(): void {
    for (const { stream } of this.#waiting) stream.park();
  }

  callBack(): void {
    for (const { stream } of this.#waiting) stream.callBack();
  }

  begin(head: ResponseHead): void {
    const spool = this.#storage.begin(head, () => this.#call.resumeApp());
    this.#spool = spool;
    for (const { stream, carrier, offset } of this.#waiting) {
      stream.events = deliver(spool, stream, carrier, offset);
    }
    this.#waiting = NO_SUBSCRIBERS;
  }

  append(bytes: Uint8Array): void {
    if (this.#spool?.append(bytes) === false) this.#call.pauseApp();
  }

  complete(): void {
    if (this.#spool !== undefined) void this.#store(this.#spool);
  }

  fail(failure: Failure, progress: CallProgress): void {
    this.#failure = failure;
    this.#discard(failure);
    // The client may send a call again that never ran, under the same key too. Who was sent away asks for it.
    const leavesNoTrace = mayRunAnew(progress) && !this.#isPromised;
    const recorded = leavesNoTrace ? this.#storage.forget() : this.#storage.fail(failure);
    void recorded.then(() => this.#call.finish());
  }

  cancel(reason: string): void {
    this.#discard({ code: "call_lost", detail: reason });
    void this.#storage.cancel();
  }

  abandon(failure: Failure, progress: CallProgress): void {
    this.#discard(failure);
    const never = mayRunAnew(progress);
    void (never && !this.#isPromised ? this.#storage.forget() : this.#storage.abandon(!never));
  }

  #discard(failure: Failure): void {
    this.#spool?.discard(failure.detail);
    this.#resetWaiting(failure);
  }

  release(): void {
    this.#waiting = NO_SUBSCRIBERS;
  }

  /** Tells the clients that will not wait to come back, once the call survives the agent. */
  #sendAway(): void {
    if (!this.#journaled || this.#failure !== undefined) return;
    const isOneToGo = this.#waiting.some(
      ({ stream, leaves }) => leaves && !this.#call.body.comesOver(stream),
    );
    if (isOneToGo && !this.#isSecured) {
      this.#secure();
      return;
    }
    this.#waiting = this.#waiting.filter(({ stream, leaves }) => {
      // Its stream still brings the body.
      if (!leaves || this.#call.body.comesOver(stream)) return true;
      this.#promise();
      stream.confirmDeferred(this.#call.progress());
      return false;
    });
    if (this.#waiting.length === 0) this.#call.shrink();
  }

  #promise(): void {
    if (this.#isPromised) return;
    this.#isPromised = true;
    this.#call.onPromised();
  }

  /** Without room on the disk nobody is sent away: the clients wait for the response. */
  #secure(): void {
    if (this.#isSecuring) return;
    this.#isSecuring = true;
    void this.#call.secure().then((secured) => {
      this.#isSecuring = false;
      this.#isSecured = secured;
      if (secured) this.#sendAway();
      else this.#call.onUnsecured();
    });
  }

  #interruptUpload(): void {
    const detail = "the request body did not arrive whole";
    this.#resetWaiting({ code: "upload_interrupted", detail });
    this.#call.end(detail);
    void this.#storage.forget();
  }

  #resetWaiting(failure: Failure): void {
    for (const { stream } of this.#waiting) stream.reset(failure);
    this.#waiting = NO_SUBSCRIBERS;
  }

  async #store(spool: ResultSpool): Promise<void> {
    try {
      await spool.complete();
      await this.#storage.complete();
    } catch (error) {
      await this.#storage.fail(resultFailure(error));
    }
    this.#call.finish();
  }
}

/** A durable call runs at most once: only one that no app has seen may run under its key again. */
function mayRunAnew(progress: CallProgress): boolean {
  return mayResend(progress, { method: "POST", isKeyed: true, isDurable: true });
}
