/**
 * Somebody who reads lines as they come. Lines wait here for a slow reader, in a bounded number; later ones are left
 * out for this reader alone, and counted. A container that writes waits for nobody.
 */
import { within } from "../../base/runtime/within.ts";
import { readerLine } from "./log-record.ts";

/** How much may wait. */
const MAX_WAITING_CHARACTERS = 1024 * 1024;

export class LogFollower {
  readonly #now: () => number;
  #waiting: string[] = [];
  #characters = 0;
  #leftOut = 0;
  #isFinished = false;
  #news = Promise.withResolvers<void>();

  constructor(now: () => number) {
    this.#now = now;
  }

  push(line: string): void {
    if (this.#characters > MAX_WAITING_CHARACTERS) {
      this.#leftOut += 1;
      return;
    }
    this.#waiting.push(line);
    this.#characters += line.length;
    this.#news.resolve();
  }

  /** No line follows. */
  finish(): void {
    this.#isFinished = true;
    this.#news.resolve();
  }

  /** The lines since the last time, none after `limitMs` without one; undefined when no line follows. */
  async next(limitMs: number): Promise<readonly string[] | undefined> {
    if (this.#waiting.length === 0 && !this.#isFinished) await within(limitMs, this.#news.promise);
    const lines = this.#waiting;
    if (lines.length === 0 && this.#isFinished) return undefined;
    this.#waiting = [];
    this.#characters = 0;
    this.#news = Promise.withResolvers();
    if (this.#leftOut > 0) {
      const text = `postern: ${this.#leftOut} lines were left out here: they came faster than they were read`;
      lines.push(readerLine(this.#now(), text));
      this.#leftOut = 0;
    }
    return lines;
  }
}
