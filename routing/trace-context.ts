/**
 * W3C Trace Context of a request (https://www.w3.org/TR/trace-context/). The gateway has no span of its own. It
 * passes a client's trace on as it came, and begins one for a call that came without. Pure.
 */

export interface TraceContext {
  readonly traceparent: string;
  /** The vendors' own part; undefined where the client sent none. */
  readonly tracestate: string | undefined;
}

/** Version 00 has this form alone; a later version may have more behind a dash (3.2.4). */
const TRACEPARENT =
  /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * The client's trace; undefined where its `traceparent` is missing or invalid, and then its `tracestate` means
 * nothing (3.3.1.1). A later version leaves as version 00, the one that we know (3.2.4).
 */
export function continuedTrace(headers: {
  get(name: string): string | null;
}): TraceContext | undefined {
  const given = headers.get("traceparent");
  if (given === null) return undefined;
  const parts = TRACEPARENT.exec(given);
  if (parts === null) return undefined;
  const [, version, trace, parent, flags, more] = parts;
  if (version === "00" && more !== undefined) return undefined;
  const traceparent = version === "00" ? given : `00-${trace}-${parent}-${flags}`;
  return { traceparent, tracestate: headers.get("tracestate") ?? undefined };
}

/** The trace that begins with a call: its id is the call's, so that either finds the other. */
export function callTrace(callId: string): TraceContext {
  const hex = callId.replaceAll("-", "");
  return { traceparent: `00-${hex}-${hex.slice(16)}-01`, tracestate: undefined };
}
