/**
 * The headers of an app's response: those of the app that the gateway lets pass, and those that the gateway adds. A box
 * is a tenant: the gateway does not rely on its agent's hygiene.
 */
import type { HeaderList } from "../../../base/headers.ts";
import { OWN_COOKIES } from "../../../routing/headers.ts";
import { setsCookie } from "../../../routing/own-cookies.ts";
import { ownCookie } from "../../../routing/set-cookie.ts";
import { mayLeaveApp } from "../../../routing/wire/headers.ts";
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

/** Adds an app's header lines that may pass; cookies for the request's own host alone. */
export function addAppHeaders(headers: Headers, lines: HeaderList, request: Request): void {
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] as string;
    const value = lines[index + 1] as string;
    if (!mayLeaveApp(name)) continue;
    if (name !== "set-cookie") headers.append(name, value);
    else if (!setsCookie(value, OWN_COOKIES))
      headers.append(name, ownCookie(value, hostOf(request)));
  }
}

/** The Host that the request was routed by, without its port. */
function hostOf(request: Request): string {
  return (request.headers.get("host") ?? "").toLowerCase().replace(/:\d*$/, "");
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
