/** One box's lines of a log, each once, however often they are asked for. */
import type { ApiLogLine } from "../../api/logs.ts";
import type { BoxLine, LogRange } from "./log-line.ts";

/** Asks the box; yields undefined for a sign of life without a line. */
export type AskForLines = (
  box: string,
  query: LogRange & { readonly follow: "true" | "false" },
  signal: AbortSignal,
) => AsyncIterable<ApiLogLine | undefined>;

export class BoxLog {
  readonly box: string;
  readonly #ask: AskForLines;
  readonly #range: LogRange;
  readonly #signal: AbortSignal;
  /** Of the newest line that was seen. */
  #time = "";
  /** By container, the last line that was seen. */
  readonly #numbers = new Map<string, number>();

  constructor(
    box: string,
    { ask, range, signal }: { ask: AskForLines; range: LogRange; signal: AbortSignal },
  ) {
    this.box = box;
    this.#ask = ask;
    this.#range = range;
    this.#signal = signal;
  }

  /** Those that were not seen before. Undefined as in `AskForLines`. */
  async *lines(follow: boolean): AsyncGenerator<BoxLine | undefined> {
    const range = this.#time === "" ? this.#range : { since: this.#time };
    const query = { ...range, follow: follow ? "true" : "false" } as const;
    for await (const line of this.#ask(this.box, query, this.#signal)) {
      if (line === undefined) yield undefined;
      else if (this.#isNew(line)) yield { box: this.box, ...line };
    }
  }

  #isNew({ container, number, time }: ApiLogLine): boolean {
    // A line about the reading itself.
    if (container === "") return true;
    if (number <= (this.#numbers.get(container) ?? 0)) return false;
    this.#numbers.set(container, number);
    if (time > this.#time) this.#time = time;
    return true;
  }
}
