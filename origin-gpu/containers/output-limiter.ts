/**
 * Bounds how fast a container may print. Beyond its rate the output is thrown away unread, so that a container which
 * prints without end costs this process a copy from its pipe and no more. The newest piece is kept: once a second, and
 * at the end, it is passed on after a line that says how many lines were left out.
 */
import { MIB, SECOND_MS } from "../../base/units.ts";
import { systemTimer, type Timer } from "../../base/runtime/timer.ts";
import type { LineSplitter } from "./output-lines.ts";

/** A container may print so much at once, as when it starts or dies. */
const BURST_BYTES = 8 * MIB;

/** A container may print so much for ever. Each second's worth is written to a disk. */
const BYTES_PER_SECOND = MIB;

/** A line costs this much besides its bytes: a million empty ones are work as well. */
const LINE_BYTES = 64;

/** How often the newest piece of an output that is too fast is passed on. */
const NEWEST_EVERY_MS = SECOND_MS;

const NEWLINE = 0x0a;

export interface OutputClock {
  readonly now: () => number;
  readonly timer: Timer;
}

const SYSTEM_CLOCK: OutputClock = { now: () => performance.now(), timer: systemTimer };

/** The bytes that one container's streams may still print together. */
export class OutputBudget {
  readonly clock: OutputClock;
  #bytes = BURST_BYTES;
  #atMs: number;

  constructor(clock: OutputClock = SYSTEM_CLOCK) {
    this.clock = clock;
    this.#atMs = clock.now();
  }

  /** Takes what a piece costs; one that it has no room for costs nothing. */
  take(bytes: number, lines: number): boolean {
    const nowMs = this.clock.now();
    const earned = ((nowMs - this.#atMs) / SECOND_MS) * BYTES_PER_SECOND;
    this.#bytes = Math.min(BURST_BYTES, this.#bytes + earned);
    this.#atMs = nowMs;
    if (this.#bytes <= 0) return false;
    this.#bytes -= bytes + lines * LINE_BYTES;
    return true;
  }
}

/** One stream of a container. */
export class OutputLimiter {
  readonly #splitter: LineSplitter;
  readonly #budget: OutputBudget;
  readonly #onLeftOut: (lines: number) => void;
  /** The newest piece, since the budget was spent. */
  #newest: Buffer | undefined;
  #leftOut = 0;
  /** The newest piece begins in the middle of a line whose beginning was left out. */
  #isNewestCut = false;
  #forgetTimer: (() => void) | undefined;

  /** @param onLeftOut hears how many lines are missing before the next one */
  constructor(splitter: LineSplitter, budget: OutputBudget, onLeftOut: (lines: number) => void) {
    this.#splitter = splitter;
    this.#budget = budget;
    this.#onLeftOut = onLeftOut;
  }

  write(piece: Buffer): void {
    if (this.#newest === undefined && this.#budget.take(piece.length, linesOf(piece))) {
      this.#splitter.write(piece);
      return;
    }
    if (this.#newest !== undefined) this.#leaveOut(this.#newest);
    this.#newest = piece;
    this.#forgetTimer ??= this.#budget.clock.timer(() => this.#passNewest(), NEWEST_EVERY_MS);
  }

  /** The stream has ended: its last words are passed on. */
  end(): void {
    this.#passNewest();
    this.#splitter.end();
  }

  #leaveOut(piece: Buffer): void {
    if (this.#leftOut === 0) this.#splitter.end();
    // A piece without a line's end is a part of one.
    this.#leftOut += Math.max(1, linesOf(piece));
    this.#isNewestCut = piece.at(-1) !== NEWLINE;
  }

  #passNewest(): void {
    this.#forgetTimer?.();
    this.#forgetTimer = undefined;
    const piece = this.#newest;
    if (piece === undefined) return;
    this.#newest = undefined;
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    this.#budget.take(piece.length, linesOf(piece));
    if (leftOut === 0) {
      this.#splitter.write(piece);
      return;
    }
    this.#onLeftOut(leftOut);
    this.#splitter.write(this.#isNewestCut ? piece.subarray(piece.indexOf(NEWLINE) + 1) : piece);
  }
}

function linesOf(piece: Buffer): number {
  let lines = 0;
  for (const byte of piece) if (byte === NEWLINE) lines += 1;
  return lines;
}
