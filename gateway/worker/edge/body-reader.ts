/**
 * Reads the JSON bodies of requests whose sender has proved who it is: at most so many bytes, until a deadline. The
 * unfinished bodies of one sender hold a bounded number of bytes together.
 */
import { err, ok, type Result } from "../../../base/result.ts";
import { systemTimer, type Timer } from "../../../base/runtime/timer.ts";
import { MIB } from "../../../base/units.ts";
import { within } from "../../../base/runtime/within.ts";

/** A megabyte needs 400 kbit/s. An agent gives an operation up after this time too. */
export const BODY_TIMEOUT_MS = 20_000;

/** Bytes that the bodies of one sender may hold while they come: two reports of a box, or 32 requests of the API. */
export const MAX_HELD_BYTES = 8 * MIB;

/** `broken`: its client left, or sent a malformed chunk. */
export type BodyProblem = "too_large" | "too_slow" | "too_many" | "broken";

export class BodyReader {
  readonly #timer: Timer;
  /** Bytes of bodies that are being read, by sender: as many as are declared, else as many as may come. */
  readonly #held = new Map<string, number>();

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
    const declared = headers.get("content-length");
    const bytes = declared === null ? maxBytes : Number(declared);
    if (bytes > maxBytes) return err("too_large");
    const held = this.#held.get(sender) ?? 0;
    if (held + bytes > MAX_HELD_BYTES) return err("too_many");
    this.#held.set(sender, held + bytes);
    const reader = body.getReader();
    try {
      const limits = { timer: this.#timer };
      const result = await within(BODY_TIMEOUT_MS, readText(reader, maxBytes), limits);
      return result ?? err("too_slow");
    } catch {
      return err("broken");
    } finally {
      const left = (this.#held.get(sender) ?? bytes) - bytes;
      if (left === 0) this.#held.delete(sender);
      else this.#held.set(sender, left);
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
