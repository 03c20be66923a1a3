/**
 * Splits a process's output into lines for a terminal, in bounded memory. A line that is too long is passed on in
 * pieces. Of a progress bar, which redraws its line with carriage returns, only the last state is kept.
 */
import { StringDecoder } from "node:string_decoder";

/** A longer line goes out in pieces: no output can fill the agent's memory. */
export const MAX_LINE_CHARACTERS = 8 * 1024;

/** How much of a failed start an operator wants to see again. */
const LAST_LINES = 50;

/** Splits one stream; characters that arrive in parts are put together. ANSI colours stay. */
export class LineSplitter {
  readonly #decoder = new StringDecoder("utf8");
  readonly #emit: (line: string) => void;
  #rest = "";

  constructor(emit: (line: string) => void) {
    this.#emit = emit;
  }

  write(chunk: Buffer): void {
    const parts = (this.#rest + this.#decoder.write(chunk)).split("\n");
    const rest = parts.pop() ?? "";
    this.#rest = rest;
    for (const line of parts) this.#line(line);
    if (rest.length <= MAX_LINE_CHARACTERS) return;
    // The carriage return at the very end counts only when something follows it.
    this.#rest = rest.slice(rest.lastIndexOf("\r", rest.length - 2) + 1);
    while (this.#rest.length > MAX_LINE_CHARACTERS) {
      this.#emit(this.#rest.slice(0, MAX_LINE_CHARACTERS));
      this.#rest = this.#rest.slice(MAX_LINE_CHARACTERS);
    }
  }

  /** The stream has ended, or is cut here: what has no line break yet is a line too. */
  end(): void {
    const rest = this.#rest + this.#decoder.end();
    this.#rest = "";
    if (rest !== "") this.#line(rest);
  }

  #line(text: string): void {
    const line = lastDrawn(text);
    let start = 0;
    do {
      this.#emit(line.slice(start, start + MAX_LINE_CHARACTERS));
      start += MAX_LINE_CHARACTERS;
    } while (start < line.length);
  }
}

/** The text after a line's last carriage return, which is the part that a terminal would still show. */
function lastDrawn(line: string): string {
  const drawn = line.endsWith("\r") ? line.slice(0, -1) : line;
  return drawn.slice(drawn.lastIndexOf("\r") + 1);
}

/** Keeps the last lines of an output. */
export class LastLines {
  readonly #lines: string[] = [];

  push(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > LAST_LINES) this.#lines.shift();
  }

  get lines(): readonly string[] {
    return [...this.#lines];
  }
}
