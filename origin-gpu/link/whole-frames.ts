/**
 * Finds the frames of a WebSocket in a byte stream that comes in any pieces, each with its whole payload. A payload
 * that one read brought is handed on where it lies. One that several reads brought is gathered in a buffer that the
 * next one reuses: at the speed of an upload, a buffer for each frame keeps the collector busy.
 */
import { FRAME_HEADER_BYTES } from "../../routing/wire/frames.ts";
import { MAX_DATA_BYTES } from "../../routing/wire/limits.ts";
import { type FrameHead, FrameReader } from "../websocket/frames.ts";

/** Room for a message with one DATA frame. A longer payload gets a buffer of its own. */
const GATHERED_BYTES = FRAME_HEADER_BYTES + MAX_DATA_BYTES;

const NOTHING = new Uint8Array(0);

export interface WholeFrameEvents {
  /** The payload is valid until this returns. */
  onFrame(head: FrameHead, payload: Uint8Array): void;
  /** A frame is masked, or too long. It is the last event. */
  onRefused(): void;
}

export class WholeFrames {
  readonly #reader = new FrameReader();
  readonly #maxBytes: number;
  readonly #events: WholeFrameEvents;
  readonly #gathered = new Uint8Array(GATHERED_BYTES);
  /** The frame whose payload comes. */
  #head: FrameHead | undefined;
  /** The part of its payload that has come, where one read did not bring all of it. */
  #payload = NOTHING;
  #payloadBytes = 0;
  #isRefused = false;

  /** @param maxBytes of a payload */
  constructor(maxBytes: number, events: WholeFrameEvents) {
    this.#maxBytes = maxBytes;
    this.#events = events;
  }

  /** Takes the next bytes of the stream in. */
  read(chunk: Uint8Array): void {
    this.#reader.read(chunk, this);
  }

  /** For the reader. */
  onHead(head: FrameHead): void {
    if (this.#isRefused) return;
    if (head.length > this.#maxBytes || head.maskingKey !== undefined) {
      this.#isRefused = true;
      this.#events.onRefused();
      return;
    }
    this.#head = head;
    if (head.length === 0) this.#events.onFrame(head, NOTHING);
  }

  /** For the reader. */
  onPayload(bytes: Uint8Array): void {
    const head = this.#head;
    if (head === undefined || this.#isRefused) return;
    const { length } = head;
    if (bytes.length === length) {
      this.#events.onFrame(head, bytes);
      return;
    }
    if (this.#payloadBytes === 0) {
      this.#payload =
        length > GATHERED_BYTES ? new Uint8Array(length) : this.#gathered.subarray(0, length);
    }
    const payload = this.#payload;
    payload.set(bytes, this.#payloadBytes);
    this.#payloadBytes += bytes.length;
    if (this.#payloadBytes < length) return;
    this.#payload = NOTHING;
    this.#payloadBytes = 0;
    this.#events.onFrame(head, payload);
  }
}
