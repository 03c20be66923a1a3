/** The headers that the gateway adds to every response of an app. */
import type { ResponseHead } from "../../../routing/wire/heads.ts";

/** The values of a call that the gateway knows before it asks the box. */
export interface OwnHeaders {
  readonly requestId: string;
  readonly callId: string;
  /** Milliseconds until the endpoint was known. */
  readonly routeMs: number;
  /** Milliseconds that authorization took. */
  readonly authMs: number;
}

/** Adds the gateway's own headers. An app's response has none of these names but Server-Timing. */
export function addOwnHeaders(
  headers: Headers,
  own: OwnHeaders,
  timing: ResponseHead["timing"],
): void {
  headers.set("x-request-id", own.requestId);
  headers.set("postern-call-id", own.callId);
  headers.append("server-timing", serverTiming(timing, own));
}

/** https://www.w3.org/TR/server-timing/ ; durations in milliseconds. */
function serverTiming(timing: ResponseHead["timing"], { routeMs, authMs }: OwnHeaders): string {
  const edge = `route;dur=${routeMs}, auth;dur=${authMs}`;
  if (timing === undefined) return edge;
  const { queue, start, app } = timing;
  return `${edge}, queue;dur=${queue}, start;dur=${start}, app;dur=${app}`;
}
