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

  get(): string {
    this.#text ??= this.#make();
    return this.#text;
  }

  letGo(): void {
    this.#text = undefined;
  }
}
