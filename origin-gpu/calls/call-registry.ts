/**
 * The calls of one agent: opens each at most once (per call id and per Idempotency-Key), attaches
 * whoever comes back to the one that it means, and knows what became of those that are over.
 */
import {
  type AttachRequest,
  contentLength,
  type RequestHead,
} from "../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../routing/wire/multiplexer.ts";
import { Call, type CallContext, type CallTerms } from "./call.ts";
import type { CallDescription } from "./states.ts";
import type { Carrier } from "./response/carrier.ts";
import { deliver, refuse } from "./response/delivery.ts";
import { Tombstones } from "./tombstones.ts";
import { type Fingerprint, FingerprintReader } from "./fingerprint.ts";
import { CallStorage, type StorageContext } from "./store/call-storage.ts";
import type { EndedCursor, DurableCalls } from "./store/durable-calls.ts";
import { RequestBody } from "./request-body.ts";

/** What runs a call once it is in the table. */
export interface CallRunner extends CallTerms {
  run(call: Call): void;
}

export interface CallRegistryOptions {
  context: Omit<CallContext, "forget">;
  /** Without it no call can be kept. */
  kept: DurableCalls | undefined;
  /** One line for the operator. */
  log: (line: string) => void;
}

/** Where a list of calls goes on. */
export type CallCursor =
  /** After a running call: when it was opened, by the agent's own clock. */
  { kind: "running"; openedAt: number } | EndedCursor;

export interface CallPage {
  calls: CallDescription[];
  /** Undefined on the last page. */
  next: CallCursor | undefined;
}

export class CallRegistry {
  readonly #calls = new Map<string, Call>();
  readonly #ended = new Tombstones();
  readonly #context: CallContext;
  readonly #keeping: StorageContext | undefined;
  readonly #log: (line: string) => void;
  #onIdle: (() => void) | undefined;

  constructor({ context, kept, log }: CallRegistryOptions) {
    this.#keeping = kept === undefined ? undefined : { kept, log };
    this.#log = log;
    this.#context = { ...context, forget: (call) => this.#forget(call) };
  }

  /** The gateway has welcomed every link of this agent: from here on no call goes to an earlier one. */
  welcomed(): void {
    this.#ended.welcomed(this.#context.now());
  }

  /** Opens a call that a stream asks for. */
  open(
    stream: Stream,
    carrier: Carrier,
    head: RequestHead,
    first: { body: Uint8Array; end: boolean },
    runner: CallRunner,
  ): StreamEvents {
    if (this.#calls.has(head.call)) {
      // Opened twice: the first one runs; whoever wants its answer attaches.
      return refuse(stream, { code: "conflict", detail: "this call is already running" });
    }
    const body = new RequestBody(stream, first.body, first.end);
    const keeping = this.#keeping;
    if (keeping !== undefined && (head.key !== undefined || head.async === true)) {
      return this.#openKept(stream, carrier, head, body, runner, keeping);
    }
    const keeper =
      keeping === undefined ? undefined : new CallStorage(keeping, head, runner.resultTtlMs);
    const call = new Call(this.#context, runner, head, body, keeper);
    this.#calls.set(head.call, call);
    const events = call.attach(stream, carrier, 0);
    runner.run(call);
    return events;
  }

  /** Attaches a stream to a call that was opened before, wherever that is by now. */
  attach(stream: Stream, carrier: Carrier, { call: id, offset }: AttachRequest): StreamEvents {
    const call = this.#calls.get(id);
    if (call !== undefined) {
      if (call.canResume(offset)) return call.attach(stream, carrier, offset);
      const detail = "the answer cannot be resumed from so far back";
      return refuse(stream, { code: "origin_error", detail });
    }
    const found = this.#keeping?.kept.lookup(id) ?? { kind: "unknown" };
    switch (found.kind) {
      case "result":
        return deliver(found.result, stream, carrier, offset);
      case "failed":
        return refuse(stream, found.failure);
      case "unknown": {
        const welcomedForMs = this.#ended.vouchedMs(id, this.#context.now());
        const vouched = welcomedForMs === undefined ? {} : { welcomedForMs };
        const detail = "the box does not know this call";
        return refuse(stream, { code: "call_lost", detail, ...vouched });
      }
    }
  }

  /** Resolves when no call runs for anybody; those that only wait for a client to come back end now. */
  async idle(): Promise<void> {
    for (const call of this.#calls.values()) {
      if (call.abandoned) call.cancel("the agent stops and nobody is attached");
    }
    if (this.#calls.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /**
   * A page of the calls: those that run, then those that are kept and have ended, the newest of each kind
   * first. One that ends between two pages may be on both.
   * @param after what an earlier page called `next`; undefined: the first page
   */
  list(limit: number, after?: CallCursor): CallPage {
    const calls: CallDescription[] = [];
    if (after?.kind !== "ended") {
      for (const call of [...this.#calls.values()].toReversed()) {
        if (after !== undefined && call.openedAt >= after.openedAt) continue;
        calls.push(call.describe());
        if (calls.length === limit) {
          return { calls, next: { kind: "running", openedAt: call.openedAt } };
        }
      }
    }
    const before = after?.kind === "ended" ? after : undefined;
    const ended = this.#keeping?.kept.listEnded(limit - calls.length, before);
    return { calls: [...calls, ...(ended?.calls ?? [])], next: ended?.next };
  }

  /** One call, running or kept. */
  inspect(id: string): CallDescription | undefined {
    return this.#calls.get(id)?.describe() ?? this.#keeping?.kept.inspect(id);
  }

  /** Ends one call, where it runs. */
  cancel(id: string): void {
    this.#calls.get(id)?.cancel("somebody cancelled the call");
  }

  /** Ends every call. */
  cancelAll(reason: string): void {
    for (const call of this.#calls.values()) call.cancel(reason);
  }

  #forget({ id }: Call): void {
    this.#calls.delete(id);
    this.#ended.add(id, this.#context.now());
    if (this.#calls.size === 0) this.#onIdle?.();
  }

  /** A call that is kept from its first byte on: it is in the journal before the app hears of it. */
  #openKept(
    stream: Stream,
    carrier: Carrier,
    head: RequestHead,
    body: RequestBody,
    runner: CallRunner,
    keeping: StorageContext,
  ): StreamEvents {
    const { kept } = keeping;
    const known = head.key === undefined ? undefined : kept.byKey(head.key);
    if (known !== undefined) return this.#join(stream, carrier, head, body, known.id, kept);
    const keeper = new CallStorage(keeping, head, runner.resultTtlMs);
    const call = new Call(this.#context, runner, head, body, keeper, true);
    this.#calls.set(head.call, call);
    const events = call.attach(stream, carrier, 0);
    let fingerprint: Fingerprint | undefined;
    let accepted = false;
    if (head.key !== undefined) {
      body.watch(fingerprintReader(head), (whole) => {
        fingerprint = whole;
        // A body that came with the request is in the record already.
        if (accepted) void kept.fingerprinted(head.call, whole).catch(() => undefined);
      });
    }
    const { call: id, endpoint, key } = head;
    const record = kept.accept({ id, endpoint, key, fingerprint });
    accepted = true;
    void record.then(
      () => {
        if (call.over) return;
        // A full queue is said to the client that is still there.
        runner.run(call);
        call.noted();
        if (head.async === true) events.onKeep?.();
      },
      (error: unknown) => {
        this.#log(`a call cannot be kept: ${String(error)}`);
        const detail = "this box has no room to keep the answer";
        call.failed({ code: "no_origin", detail, retryAfter: 60 });
      },
    );
    return events;
  }

  /** A second request under a key: the first one's answer, if it is the same request. */
  #join(
    stream: Stream,
    carrier: Carrier,
    head: RequestHead,
    body: RequestBody,
    id: string,
    kept: DurableCalls,
  ): StreamEvents {
    let over = false;
    const joiner: StreamEvents = {
      onData: (bytes, end) => body.push(bytes, end),
      onOver: () => {
        over = true;
        body.broke();
      },
    };
    void this.#sameRequest(head, body, id, kept).then(
      (same) => {
        if (over) return;
        if (same) stream.events = this.attach(stream, carrier, { call: id, offset: 0 });
        else {
          const detail = "the first request under this key was another one";
          stream.refuse({ code: "idempotency_key_reused", detail });
        }
        if (head.async === true) stream.events?.onKeep?.();
      },
      () => {
        if (!over) stream.refuse({ code: "upload_interrupted", detail: "the body broke off" });
      },
    );
    return joiner;
  }

  /** Compares a request with the first one under its key; waits until the first one's body is whole. */
  async #sameRequest(
    head: RequestHead,
    body: RequestBody,
    id: string,
    kept: DurableCalls,
  ): Promise<boolean> {
    const first = await this.#calls.get(id)?.body.fingerprint();
    const fingerprint =
      first ?? (head.key === undefined ? undefined : kept.byKey(head.key)?.fingerprint);
    // The first one's body never became whole, or an older agent died before it noted it: one key, one call.
    if (fingerprint === undefined) return true;
    const reader = fingerprintReader(head);
    let verdict = reader.judge(fingerprint, false);
    for await (const chunk of body.chunks()) {
      if (verdict !== "unknown") break;
      reader.push(chunk);
      verdict = reader.judge(fingerprint, false);
    }
    if (verdict === "unknown") verdict = reader.judge(fingerprint, true);
    return verdict === "same";
  }
}

function fingerprintReader({ target, headers }: RequestHead): FingerprintReader {
  const question = target.indexOf("?");
  const query = question === -1 ? "" : target.slice(question);
  return new FingerprintReader(query, contentLength(headers));
}
