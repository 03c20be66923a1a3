/**
 * Room, in bytes, for what the waiting calls of all endpoints have: heads in memory, bodies on the disk. An endpoint may
 * take more of it while it has at most PER_FREE_BYTE times what stays free, as with the streams of a link
 * (routing/wire/stream-shares.ts): one alone has three quarters, and another one finds room whatever it takes. Without
 * room a call is refused like one that finds the queue full. Pure.
 */
import { RoomPace } from "./room-pace.ts";

const PER_FREE_BYTE = 3;

export class SharedRoom {
  readonly #limitBytes: number;
  readonly #pace = new RoomPace();
  /** By endpoint; none has nothing. */
  readonly #taken = new Map<string, number>();
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes that are taken. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * @param isOwed a call that was accepted has its room in any case
   * @returns false where there is no room
   */
  take(endpoint: string, bytes: number, isOwed = false): boolean {
    if (!isOwed && this.#missingBytes(endpoint, bytes) > 0) return false;
    this.#change(endpoint, bytes);
    return true;
  }

  giveBack(endpoint: string, bytes: number): void {
    this.#change(endpoint, -bytes);
    this.#pace.onFreed(bytes);
  }

  /** Whole seconds after which what was refused may find room. */
  retryAfterS(endpoint: string, bytes: number, nowMs: number): number {
    return this.#pace.retryAfterS(this.#missingBytes(endpoint, bytes), nowMs);
  }

  /** So much has to be given back by this endpoint before it may take so many bytes; not above 0 where it may now. */
  #missingBytes(endpoint: string, bytes: number): number {
    const own = this.#taken.get(endpoint) ?? 0;
    const free = this.#limitBytes - this.#usedBytes;
    return (own + bytes - PER_FREE_BYTE * (free - bytes)) / (1 + PER_FREE_BYTE);
  }

  #change(endpoint: string, bytes: number): void {
    this.#usedBytes += bytes;
    const taken = (this.#taken.get(endpoint) ?? 0) + bytes;
    if (taken > 0) this.#taken.set(endpoint, taken);
    else this.#taken.delete(endpoint);
  }
}
