/**
 * What a call and its answer ask of each other. A call has one answer at a time: one that passes
 * (streamed-response.ts) or one that is kept (stored-response.ts). The call knows its state, the app and the
 * request; the answer knows who is attached, and what each of them is told.
 */
import type { Failure, KeptCall, ResponseHead } from "../../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import type { Carrier } from "./carrier.ts";
import type { RequestBody } from "../request-body.ts";

/** A client that is there for the answer. */
export interface Subscriber {
  readonly stream: Stream;
  readonly carrier: Carrier;
  /** The first byte of the answer's body that it lacks. */
  readonly offset: number;
}

/** What happens to an answer, in the order in which it may happen. */
export interface CallResponse {
  /** Nobody is attached, and nothing of it will be kept. */
  readonly abandoned: boolean;
  /** Whether an attachment from this byte on can be served. */
  canResume(offset: number): boolean;
  attach(attachment: Subscriber): StreamEvents;
  /** The request body is whole. */
  bodyReceived(): void;
  /** @param eager a stream of events: its head is sent at once, not with the first of its body */
  begin(head: ResponseHead, eager: boolean): void;
  chunk(bytes: Uint8Array): void;
  complete(): void;
  /** @param mayHaveRun the app may have begun to work */
  fail(failure: Failure, mayHaveRun: boolean): void;
  /** The call was ended; whoever is attached is told why. */
  cancel(reason: string): void;
  /** The call is over: nothing is held for it any more. */
  release(): void;
}

/** The call, as its answer sees it. */
export interface RespondingCall {
  readonly body: RequestBody;
  /** Bytes of the request body that an attached stream brings. */
  receive(bytes: Uint8Array, end: boolean): void;
  /** The app is to wait with its answer, until `resumeApp`. */
  pauseApp(): void;
  resumeApp(): void;
  /** A client will not wait any longer: the answer is kept from here on, if it can be. */
  keep(attachment: Subscriber): void;
  /** What a client is told that does not wait. */
  progress(): KeptCall;
  /** Nobody waits for the call: it takes little memory until it starts. */
  shrink(): void;
  /** Ends the call and its work, and whoever is attached hears of it. */
  cancel(reason: string): void;
  /** Ends the call and its work; whoever had to be told has been. */
  end(reason: string): void;
  /** The call is over, its work too. */
  finish(): void;
}
