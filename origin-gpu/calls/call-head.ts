/**
 * The head of a call's request. It is large, up to 64 KiB, so it takes little memory where it is not read:
 * packed while the call waits, and without its headers once the app has them.
 */
import type { RequestHead } from "../../routing/wire/heads.ts";
import type { SharedRoom } from "./shared-room.ts";

/** Longer paths are cut in a description: a list of calls must fit a frame. */
const MAX_DESCRIBED_PATH_CHARACTERS = 200;

const NO_HEADERS: string[] = [];

export class CallHead {
  readonly #room: SharedRoom;
  readonly #endpoint: string;
  /** As JSON while it is packed: the strings of a parsed head take twice as much. */
  #value: RequestHead | string;
  /** Bytes of the room that this head has taken. */
  #countedBytes = 0;

  /** @param room for the heads of waiting calls */
  constructor(value: RequestHead, room: SharedRoom) {
    this.#value = value;
    this.#room = room;
    this.#endpoint = value.endpoint;
  }

  /** The whole head; reading it unpacks it. */
  get value(): RequestHead {
    this.#value = this.peek();
    return this.#value;
  }

  /**
   * Counts the head of a call that waits.
   * @param isOwed as in `SharedRoom`
   * @returns the seconds until it may, where waiting heads have no room
   */
  count(isOwed: boolean): number | undefined {
    if (this.#countedBytes > 0) return undefined;
    const bytes = sizeOf(this.value);
    if (!this.#room.take(this.#endpoint, bytes, isOwed)) {
      return this.#room.retryAfterS(this.#endpoint, bytes, performance.now());
    }
    this.#countedBytes = bytes;
    return undefined;
  }

  /** The call does not wait any longer. */
  uncount(): void {
    this.#room.giveBack(this.#endpoint, this.#countedBytes);
    this.#countedBytes = 0;
  }

  pack(): void {
    if (typeof this.#value !== "string") this.#value = JSON.stringify(this.#value);
  }

  /** Frees the headers: the app has them. */
  dropHeaders(): void {
    this.value.headers = NO_HEADERS;
  }

  /** A part of the head for lists; the head stays packed. */
  describe(): { endpoint: string; method: string; path: string } {
    const { endpoint, method, target } = this.peek();
    const path = (target.split("?", 1)[0] ?? "").slice(0, MAX_DESCRIBED_PATH_CHARACTERS);
    return { endpoint, method, path };
  }

  /** The whole head, to be read once: it stays packed. */
  peek(): RequestHead {
    const value = this.#value;
    return typeof value === "string" ? (JSON.parse(value) as RequestHead) : value;
  }
}

/** Bytes of a head, near enough. */
function sizeOf({ target, headers }: RequestHead): number {
  let bytes = target.length;
  for (const text of headers) bytes += text.length;
  return bytes;
}
