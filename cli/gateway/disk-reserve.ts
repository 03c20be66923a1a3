/**
 * A file that holds room on the gateway's disk, to be given up when the disk is full: SQLite needs 32 KiB for each
 * database that it opens, even to read. With that room boxes and clients are served on, and a small note still fits. So
 * does a start, which writes the Worker's bundle.
 */

import { closeSync, openSync, rmSync, statfsSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Timer } from "../../base/runtime/timer.ts";
import { reasonOf } from "../failure.ts";

/** Room for 64 databases of names and some of workspaces, with their logs. */
export const RESERVE_BYTES = 8 * 1024 * 1024;

/** The room is taken only where it leaves more than this. */
const MIN_LEFT_BYTES = 3 * RESERVE_BYTES;

/** A start with less room than this gives the file up. */
const MIN_START_BYTES = RESERVE_BYTES / 2;

const CHECK_EVERY_MS = 30_000;
const SAY_EVERY_MS = 60_000;

export interface DiskReserveOptions {
  readonly path: string;
  readonly notice: (line: string) => void;
  readonly timer: Timer;
  /** Of any clock with milliseconds. */
  readonly now: () => number;
}

export class DiskReserve {
  readonly #options: DiskReserveOptions;
  #saidAt = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(options: DiskReserveOptions) {
    this.#options = options;
  }

  /** Before a start: takes the room, or gives it up where the start has too little. */
  prepareStart(): void {
    const { path } = this.#options;
    if (sizeOf(path) > 0 && freeBytes(path) < MIN_START_BYTES) this.onFull();
    else this.keep();
  }

  /** Takes the room where there is some; returns whether it is held. Never throws. */
  keep(): boolean {
    const { path } = this.#options;
    try {
      if (sizeOf(path) === RESERVE_BYTES) return true;
      if (freeBytes(path) < RESERVE_BYTES + MIN_LEFT_BYTES) return false;
      write(path);
      return true;
    } catch {
      // Room that is not there cannot be held.
      rmSync(path, { force: true });
      return false;
    }
  }

  /** The disk is full: gives the room up, tells the operator at most once a minute, and takes it again later. */
  onFull(): void {
    const { path, notice, now } = this.#options;
    try {
      rmSync(path, { force: true });
    } catch (error) {
      notice(`can't remove ${path}: ${reasonOf(error)}`);
    }
    this.#cancel ??= this.#check();
    if (now() - this.#saidAt < SAY_EVERY_MS) return;
    this.#saidAt = now();
    notice(
      `the gateway's disk is full: make room on the file system of ${path}; ` +
        "boxes and requests are served, and deployments, tokens and names may fail until then",
    );
  }

  /** Takes no more room. */
  end(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #check(): () => void {
    return this.#options.timer(() => {
      this.#cancel = undefined;
      if (this.keep()) this.#options.notice("the gateway's disk has room again");
      else this.#cancel = this.#check();
    }, CHECK_EVERY_MS);
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Bytes that are free on the disk of a file, which need not be there. */
function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize;
}

/** Bytes that are written: a file with holes holds no room. */
function write(path: string): void {
  const file = openSync(path, "w", 0o600);
  try {
    const zeros = Buffer.alloc(RESERVE_BYTES);
    for (let done = 0; done < zeros.length;) done += writeSync(file, zeros, done);
  } finally {
    closeSync(file);
  }
}
