/** A call of a pool, and the order of calls by their arrival. Pure. */
import type { SessionState } from "../../routing/wire/sessions.ts";
import type { Session } from "./session-table.ts";

/** A call's part in its session. */
export interface CallSession {
  readonly session: Session;
  /** How it came to its container; undefined while it waits. */
  state: SessionState | undefined;
}

/** From its arrival to its end. */
export interface PoolCall<Call> {
  readonly call: Call;
  readonly arrivedAtMs: number;
  /** No client waits for the response. */
  readonly asynchronous: boolean;
  /** A client was told that the call goes on: nothing but its end may end it. */
  accepted: boolean;
  /** It takes a place at its container, and does not count as use of it. */
  readonly passive: boolean;
  /** Orders calls that arrived at the same time. */
  readonly sequence: number;
  /** Where its endpoint has affinity. */
  readonly session: CallSession | undefined;
  /** The token that it came with; calls without one count as one caller's. */
  readonly caller?: string | undefined;
  /** It waits for calls that are not. */
  readonly batch?: boolean | undefined;
  /** Its turn in a queue, which it keeps while it waits for the same: its container, or any. */
  turn?: { readonly container: number | undefined; readonly number: number } | undefined;
}

/** Whether a call arrived before another one. */
export function isBefore<Call>(one: PoolCall<Call>, other: PoolCall<Call>): boolean {
  if (one.arrivedAtMs !== other.arrivedAtMs) return one.arrivedAtMs < other.arrivedAtMs;
  return one.sequence < other.sequence;
}
