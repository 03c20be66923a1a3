/**
 * The contract between a call and its response. The call owns state, request body and the app's work. The
 * response owns its subscribers and decides what each of them is sent. A call has one response at a time: a
 * streamed one (streamed-response.ts) or a stored one (stored-response.ts).
 */
import type { ResponseHead } from "../../../routing/wire/heads.ts";
import type { DeferredCall, Failure } from "../../../routing/wire/messages.ts";
import type { Stream, StreamEvents } from "../../../routing/wire/multiplexer.ts";
import type { CallProgress } from "../../../routing/wire/resend.ts";
import type { RequestBody } from "../request-body.ts";
import type { Carrier } from "../../../routing/wire/stream-writer.ts";

/** A stream that a client's request has on a call's response. */
export interface Subscriber {
  readonly stream: Stream;
  readonly carrier: Carrier;
  /** The first byte of the response's body that the client lacks. */
  readonly offset: number;
}

/** The response, as its call sees it. Its methods stand in the order in which the call may use them. */
export interface CallResponse {
  /** There is no subscriber, and the response will not be stored. */
  readonly abandoned: boolean;
  /** Since when the app is held back by a subscriber that takes nothing; undefined while none does. By `now()`. */
  readonly stalledSinceMs: number | undefined;
  /** Whether a subscriber can be served from this byte on. */
  canResume(offset: number): boolean;
  attach(subscriber: Subscriber): StreamEvents;
  /** A client without a stream does not come back: the process that held its connection has ended. */
  onClientsGone(): void;
  onBodyReceived(): void;
  /** The call waits: its subscribers' streams are parked until it calls back. */
  park(): void;
  /** The call has begun. */
  callBack(): void;
  /** @param eager a stream of events: the head is sent at once, not with the first bytes of the body */
  begin(head: ResponseHead, eager: boolean): void;
  append(bytes: Uint8Array): void;
  complete(): void;
  /** @param progress how far the call came */
  fail(failure: Failure, progress: CallProgress): void;
  /** Ends the response: a user or the client ended the call. Subscribers are told the reason. */
  cancel(reason: string): void;
  /** Ends the response: the agent stops. Subscribers are told the failure. @param progress how far the call came */
  abandon(failure: Failure, progress: CallProgress): void;
  /** Frees what is held: the call is over. */
  release(): void;
}

/** The call, as its response sees it. */
export interface RespondingCall {
  readonly body: RequestBody;
  /** Takes bytes that a subscriber's stream brought: those of its own body, and drops those of another request. */
  receive(stream: Stream, bytes: Uint8Array, end: boolean): void;
  /** Holds the app's response back until `resumeApp`. */
  pauseApp(): void;
  resumeApp(): void;
  /** Stores the response, if the disk has room for it by then and it has not begun: this subscriber will not wait. */
  makeDurable(subscriber: Subscriber): void;
  /**
   * Makes the call survive the agent: its request or its start is on the disk.
   * @returns false where it could not be written
   */
  secure(): Promise<boolean>;
  /** A client is told that the call goes on. */
  onPromised(): void;
  /** `secure` returned false: its response need not be stored, unless its client asked for that. */
  onUnsecured(): void;
  /** Builds what a client that will not wait is told. */
  progress(): DeferredCall;
  /** Reduces the call's memory until it starts: it has no subscriber. */
  shrink(): void;
  /** Ends the call and its work. Subscribers are told. */
  cancel(reason: string): void;
  /** Ends the call and its work. Subscribers have been told. */
  end(reason: string): void;
  /** Ends the call. Its work has ended. */
  finish(): void;
}
