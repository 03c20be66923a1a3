/**
 * Checks the bodies that an earlier process wrote: each once, before the first byte of it is read. So a client that
 * wants a part gets no wrong byte either. Bodies in packs were checked when the store was opened.
 */
import type { Files } from "./files.ts";
import { isDamage } from "./result-error.ts";
import { readBody, type ResultLocation } from "./result-reader.ts";

export class BodyChecks {
  readonly #files: Files;
  /** Those that are under way: readers of one body share its check. */
  readonly #checking = new Map<ResultLocation, Promise<void>>();

  readonly #onDamaged: (callId: string, result: ResultLocation) => Promise<void>;

  /** @param onDamaged called once for a body that is damaged; readers are told when it has settled */
  constructor(files: Files, onDamaged: (callId: string, result: ResultLocation) => Promise<void>) {
    this.#files = files;
    this.#onDamaged = onDamaged;
  }

  /** Resolves when the body is known to be what was written. @throws ResultError */
  async check(callId: string, result: ResultLocation): Promise<void> {
    if (result.isChecked) return;
    const checking = this.#checking.get(result) ?? this.#read(callId, result);
    this.#checking.set(result, checking);
    await checking;
  }

  async #read(callId: string, result: ResultLocation): Promise<void> {
    try {
      // Reading a whole body compares its checksum.
      for await (const _part of readBody(this.#files, result, {}));
      result.isChecked = true;
    } catch (error) {
      if (isDamage(error)) await this.#onDamaged(callId, result);
      throw error;
    } finally {
      this.#checking.delete(result);
    }
  }
}
