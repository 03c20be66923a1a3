/**
 * What the gateway adds to an app's answer for the client, and the plain answers that are made from it
 * where they arrive: an answer of a few bytes that the `Origin` object hands on ready-made saves the Worker
 * a head to read and a Response to build, an eighth of its work for such a request.
 */
import { INTERNAL_PREFIX } from "../routing/wire/headers.ts";
import { parseResponseHead, type ResponseHead } from "../routing/wire/messages.ts";

/** What the gateway knows of a call before it asks the box. */
export interface OwnHeaders {
  readonly requestId: string;
  readonly callId: string;
  /** Milliseconds until the endpoint was known. */
  readonly routeMs: number;
  /** Milliseconds that its lock took. */
  readonly authMs: number;
}

/** Adds the gateway's own; those of the app have none of these names. */
export function addOwnHeaders(
  headers: Headers,
  own: OwnHeaders,
  timing: ResponseHead["timing"],
): void {
  headers.set("x-request-id", own.requestId);
  headers.set("postern-call-id", own.callId);
  headers.append("server-timing", serverTiming(timing, own));
}

/**
 * A whole answer as the client gets it. Undefined where a Response between object and Worker would mean
 * something else than to the client (a redirect, a coding, no body), and where the head makes no sense: the
 * Worker judges those.
 * @param own OwnHeaders as JSON
 */
export function plainAnswer(head: string, body: Uint8Array, own: string): Response | undefined {
  if (body.length === 0) return undefined;
  try {
    const { status, headers: lines, timing } = parseResponseHead(head);
    if (status !== 200) return undefined;
    const headers = new Headers();
    for (let index = 0; index < lines.length; index += 2) {
      const name = lines[index] as string;
      if (name === "content-encoding" || name.startsWith(INTERNAL_PREFIX)) return undefined;
      headers.append(name, lines[index + 1] as string);
    }
    addOwnHeaders(headers, JSON.parse(own) as OwnHeaders, timing);
    return new Response(body, { headers, encodeBody: "manual" });
  } catch {
    return undefined;
  }
}

/** https://www.w3.org/TR/server-timing/ ; durations in milliseconds. */
function serverTiming(timing: ResponseHead["timing"], { routeMs, authMs }: OwnHeaders): string {
  const edge = `route;dur=${routeMs}, auth;dur=${authMs}`;
  if (timing === undefined) return edge;
  const { queue, start, app } = timing;
  return `${edge}, queue;dur=${queue}, start;dur=${start}, app;dur=${app}`;
}
