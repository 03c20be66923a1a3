/** How far an upload has come, on stderr: one line that changes on a terminal, now and then a line elsewhere. */

/** A line that changes is read by somebody who watches; a log keeps every line. */
const TERMINAL_INTERVAL_MS = 200;
const LOG_INTERVAL_MS = 5_000;

export interface ProgressOutput {
  readonly isTerminal: boolean;
  /** Writes to stderr as it is. */
  readonly write: (text: string) => void;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
}

export class UploadProgress {
  readonly #output: ProgressOutput;
  readonly #title: string;
  readonly #bytes: number;
  readonly #beganAt: number;
  #shownAt: number;

  /** @param title what goes where, e.g. `code to gpu-1` */
  constructor(title: string, bytes: number, output: ProgressOutput) {
    this.#output = output;
    this.#title = title;
    this.#bytes = bytes;
    this.#beganAt = this.#shownAt = output.now();
  }

  onProgress(sent: number): void {
    const { isTerminal, now } = this.#output;
    if (now() - this.#shownAt < (isTerminal ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS)) return;
    this.#shownAt = now();
    this.#show(`${shownBytes(sent)} of ${shownBytes(this.#bytes)}`, sent, false);
  }

  onDone(): void {
    this.#show(shownBytes(this.#bytes), this.#bytes, true);
  }

  /** Leaves the line that changes as it is: something else is said next. */
  onFailed(): void {
    if (this.#output.isTerminal) this.#output.write("\n");
  }

  #show(amount: string, sent: number, isLast: boolean): void {
    const { isTerminal, write, now } = this.#output;
    const seconds = Math.max(now() - this.#beganAt, 1) / 1_000;
    const line = `uploading ${this.#title}: ${amount}, ${shownBytes(sent / seconds)}/s`;
    // ESC [K clears what an older, longer line left behind.
    if (isTerminal) write(`\r${line}\u001B[K${isLast ? "\n" : ""}`);
    else write(`${line}\n`);
  }
}

/** Three digits at most before the point, one after it. */
export function shownBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB"] as const;
  let amount = bytes;
  let unit = 0;
  while (amount >= 999.95 && unit < units.length - 1) {
    amount /= 1_000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(amount) : amount.toFixed(1)} ${units[unit]}`;
}
