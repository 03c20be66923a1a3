/** Bounds how many lines of a child process are passed on: strangers cause some of them, and must not fill a disk. */

const MAX_LINES_PER_WINDOW = 20;
const LINE_WINDOW_MS = 10_000;

export class BoundedLines {
  readonly #program: string;
  readonly #log: (line: string) => void;
  #windowStart = Number.NEGATIVE_INFINITY;
  #lines = 0;

  /** @param program its name, for the line that counts those left out */
  constructor(program: string, log: (line: string) => void) {
    this.#program = program;
    this.#log = log;
  }

  /** @param nowMs of any clock with milliseconds */
  add(line: string, nowMs: number): void {
    if (nowMs - this.#windowStart > LINE_WINDOW_MS) {
      const leftOut = this.#lines - MAX_LINES_PER_WINDOW;
      if (leftOut > 0) this.#log(`${this.#program}: ${leftOut} more lines were left out`);
      this.#windowStart = nowMs;
      this.#lines = 0;
    }
    this.#lines += 1;
    if (this.#lines <= MAX_LINES_PER_WINDOW) this.#log(line);
  }
}
