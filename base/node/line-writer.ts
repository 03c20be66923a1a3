/**
 * Writes lines to a stream whose reader may be slow or stopped, and never makes its caller wait. Lines of one turn of
 * the event loop leave together, one write at a time. A bounded number of characters waits for the reader; further
 * lines are left out and counted.
 */

/** How many characters may wait for the reader. */
const MAX_WAITING_CHARACTERS = 1024 * 1024;

/** Size of one write: a slow reader gets the waiting lines in pieces. */
const MAX_WRITE_CHARACTERS = 64 * 1024;

/** Writes the text and calls back when it has been taken, or can't be. */
export type WriteText = (text: string, onTaken: () => void) => void;

export class LineWriter {
  readonly #write: WriteText;
  readonly #onDropped: (lines: number) => void;
  #waiting: string[] = [];
  #waitingCharacters = 0;
  #dropped = 0;
  #isWriting = false;
  #idle: PromiseWithResolvers<void> | undefined;

  /** @param onDropped hears how many lines were left out, once there is room again */
  constructor(write: WriteText, onDropped: (lines: number) => void) {
    this.#write = write;
    this.#onDropped = onDropped;
  }

  /** Whether most lines would be left out: then there is no need to make them. */
  get isFull(): boolean {
    return this.#waitingCharacters >= MAX_WAITING_CHARACTERS - MAX_WRITE_CHARACTERS;
  }

  /** Counts a line as left out. */
  drop(): void {
    this.#dropped += 1;
  }

  add(line: string): void {
    if (this.#waitingCharacters + line.length >= MAX_WAITING_CHARACTERS) return this.drop();
    this.#waiting.push(line);
    this.#waitingCharacters += line.length + 1;
    if (this.#isWriting) return;
    this.#isWriting = true;
    setImmediate(this.#writeNext);
  }

  /** Resolves when everything so far has been taken. */
  flushed(): Promise<void> {
    if (!this.#isWriting) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  readonly #writeNext = (): void => {
    this.#tellOfDropped();
    if (this.#waiting.length === 0) {
      this.#isWriting = false;
      this.#idle?.resolve();
      this.#idle = undefined;
      return;
    }
    let count = 0;
    let characters = 0;
    while (count < this.#waiting.length && characters < MAX_WRITE_CHARACTERS) {
      characters += (this.#waiting[count] as string).length + 1;
      count += 1;
    }
    const lines = this.#waiting.splice(0, count);
    this.#write(`${lines.join("\n")}\n`, () => {
      this.#waitingCharacters -= characters;
      // A stream that takes everything synchronously must not keep the event loop for itself.
      setImmediate(this.#writeNext);
    });
  };

  #tellOfDropped(): void {
    if (this.#dropped === 0 || this.#waitingCharacters > MAX_WAITING_CHARACTERS / 2) return;
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#onDropped(dropped);
  }
}
