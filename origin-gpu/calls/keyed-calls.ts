/**
 * Requests under an Idempotency-Key. The first one under a key is a call, and the others join it. A key whose calls
 * another box gets from now on is released: no call begins under it here.
 */
import type { RequestHead } from "../../routing/wire/heads.ts";
import type { AttachRequest, Failure } from "../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../routing/wire/multiplexer.ts";
import type { Carrier } from "../../routing/wire/stream-writer.ts";
import type { Call } from "./call.ts";
import { FingerprintReader } from "./fingerprint.ts";
import { ReleasedKeys } from "./released-keys.ts";
import { RequestBody } from "./request-body.ts";
import { refuse } from "./response/delivery.ts";
import type { DurableCalls } from "./store/durable-calls.ts";

/** A request's body, as far as it came with the OPEN. */
export interface FirstBytes {
  readonly body: Uint8Array;
  readonly end: boolean;
}

export interface KeyedCallsOptions {
  /** Without it no key is known. */
  readonly durable: DurableCalls | undefined;
  /** In milliseconds. */
  readonly now: () => number;
  readonly running: (callId: string) => Call | undefined;
  readonly attach: (stream: Stream, carrier: Carrier, request: AttachRequest) => StreamEvents;
}

/** Its client asks again, and its gateway finds the right box then. */
const NOT_HERE: Failure = {
  code: "no_origin",
  detail: "another box has the calls under this key now",
  retryAfter: 1,
};

export class KeyedCalls {
  readonly #options: KeyedCallsOptions;
  readonly #released = new ReleasedKeys();

  constructor(options: KeyedCallsOptions) {
    this.#options = options;
  }

  /** Releases a key for another box, unless a call under it is known; returns whether the key was released. */
  release(key: string): boolean {
    const { durable, now } = this.#options;
    if (durable?.byKey(key) !== undefined) return false;
    this.#released.add(key, now());
    return true;
  }

  /** Refuses a call that may not begin under its key here; undefined where it may. */
  refuse(stream: Stream, { key, joins = false }: RequestHead): StreamEvents | undefined {
    if (key === undefined) return undefined;
    const mayBegin = !joins && !this.#released.has(key, this.#options.now());
    return mayBegin ? undefined : refuse(stream, NOT_HERE);
  }

  /**
   * Attaches a request to the response of the call that is known under its key, if both are the same request;
   * undefined where no call is known.
   */
  join(
    stream: Stream,
    carrier: Carrier,
    head: RequestHead,
    first: FirstBytes,
  ): StreamEvents | undefined {
    const { durable, attach } = this.#options;
    const known = head.key === undefined ? undefined : durable?.byKey(head.key);
    if (known === undefined) return undefined;
    const { callId } = known;
    const body = new RequestBody(stream, first.body, first.end);
    let over = false;
    let leaves = head.async === true;
    const joiner: StreamEvents = {
      onData: (bytes, end) => body.push(bytes, end),
      onDefer: () => {
        leaves = true;
      },
      onEnd: () => {
        over = true;
        body.abort();
      },
    };
    void this.#isSameRequest(head, body, callId).then(
      (same) => {
        if (over) return;
        if (same) {
          body.skip();
          stream.events = attach(stream, carrier, { callId, offset: 0 });
        } else {
          const detail = "the first request under this key was another one";
          stream.refuse({ code: "idempotency_key_reused", detail });
        }
        if (leaves) stream.events?.onDefer?.();
      },
      () => {
        if (!over) stream.refuse({ code: "upload_interrupted", detail: "the body broke off" });
      },
    );
    return joiner;
  }

  /** Compares a request with the first one under its key, once the first one's body is whole. */
  async #isSameRequest(head: RequestHead, body: RequestBody, callId: string): Promise<boolean> {
    const { running, durable } = this.#options;
    const first = await running(callId)?.body.fingerprint();
    const fingerprint =
      first ?? (head.key === undefined ? undefined : durable?.byKey(head.key)?.fingerprint);
    // Unknown where the first body never became whole, or an earlier agent died before it was: the key decides.
    if (fingerprint === undefined) return true;
    return await FingerprintReader.of(head).matches(fingerprint, body.chunks());
  }
}
