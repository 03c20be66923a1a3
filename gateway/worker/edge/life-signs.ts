/**
 * Signs of life at an endpoint with `life_signs`: a client that waits for a stream of events gets its 200 and comments
 * until the app's own events begin. The Worker writes them, so a call that waits holds no stream of its link for them,
 * and for its agent it has no response yet. From the first byte of the app's events on the runtime pumps them.
 */
import { getHeader, hasHeader } from "../../../base/headers.ts";
import { systemTimer, type Timer } from "../../../base/runtime/timer.ts";
import { within } from "../../../base/runtime/within.ts";
import {
  errorEvent,
  errorOfApp,
  eventOfJson,
  lifeSign,
  MAX_ERROR_BYTES,
  NEXT_SIGN_MS,
} from "../../../routing/life-signs.ts";
import { isJson } from "../../../routing/accept.ts";
import type { CallStatusReport } from "../../../routing/wire/call-descriptions.ts";
import { ERRORS, type ErrorCode } from "../../../routing/wire/errors.ts";
import type { ResponseHead } from "../../../routing/wire/heads.ts";
import { openAiError } from "../../../routing/wire/openai-error.ts";
import type { Attempt, ResponseBody } from "../../contracts/attempt.ts";

/** The head of a response that begins before the app's. Proxies such as nginx hold no part of it back. */
export const LIVELY_HEAD: ResponseHead = {
  status: 200,
  headers: [
    "content-type",
    "text/event-stream",
    "cache-control",
    "no-store",
    "x-accel-buffering",
    "no",
  ],
};

/** Tells where the call stands; undefined where that is not known. */
type AskStatus = () => Promise<CallStatusReport | undefined>;

/** The stream of a client that waits for `answer`: a sign at once, then others, then what the app says. */
export function livelyStream(
  answer: Promise<Attempt>,
  ask: AskStatus,
  timer: Timer = systemTimer,
): ReadableStream<Uint8Array> {
  const { readable, writable } = new IdentityTransformStream();
  void new LivelyStream(writable, ask, timer).begin(answer);
  return readable;
}

/** The body of a stream of events, with signs until its first byte. */
export function livelyBody(
  head: ResponseHead,
  body: ResponseBody,
  ask: AskStatus,
  timer: Timer = systemTimer,
): ResponseBody {
  const isWhole = hasHeader(head.headers, "content-length");
  if (!(body instanceof ReadableStream) || isWhole || !isPlainEvents(head)) return body;
  const { readable, writable } = new IdentityTransformStream();
  void new LivelyStream(writable, ask, timer).passOn(body);
  return readable;
}

/** Events whose bytes are text: a comment may stand before them. */
function isPlainEvents({ status, headers }: ResponseHead): boolean {
  const type = getHeader(headers, "content-type") ?? "";
  return status === 200 && type.startsWith("text/event-stream") && !isEncoded(headers);
}

function isEncoded(headers: readonly string[]): boolean {
  return (getHeader(headers, "content-encoding") ?? "identity") !== "identity";
}

const encoder = new TextEncoder();

class LivelyStream {
  readonly #writable: WritableStream<Uint8Array>;
  readonly #ask: AskStatus;
  readonly #timer: Timer;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** The runtime writes from now on. */
  #isPumped = false;
  /** Aborted when the client has left. */
  readonly #left = new AbortController();

  constructor(writable: WritableStream<Uint8Array>, ask: AskStatus, timer: Timer) {
    this.#writable = writable;
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => this.#left.abort());
    this.#ask = ask;
    this.#timer = timer;
  }

  /** Never rejects: a client that has left is no fault. */
  async begin(answer: Promise<Attempt>): Promise<void> {
    try {
      await this.#write(lifeSign(await this.#ask()));
      await this.#tell(await this.#signsUntil(answer));
    } catch (error) {
      await this.#break(error);
    }
  }

  /** Passes an app's events on, with signs until the first byte. Never rejects. */
  async passOn(body: ReadableStream<Uint8Array>): Promise<void> {
    try {
      await this.#pump(body);
    } catch (error) {
      await this.#break(error);
    }
  }

  /** Settles as `work` does. The client hears a sign now and then until that. */
  async #signsUntil<Value>(work: Promise<Value>): Promise<Value> {
    for (;;) {
      const done = await within(
        NEXT_SIGN_MS,
        work.then((value) => ({ value })),
        { signal: this.#left.signal, timer: this.#timer },
      );
      if (done !== undefined) return done.value;
      this.#left.signal.throwIfAborted();
      await this.#write(lifeSign(await this.#ask()));
    }
  }

  async #tell(attempt: Attempt): Promise<void> {
    switch (attempt.kind) {
      case "response":
        await this.#tellResponse(attempt.head, attempt.body);
        return;
      case "failed":
        if (attempt.cause === "cancelled") throw new Error("the client has left");
        await this.#fail(attempt.failure.code, attempt.failure.detail);
        return;
      default:
        await this.#fail("internal_error", "");
    }
  }

  async #tellResponse(head: ResponseHead, body: ResponseBody): Promise<void> {
    if (isPlainEvents(head)) {
      if (body instanceof ReadableStream) await this.#pump(body);
      else await this.#end(body);
      return;
    }
    const isEmpty = body === null || head.status === 204;
    if (head.status < 300 && isEmpty) {
      await this.#end(null);
      return;
    }
    const text = isEncoded(head.headers) ? undefined : await beginningOf(body);
    const isAnswer = head.status < 300 && isJson(getHeader(head.headers, "content-type") ?? null);
    if (isAnswer && text?.isWhole === true) {
      await this.#end(encoder.encode(eventOfJson(text.text)));
    } else if (head.status < 300) {
      await this.#fail("origin_error", "the app answered with something else than events");
    } else await this.#end(encoder.encode(errorEvent(errorOfApp(head.status, text?.text ?? ""))));
  }

  async #fail(code: ErrorCode, detail: string): Promise<void> {
    const message = detail === "" ? ERRORS[code].title : detail;
    await this.#end(encoder.encode(errorEvent({ ...openAiError(code, message) })));
  }

  /** The runtime pumps all but the first piece. */
  async #pump(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    try {
      const first = await this.#signsUntil(reader.read());
      if (first.done) {
        await this.#end(null);
        return;
      }
      await this.#writer.write(first.value);
    } catch (error) {
      // The app is to hear that its client has left.
      await reader.cancel(error).catch(() => undefined);
      throw error;
    }
    reader.releaseLock();
    this.#writer.releaseLock();
    this.#isPumped = true;
    await body.pipeTo(this.#writable);
  }

  async #write(text: string): Promise<void> {
    await this.#writer.write(encoder.encode(text));
  }

  async #end(last: Uint8Array | null): Promise<void> {
    if (last !== null && last.length > 0) await this.#writer.write(last);
    await this.#writer.close();
  }

  /** The client sees a break, never a clean end. */
  async #break(reason: unknown): Promise<void> {
    try {
      await (this.#isPumped ? this.#writable : this.#writer).abort(reason);
    } catch {
      // Its client has left, or the runtime has broken it already.
    }
  }
}

/** The text of a body's first bytes. */
async function beginningOf(body: ResponseBody): Promise<{ text: string; isWhole: boolean }> {
  const decoder = new TextDecoder();
  if (!(body instanceof ReadableStream)) {
    return { text: decoder.decode(body ?? new Uint8Array()), isWhole: true };
  }
  let text = "";
  let bytes = 0;
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    bytes += chunk.length;
    // Leaving the loop cancels the stream.
    if (bytes > MAX_ERROR_BYTES) return { text, isWhole: false };
  }
  return { text: text + decoder.decode(), isWhole: true };
}
