/**
 * Compares two requests under one Idempotency-Key: by query, and by length and SHA-256 of the body. A body
 * is read as far as the comparison needs, and never further than 64 MiB.
 */
import { createHash } from "node:crypto";
import { MIB } from "../../base/units.ts";
import { contentLength, type RequestHead } from "../../routing/wire/heads.ts";

/** So much of a body is hashed: a repeated request is read no further. */
export const MAX_FINGERPRINTED_BYTES = 64 * MIB;

/** Identifies a request under a key. */
export interface Fingerprint {
  /** From the question mark on, or empty. */
  readonly query: string;
  /** Bytes of the whole body. */
  readonly length: number;
  /** SHA-256 of the first `MAX_FINGERPRINTED_BYTES` of the body, in base64url. */
  readonly sha256: string;
}

export type FingerprintVerdict =
  /** The request joins the first one's call, and is read no further. */
  | "same"
  /** 422 `idempotency_key_reused`. */
  | "different"
  /** More of the body must be read. */
  | "unknown";

/** Computes a request's fingerprint while its body comes. */
export class FingerprintReader {
  /** Reads the fingerprint of a request with this head. */
  static of({ target, headers }: RequestHead): FingerprintReader {
    const question = target.indexOf("?");
    const query = question === -1 ? "" : target.slice(question);
    return new FingerprintReader(query, contentLength(headers));
  }

  readonly #query: string;
  readonly #declaredLength: number | undefined;
  readonly #hash = createHash("sha256");
  #length = 0;
  #sha256: string | undefined;

  /** @param declaredLength what Content-Length said, if it was there */
  constructor(query: string, declaredLength: number | undefined) {
    this.#query = query;
    this.#declaredLength = declaredLength;
  }

  push(bytes: Uint8Array): void {
    const left = MAX_FINGERPRINTED_BYTES - this.#length;
    this.#length += bytes.length;
    if (left > 0) this.#hash.update(bytes.length <= left ? bytes : bytes.subarray(0, left));
  }

  /** The fingerprint, once the body is whole. */
  finish(): Fingerprint {
    return { query: this.#query, length: this.#length, sha256: this.#digest() };
  }

  /**
   * Judges this request against the first one under its key, as early as possible: ask before reading and
   * after every part. Where both bodies are longer than 64 MiB and the second one has no declared length, the
   * first 64 MiB decide.
   * @param ended the body is whole
   */
  judge(first: Fingerprint, ended: boolean): FingerprintVerdict {
    if (this.#query !== first.query) return "different";
    if (this.#declaredLength !== undefined && this.#declaredLength !== first.length) {
      return "different";
    }
    if (this.#length > first.length) return "different";
    if (ended && this.#length !== first.length) return "different";
    if (!ended && this.#length < MAX_FINGERPRINTED_BYTES) return "unknown";
    return this.#digest() === first.sha256 ? "same" : "different";
  }

  /** Compares a request with the first one under its key; reads its body as far as that needs. */
  async matches(first: Fingerprint, body: AsyncIterable<Uint8Array>): Promise<boolean> {
    let verdict = this.judge(first, false);
    for await (const chunk of body) {
      if (verdict !== "unknown") break;
      this.push(chunk);
      verdict = this.judge(first, false);
    }
    if (verdict === "unknown") verdict = this.judge(first, true);
    return verdict === "same";
  }

  #digest(): string {
    this.#sha256 ??= this.#hash.digest("base64url");
    return this.#sha256;
  }
}
