/** Sends bytes on a stream in as many frames as they take, each as soon as there is room for it. */
import type { Stream } from "./stream.ts";

/** The link that a stream came over, as far as those who send on it need it. */
export interface Carrier {
  /** The socket has more than it can send. `whenDrained` calls back once it has not. */
  readonly congested: boolean;
  whenDrained(resume: () => void): void;
}

export class StreamWriter {
  readonly #stream: Stream;
  readonly #carrier: Carrier | undefined;
  readonly #send: (part: Uint8Array, end: boolean) => void;
  #resume: (() => void) | undefined;
  #isGivenUp = false;

  /** @param send sends one frame; by default a DATA frame */
  constructor(
    stream: Stream,
    carrier?: Carrier,
    send: (part: Uint8Array, end: boolean) => void = (part, end) => stream.sendData([part], end),
  ) {
    this.#stream = stream;
    this.#carrier = carrier;
    this.#send = send;
  }

  /** The owner calls this on `onWindow` and `onEnd`. */
  wake(): void {
    this.#resume?.();
  }

  /** The peer needs no more bytes: whoever waits for room gets none. */
  giveUp(): void {
    this.#isGivenUp = true;
    this.wake();
  }

  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  get #isEnded(): boolean {
    return this.#stream.closed || this.#isGivenUp;
  }

  get #isCongested(): boolean {
    return this.#carrier?.congested === true;
  }

  /** Waits until bytes may be sent. @returns how many fit one frame; 0 when the stream is closed or given up */
  async room(): Promise<number> {
    const stream = this.#stream;
    while (!this.#isEnded && (stream.window === 0 || this.#isCongested)) {
      await new Promise<void>((resolve) => {
        this.#resume = resolve;
        if (this.#isCongested) this.#carrier?.whenDrained(resolve);
      });
    }
    return this.#isEnded ? 0 : stream.room;
  }

  /**
   * Sends all bytes; where there are none, an empty frame at once.
   * @param end END goes with the last frame
   * @returns whether the stream is still open
   */
  async write(bytes: Uint8Array, end = false): Promise<boolean> {
    let offset = 0;
    do {
      const room = bytes.length === 0 ? 0 : await this.room();
      if (this.#stream.closed) return false;
      const part = bytes.subarray(offset, offset + room);
      offset += part.length;
      this.#send(part, end && offset === bytes.length);
    } while (offset < bytes.length);
    return !this.#stream.closed;
  }
}
