/**
 * Reads the JSON bodies of requests whose sender has proved who it is: at most so many bytes, until a deadline, and a
 * few at a time for each sender. So what unfinished requests hold is bounded, and one sender's share of it.
 */
import { err, ok, type Result } from "../../../base/result.ts";
import { systemTimer, type Timer } from "../../../base/runtime/timer.ts";
import { within } from "../../../base/runtime/within.ts";

/** A megabyte needs 400 kbit/s. An agent gives an operation up after this time too. */
export const BODY_TIMEOUT_MS = 20_000;

/** Bodies of one sender that are read at a time. Commands send one after another. */
export const MAX_BODIES_PER_SENDER = 32;

/** `broken`: its client left, or sent a malformed chunk. */
export type BodyProblem = "too_large" | "too_slow" | "too_many" | "broken";

export class BodyReader {
  readonly #timer: Timer;
  /** Bodies that are being read, by sender. */
  readonly #reading = new Map<string, number>();

  constructor(timer: Timer = systemTimer) {
    this.#timer = timer;
  }

  /**
   * Reads a whole body as text; empty where the request has none.
   * @param sender who has proved to send it: a workspace, or a box of one
   */
  async read(
    { headers, body }: Request,
    sender: string,
    maxBytes: number,
  ): Promise<Result<string, BodyProblem>> {
    if (body === null) return ok("");
    if (Number(headers.get("content-length") ?? 0) > maxBytes) return err("too_large");
    const reading = this.#reading.get(sender) ?? 0;
    if (reading >= MAX_BODIES_PER_SENDER) return err("too_many");
    this.#reading.set(sender, reading + 1);
    const reader = body.getReader();
    try {
      const limits = { timer: this.#timer };
      const result = await within(BODY_TIMEOUT_MS, readText(reader, maxBytes), limits);
      return result ?? err("too_slow");
    } catch {
      return err("broken");
    } finally {
      const left = (this.#reading.get(sender) ?? 1) - 1;
      if (left === 0) this.#reading.delete(sender);
      else this.#reading.set(sender, left);
      // The rest is not wanted. A body that has ended takes no notice.
      void reader.cancel().catch(() => undefined);
    }
  }
}

async function readText(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  maxBytes: number,
): Promise<Result<string, BodyProblem>> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return ok(text + decoder.decode());
    bytes += value.length;
    if (bytes > maxBytes) return err("too_large");
    text += decoder.decode(value, { stream: true });
  }
}
