/**
 * Collects concurrent JSON POSTs to one path of a container into lists, and deals the answer's list back in order. A
 * batch is sent when it is full, or `waitMs` after its first request. The answer is whole and bounded: a stream can't
 * be dealt out. core/batch-head.ts says which requests go together.
 */
import { MIB, SECOND_MS } from "../../base/units.ts";
import { getHeader } from "../../base/headers.ts";
import type { Timer } from "../../base/runtime/timer.ts";
import { responseHeaders } from "../../routing/wire/headers.ts";
import type { BatchPolicy } from "../config/app-config.ts";
import {
  answerHeaders,
  batchHeaders,
  batchKey,
  STATUSES_HEADER,
  statusesOf,
} from "../core/batch-head.ts";
import { elementsOf, listOf } from "../core/json-list.ts";
import { describeAppError, isWithoutConnection } from "./app-errors.ts";
import type { OnBroke, OnRefused, ProxiedCall } from "./app-request.ts";
import { BatchedCall } from "./batched-call.ts";
import type { WholeAnswer, WholeFailure, WholeOptions, WholeRequest } from "./whole-request.ts";

/** Of a batch's requests together, and of its answer. */
const MAX_BATCH_BYTES = 16 * MIB;
const MAX_ANSWER_BYTES = 64 * MIB;

export type AskWhole = (
  request: WholeRequest & Pick<ProxiedCall, "hostHeader">,
  options: WholeOptions,
) => Promise<WholeAnswer | WholeFailure>;

interface Batch {
  readonly calls: BatchedCall[];
  characters: number;
  readonly cancelTimer: () => void;
}

export class JsonBatches {
  readonly #policy: BatchPolicy;
  readonly #ask: AskWhole;
  readonly #timer: Timer;
  readonly #now: () => number;
  /** That wait for more, by key. */
  readonly #gathering = new Map<string, Batch>();

  constructor(
    policy: BatchPolicy,
    ask: AskWhole,
    { timer, now }: { timer: Timer; now: () => number },
  ) {
    this.#policy = policy;
    this.#ask = ask;
    this.#timer = timer;
    this.#now = now;
  }

  /** @returns whether the request goes into a batch; others are to be sent by themselves */
  take(proxied: ProxiedCall, refused?: OnRefused, broke?: OnBroke): boolean {
    const key = batchKey(proxied.call.head);
    if (key === undefined) return false;
    const batched = new BatchedCall({ proxied, refused, broke, timer: this.#timer });
    void batched.read().then((isRead) => {
      if (isRead && !batched.hasLeft) this.#add(key, batched);
    });
    return true;
  }

  #add(key: string, batched: BatchedCall): void {
    const { length } = batched.text;
    const gathering = this.#gathering.get(key);
    const isFitting = gathering !== undefined && gathering.characters + length <= MAX_BATCH_BYTES;
    if (gathering !== undefined && !isFitting) this.#send(key);
    const batch = isFitting ? gathering : this.#begin(key);
    batched.onLeft = () => this.#onLeft(batch);
    batch.calls.push(batched);
    batch.characters += length;
    if (batch.calls.length >= this.#policy.maxBatchSize) this.#send(key);
  }

  #begin(key: string): Batch {
    const cancelTimer = this.#timer(() => this.#send(key), this.#policy.waitMs);
    const batch = { calls: [], characters: 0, cancelTimer };
    this.#gathering.set(key, batch);
    return batch;
  }

  /** A place is free for another one. */
  #onLeft(batch: Batch): void {
    const kept = batch.calls.filter(({ hasLeft }) => !hasLeft);
    batch.calls.splice(0, batch.calls.length, ...kept);
    batch.characters = kept.reduce((sum, { text }) => sum + text.length, 0);
  }

  #send(key: string): void {
    const batch = this.#gathering.get(key);
    this.#gathering.delete(key);
    batch?.cancelTimer();
    const calls = batch?.calls.filter(({ hasLeft }) => !hasLeft) ?? [];
    if (calls.length > 0) void this.#exchange(calls);
  }

  async #exchange(calls: readonly BatchedCall[]): Promise<void> {
    const [first] = calls as [BatchedCall];
    const { hostHeader, limits } = first.proxied;
    const { target, headers } = first.call.head;
    const ending = new AbortController();
    for (const batched of calls) {
      batched.onLeft = () => {
        if (calls.every(({ hasLeft }) => hasLeft)) ending.abort(new Error("every client has left"));
      };
    }
    const lateDetail = `the app did not answer the batch within ${limits.timeoutMs / SECOND_MS} s`;
    const cancelTimer = this.#timer(() => ending.abort(new Error(lateDetail)), limits.timeoutMs);
    const startedAt = this.#now();
    const outcome = await this.#ask(
      {
        path: target,
        headers: batchHeaders(headers, calls.length),
        body: listOf(calls.map(({ text }) => text)),
        hostHeader,
      },
      { signal: ending.signal, maxBytes: MAX_ANSWER_BYTES, refuse: whyRefused },
    );
    cancelTimer();
    const present = calls.filter(({ hasLeft }) => !hasLeft);
    if ("error" in outcome) this.#onFailure(present, outcome, ending.signal.aborted && lateDetail);
    else deal(calls, outcome, Math.round(this.#now() - startedAt));
  }

  #onFailure(
    calls: readonly BatchedCall[],
    { error, isSent, isAnswered }: WholeFailure,
    lateDetail: string | false,
  ): void {
    const detail = `the app broke the exchange: ${describeAppError(error)}`;
    for (const batched of calls) {
      if (lateDetail !== false) batched.fail("call_timeout", lateDetail);
      else if (!isSent && isWithoutConnection(error)) batched.sendElsewhere(detail);
      else if (isAnswered) batched.fail("origin_error", detail);
      else batched.runAgain(detail);
    }
  }
}

/** A stream is refused at its head: its end may never come. */
function whyRefused(_status: number, rawHeaders: readonly Buffer[]): string | undefined {
  const headers = responseHeaders(rawHeaders);
  if (!Array.isArray(headers)) return headers.detail;
  if (getHeader(headers, "content-type")?.startsWith("text/event-stream") === true) {
    return "it answered a batch with a stream, which can't be dealt out";
  }
  if (getHeader(headers, "content-encoding") !== undefined) {
    return "it compressed the answer of a batch, which did not ask for that";
  }
  return undefined;
}

/** Gives each call its element. A response that is no success is that of each. */
function deal(calls: readonly BatchedCall[], answer: WholeAnswer, appMs: number): void {
  const headers = responseHeaders(answer.rawHeaders) as string[];
  if (answer.status >= 300) {
    for (const batched of calls) {
      if (!batched.hasLeft) batched.respond(answer.status, [...headers], answer.body, appMs);
    }
    return;
  }
  const dealt = elementsFor(calls.length, answer);
  for (const [index, batched] of calls.entries()) {
    if (batched.hasLeft) continue;
    if (typeof dealt === "string") {
      batched.fail("origin_error", `the app's answer of a batch of ${calls.length} ${dealt}`);
      continue;
    }
    const element = dealt.elements[index] as string;
    const bytes = Buffer.from(element);
    const status = dealt.statuses?.[index] ?? answer.status;
    batched.respond(status, answerHeaders(headers, bytes.length), bytes, appMs);
  }
}

interface Dealt {
  readonly elements: readonly string[];
  readonly statuses: readonly number[] | undefined;
}

/** @returns what is wrong with the answer, in words */
function elementsFor(size: number, { rawHeaders, body }: WholeAnswer): Dealt | string {
  const elements = elementsOf(body.toString("utf8"));
  if (elements === undefined) return "is no JSON list";
  if (elements.length !== size) return `has ${elements.length} elements`;
  const line = lineOf(rawHeaders, STATUSES_HEADER);
  if (line === undefined) return { elements, statuses: undefined };
  const statuses = statusesOf(line, size);
  if (statuses === undefined) return `has another Postern-Batch-Status than ${size} statuses`;
  return { elements, statuses };
}

function lineOf(rawHeaders: readonly Buffer[], name: string): string | undefined {
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toString("latin1").toLowerCase() === name) {
      return rawHeaders[index + 1]?.toString("latin1");
    }
  }
  return undefined;
}
