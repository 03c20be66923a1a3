/**
 * Checks the bodies that an earlier process wrote: each once, before the first byte of it is read. So a client is told of
 * damage before it gets a part. Flipped bits are mended in the file. Bodies in packs were checked when the store was
 * opened.
 */
import type { MendedByte } from "./body-blocks.ts";
import type { Files } from "./files.ts";
import { isDamage } from "./result-error.ts";
import { readBody, type ReadOptions, type ResultLocation, writeMended } from "./result-reader.ts";

export interface BodyChecksOptions {
  files: Files;
  /** Called once for a body that is damaged; readers are told when it has settled. */
  onDamaged: (callId: string, result: ResultLocation) => Promise<void>;
  /** Called for a body of which so many bits were mended. */
  onMended: (result: ResultLocation, bits: number) => void;
}

export class BodyChecks {
  readonly #options: BodyChecksOptions;
  /** Those that are under way: readers of one body share its check. */
  readonly #checking = new Map<ResultLocation, Promise<void>>();

  constructor(options: BodyChecksOptions) {
    this.#options = options;
  }

  /** Resolves when the body is known to be what was written. @throws ResultError */
  async check(callId: string, result: ResultLocation): Promise<void> {
    if (result.isChecked) return;
    const checking = this.#checking.get(result) ?? this.#check(callId, result);
    this.#checking.set(result, checking);
    await checking;
  }

  /** Reads a body, or a part of it, once it is checked. @throws ResultError */
  async *read(
    callId: string,
    result: ResultLocation,
    options: ReadOptions,
  ): AsyncGenerator<Uint8Array> {
    await this.check(callId, result);
    const checkAgain = (): void => {
      // The disk has changed it since.
      result.isChecked = false;
      void this.check(callId, result).catch(() => undefined);
    };
    try {
      // A reader gets what is mended at once, and the file a moment later.
      yield* readBody(this.#options.files, result, options, checkAgain);
    } catch (error) {
      if (isDamage(error)) checkAgain();
      throw error;
    }
  }

  /** Waits for checks that are under way. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#checking.values());
  }

  async #check(callId: string, result: ResultLocation): Promise<void> {
    const { files, onDamaged, onMended } = this.#options;
    try {
      const mended: MendedByte[] = [];
      for await (const _part of readBody(files, result, {}, (byte) => mended.push(byte)));
      if (mended.length > 0) {
        // A reader mends what the disk does not take.
        await writeMended(files, result, mended).catch(() => undefined);
        onMended(result, mended.length);
      }
      result.isChecked = true;
    } catch (error) {
      if (isDamage(error)) await onDamaged(callId, result);
      throw error;
    } finally {
      this.#checking.delete(result);
    }
  }
}
