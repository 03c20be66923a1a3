/**
 * Counts the heads of all calls that wait for a place. A head has up to 64 KiB, and a queue of thousands of
 * them would take the memory that the box's apps need: without room a call is refused like one that finds
 * the queue full. Pure.
 */
import { MIB } from "../../base/units.ts";
import { RoomPace } from "./room-pace.ts";

/** 250,000 calls with heads of 1 KiB, or 4,000 with the largest ones. */
const WAITING_HEADS_BYTES = 256 * MIB;

export class HeadBudget {
  readonly #limitBytes: number;
  readonly #pace = new RoomPace();
  #usedBytes = 0;

  constructor(limitBytes = WAITING_HEADS_BYTES) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes of the heads that wait. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** @param isOwed a call that was accepted has its room in any case @returns false where there is no room */
  take(bytes: number, isOwed = false): boolean {
    if (!isOwed && this.#usedBytes + bytes > this.#limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#pace.onFreed(bytes);
  }

  /** Whole seconds after which a head that was refused may find room. */
  retryAfterS(bytes: number, nowMs: number): number {
    return this.#pace.retryAfterS(this.#usedBytes + bytes - this.#limitBytes, nowMs);
  }
}
