import type { RequestHead } from "../../../routing/wire/heads.ts";

/**
 * The head of a call as it goes to a box: ASCII JSON. While the call waits nobody here needs it, and the client's request
 * has the same header lines: it is let go, and made again where the call has to be opened once more.
 */
export class RequestHeadText {
  readonly #make: () => string;
  #text: string | undefined;

  /** @param make gives the same text each time @param text the same, where it is there */
  constructor(make: () => string, text?: string) {
    this.#make = make;
    this.#text = text;
  }

  /** @param mayRefuse the head's member, which each attempt may have otherwise */
  get(mayRefuse?: boolean): string {
    this.#text ??= this.#make();
    return mayRefuse === undefined
      ? this.#text
      : `{"mayRefuse":${mayRefuse},${this.#text.slice(1)}`;
  }

  /** Path and query, as the box gets them. */
  get target(): string {
    const { target } = JSON.parse(this.get()) as Pick<RequestHead, "target">;
    return target;
  }

  letGo(): void {
    this.#text = undefined;
  }
}
