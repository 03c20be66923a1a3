/** The parts of a link's object that a stream response uses, and the terms of its client. */
import type { Stream, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import type { RestOfResponse } from "./attach-again.ts";

/**
 * Attaches to the call again after its link was lost.
 * @param offset bytes of the response's body to leave out
 * @returns undefined where the call cannot go on
 */
export type Resume = (events: StreamEvents, offset: number) => Promise<RestOfResponse | undefined>;

export interface StreamResponseOptions {
  /** How long the client waits for response headers, from the last byte of its body on; undefined: for ever. */
  readonly patienceMs?: number | undefined;
  /** Bytes of the body that the attempt leaves out. */
  readonly offset?: number;
  /** For messages; undefined for an operation of the agent. */
  readonly callId?: () => string | undefined;
  /**
   * The call waits: takes its stream over until the Worker claims it. Without it the Worker knows, and waits by this
   * request.
   */
  readonly onPark?: ((stream: Stream) => void) | undefined;
  /** Called when the response begins to stream. */
  readonly onStreaming?: () => void;
  /** Called when nothing more can come for the client. */
  readonly onOver?: () => void;
  /**
   * Self-hosted: the object goes on with a body whose link was lost. Elsewhere the Worker does, which outlives
   * the object as well.
   */
  readonly resume?: Resume | undefined;
}
