/** The events of a stream, for its owner, and how streams end. */

/** Tells the owner of a stream about it. `onEnd` is the last event. */
export interface StreamEvents {
  /** Gateway only: the response's head (JSON text) with the first bytes of its body. */
  onHead?(head: string, body: Uint8Array, end: boolean): void;
  /**
   * Body bytes. The owner calls `stream.consume(n)` when it has passed them on. At the agent they are valid until
   * this returns: the link reads on into their buffer.
   */
  onData(bytes: Uint8Array, end: boolean): void;
  /** `stream.window` was 0 and is not any more. */
  onWindow?(): void;
  /** Gateway only: the call waits, and the stream is parked. */
  onPark?(): void;
  /** Agent only: the client stops waiting. The call becomes durable, unless its response has begun. */
  onDefer?(): void;
  /** The peer ended the stream, or the link is lost. */
  onEnd(ending: StreamEnding): void;
}

/** For a stream that was refused or answered at once: what still comes is of no interest. */
export const NO_EVENTS: StreamEvents = { onData: () => undefined, onEnd: () => undefined };

/** How a stream ended. There is no other vocabulary for it. */
export type StreamEnding =
  | { readonly kind: "refused" | "reset"; readonly failure: string }
  /** Gateway: the call is durable and goes on without this stream. JSON: `DeferredCall`. */
  | { readonly kind: "deferred"; readonly call: string }
  | { readonly kind: "done" | "cancelled" | "detached" | "link_lost" };
