/**
 * The calls of one agent. The registry opens each call at most once, per callId and per Idempotency-Key. It
 * attaches streams to calls that run and to responses that are stored, and knows which calls have ended.
 */
import type {
  CallCursor,
  CallDescription,
  CallStatusReport,
} from "../../routing/wire/call-descriptions.ts";
import type { RequestHead } from "../../routing/wire/heads.ts";
import type { AttachRequest } from "../../routing/wire/messages.ts";
import { NO_EVENTS, type Stream, type StreamEvents } from "../../routing/wire/multiplexer.ts";
import { acceptCall } from "./accept-call.ts";
import { Call, type CallContext, type CallTerms } from "./call.ts";
import { type CallPage, pageOfCalls } from "./call-page.ts";
import { CallsWithoutPool } from "./calls-without-pool.ts";
import { type FirstBytes, KeyedCalls } from "./keyed-calls.ts";
import { RequestBody } from "./request-body.ts";
import type { Carrier } from "../../routing/wire/stream-writer.ts";
import { deliver, refuse } from "./response/delivery.ts";
import { CallStorage } from "./store/call-storage.ts";
import type { DurableCalls } from "./store/durable-calls.ts";
import type { LeftCall } from "./store/left-calls.ts";
import { Tombstones } from "./tombstones.ts";

/** Runs a call that is in the registry. */
export interface CallRunner extends CallTerms {
  run(call: Call): void;
}

export interface CallRegistryOptions {
  context: Omit<CallContext, "forget" | "onLessToDo">;
  /** Without it every call is transient. */
  durable: DurableCalls | undefined;
  tombstones?: Tombstones;
}

export class CallRegistry {
  readonly keys: KeyedCalls;
  readonly #calls = new Map<string, Call>();
  readonly #tombstones: Tombstones;
  readonly #context: CallContext;
  readonly #durable: DurableCalls | undefined;
  /** Of an earlier agent. */
  readonly #restored = new CallsWithoutPool();
  /** Calls that wait for the next agent. Clients may attach to them here, as long as this one has a link. */
  readonly #suspended = new Map<string, Call>();
  readonly #left = new CallsWithoutPool();
  readonly #saving: Promise<void>[] = [];
  #onIdle: (() => void) | undefined;
  #isFollowed = false;

  constructor({ context, durable, tombstones = new Tombstones() }: CallRegistryOptions) {
    this.#durable = durable;
    this.#tombstones = tombstones;
    this.#context = {
      ...context,
      forget: (call) => this.#forget(call),
      onLessToDo: () => this.#tellIdle(),
    };
    this.keys = new KeyedCalls({
      durable,
      now: context.now,
      running: (callId) => this.#calls.get(callId),
      attach: (stream, carrier, request) => this.attach(stream, carrier, request),
    });
    for (const waiting of durable?.takeWaiting() ?? []) this.#restore(waiting);
  }

  #restore({ head, body, ttlMs, attached, ageMs }: LeftCall): void {
    const storage = new CallStorage(this.#durable as DurableCalls, head, ttlMs);
    const durable = attached === undefined;
    const terms = { resultTtlMs: ttlMs, graceMs: durable ? 0 : (attached.graceMs ?? Infinity) };
    const request = new RequestBody(undefined, body, true);
    const call = new Call(this.#context, terms, head, request, storage, { durable, ageMs });
    this.#calls.set(call.callId, call);
    this.#restored.add(call);
    call.onRestored();
  }

  /** Runs calls that an earlier agent left waiting, for the endpoints that have a runner by now. */
  resume(runnerOf: (endpoint: string) => CallRunner | undefined): void {
    this.#restored.run(runnerOf);
  }

  /** The gateway has welcomed every link of this agent: from here on no call goes to an earlier one. */
  onWelcomed(): void {
    this.#tombstones.onWelcomed(this.#context.now());
  }

  /** The clients' connections have ended with their gateway: those without a stream do not come back. */
  onClientsGone(): void {
    for (const call of this.#calls.values()) call.onClientsGone();
  }

  /** Opens a call that a stream asks for. */
  open(
    stream: Stream,
    carrier: Carrier,
    head: RequestHead,
    first: FirstBytes,
    runner: CallRunner,
  ): StreamEvents {
    if (this.#calls.has(head.callId)) {
      // The first one runs; a client that wants its response attaches.
      return refuse(stream, { code: "conflict", detail: "this call is already running" });
    }
    if (head.key !== undefined) {
      const settled =
        this.keys.join(stream, carrier, head, first) ?? this.keys.refuse(stream, head);
      if (settled !== undefined) return settled;
    }
    const body = new RequestBody(stream, first.body, first.end);
    const durable = this.#durable;
    if (durable !== undefined && (head.key !== undefined || head.async === true)) {
      return this.#openDurable(stream, carrier, head, body, runner, durable);
    }
    const storage =
      durable === undefined ? undefined : new CallStorage(durable, head, runner.resultTtlMs);
    const call = new Call(this.#context, runner, head, body, storage);
    this.#calls.set(head.callId, call);
    const events = call.attach(stream, carrier, 0);
    runner.run(call);
    return events;
  }

  /** Attaches a stream to a call that was opened before, whether it runs or has ended. */
  attach(stream: Stream, carrier: Carrier, { callId, offset, key }: AttachRequest): StreamEvents {
    const call = this.#calls.get(callId) ?? this.#suspended.get(callId);
    // It is on its way to the next agent, and so is its client.
    if (call?.over === true && !call.isDurable) return NO_EVENTS;
    if (call !== undefined) {
      if (call.canResume(offset)) return call.attach(stream, carrier, offset);
      const detail = "the response cannot be resumed from so far back";
      return refuse(stream, { code: "origin_error", detail });
    }
    const found = this.#durable?.lookup(callId) ?? { kind: "unknown" };
    if (found.kind === "result") return deliver(found.result, stream, carrier, offset);
    if (found.kind === "failed") return refuse(stream, found.failure);
    const joined = key === undefined ? undefined : this.#durable?.byKey(key);
    if (joined !== undefined) {
      return this.attach(stream, carrier, { callId: joined.callId, offset });
    }
    const knownSinceMs = this.#tombstones.knownSinceMs(callId, this.#context.now());
    const known = knownSinceMs === undefined ? {} : { knownSinceMs };
    const detail = "the box does not know this call";
    return refuse(stream, { code: "call_lost", detail, ...known });
  }

  /**
   * Resolves when no call runs: the agent stops. Calls that only wait for a client to attach end now. Those that have not
   * begun, and whose clients were told that they go on, are the next agent's: this one might not finish them.
   * @param clients "gone": their gateway has ended for them, so all transient calls end now
   * @param isFollowed the next agent is expected now: `close` leaves to it what has not begun, and no endpoint begins more
   */
  async idle(clients: "attached" | "gone" = "attached", isFollowed = false): Promise<void> {
    this.#isFollowed = isFollowed;
    for (const call of this.#calls.values()) {
      if ((call.isPromised && this.#suspend(call)) || this.#isLeft(call)) continue;
      if (call.isKept) call.cancel("the agent stops, and no client is attached");
      else if (clients === "gone" && !call.isDurable) call.cancel("the gateway stops");
    }
    if (this.#isIdle) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /**
   * Lists a page of the calls: those that run, then durable ones that have ended, the newest of each kind
   * first. A call that ends between two pages can be on both.
   * @param after what an earlier page called `next`, which the last page does not have; undefined: the first page
   */
  list(limit: number, after?: CallCursor): CallPage {
    const running = [...this.#calls.values(), ...this.#suspended.values()];
    return pageOfCalls(running, this.#durable, limit, after);
  }

  /** Describes one call that runs, or a durable one that has ended. */
  inspect(callId: string): CallDescription | undefined {
    const call = this.#calls.get(callId) ?? this.#suspended.get(callId);
    return call?.describe() ?? this.#durable?.inspect(callId);
  }

  /** Reports how far calls have come, those that run and durable ones that have ended. */
  reportStatus(callIds: readonly string[]): CallStatusReport[] {
    return callIds.flatMap((callId) => {
      const call = this.#calls.get(callId) ?? this.#suspended.get(callId);
      if (call !== undefined) {
        const position = this.#restored.positionOf(call) ?? this.#left.positionOf(call);
        return [{ ...call.reportStatus(), ...(position !== undefined && { position }) }];
      }
      const ended = this.#durable?.inspect(callId);
      if (ended === undefined) return [];
      return [{ callId, status: ended.status, position: 0, elapsedMs: ended.elapsedMs }];
    });
  }

  /** Ends one call, where it runs or waits, for the next agent too. */
  cancel(callId: string): void {
    (this.#calls.get(callId) ?? this.#suspended.get(callId))?.cancel("a user cancelled the call");
  }

  /** Ends the calls that run, as `close` does. Those that wait are left to it, and so are bodies on their way. */
  endRunning(reason: string): void {
    for (const call of this.#calls.values()) {
      if (call.hasBegun && !this.#suspend(call)) call.abandon(reason, this.#isFollowed);
    }
  }

  /**
   * Ends every call: the agent stops. Durable ones that wait are saved for the next agent, and their clients
   * attach there. To be repeated where calls have come meanwhile.
   */
  async close(reason: string): Promise<void> {
    for (const call of this.#calls.values()) {
      if (call.entering === undefined) this.#end(call, reason);
    }
    for (const { entering } of this.#calls.values()) await entering;
    for (const call of this.#calls.values()) this.#end(call, reason);
    await Promise.all(this.#saving);
  }

  #end(call: Call, reason: string): void {
    if (!this.#suspend(call)) call.abandon(reason, this.#isFollowed);
  }

  /** Takes a durable call that waits out for the next agent. @returns false where it can't be */
  #suspend(call: Call): boolean {
    if (!call.suspend(this.#isFollowed)) return false;
    this.#calls.delete(call.callId);
    this.#restored.delete(call);
    this.#suspended.set(call.callId, call);
    this.#left.add(call);
    // Should the disk lose one that waits to run again, the next agent does not take it for one that never came.
    if (call.hasBegun) this.#tombstones.add(call.callId, this.#context.now());
    this.#saving.push(call.finishSuspending());
    return true;
  }

  /** No call runs or waits for its turn; those of an earlier agent may wait for their endpoint. */
  get #isIdle(): boolean {
    return [...this.#calls.values()].every(
      (call) => call.isKept || this.#restored.has(call) || this.#isLeft(call),
    );
  }

  /** The next agent runs it. */
  #isLeft(call: Call): boolean {
    return this.#isFollowed && !call.hasBegun && !call.body.incomplete;
  }

  #tellIdle(): void {
    if (this.#onIdle !== undefined && this.#isIdle) this.#onIdle();
  }

  #forget(call: Call): void {
    const { callId } = call;
    this.#calls.delete(callId);
    this.#suspended.delete(callId);
    this.#restored.delete(call);
    this.#left.delete(call);
    // One that the agent's end kept from beginning may begin at the next one.
    if (call.hasBegun) this.#tombstones.add(callId, this.#context.now());
    this.#tellIdle();
  }

  /** Opens a call that is durable from its first byte on: it is in the journal before an app has it. */
  #openDurable(
    stream: Stream,
    carrier: Carrier,
    head: RequestHead,
    body: RequestBody,
    runner: CallRunner,
    durable: DurableCalls,
  ): StreamEvents {
    const storage = new CallStorage(durable, head, runner.resultTtlMs);
    const call = new Call(this.#context, runner, head, body, storage, { durable: true });
    this.#calls.set(head.callId, call);
    const events = call.attach(stream, carrier, 0);
    const accepted = acceptCall(durable, call, head);
    // A full queue is told to the client, which is there.
    runner.run(call);
    const decided = accepted.then((isAccepted) => {
      if (isAccepted && head.async === true) events.onDefer?.();
    });
    call.awaitJournal(decided);
    return events;
  }
}
