/**
 * Room for further WebSockets, each of which keeps four of workerd's descriptors: one that finds none for a new
 * connection ends, with all the others. The runner counts the descriptors a few times a second; on a busy machine many
 * WebSockets come between two of its looks, so the Worker subtracts those that it has opened since.
 */
import type { Refusal } from "../../../routing/wire/errors.ts";

export class WebSocketRoom {
  #opened = 0;
  #most = Number.POSITIVE_INFINITY;

  /** How many were opened, for the runner to say with its next count. */
  get opened(): number {
    return this.#opened;
  }

  /**
   * The runner has counted.
   * @param more how many WebSockets there is room for; undefined where the system does not tell
   * @param opened as it was when the runner began to count
   */
  onCounted(more: number | undefined, opened: number): void {
    this.#most = more === undefined ? Number.POSITIVE_INFINITY : opened + more;
  }

  /** Takes the room of one more; returns why there is none. */
  take(): Refusal | undefined {
    if (this.#opened >= this.#most) {
      return {
        code: "unavailable",
        detail: "the gateway has no descriptors for more WebSockets",
      };
    }
    this.#opened += 1;
    return undefined;
  }
}
