/** Prints lines of logs on stdout, no faster than they are read there. */
import { once } from "node:events";

export class LogPrinter {
  /** Aborts when nobody reads stdout any more: there is nothing to follow for then. */
  readonly closed: AbortSignal;
  readonly #closed = new AbortController();

  constructor() {
    this.closed = this.#closed.signal;
    for (const event of ["error", "close"]) process.stdout.once(event, () => this.#closed.abort());
  }

  /** Resolves when there is room for the next line. */
  async print(line: string): Promise<void> {
    if (this.closed.aborted || process.stdout.write(`${line}\n`)) return;
    await once(process.stdout, "drain", { signal: this.closed }).catch(() => undefined);
  }
}
