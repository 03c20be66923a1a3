/**
 * Passes on to the operator the lines that workerd prints on stderr. Their number is bounded: workerd writes a line for
 * many broken connections, and strangers must not fill a disk. Lines that only look like a fault are left out.
 */

import { BoundedLines } from "./bounded-lines.ts";

/** The last lines, which show why workerd died. */
const KEPT_LINES = 5;

/**
 * workerd's warning, with a stack, about a response whose client has left. That is no fault
 * (gateway/contracts/local-queue.ts).
 */
const SETTLED_TOO_LATE =
  "Warning: A promise was resolved or rejected from a different request context";

/** workerd's line about a response that broke off, with our words in it (gateway/objects/link/stream-response.ts). */
const BROKEN_RESPONSE = /Uncaught exception: .*jsg\.Error: (the response of call .*)$/;

/** The same of a response whose client has left. That is no fault. */
const CLIENT_LEFT = /jsg\.Error: the client has left$/;

/** How workerd says that SQLite could not write, or found no room for what it needs to read. */
const FULL_DISK = /\bSQLITE_FULL\b|\bSQLITE_IOERR_SHMSIZE\b|No space left on device/;

/** The addresses behind a line of workerd's own fault. */
const ADDRESSES = /^stack: /;

export class WorkerdLines {
  readonly #lines: BoundedLines;
  readonly #kept: string[];
  #withinStack = false;

  readonly #onFullDisk: () => void;
  #withinDisk = false;

  /**
   * @param kept gets the last lines
   * @param onFullDisk called for each line about a full disk, instead of the line
   */
  constructor(log: (line: string) => void, kept: string[], onFullDisk: () => void) {
    this.#lines = new BoundedLines("workerd", log);
    this.#kept = kept;
    this.#onFullDisk = onFullDisk;
  }

  /** @param nowMs of any clock with milliseconds */
  add(line: string, nowMs: number): void {
    this.#withinStack =
      line.startsWith(SETTLED_TOO_LATE) || (this.#withinStack && line.startsWith("    at "));
    if (line === "" || this.#withinStack || CLIENT_LEFT.test(line)) return;
    this.#kept.push(line);
    if (this.#kept.length > KEPT_LINES) this.#kept.shift();
    if (this.#saysDisk(line)) return;
    const broken = BROKEN_RESPONSE.exec(line)?.[1];
    this.#lines.add(broken ?? `workerd: ${line}`, nowMs);
  }

  /** Whether a line is about a full disk, or has the addresses behind one. */
  #saysDisk(line: string): boolean {
    const isFull = FULL_DISK.test(line);
    if (isFull) this.#onFullDisk();
    this.#withinDisk = isFull || (this.#withinDisk && ADDRESSES.test(line));
    return this.#withinDisk;
  }
}
