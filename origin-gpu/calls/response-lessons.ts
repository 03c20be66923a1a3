/**
 * Learns the session keys that one response hands out while it passes, and tells of each before the byte is sent with
 * which its client could use it. Copies no body but one that comes in pieces and hands out keys, of 64 KiB at most.
 */
import {
  learnedKeys,
  type LearnedBody,
  learnsFromBody,
} from "../../routing/affinity/learned-keys.ts";
import type { AffinityRules } from "../../routing/affinity/rules.ts";
import { contentLength, type ResponseHead } from "../../routing/wire/heads.ts";

/** A body of unknown length is read when a piece of it may be the last one; many such pieces are not that. */
const MAX_ATTEMPTS = 8;

const CLOSING_BYTES: ReadonlySet<number | undefined> = new Set(Buffer.from("}]\n"));

export interface LessonsOptions {
  readonly rules: AffinityRules;
  readonly request: { readonly method: string; readonly target: string };
  /** Told in the turn in which they are found; some more than once. */
  readonly onKeys: (keys: readonly string[]) => void;
}

export class ResponseLessons {
  readonly #options: LessonsOptions;
  #head: ResponseHead | undefined;
  /** Undefined where the body hands out nothing, or nothing more. */
  #wanted: LearnedBody | undefined;
  #length: number | undefined;
  /** The pieces that have come. */
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #attempts = 0;

  constructor(options: LessonsOptions) {
    this.#options = options;
  }

  /** The app's response begins; a call that is run again has another one. */
  onHead(head: ResponseHead): void {
    const { rules, request } = this.#options;
    this.#head = head;
    this.#forgetBody();
    this.#wanted = learnsFromBody(rules, request, head);
    this.#length = contentLength(head.headers);
    if (this.#wanted?.part === "whole" && (this.#length ?? 0) > this.#wanted.maxBytes) {
      this.#wanted = undefined;
    }
    this.#learn();
  }

  /** Bytes of the body, before they go on. */
  onBody(bytes: Uint8Array): void {
    if (this.#wanted === undefined) return;
    const { part, maxBytes } = this.#wanted;
    this.#bytes += bytes.length;
    if (part === "whole" && this.#bytes > maxBytes) {
      this.#forgetBody();
      return;
    }
    const isWhole = this.#bytes === this.#length;
    const isTried = part === "beginning" || (this.#length === undefined && this.#mayEnd(bytes));
    if (isWhole || isTried) {
      this.#attempts += 1;
      const found = this.#learn([...this.#pieces, bytes]);
      if (found || isWhole || (part === "beginning" && this.#bytes >= maxBytes)) {
        this.#forgetBody();
        return;
      }
    }
    // The reader of the socket may use its memory again.
    this.#pieces.push(Uint8Array.from(bytes.subarray(0, maxBytes)));
  }

  /** The body is whole, before its end goes on. */
  onEnd(): void {
    if (this.#wanted !== undefined && this.#pieces.length > 0) this.#learn(this.#pieces);
    this.#forgetBody();
  }

  #mayEnd(bytes: Uint8Array): boolean {
    return this.#attempts < MAX_ATTEMPTS && CLOSING_BYTES.has(bytes.at(-1));
  }

  /** @returns whether there are keys in the body */
  #learn(pieces: readonly Uint8Array[] = []): boolean {
    const { rules, request, onKeys } = this.#options;
    const head = this.#head as ResponseHead;
    const [first] = pieces;
    const body = pieces.length > 1 ? Buffer.concat(pieces) : first;
    const keys = learnedKeys(rules, request, head, body);
    if (keys.length > 0) onKeys(keys);
    return body !== undefined && keys.length > 0;
  }

  #forgetBody(): void {
    this.#wanted = undefined;
    this.#pieces = [];
    this.#bytes = 0;
    this.#attempts = 0;
  }
}
