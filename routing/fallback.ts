/**
 * Requests for an endpoint's fallback, a server elsewhere. It takes over where a call certainly reached no app, and no box
 * takes it. It gets none of the client's credentials. Pure.
 */
import type { HeaderList } from "../base/headers.ts";
import type { ErrorCode } from "./wire/errors.ts";
import { type Fallback, withVariables } from "./wire/fallback.ts";
import { mayLeaveApp } from "./wire/headers.ts";
import type { CallProgress, ResendTerms } from "./wire/resend.ts";

/** The failures that say that no box takes the call. */
const NO_BOX_TAKES_IT: ReadonlySet<ErrorCode> = new Set([
  "no_origin",
  "queue_full",
  "starting_failed",
  "startup_timeout",
  "unavailable",
]);

/** The client's lines that go outside: they say what the body is, and which answers the client reads. */
const OUTWARD = ["accept", "accept-language", "content-encoding", "content-type", "user-agent"];

/**
 * Whether the fallback may answer a call that failed so. A call under a key may have run before, and one that is durable
 * has been promised an answer of this endpoint.
 */
export function mayFallBack(
  code: ErrorCode,
  progress: CallProgress,
  { isKeyed, isDurable }: ResendTerms,
): boolean {
  return progress === "not_sent" && !isKeyed && !isDurable && NO_BOX_TAKES_IT.has(code);
}

/**
 * The URL that answers for a target: its path and query below the fallback's own path; undefined for a target whose dot
 * segments lead above that, since the request has the fallback's credentials.
 */
export function fallbackUrl({ url }: Fallback, target: string): string | undefined {
  const own = url.replace(/\/$/, "");
  const { href } = new URL(own + target);
  return href.startsWith(`${new URL(own).href.replace(/\/$/, "")}/`) ? href : undefined;
}

/**
 * The headers of the request outside; undefined where a variable is missing.
 * @param clientHeader a header of the client's request
 */
export function fallbackHeaders(
  { headers = {} }: Fallback,
  clientHeader: (name: string) => string | null,
  variables: Readonly<Record<string, string>>,
): [string, string][] | undefined {
  const lines = new Map<string, string>();
  for (const name of OUTWARD) {
    const value = clientHeader(name);
    if (value !== null) lines.set(name, value);
  }
  // The response passes as it comes.
  lines.set("accept-encoding", "identity");
  for (const [name, value] of Object.entries(headers)) {
    const expanded = withVariables(value, variables);
    if (expanded === undefined) return undefined;
    lines.set(name.toLowerCase(), expanded);
  }
  return [...lines];
}

/** A JSON body that names its model as the fallback does; any other body as it is. */
export function withModel(body: Uint8Array, { models = {} }: Fallback): Uint8Array {
  if (Object.keys(models).length === 0) return body;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(body));
  } catch {
    return body;
  }
  if (typeof value !== "object" || value === null || !("model" in value)) return body;
  const { model } = value;
  if (typeof model !== "string" || !Object.hasOwn(models, model)) return body;
  return new TextEncoder().encode(JSON.stringify({ ...value, model: models[model] }));
}

/** The response's lines that reach the client: no cookie, since it would be this endpoint's. */
export function fallbackResponseHeaders(lines: Iterable<[string, string]>): HeaderList {
  const passed: string[] = [];
  for (const [name, value] of lines) {
    if (mayLeaveApp(name) && name !== "set-cookie") passed.push(name, value);
  }
  return passed;
}
